package browser_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// The guide for keeping a cluster's registry in step, done in the console from the login
// to the image that has arrived, in both languages; with mistakes on the way.
func TestTheGuideForSyncingImagesInTheConsole(t *testing.T) {
	console := builtConsole(t)
	for name, w := range map[string]words{"English": english(), "Chinese": chinese()} {
		t.Run(name, func(t *testing.T) {
			url := startServer(t, console)
			cluster := ts.Distribution(t, ts.WithTLS(), ts.WithBasicAuth("pusher", "secret-of-pusher"))
			p := open(t, url, w.tag)
			logIn(p, w)
			newEndpoint(p, w, cluster)
			newRule(p, w)
			followAPush(p, w, cluster)
			checkOverview(p, w)
			p.menu(w.account, w.logOut)
			p.until("it is logged out", `find("button", `+quote(w.logIn)+`)`)
			p.goTo("/harbor/registries")
			p.until("a page needs a login", `location.pathname === "/account/sign-in" && location.search.includes("registries")`)
		})
	}
}

func logIn(p *page, w words) {
	p.t.Helper()
	p.expect("401 (Unauthorized)")
	p.goTo("/harbor/registries")
	p.until("the login comes first", `location.pathname === "/account/sign-in"`)
	p.accessible("sign in")
	p.typeInto("user", "admin")
	p.typeInto("password", "wrong")
	p.button(w.logIn)
	p.shows(w.wrongLogin)
	p.typeInto("password", adminPassword)
	p.button(w.logIn)
	p.until("the page that was asked for", `find("h1", `+quote(w.registries)+`) && location.pathname === "/harbor/registries"`)
	p.shows("v1.2.3")
	p.until("no token is kept where scripts read", `Object.values(localStorage).join().length < 20 && document.cookie === ""`)
	p.link(w.overview)
	p.shows(w.nothingYet)
	p.accessible("the empty overview")
	p.link(w.registries)
	p.accessible("registries without any")
}

func newEndpoint(p *page, w words, cluster *ts.Registry) {
	p.t.Helper()
	p.button(w.newEndpoint)
	p.until("the dialog opens", `find(".ant-modal-title", null)`)
	p.button(w.ok)
	p.shows(w.nameRequired)
	p.shows(w.urlRequired)
	p.accessible("the dialog of an endpoint")
	p.typeInto("name", "cluster1-registry")
	p.typeInto("url", cluster.URL)
	p.typeInto("accessKey", "pusher")
	p.typeInto("accessSecret", "wrong")
	verify := "Verify Remote Cert"
	if w.tag == "zh-CN" {
		verify = "验证远程证书"
	}
	p.check(verify, false)
	p.expect("400 (Bad Request)")
	p.button(w.test)
	p.shows(w.testFailed)
	p.shows(w.refused)
	p.typeInto("accessSecret", "secret-of-pusher")
	p.button(w.test)
	p.shows(w.tested)
	p.button(w.ok)
	p.shows(w.created)
	p.until("the grid has it", `find("td .ant-tag", `+quote(w.healthy)+`) && find("td", "cluster1-registry")`)
	p.accessible("registries")
}

func newRule(p *page, w words) {
	p.t.Helper()
	p.link(w.replications)
	p.until("the page is there", `find("h1", `+quote(w.replications)+`)`)
	p.button(w.newRule)
	p.typeInto("name", "cluster1-registry-replication")
	p.choose("trigger", w.scheduled)
	p.typeInto("cron", "1 30 2 * * *")
	p.shows(w.cronBad)
	p.typeInto("cron", "0 30 2 * * *")
	p.shows(w.everyDay)
	p.typeInto("namespace", "mirror")
	p.until("the flattening is shown on an example", `document.querySelector('[data-testid="becomes"]').innerText.includes("mirror/base/alpine")`)
	p.typeInto("namespace", "")
	p.typeInto("speed", "0")
	p.button(w.save)
	p.shows(w.bandwidth)
	p.typeInto("speed", "-1")
	p.choose("trigger", w.eventBased)
	p.check(w.deleteRemote, true)
	p.choose("destinations", "cluster1-registry")
	p.accessible("the dialog of a rule")
	p.button(w.save)
	p.shows(w.ruleCreated)
	p.link("cluster1-registry-replication")
	p.until("the rule is selected", `location.search.includes("rule=1")`)
	p.accessible("replications")
}

// followAPush pushes an image and sees it arrive without touching the page.
func followAPush(p *page, w words, cluster *ts.Registry) {
	p.t.Helper()
	home := ts.Remote(p.url, "admin", adminPassword, "")
	pushed := ts.Push(p.t, home, "library/alpine", "latest", ts.DockerImage(p.t, 1))
	p.until("the execution appears and succeeds by itself", `find("td .ant-tag", `+quote(w.succeeded)+`)`)
	if got, there := ts.Digest(p.t, cluster, "library/alpine", "latest"); !there || got != pushed {
		p.t.Errorf("the cluster has %s, want %s", got, pushed)
	}
	p.click("td a", "1")
	p.shows("library/alpine [1 item(s) in total]")
	p.shows(w.tasks)
	p.accessible("an execution")
	p.click("button", map[string]string{"en-US": "Log of task 1", "zh-CN": "任务 1 的日志"}[w.tag])
	p.until("the log is there", `document.querySelector('[data-testid="log"]').innerText.includes("library/alpine")`)
	p.accessible("a log")
}

func checkOverview(p *page, w words) {
	p.t.Helper()
	p.goTo("/harbor/overview")
	p.button(w.verify)
	p.shows(w.inSyncAll)
	p.accessible("the overview")
	p.goTo("/harbor/replications?rule=1&tab=drift")
	p.until("the drift says it too", `document.querySelector('[data-testid="drift-summary"]').innerText.includes(`+quote(w.inSync)+`)`)
	p.shows("library/alpine")
	p.accessible("drift")
}

// call makes a request as the administrator.
func call(t *testing.T, method, url string, body any) {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", adminPassword)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s", method, url, answer.Status)
	}
}

// get returns what the server says to the administrator.
func get(t *testing.T, url string) map[string]any {
	t.Helper()
	return answer[map[string]any](t, url)
}

// list is get of a list.
func list(t *testing.T, url string) []map[string]any {
	t.Helper()
	return answer[[]map[string]any](t, url)
}

func answer[T any](t *testing.T, url string) (body T) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("admin", adminPassword)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil {
		t.Fatalf("%s: %s: %v", url, answer.Status, err)
	}
	return body
}
