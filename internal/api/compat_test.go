package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/testserver"
)

// Every recorded exchange is replayed in the order of the recording; what has to
// be there first is made in between.
func TestAnswersLikeHarbor(t *testing.T) {
	t.Parallel()
	l := start(t)
	plain := testserver.Distribution(t)
	closed := testserver.Distribution(t, testserver.WithBasicAuth("x", "right"))
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotImplemented) }))
	t.Cleanup(other.Close)
	p := newReplay(t, l, "127.0.0.1:8290", plain.Host, "127.0.0.1:8282", closed.Host, "127.0.0.1:8291", strings.TrimPrefix(other.URL, "http://"),
		"127.0.0.1:8280", l.host, "localhost:8280", l.host)

	p.play("01-*", "02-*", "03-user-create-weak-password", "03-user-create")
	p.secrets["dev1"] = "Passw0rd1"
	p.play("03-*")
	replayRegistries(p)
	replayProjects(p, l)
	replayPolicies(p, l)
	replayExecutions(p, l, plain)
	replayReadOnly(p, l, plain)
	replayRobots(p, l)
	p.skip("80-root-html") // the page of the console, not the API
	p.play("40-*", "80-*", "81-*", "82-*", "90-*", "93-*")

	for _, name := range recorded(t, "*") {
		if !p.played[name] {
			t.Errorf("%s was not replayed", name)
		}
	}
	for _, d := range differences() {
		for _, name := range d.Names {
			if !p.played[name] {
				t.Errorf("%s is listed as different and not recorded", name)
			}
		}
	}
}

func replayRegistries(p *replay) {
	p.t.Helper()
	p.play("10-*", "11-registry-create")
	p.play("11-registry-create-unreachable")
	p.server.must(200, "DELETE", "/api/v2.0/registries/2", "") // Harbor has not made it
	p.play("11-registry-create-same-url-other-name", "11-registry-create-no-scheme")
	made := p.server.must(201, "POST", "/api/v2.0/registries", p.urls.Replace(`{"name":"unk","type":"docker-registry","url":"http://127.0.0.1:8290","insecure":true}`))
	p.learn("registries", "5", filepath.Base(made.Header.Get("Location")))
	p.play("11-registry-create-with-credential", "11-*", "12-*")
	p.play("13-registry-update", "13-registry-get-after-update", "13-registry-update-unreachable", "13-*")
	p.one(readExchange(p.t, "13-registry-update")) // back to the address that works
	p.play("14-*")
}

func replayProjects(p *replay, l *lighterage) {
	p.t.Helper()
	l.must(201, "POST", "/api/v2.0/projects", `{"project_name":"team-a"}`)
	p.play("20-*")
	v1, v2 := testserver.DockerImage(p.t, 1), testserver.DockerImage(p.t, 2)
	testserver.Push(p.t, l.home, "library/app", "v1", v1)
	testserver.Push(p.t, l.home, "library/app", "v2", v2)
	testserver.Push(p.t, l.home, "library/nested/deep/svc", "latest", testserver.DockerImage(p.t, 3))
	testserver.Push(p.t, l.home, "team-a/api", "latest", testserver.DockerImage(p.t, 4))
	list := testserver.ManifestList(p.t, 5, "linux/amd64", "linux/arm64")
	for i, child := range list.All() {
		if child != list {
			testserver.Push(p.t, l.home, "library/multi", fmt.Sprintf("tmp%d", i), child)
		}
	}
	testserver.Push(p.t, l.home, "library/multi", "list", list)
	p.texts["sha256:dbf1f26b7d8c4bddfeca6161177d95caa48b8770f535ced4e277b3641e3ddddc"] = string(v1.Digest)
	p.play("21-*")
	l.must(201, "POST", "/api/v2.0/labels", `{"name":"release","scope":"g","color":"#00ab9a","description":"ok"}`)
	p.play("22-artifact-add-label", "22-*")
	p.play("23-artifact-get-*", "23-artifacts-*", "23-artifact-tags", "23-artifact-build-history")
	p.play("23-artifact-add-tag", "23-artifact-add-tag-conflict")
	l.must(200, "DELETE", "/api/v2.0/projects/library/repositories/app/artifacts/v1/tags/stable", "")
	p.play("23-*", "24-*")
}

