package browser_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// world is a server with an endpoint that is well and one that is not, rules to both,
// and something that was replicated.
func world(t *testing.T, url string) *ts.Registry {
	t.Helper()
	cluster := ts.Distribution(t)
	home := ts.Remote(url, "admin", adminPassword, "")
	for i := range 3 {
		ts.Push(t, home, fmt.Sprintf("library/app%d", i), "v1.0", ts.DockerImage(t, uint64(i+1)))
	}
	crew(t, url, home)
	call(t, http.MethodPost, url+"/api/v2.0/registries", map[string]any{"name": "cluster1-registry", "type": "docker-registry", "url": cluster.URL, "description": "Production, Frankfurt"})
	call(t, http.MethodPost, url+"/api/v2.0/registries", map[string]any{"name": "cluster2-registry", "type": "docker-registry", "url": "http://127.0.0.1:9",
		"credential": map[string]any{"type": "basic", "access_key": "pusher", "access_secret": "secret"}})
	policy := func(name string, body map[string]any) {
		body["name"], body["enabled"], body["override"], body["dest_namespace_replace_count"] = name, true, true, 1
		call(t, http.MethodPost, url+"/api/v2.0/replication/policies", body)
	}
	policy("cluster1-all", map[string]any{"dest_registry": map[string]any{"id": 1}, "trigger": map[string]any{"type": "manual"}})
	policy("cluster2-nightly", map[string]any{
		"dest_registry": map[string]any{"id": 2}, "more_dest_registries": []any{map[string]any{"id": 1}}, "dest_namespace": "mirror", "speed": 2048,
		"description": "Everything, at night",
		"trigger":     map[string]any{"type": "scheduled", "trigger_settings": map[string]any{"cron": "0 30 2 * * 1-5", "time_zone": "Europe/Berlin"}},
		"filters":     []any{map[string]any{"type": "name", "value": "library/**"}, map[string]any{"type": "tag", "value": "v1.*", "decoration": "matches"}},
	})
	for id := range 2 {
		call(t, http.MethodPost, url+"/api/v2.0/replication/executions", map[string]any{"policy_id": id + 1})
	}
	return cluster
}

// crew is a project with members, and a repository with several kinds of artifacts.
func crew(t *testing.T, url string, home *ts.Registry) {
	t.Helper()
	index := ts.Index(t, 50)
	ts.Push(t, home, "library/base/nginx", "v1.0", index)
	ts.Push(t, home, "library/base/nginx", ts.CosignTag(index.Digest), ts.CosignSignature(t, index))
	ts.Push(t, home, "library/base/nginx", "nightly", ts.DockerImage(t, 51))
	for i := range 9 {
		ts.Push(t, home, "library/base/nginx", fmt.Sprintf("v1.0.%d", i), index)
	}
	call(t, http.MethodPost, url+"/api/v2.0/labels", map[string]any{"name": "release", "color": "#2b7a0b", "scope": "g", "description": "May go to production"})
	call(t, http.MethodPost, url+"/api/v2.0/projects/library/repositories/base%252Fnginx/artifacts/v1.0/labels", map[string]any{"id": 1})
	call(t, http.MethodPut, url+"/api/v2.0/projects/library/repositories/base%252Fnginx", map[string]any{"description": "What all front ends are built on"})
	call(t, http.MethodPost, url+"/api/v2.0/projects", map[string]any{"project_name": "team-a", "metadata": map[string]any{"public": "false"}})
	user(t, url, "ada")
	call(t, http.MethodPost, url+"/api/v2.0/projects/team-a/members", map[string]any{"role_id": 4, "member_user": map[string]any{"username": "ada"}})
}

