package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/testserver"
)

// planOutput runs a plan without a server.
func planAlone(t *testing.T, source, target *testserver.Registry, args ...string) output {
	t.Helper()
	return run(t, nil, append([]string{"plan", source.URL, target.URL}, args...)...)
}

func TestAPlanWithoutAServerIsATableForPeople(t *testing.T) {
	t.Parallel()
	source, target := testserver.Distribution(t, testserver.WithMemory()), testserver.Distribution(t, testserver.WithMemory())
	one, two := testserver.Image(t, 1, 1, 100), testserver.Image(t, 2, 1, 200)
	testserver.Push(t, source, "library/app", "new", one)
	testserver.Push(t, source, "library/app", "other", one)
	testserver.Push(t, source, "library/app", "same", one)
	testserver.Push(t, target, "mirror/library/app", "other", two)
	testserver.Push(t, target, "mirror/library/app", "same", one)
	got := planAlone(t, source, target, "--namespace", "mirror", "--override=false")
	if got.code != exitFailed {
		t.Errorf("exit code %d: %s", got.code, got.errors)
	}
	for _, want := range []string{
		"library/app -> mirror/library/app at " + target.Host + "\n",
		"  copy       new\n",
		"  conflict   other  (the destination has something else under this tag and the rule does not override)\n",
		"Plan: 3 tags, 2 artifacts in 1 repository: 1 to copy, 1 there already, 1 in conflict\n",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("%q is missing in\n%s", want, got.out)
		}
	}
	if strings.Contains(got.out, "same") {
		t.Errorf("what is there already is shown without being asked for:\n%s", got.out)
	}
	if !strings.Contains(got.errors, "WARNING: everything at the source was selected: no filter is set") {
		t.Errorf("the warning is missing: %q", got.errors)
	}
	if all := planAlone(t, source, target, "--namespace", "mirror", "--verbose", "--bytes"); !strings.Contains(all.out, "  skip       same") || !strings.Contains(all.out, " to send, ") {
		t.Errorf("%s", all.out)
	}
}

func TestWhatARuleDoesNotWantIsNotCalledThere(t *testing.T) {
	t.Parallel()
	source, target := testserver.Distribution(t, testserver.WithMemory()), testserver.Distribution(t, testserver.WithMemory())
	there := testserver.Image(t, 1, 1, 100)
	testserver.Push(t, source, "library/app", "there", there)
	testserver.Push(t, target, "library/app", "there", there)
	testserver.Push(t, source, "library/app", "arm", testserver.IndexOf(t, testserver.DockerImage(t, 2)))
	for _, c := range []struct{ platform, want string }{
		{"linux/amd64", "1 to copy, 1 there already\n"},
		{"plan9/mips", ": 2 left out\n"},
	} {
		got := planAlone(t, source, target, "--platform", c.platform)
		if !strings.Contains(got.out, c.want) || strings.Contains(got.out, "left out") && strings.Contains(got.out, "there already") {
			t.Errorf("%s: %q is missing in\n%s%s", c.platform, c.want, got.out, got.errors)
		}
	}
}