func replayPolicies(p *replay, l *lighterage) {
	p.t.Helper()
	p.play("30-policy-create-invalid-no-trigger", "30-policy-create-invalid-name-with-space", "30-policy-create-invalid-negative-speed", "30-*")
	for _, id := range []string{"1", "3", "4"} {
		l.must(200, "DELETE", p.path("/api/v2.0/replication/policies/"+id), "")
	}
	// A rule of the same name stands in for one that is refused.
	stand := func(id, body string) {
		made := l.must(201, "POST", "/api/v2.0/replication/policies", body)
		p.learn("policies", id, filepath.Base(made.Header.Get("Location")))
	}
	p.play("31-policy-create-event", "31-policy-create-minimal", "31-policy-create-scheduled")
	p.play("31-*")
	stand("10", `{"name":"pull-ev","src_registry":{"id":1},"enabled":true,"trigger":{"type":"manual"}}`)
	p.play("32-*", "33-policy-update", "33-policy-get-after-update", "33-policy-update-partial", "33-policy-get-after-partial", "33-policy-restore", "33-*", "34-*")
}

func replayExecutions(p *replay, l *lighterage, plain *testserver.Registry) {
	p.t.Helper()
	// A push, seen by the rule push-all.
	v3 := testserver.DockerImage(p.t, 30)
	testserver.Push(p.t, l.home, "library/app", "v3", v3)
	first := p.await("event_based", "Succeed", 1)
	p.learn("executions", "4", first.id)
	p.learn("tasks", "5", first.task)
	p.play("50-*")
	testserver.Push(p.t, l.home, "library/app", "nightly-1", testserver.DockerImage(p.t, 31)) // not selected by v*
	testserver.PutTag(p.t, l.home, "library/app", "v3", v3)
	again := p.await("event_based", "Succeed", 2)
	p.learn("executions", "13", again.id)
	p.learn("tasks", "13", again.task)
	p.play("51-*")

	made := l.must(201, "POST", "/api/v2.0/replication/executions", `{"policy_id":`+p.id("policies", "5")+`}`)
	p.learn("executions", "20", filepath.Base(made.Header.Get("Location")))
	p.skip("52-execution-get-right-after-start") // how far it is then depends on the machine
	p.await("manual", "Succeed", 1)
	p.play("52-*")
	l.must(200, "PUT", p.path("/api/v2.0/replication/policies/5"), `{"name":"push-all","dest_registry":{"id":1}}`)
	p.play("53-*")
	p.one(readExchange(p.t, "33-policy-restore"))

	// A destination that is down.
	registry := l.must(201, "POST", "/api/v2.0/registries", `{"name":"gone","type":"docker-registry","url":"http://127.0.0.1:9","insecure":true}`)
	p.learn("registries", "7", filepath.Base(registry.Header.Get("Location")))
	p.policy("11", `{"name":"to-gone","dest_registry":{"id":`+p.id("registries", "7")+`},"enabled":true,"filters":[{"type":"name","value":"library/app"}]}`)
	p.learn("executions", "25", p.run("11", "Failed"))
	p.play("54-execution-*", "54-registry-get-dead")
	l.must(200, "DELETE", p.path("/api/v2.0/replication/policies/11"), "")
	p.play("54-*")

	// A copy that is stopped.
	testserver.Push(p.t, l.home, "library/big", "v1", testserver.Image(p.t, 40, 1, 1<<20))
	p.await("event_based", "Succeed", -1)
	hold := testserver.NewHold()
	p.t.Cleanup(hold.Release)
	held := plain.Faults.Add(testserver.Fault{Path: "/v2/slow/big/blobs/uploads/", Do: hold.Before()})
	p.policy("12", `{"name":"slow","dest_registry":{"id":1},"enabled":true,"dest_namespace":"slow","filters":[{"type":"name","value":"library/big"}]}`)
	p.learn("executions", "33", p.run("12", "InProgress"))
	testserver.Eventually(p.t, "the copy is under way", func() bool {
		shown := l.must(200, "GET", p.path("/api/v2.0/replication/executions/33"), "")
		return hold.Waiting() > 0 && strings.Contains(shown.body, `"planned":true`)
	})
	p.play("55-execution-running", "55-execution-running-tasks", "55-policy-delete-while-running", "55-execution-stop", "55-*")
	held.Remove()
	hold.Release()

	// Deletions.
	p.play("56-tag-delete")
	deleted := p.await("event_based", "Succeed", -1)
	p.learn("executions", "42", deleted.id)
	p.learn("tasks", "42", deleted.task)
	p.play("56-*")
	p.play("57-artifact-delete")
	gone := p.await("event_based", "Succeed", -1)
	p.learn("executions", "49", gone.id)
	p.learn("tasks", "49", gone.task)
	p.play("57-artifact-delete-404", "57-repository-delete", "57-*")
}