func TestASessionThatEndsLosesNothingThatWasTyped(t *testing.T) {
	w := english()
	p := open(t, startServer(t, builtConsole(t)), w.tag)
	p.login(w)
	p.goTo("/harbor/registries?new=1")
	p.typeInto("name", "half-typed")
	p.typeInto("url", "http://registry.example.com")
	if _, err := chromedp.Call(p.ctx, network.ClearBrowserCookies, cdp.Empty{}); err != nil {
		t.Fatal(err)
	}
	p.expect("403 (Forbidden)")
	p.button(w.ok)
	p.shows(w.ended)
	p.typeInto("user", "admin")
	p.typeInto("password", adminPassword)
	p.button(w.logIn)
	p.showsNot(w.ended)
	p.until("the form is as it was", `document.getElementById("name").value === "half-typed"`)
	p.button(w.ok)
	p.until("it is saved", `find("td", "half-typed")`)
}

func TestARuleIsEditedCopiedAndSwitchedAndKeepsWhatTheFormDoesNotShow(t *testing.T) {
	w := english()
	url := startServer(t, builtConsole(t))
	cluster := ts.Distribution(t)
	call(t, http.MethodPost, url+"/api/v2.0/registries", map[string]any{"name": "cluster1", "type": "docker-registry", "url": cluster.URL})
	call(t, http.MethodPost, url+"/api/v2.0/replication/policies", map[string]any{
		"name": "odd", "dest_registry": map[string]any{"id": 1}, "enabled": true, "trigger": map[string]any{"type": "manual"},
		"accessories": "none", "select": map[string]any{"newest": 3},
	})
	p := open(t, url, w.tag)
	p.login(w)
	p.goTo("/harbor/replications?rule=1")
	p.menu(w.actions, w.edit)
	p.until("what Harbor's form does not have is there", `document.getElementById("newest")?.value === "3"`)
	p.typeInto("description", "changed")
	p.button(w.save)
	p.until("the grid shows it", `find("td", "changed")`)
	p.menu(w.actions, w.copyRule)
	p.until("another name is offered", `document.getElementById("name")?.value === "odd-copy"`)
	p.typeInto("name", "odd")
	p.button(w.save)
	p.shows("The name already exists.")
	p.typeInto("name", "odd-too")
	p.button(w.save)
	p.until("there are two", `find("td", "odd-too")`)
	p.menu(w.actions, w.deactivate)
	p.button(w.deactivate)
	p.until("it is deactivated", `find("td .ant-tag", `+quote(w.deactivatedState)+`)`)
	for id := 1; id <= 2; id++ {
		got := get(t, fmt.Sprintf("%s/api/v2.0/replication/policies/%d", url, id))
		selected, _ := got["select"].(map[string]any)
		if got["accessories"] != "none" || selected["newest"] != 3.0 || got["description"] != "changed" {
			t.Errorf("rule %d: %v", id, got)
		}
	}
}

func TestAnEndpointThatIsUsedIsNotDeletedAndOneThatIsNotIs(t *testing.T) {
	w := english()
	url := startServer(t, builtConsole(t))
	cluster := ts.Distribution(t)
	for _, name := range []string{"used", "idle"} {
		call(t, http.MethodPost, url+"/api/v2.0/registries", map[string]any{"name": name, "type": "docker-registry", "url": cluster.URL})
	}
	call(t, http.MethodPost, url+"/api/v2.0/replication/policies", map[string]any{"name": "rule-of-it", "dest_registry": map[string]any{"id": 1}, "trigger": map[string]any{"type": "manual"}})
	p := open(t, url, w.tag)
	p.login(w)
	p.goTo("/harbor/registries")
	p.click(`input[type="checkbox"]`, "Select used")
	p.button(w.delete)
	p.shows(w.inUse)
	p.shows("rule-of-it")
	p.button(w.cancel)
	p.click(`input[type="checkbox"]`, "Select used")
	p.click(`input[type="checkbox"]`, "Select idle")
	p.button(w.delete)
	p.click(".ant-modal-confirm-btns button", w.delete)
	p.until("it is gone", `!find("td", "idle") && find("td", "used")`)
}