func TestTheEndOfAPlanIsItsExitCode(t *testing.T) {
	t.Parallel()
	source, target := testserver.Distribution(t, testserver.WithMemory()), testserver.Distribution(t, testserver.WithMemory())
	image := testserver.Image(t, 1, 1, 100)
	testserver.Push(t, source, "one/app", "v1", image)
	testserver.Push(t, source, "two/app", "v1", testserver.Image(t, 2, 1, 100))
	testserver.Push(t, target, "one/app", "v1", image)
	down := testserver.Distribution(t, testserver.WithMemory())
	down.Stop()
	for _, c := range []struct {
		args []string
		want int
		says string
	}{
		{[]string{source.URL + "/one/app", target.URL}, exitOK, "1 there already"},
		{[]string{source.URL, target.URL}, exitFailed, "1 to copy"},
		{[]string{source.URL + "/three/app", target.URL}, exitNothing, "nothing matched"},
		{[]string{source.URL + "/three/app", target.URL, "--allow-empty"}, exitOK, "nothing matched"},
		{[]string{source.URL, target.URL, "--rename", "all/{name}"}, exitFailed, "claimed by more than one repository"},
		{[]string{source.URL, down.URL}, exitUnreachable, "not complete"},
		{[]string{down.URL, target.URL}, exitUnreachable, "not complete"},
		{[]string{source.URL, target.URL, "--keep"}, exitUsage, "plan SRC DST has no --keep"},
		{[]string{source.URL, target.URL, "--server", "http://x"}, exitUsage, "plan SRC DST has no --server"},
		{[]string{"rule", "--namespace", "x"}, exitUsage, "plan POLICY has no --namespace"},
		{[]string{source.URL, target.URL, "x"}, exitUsage, "one argument too many"},
		{[]string{source.URL + "/[", target.URL}, exitUsage, "pattern"},
		{nil, exitUsage, "is missing"},
	} {
		got := run(t, nil, append([]string{"plan"}, c.args...)...)
		if got.code != c.want || !strings.Contains(got.out+got.errors, c.says) {
			t.Errorf("plan %q: %d, want %d with %q:\n%s%s", c.args, got.code, c.want, c.says, got.out, got.errors)
		}
	}
}

func TestAPlanForProgramsIsOneLineForEach(t *testing.T) {
	t.Parallel()
	source, target := testserver.Distribution(t, testserver.WithMemory()), testserver.Distribution(t, testserver.WithMemory())
	testserver.Push(t, source, "library/app", "v1", testserver.Image(t, 1, 1, 100))
	lines := func(got output) (all []replication.PlanLine) {
		t.Helper()
		for text := range strings.Lines(got.out) {
			var line replication.PlanLine
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
			all = append(all, line)
		}
		return all
	}
	all := lines(planAlone(t, source, target, "--output", "json", "--bytes"))
	if len(all) != 2 || all[0].Action != replication.ActionCopy || *all[0].Bytes == 0 || all[1].Summary == nil || !all[1].Summary.Complete {
		t.Errorf("%+v", all)
	}
	target.Stop()
	all = lines(planAlone(t, source, target, "--output", "json"))
	if len(all) != 2 || all[0].Type != replication.LineError || all[1].Summary == nil || all[1].Summary.Complete {
		t.Errorf("when the destination is down: %+v", all)
	}
}

// What a server tells cannot steer a terminal, and a plan that breaks off is not a plan.
func TestAPlanFromAServerInTroubleIsNotBelieved(t *testing.T) {
	t.Parallel()
	const item = `{"type":"item","action":"copy","src_repository":"a\u001b[2Jb","dest_registry":"x","tag":"v\n1"}` + "\n"
	for _, c := range []struct {
		plan string
		code int
		says string
	}{
		{item, exitUnknown, "its summary is missing"},
		{item + "{", exitUnknown, "read the plan"},
		{item + `{"type":"error","error":"it ended"}` + "\n" + `{"type":"summary","summary":{"complete":false}}` + "\n", exitUnknown, "failed     it ended"},
		{item + `{"type":"summary","summary":{"complete":true,"actions":{"copy":1}}}` + "\n", exitFailed, "Plan: "},
	} {
		env := fakeServer(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/plan") {
				w.Header().Set("Content-Type", "application/x-ndjson")
				_, _ = io.WriteString(w, c.plan)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = fmt.Fprint(w, `[{"id":1,"name":"rule"}]`)
		})
		got := run(t, env, "plan", "rule")
		if got.code != c.code || !strings.Contains(got.out+got.errors, c.says) || strings.Contains(got.out, "\x1b") {
			t.Errorf("%d %q %q, want %d with %q", got.code, got.out, got.errors, c.code, c.says)
		}
	}
}