func replayReadOnly(p *replay, l *lighterage, plain *testserver.Registry) {
	p.t.Helper()
	l.must(201, "POST", "/api/v2.0/projects", `{"project_name":"other"}`)
	p.play("60-*")
	// A copy that runs when read-only mode is switched on, and ends in it.
	hold := testserver.NewHold()
	p.t.Cleanup(hold.Release)
	plain.Faults.Add(testserver.Fault{Path: "/v2/roslow/big/blobs/uploads/", Do: hold.Before()})
	p.policy("15", `{"name":"frozen","dest_registry":{"id":1},"enabled":true,"dest_namespace":"roslow","filters":[{"type":"name","value":"library/big"}]}`)
	p.learn("policies", "13", p.id("policies", "15"))
	p.learn("executions", "94", p.run("15", "InProgress"))
	p.learn("tasks", "94", p.task(p.id("executions", "94")))
	testserver.Eventually(p.t, "the copy is under way", func() bool { return hold.Waiting() > 0 })
	p.play("61-readonly-on")
	hold.Release()
	p.reach(p.id("executions", "94"), "Succeed")
	p.play("61-*")
	p.play("62-configurations-put-unauthenticated")
	l.must(200, "PUT", "/api/v2.0/configurations", `{"read_only":false}`)
	p.play("62-*")
}

func replayRobots(p *replay, l *lighterage) {
	p.t.Helper()
	for _, name := range []string{"pull-in", "slow", "frozen"} {
		var found []struct{ ID int }
		p.list("/api/v2.0/replication/policies?name="+name, &found)
		for _, policy := range found {
			l.must(200, "DELETE", fmt.Sprintf("/api/v2.0/replication/policies/%d", policy.ID), "")
		}
	}
	robot := readExchange(p.t, "71-robot-create-system")
	p.play("71-robot-create-system")
	var made struct {
		ID   int
		Name string
	}
	got := p.send(robot) // the name is taken now
	if got.StatusCode != http.StatusConflict {
		p.t.Errorf("a second robot of the same name: %s %s", got.Status, got.body)
	}
	secret := l.must(200, "PATCH", "/api/v2.0/robots/1", `{"secret":""}`)
	var fresh struct{ Secret string }
	if err := json.Unmarshal([]byte(secret.body), &fresh); err != nil || fresh.Secret == "" {
		p.t.Fatalf("new secret of %+v: %s", made, secret.body)
	}
	p.secrets["robot$repl"] = fresh.Secret
	p.play("71-*")
}

// policy makes a rule that has an id in the recordings.
func (p *replay) policy(recorded, body string) {
	p.t.Helper()
	made := p.server.must(201, "POST", "/api/v2.0/replication/policies", body)
	p.learn("policies", recorded, filepath.Base(made.Header.Get("Location")))
}