func TestThePagesCanBeUsedByKeyboard(t *testing.T) {
	w := english()
	p := open(t, startServer(t, builtConsole(t)), w.tag)
	p.expect("401 (Unauthorized)")
	p.goTo("/")
	p.until("the form has the focus", `document.activeElement?.id === "user"`)
	p.run(chromedp.KeyEvent("admin" + kb.Tab + adminPassword + kb.Enter))
	p.until("it is logged in", `find("h1", "Overview")`)
	p.goTo("/harbor/registries")
	p.until("the page is there", `find("h1", "Registries")`)
	p.run(chromedp.KeyEvent(kb.Tab + kb.Enter)) // skip to the content
	p.until("the content has the focus", `document.activeElement?.id === "content"`)
	p.run(chromedp.KeyEvent(kb.Tab + kb.Enter))
	p.until("the dialog opens", `document.activeElement?.id === "name"`)
	p.run(chromedp.KeyEvent(kb.Escape))
	p.until("and closes", `!find(".ant-modal-title", null)`)
}

func TestAFirstLoadIsSmall(t *testing.T) {
	w := english()
	url := startServer(t, builtConsole(t))
	world(t, url)
	p := open(t, url, w.tag)
	p.login(w)
	for _, path := range []string{"/harbor/overview", "/harbor/registries", "/harbor/replications?rule=1&new=1", "/harbor/replications/1/tasks", "/harbor/projects", "/harbor/projects/1/repositories/base%2Fnginx/artifacts-tab"} {
		p.run(chromedp.Navigate("about:blank"))
		if _, err := chromedp.Call(p.ctx, network.ClearBrowserCache, cdp.Empty{}); err != nil {
			t.Fatal(err)
		}
		p.mu.Lock()
		p.received, p.answers = 0, 0
		p.mu.Unlock()
		p.goTo(path)
		p.until("the page is there", `find("h1", null)`)
		p.quiet()
		p.mu.Lock()
		kilobytes, answers := p.received/1000, p.answers
		p.mu.Unlock()
		painted, err := eval[float64](p, `Math.max(performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0, performance.getEntriesByType("navigation")[0].domInteractive)`)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d kB in %d answers, drawn after %.0f ms, did not answer for %.0f ms at most", path, kilobytes, answers, painted, p.longestTask())
		if answers > 60 {
			t.Errorf("%s takes %d requests to load", path, answers)
		}
		if kilobytes < 50 || kilobytes > 400 {
			t.Errorf("%s takes %d kB to load", path, kilobytes)
		}
	}
}

func TestReadOnlyModeIsSaidOnEveryPage(t *testing.T) {
	w := chinese()
	url := startServer(t, builtConsole(t))
	call(t, http.MethodPut, url+"/api/v2.0/configurations", map[string]any{"read_only": true})
	p := open(t, url, w.tag)
	p.login(w)
	p.shows(w.readOnly)
	p.goTo("/harbor/registries?new=1")
	p.shows(w.readOnly)
	p.typeInto("name", "x")
	p.typeInto("url", "http://127.0.0.1:9")
	p.expect("403 (Forbidden)")
	p.button(w.ok)
	p.shows("系统处于只读模式，禁止任何修改。")
}

func TestWhoIsNoAdministratorIsToldSo(t *testing.T) {
	w := english()
	url := startServer(t, builtConsole(t))
	call(t, http.MethodPost, url+"/api/v2.0/users", map[string]any{"username": "dev", "email": "dev@example.com", "realname": "Dev", "password": "Dev123456"})
	p := open(t, url, w.tag)
	p.expect("401 (Unauthorized)")
	p.expect("403 (Forbidden)")
	p.goTo("/harbor/replications")
	p.typeInto("user", "dev")
	p.typeInto("password", "Dev123456")
	p.button(w.logIn)
	p.shows("This needs an administrator")
}
