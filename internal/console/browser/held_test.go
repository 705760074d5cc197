package browser_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// held makes a rule of which everything is gone from home without an event, so that its
// deletions wait to be released, and returns the execution that they wait in.
func held(t *testing.T, url string, cluster *ts.Registry, registry int, repository string, tags ...string) (execution int) {
	t.Helper()
	home, api := ts.Remote(url, "admin", adminPassword, ""), url+"/api/v2.0"
	rule := func(name, filter string) (id int, body map[string]any) {
		body = map[string]any{
			"name": name, "dest_registry": map[string]any{"id": registry}, "enabled": true, "override": true, "deletion": true,
			"trigger": map[string]any{"type": "event_based"}, "filters": []any{map[string]any{"type": "name", "value": filter}},
		}
		call(t, http.MethodPost, api+"/replication/policies", body)
		return ruleNamed(t, url, name), body
	}
	id, body := rule("follows-"+repository, "library/"+repository)
	rule("marks-"+repository, "library/"+repository+"-after")
	image := ts.DockerImage(t, 77)
	for _, tag := range tags {
		ts.Push(t, home, "library/"+repository, tag, image)
		arrived(t, cluster, "library/"+repository, tag)
	}
	body["enabled"] = false
	call(t, http.MethodPut, fmt.Sprintf("%s/replication/policies/%d", api, id), body)
	call(t, http.MethodDelete, api+"/projects/library/repositories/"+repository, nil)
	ts.Push(t, home, "library/"+repository+"-after", "v1", image)
	arrived(t, cluster, "library/"+repository+"-after", "v1") // and so the deletion has been looked at
	body["enabled"] = true
	call(t, http.MethodPut, fmt.Sprintf("%s/replication/policies/%d", api, id), body)
	call(t, http.MethodPost, fmt.Sprintf("%s/replication/policies/%d/drift?reconcile=true", api, id), nil)
	eventually(t, "deletions are held", func() bool {
		for _, e := range list(t, fmt.Sprintf("%s/replication/executions?policy_id=%d", api, id)) {
			if e["hold"] != nil && e["hold"] != "" {
				execution = int(e["id"].(float64))
				return true
			}
		}
		return false
	})
	return execution
}

func ruleNamed(t *testing.T, url, name string) int {
	t.Helper()
	for _, p := range list(t, url+"/api/v2.0/replication/policies?page_size=0") {
		if p["name"] == name {
			return int(p["id"].(float64))
		}
	}
	t.Fatalf("there is no rule %s", name)
	return 0
}

func arrived(t *testing.T, registry *ts.Registry, repository, tag string) {
	t.Helper()
	eventually(t, repository+":"+tag+" arrives", func() bool { _, there := ts.Digest(t, registry, repository, tag); return there })
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so: %s", what)
		}
	}
}

func TestDeletionsThatAreHeldAreNamedAndReleasedOrDiscarded(t *testing.T) {
	console := builtConsole(t)
	for name, w := range map[string]struct {
		words
		waits, release, confirm, discard, names, reason string
	}{
		"English": {english(), "Waits to be released", "Release", "Delete them", "Discard", "library/gone at cluster1: v1, v2", "The source has nothing for the rule any more"},
		"Chinese": {chinese(), "等待放行", "放行", "确认删除", "放弃", "cluster1 上的 library/gone: v1, v2", "源中已没有该规则的任何内容"},
	} {
		t.Run(name, func(t *testing.T) {
			url := startServer(t, console)
			cluster := ts.Distribution(t)
			call(t, http.MethodPost, url+"/api/v2.0/registries", map[string]any{"name": "cluster1", "type": "docker-registry", "url": cluster.URL})
			first := held(t, url, cluster, 1, "gone", "v1", "v2")
			p := open(t, url, w.tag)
			p.login(w.words)
			p.goTo(fmt.Sprintf("/harbor/replications?rule=%d", ruleNamed(t, url, "follows-gone")))
			p.shows(w.waits)
			p.goTo(fmt.Sprintf("/harbor/replications/%d/tasks", first))
			p.shows(w.waits)
			p.shows(w.names)
			p.shows(w.reason)
			p.accessible("an execution that is held")
			p.button(w.release)
			p.until("it is asked first, with what is deleted", `find(".ant-modal-confirm", null)?.innerText.includes(`+quote(w.names)+`)`)
			p.accessible("the question before deletions")
			p.click(".ant-modal-confirm-btns button", w.cancel)
			p.until("nothing was done", `!find(".ant-modal-confirm", null) && find('[data-testid="held"]', null)`)
			p.button(w.release)
			p.click(".ant-modal-confirm-btns button", w.confirm)
			p.until("it runs to its end", `!find('[data-testid="held"]', null) && find(".page-head .ant-tag", `+quote(w.succeeded)+`)`)
			for _, tag := range []string{"v1", "v2"} {
				if _, there := ts.Digest(t, cluster, "library/gone", tag); there {
					t.Errorf("%s is still there", tag)
				}
			}

			second := held(t, url, cluster, 1, "kept", "v1")
			p.goTo(fmt.Sprintf("/harbor/replications/%d/tasks", second))
			p.button(w.discard)
			p.click(".ant-modal-confirm-btns button", w.discard)
			p.until("it is over", `!find('[data-testid="held"]', null)`)
			if _, there := ts.Digest(t, cluster, "library/kept", "v1"); !there {
				t.Error("what was discarded is gone")
			}
		})
	}
}
