package api_test

import (
	"bufio"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/testserver"
)

// browser keeps cookies and sends the token that it was last given, as Harbor's portal does.
type browser struct {
	t     *testing.T
	l     *lighterage
	http  *http.Client
	token string
}

func newBrowser(t *testing.T, l *lighterage) *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Transport: l.http.Transport, Timeout: time.Minute}
	return &browser{t: t, l: l, http: client}
}

func (b *browser) send(method, path, contentType, body string, headers ...string) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.l.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	if b.token != "" {
		r.Header.Set("X-Harbor-CSRF-Token", b.token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	if token := response.Header.Get("X-Harbor-CSRF-Token"); token != "" {
		b.token = token
	}
	return read(b.t, response)
}

func (b *browser) login(user, password string) answer {
	b.t.Helper()
	return b.send("POST", "/c/login", "application/x-www-form-urlencoded", url.Values{"principal": {user}, "password": {password}}.Encode())
}

func (b *browser) label(name string, headers ...string) answer {
	b.t.Helper()
	return b.send("POST", "/api/v2.0/labels", "application/json", `{"name":"`+name+`","scope":"g"}`, headers...)
}

func (b *browser) current() int {
	b.t.Helper()
	return b.send("GET", "/api/v2.0/users/current", "", "").StatusCode
}

func (b *browser) cookie(name string) *http.Cookie {
	u, _ := url.Parse(b.l.url)
	for _, c := range b.http.Jar.Cookies(u) {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func TestABrowserLogsInWorksAndLogsOutAsWithHarbor(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, start(t))
	if a := b.login("admin", adminPassword); a.StatusCode != 403 || a.body != `{"errors":[{"code":"FORBIDDEN","message":"CSRF token not found in request"}]}`+"\n" {
		t.Errorf("without a token: %s %s", a.Status, a.body)
	}
	if b.token == "" || b.cookie("_gorilla_csrf") == nil {
		t.Fatal("the refusal gives no token for the next try")
	}
	if a := b.login("admin", "no"); a.StatusCode != 401 || a.body != "" || b.cookie("sid") != nil {
		t.Errorf("a wrong password: %s %q", a.Status, a.body)
	}
	a := b.login("admin", adminPassword)
	if a.StatusCode != 200 || a.body != "" || b.cookie("sid") == nil {
		t.Fatalf("login: %s %q", a.Status, a.body)
	}
	if set := a.Header.Get("Set-Cookie"); !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Strict") || strings.Contains(set, "Secure") {
		t.Errorf("the cookie over http: %s", set)
	}
	if status := b.current(); status != 200 {
		t.Errorf("the session: %d", status)
	}
	if a := b.label("a"); a.StatusCode != 201 {
		t.Errorf("with a token: %s %s", a.Status, a.body)
	}
	token := b.token
	b.token = ""
	if a := b.label("b"); a.StatusCode != 403 || !strings.Contains(a.body, "CSRF token not found in request") {
		t.Errorf("without a token: %s %s", a.Status, a.body)
	}
	for name, wrong := range map[string]string{"nonsense": "x", "another": token[:len(token)-8] + "AAAAAA==", "empty": "AAAA"} {
		if a := b.label("c", "X-Harbor-CSRF-Token", wrong); a.StatusCode != 403 {
			t.Errorf("a token that is %s: %s", name, a.Status)
		}
	}
	old := b.cookie("sid").Value
	if a := b.send("GET", "/c/log_out", "", ""); a.StatusCode != 200 || b.cookie("sid") != nil {
		t.Errorf("log out: %s, %v", a.Status, b.cookie("sid"))
	}
	if status := b.current(); status != 401 {
		t.Errorf("after the logout: %d", status)
	}
	if a := b.l.do("GET", "/api/v2.0/users/current", "", "", "", "Cookie", "sid="+old); a.StatusCode != 401 {
		t.Errorf("a copy of the cookie of a session that was logged out of: %d", a.StatusCode)
	}
}

func TestWhatComesFromOtherSitesDoesNothing(t *testing.T) {
	t.Parallel()
	b := newBrowser(t, start(t))
	b.send("GET", "/c/login", "", "")
	form := url.Values{"principal": {"admin"}, "password": {adminPassword}}.Encode()
	for _, foreign := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example.com"}} {
		if a := b.send("POST", "/c/login", "application/x-www-form-urlencoded", form, foreign...); a.StatusCode != 403 {
			t.Errorf("login with %v: %s", foreign, a.Status)
		}
	}
	b.login("admin", adminPassword)
	for _, foreign := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Origin", "https://evil.example.com"}} {
		if a := b.label("x", foreign...); a.StatusCode != 403 {
			t.Errorf("a change with %v: %s", foreign, a.Status)
		}
	}
}

