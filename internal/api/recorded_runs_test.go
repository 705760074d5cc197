package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"testing"

	"github.com/lighterage/lighterage/internal/testserver"
)

// recordedRun is a rule that a Harbor ran once, with how that ended.
type recordedRun struct {
	Policy    map[string]any
	Execution struct {
		Status                 string
		StatusText             string `json:"status_text"`
		Total, Succeed, Failed int
	}
	Tasks []string // source -> destination
}

// recordedRuns reads a note of runs: one, or a list in which other things stand too.
func recordedRuns(t *testing.T, name string) (runs []recordedRun) {
	t.Helper()
	body := readExchange(t, name).Body
	list, many := body.([]any)
	if !many {
		list = []any{body}
	}
	for _, one := range list {
		text, err := json.Marshal(one)
		if err != nil {
			t.Fatal(err)
		}
		var r recordedRun
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Policy != nil {
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		t.Fatalf("%s holds no runs", name)
	}
	return runs
}

// Rules that a Harbor has run, with what it had, end as they ended there.
func TestRecordedRunsEndAsThere(t *testing.T) {
	t.Parallel()
	l := start(t)
	plain := testserver.Distribution(t)
	l.must(201, "POST", "/api/v2.0/projects", `{"project_name":"mx"}`)
	registry := path.Base(l.must(201, "POST", "/api/v2.0/registries", `{"name":"plain","type":"docker-registry","url":"`+plain.URL+`"}`).Header.Get("Location"))
	seed := uint64(0)
	push := func(repository string, tags ...string) {
		for _, tag := range tags {
			seed++
			testserver.Push(t, l.home, repository, tag, testserver.DockerImage(t, seed))
		}
	}
	rules := 0
	run := func(name string, r recordedRun) {
		t.Helper()
		rules++
		policy := maps.Clone(r.Policy)
		policy["name"], policy["enabled"], policy["dest_registry"] = fmt.Sprint("rule", rules), true, map[string]any{"id": json.Number(registry)}
		body, err := json.Marshal(policy)
		if err != nil {
			t.Fatal(err)
		}
		id := path.Base(l.must(201, "POST", "/api/v2.0/replication/policies", string(body)).Header.Get("Location"))
		execution := l.must(201, "POST", "/api/v2.0/replication/executions", `{"policy_id":`+id+`}`).Header.Get("Location")
		got := recordedRun{}
		testserver.Eventually(t, execution+" ends", func() bool {
			text := l.must(200, "GET", execution, "").body
			return json.Unmarshal([]byte(text), &got.Execution) == nil && got.Execution.Status != "InProgress"
		})
		var tasks []struct {
			Source      string `json:"src_resource"`
			Destination string `json:"dst_resource"`
			Reason      string
		}
		if err := json.Unmarshal([]byte(l.must(200, "GET", execution+"/tasks", "").body), &tasks); err != nil {
			t.Fatal(err)
		}
		if r.Execution.Status == "Failed" && r.Execution.Total == 0 {
			// A name that cannot be made fails its repository here, not the execution.
			if got.Execution.Status != "Failed" || got.Execution.Failed != 1 || len(tasks) != 1 || tasks[0].Reason != r.Execution.StatusText {
				t.Errorf("%s, %s: %+v, tasks %+v; want the reason %s", name, body, got.Execution, tasks, r.Execution.StatusText)
			}
			return
		}
		for _, task := range tasks {
			got.Tasks = append(got.Tasks, task.Source+" -> "+task.Destination)
		}
		slices.Sort(got.Tasks)
		slices.Sort(r.Tasks)
		if got.Execution != r.Execution || !slices.Equal(got.Tasks, r.Tasks) {
			t.Errorf("%s, %s:\n%+v %q, want\n%+v %q", name, body, got.Execution, got.Tasks, r.Execution, r.Tasks)
		}
	}

	push("mx/app", "v1", "v2", "latest")
	push("mx/app-two", "v1")
	push("mx/a/b/svc", "v1", "dev")
	for _, r := range recordedRuns(t, "90-flattening-matrix") {
		run("90-flattening-matrix", r)
	}

	push("mx/chunk", "v1")
	push("mx/speed", "v1")
	for _, name := range []string{"93-copy-by-chunk", "93-speed-limit"} {
		for _, r := range recordedRuns(t, name) {
			run(name, r)
		}
	}

	// v1 is something else from the second run on, and is moved by the third one.
	push("mx/ov", "v1")
	override := recordedRuns(t, "93-override")
	if len(override) != 3 {
		t.Fatalf("%d runs", len(override))
	}
	there := func() string {
		d, _ := testserver.Digest(t, plain, "ovr/ov", "v1")
		return d.String()
	}
	run("93-override", override[0])
	first := there()
	push("mx/ov", "v1")
	run("93-override", override[1])
	if there() != first || first == "" {
		t.Errorf("without override v1 is %s, want %s", there(), first)
	}
	run("93-override", override[2])
	if now, _ := testserver.Digest(t, l.home, "mx/ov", "v1"); there() != now.String() {
		t.Errorf("with override v1 is %s, want %s", there(), now)
	}
}
