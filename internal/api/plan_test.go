package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/testserver"
)

// planLines reads a plan as the specification describes it: nothing may be in it that
// is not described.
func planLines(t *testing.T, body string) (lines []gen.ReplicationPlanLine) {
	t.Helper()
	for text := range strings.Lines(body) {
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		var line gen.ReplicationPlanLine
		if err := d.Decode(&line); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 || lines[len(lines)-1].Type != "summary" || lines[len(lines)-1].Summary == nil {
		t.Fatalf("the last line is no summary: %s", body)
	}
	return lines
}

func bodyOf(t *testing.T, r *http.Response) string {
	t.Helper()
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// planned is a server with an image and a rule to a cluster.
func planned(t *testing.T) (*lighterage, *testserver.Registry) {
	t.Helper()
	l, cluster := start(t), testserver.Distribution(t)
	testserver.Push(t, l.home, "library/app", "v1", testserver.Index(t, 1, "linux/amd64", "linux/arm64"))
	l.must(201, "POST", "/api/v2.0/registries", fmt.Sprintf(`{"name":"cluster","type":"docker-registry","url":%q}`, cluster.URL))
	l.must(201, "POST", "/api/v2.0/replication/policies", rulePlan)
	return l, cluster
}

const (
	rulePlan = `{"name":"rule","dest_registry":{"id":1},"filters":[{"type":"name","value":"library/**"}],"enabled":true,"override":true}`
	planPath = "/api/v2.0/replication/policies/1/plan"
)

func TestAPlanIsLinesAsSpecified(t *testing.T) {
	t.Parallel()
	l, cluster := planned(t)
	cluster.ResetRequests()
	a := l.must(200, "GET", planPath+"?bytes=true", "")
	if a.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("Content-Type %q", a.Header.Get("Content-Type"))
	}
	lines := planLines(t, a.body)
	if len(lines) != 2 {
		t.Fatalf("%s", a.body)
	}
	item, sum := lines[0], lines[1].Summary
	if item.Type != "item" || item.Action != "copy" || item.SrcRepository != "library/app" || item.Tag != "v1" || item.Digest == "" ||
		item.DestRegistry != "cluster" || item.DestRegistryID != 1 || item.Kind != "image" || item.Bytes == nil || *item.Bytes == 0 || len(item.Platforms) != 2 {
		t.Errorf("%+v", item)
	}
	if !sum.Complete || sum.Bytes.Send != *item.Bytes || sum.Platforms["linux/arm64"] != 1 || sum.Actions["copy"] != 1 || sum.PlanID != 0 || sum.Warnings != nil {
		t.Errorf("%+v", sum)
	}
	for _, r := range cluster.Requests() {
		if r.Method != "GET" && r.Method != "HEAD" {
			t.Errorf("planning sent %s %s", r.Method, r.Path)
		}
	}
	if plain := planLines(t, l.must(200, "GET", planPath, "").body); plain[0].Bytes != nil || plain[1].Summary.Bytes != nil {
		t.Errorf("bytes that nobody asked for: %+v", plain)
	}
}

func TestAKeptPlanIsStartedOnce(t *testing.T) {
	t.Parallel()
	l, cluster := planned(t)
	sum := planLines(t, l.must(200, "POST", planPath, "").body)[1].Summary
	if sum.PlanID == 0 || sum.ExpiryTime.Before(sum.CreationTime.Time) {
		t.Fatalf("%+v", sum)
	}
	start := fmt.Sprintf(`{"policy_id":1,"plan_id":%d}`, sum.PlanID)
	execution := l.must(201, "POST", "/api/v2.0/replication/executions", start).Header.Get("Location")
	var shown gen.ReplicationExecution
	testserver.Eventually(t, "it has ended", func() bool {
		if err := json.Unmarshal([]byte(l.must(200, "GET", execution, "").body), &shown); err != nil {
			t.Fatal(err)
		}
		return shown.Status != "InProgress"
	})
	if shown.Status != "Succeed" || shown.PlanID != sum.PlanID || len(testserver.Tags(t, cluster, "library/app")) != 1 {
		t.Errorf("%+v", shown)
	}
	for _, c := range []struct {
		status     int
		body, says string
	}{
		{409, start, "was carried out already, by execution"},
		{404, `{"policy_id":1,"plan_id":99}`, "replication plan 99 not found"},
		{404, `{"policy_id":9,"plan_id":1}`, "replication policy 9 not found"},
	} {
		if a := l.must(c.status, "POST", "/api/v2.0/replication/executions", c.body); !strings.Contains(a.body, c.says) {
			t.Errorf("%s: %s", c.body, a.body)
		}
	}
}

// A rule that is not saved is planned under the conditions of saving it.
func TestARuleThatIsNotSavedIsPlanned(t *testing.T) {
	t.Parallel()
	l, _ := planned(t)
	const path = "/api/v2.0/replication/plan"
	lines := planLines(t, l.must(200, "POST", path, strings.Replace(rulePlan, `"override"`, `"dest_namespace":"mirror","dest_namespace_replace_count":0,"override"`, 1)).body)
	if len(lines) != 2 || lines[0].DstRepository != "mirror/library/app" {
		t.Errorf("%+v", lines)
	}
	if a := l.must(200, "GET", "/api/v2.0/replication/policies", ""); a.Header.Get("X-Total-Count") != "1" {
		t.Errorf("it was saved: %s", a.body)
	}
	for body, says := range map[string]string{
		`{"dest_registry":{"id":1}}`: "empty name",
		`{"name":"x"}`:               "either src_registry or dest_registry",
		`{"name":"x","dest_registry":{"id":1},"trigger":{"type":"now"}}`:                "invalid trigger type",
		`{"name":"x","dest_registry":{"id":1},"filters":[{"type":"name","value":"["}]}`: "invalid pattern",
	} {
		if a := l.must(400, "POST", path, body); !strings.Contains(a.body, says) {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	l.must(404, "POST", path, `{"name":"x","dest_registry":{"id":77}}`)
	l.must(422, "POST", path, ``)
	l.must(200, "PUT", "/api/v2.0/configurations", `{"read_only":true}`)
	l.must(200, "POST", path, rulePlan) // changes nothing
	l.must(200, "GET", planPath, "")    // neither does this
	l.must(403, "POST", planPath, "")   // a plan that is kept is there to be carried out
	l.must(200, "PUT", "/api/v2.0/configurations", `{"read_only":false}`)
}

func TestPlansAreForThoseWhoMay(t *testing.T) {
	t.Parallel()
	l, _ := planned(t)
	l.must(201, "POST", "/api/v2.0/users", `{"username":"dev1","email":"dev1@example.com","realname":"dev","password":"Passw0rd1"}`)
	kept := planLines(t, l.must(200, "POST", planPath, "").body)[1].Summary
	robot := func(access string) (name, secret string) {
		t.Helper()
		a := l.must(201, "POST", "/api/v2.0/robots", `{"name":"r`+fmt.Sprint(len(access))+`","level":"system","duration":-1,"permissions":[{"kind":"system","namespace":"/","access":[`+access+`]}]}`)
		var made gen.RobotCreated
		if err := json.Unmarshal([]byte(a.body), &made); err != nil {
			t.Fatal(err)
		}
		return made.Name, made.Secret
	}
	reader, readerSecret := robot(`{"resource":"replication-policy","action":"read"}`)
	runner, runnerSecret := robot(`{"resource":"replication-policy","action":"read"},{"resource":"replication","action":"create"}`)
	for _, c := range []struct {
		who, password       string
		look, unsaved, keep int
	}{
		{"", "", 401, 401, 401},
		{"dev1", "Passw0rd1", 403, 403, 403},
		{reader, readerSecret, 200, 403, 403},
		{runner, runnerSecret, 200, 403, 200},
		{"admin", adminPassword, 200, 200, 200},
	} {
		for _, q := range []struct {
			method, path, body string
			want               int
		}{
			{"GET", planPath, "", c.look},
			{"POST", "/api/v2.0/replication/plan", rulePlan, c.unsaved},
			{"POST", planPath, "", c.keep},
		} {
			if a := l.do(q.method, q.path, c.who, c.password, q.body); a.StatusCode != q.want {
				t.Errorf("%q: %s %s: %s %s, want %d", c.who, q.method, q.path, a.Status, a.body, q.want)
			}
		}
	}
	start := fmt.Sprintf(`{"policy_id":1,"plan_id":%d}`, kept.PlanID)
	if a := l.do("POST", "/api/v2.0/replication/executions", "dev1", "Passw0rd1", start); a.StatusCode != 403 {
		t.Errorf("somebody who may not run rules has run a plan: %s", a.Status)
	}
}

func TestAPlanThatCannotBeginIsAnError(t *testing.T) {
	t.Parallel()
	l, cluster := planned(t)
	l.must(201, "POST", "/api/v2.0/replication/policies", `{"name":"pull","src_registry":{"id":1},"enabled":true}`)
	cluster.Stop()
	for _, path := range []string{planPath, "/api/v2.0/replication/policies/2/plan"} {
		if a := l.must(400, "GET", path, ""); !strings.Contains(a.body, "BAD_REQUEST") || !strings.Contains(a.body, "connect") {
			t.Errorf("%s: %s", path, a.body)
		}
	}
	l.must(404, "GET", "/api/v2.0/replication/policies/99/plan", "")
}

// The work for a plan ends when its reader goes away, and the reader gets the lines
// while it goes on.
func TestAPlanIsReadWhileItIsMade(t *testing.T) {
	t.Parallel()
	l, cluster := planned(t)
	testserver.Push(t, l.home, "library/zoo", "v1", testserver.Image(t, 2, 1, 100))
	hold := testserver.NewHold()
	t.Cleanup(hold.Release)
	cluster.Faults.Add(testserver.Fault{Path: "/library/zoo/", Do: hold.Before()})
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", l.url+planPath, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", adminPassword)
	r.Header.Set("Accept", "application/x-ndjson")
	response, err := l.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	first, err := bufio.NewReader(response.Body).ReadString('\n')
	if err != nil || !strings.Contains(first, `"library/app"`) {
		t.Fatalf("%q %v", first, err)
	}
	if hold.Waiting() == 0 {
		testserver.Eventually(t, "the other repository is asked for", func() bool { return hold.Waiting() > 0 })
	}
	cancel()
	testserver.Eventually(t, "nobody asks the cluster any more", func() bool { return hold.Waiting() == 0 })
}