// run starts a rule and waits until its execution has a status.
func (p *replay) run(policy, status string) (id string) {
	p.t.Helper()
	made := p.server.must(201, "POST", "/api/v2.0/replication/executions", `{"policy_id":`+p.id("policies", policy)+`}`)
	id = filepath.Base(made.Header.Get("Location"))
	p.reach(id, status)
	return id
}

// reach waits until an execution that has tasks has a status.
func (p *replay) reach(id, status string) {
	p.t.Helper()
	testserver.Eventually(p.t, "execution "+id+" is "+status, func() bool {
		var e struct {
			Status string
			Total  int
		}
		p.list("/api/v2.0/replication/executions/"+id, &e)
		return e.Status == status && e.Total > 0
	})
}

type ran struct{ id, task string }

// await waits until the newest execution with a trigger has a status, and there
// are at least so many of them; -1: one more than before.
func (p *replay) await(trigger, status string, count int) ran {
	p.t.Helper()
	if count < 0 {
		count = p.events + 1
	}
	var list []struct {
		ID     int
		Status string
	}
	testserver.Eventually(p.t, fmt.Sprintf("%d executions %s are %s", count, trigger, status), func() bool {
		p.list("/api/v2.0/replication/executions?page_size=100&trigger="+trigger+"&policy_id="+p.id("policies", "5"), &list)
		return len(list) >= count && list[0].Status == status
	})
	if trigger == "event_based" {
		p.events = len(list)
	}
	id := fmt.Sprint(list[0].ID)
	return ran{id, p.task(id)}
}

func (p *replay) task(execution string) string {
	p.t.Helper()
	var tasks []struct{ ID int }
	p.list("/api/v2.0/replication/executions/"+execution+"/tasks", &tasks)
	if len(tasks) == 0 {
		p.t.Fatalf("execution %s has no tasks", execution)
	}
	return fmt.Sprint(tasks[0].ID)
}

func (p *replay) list(path string, into any) {
	p.t.Helper()
	got := p.server.must(200, "GET", path, "")
	if err := json.Unmarshal([]byte(got.body), into); err != nil {
		p.t.Fatalf("%s: %v", path, err)
	}
}

// Harbor documents replicate_deletion and reads only deletion.
func TestEitherNameOfTheDeletionCounts(t *testing.T) {
	t.Parallel()
	l := start(t)
	plain := testserver.Distribution(t)
	registry := filepath.Base(l.must(201, "POST", "/api/v2.0/registries", `{"name":"cluster","type":"docker-registry","url":"`+plain.URL+`"}`).Header.Get("Location"))
	for body, want := range map[string]bool{
		`"deletion":true`: true, `"replicate_deletion":true`: true, `"deletion":true,"replicate_deletion":true`: true,
		`"deletion":false,"replicate_deletion":true`: true, `"replicate_deletion":false`: false, `"description":"x"`: false,
	} {
		rule := `{"name":"rule","dest_registry":{"id":` + registry + `},"trigger":{"type":"event_based"},` + body + `}`
		made := l.must(201, "POST", "/api/v2.0/replication/policies", rule).Header.Get("Location")
		shown := func() (deletion, replicate bool) {
			var p struct {
				Deletion  bool `json:"deletion"`
				Replicate bool `json:"replicate_deletion"`
			}
			if err := json.Unmarshal([]byte(l.must(200, "GET", made, "").body), &p); err != nil {
				t.Fatal(err)
			}
			return p.Deletion, p.Replicate
		}
		if deletion, replicate := shown(); deletion != want || replicate != want {
			t.Errorf("created with %s: deletion %t, replicate_deletion %t", body, deletion, replicate)
		}
		l.must(200, "PUT", made, `{"name":"rule","dest_registry":{"id":`+registry+`},"trigger":{"type":"event_based"},"deletion":true}`)
		l.must(200, "PUT", made, rule)
		if deletion, replicate := shown(); deletion != want || replicate != want {
			t.Errorf("updated with %s: deletion %t, replicate_deletion %t", body, deletion, replicate)
		}
		l.must(200, "DELETE", made, "")
	}
}