func TestWhoSendsCredentialsNeedsNoToken(t *testing.T) {
	t.Parallel()
	l := start(t)
	if a := l.admin("POST", "/api/v2.0/labels", `{"name":"a","scope":"g"}`); a.StatusCode != 201 || a.Header.Get("X-Harbor-CSRF-Token") != "" {
		t.Errorf("%s %v", a.Status, a.Header)
	}
	// Beside credentials a cookie counts for nothing.
	b := newBrowser(t, l)
	b.send("GET", "/c/login", "", "")
	b.login("admin", adminPassword)
	if a := l.do("GET", "/api/v2.0/users/current", "nobody", "wrong", "", "Cookie", "sid="+b.cookie("sid").Value); a.StatusCode != 401 {
		t.Errorf("wrong credentials beside a session: %s", a.Status)
	}
}

func TestEventsTellOfExecutionsAndLogsAreFollowed(t *testing.T) {
	t.Parallel()
	l := start(t)
	cluster := testserver.Distribution(t)
	testserver.Push(t, l.home, "library/app", "v1", testserver.DockerImage(t, 1))
	l.must(201, "POST", "/api/v2.0/registries", `{"name":"c","type":"docker-registry","url":"`+cluster.URL+`"}`)

	events := l.listen(t, "/api/v2.0/replication/events")
	if e := events.next(); e.name != "ready" {
		t.Fatalf("first came %+v", e)
	}
	l.must(201, "POST", "/api/v2.0/replication/policies", `{"name":"p","dest_registry":{"id":1},"enabled":true,"trigger":{"type":"manual"}}`)
	events.await("policies", "")
	l.must(201, "POST", "/api/v2.0/replication/executions", `{"policy_id":1}`)
	events.await("execution", `"status":"Succeed"`)
	l.must(200, "POST", "/api/v2.0/replication/policies/1/drift", "")
	events.await("drift", "1")

	log := l.listen(t, "/api/v2.0/replication/executions/1/tasks/1/log/events")
	text := ""
	for e := log.next(); e.name != "end"; e = log.next() {
		text += e.data + "\n"
	}
	if plain := l.must(200, "GET", "/api/v2.0/replication/executions/1/tasks/1/log", "").body; text != plain {
		t.Errorf("followed:\n%s\nread:\n%s", text, plain)
	}
	if a := l.do("GET", "/api/v2.0/replication/events", "", "", ""); a.StatusCode != 401 {
		t.Errorf("for nobody: %s", a.Status)
	}
	if a := l.admin("GET", "/api/v2.0/replication/executions/1/tasks/99/log/events", ""); a.StatusCode != 404 {
		t.Errorf("of no task: %s", a.Status)
	}
}

// listening reads server-sent events.
type listening struct {
	t     *testing.T
	lines *bufio.Scanner
}

type event struct{ name, data string }

func (l *lighterage) listen(t *testing.T, path string) *listening {
	t.Helper()
	return l.listenAs(t, "admin", adminPassword, path)
}

func (l *lighterage) listenAs(t *testing.T, user, password, path string) *listening {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", l.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(user, password)
	r.Header.Set("Accept", "text/event-stream")
	response, err := l.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: %s %v", path, response.Status, response.Header)
	}
	return &listening{t, bufio.NewScanner(response.Body)}
}

func (l *listening) next() (e event) {
	l.t.Helper()
	for l.lines.Scan() {
		name, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch name {
		case "event":
			e.name = value
		case "data":
			e.data += value
		case "":
			if e != (event{}) {
				return e
			}
		}
	}
	l.t.Fatalf("the stream ended: %v", l.lines.Err())
	return e
}

func (l *listening) await(name, part string) {
	l.t.Helper()
	for {
		if e := l.next(); e.name == name && strings.Contains(e.data, part) {
			return
		}
	}
}
