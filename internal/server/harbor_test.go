package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// harborPeer is a Harbor as far as a server that has it for home sees it. Accounts,
// projects, repositories, artifacts and the registry are those of a whole server; what
// that has not, webhook policies and an audit log, is added in front of it, with the
// shapes of recorded exchanges.
type harborPeer struct {
	*api
	inner *instance

	mu       sync.Mutex
	policies map[string][]webhookPolicy // by project
	nextID   int64
	log      []object // the audit log
	asked    int      // how often for the audit log
	queries  []string // with which q
	down     int      // what somebody in front of it answers, 0: nobody does
}

type webhookPolicy struct {
	ID         int64    `json:"id"`
	Name       string   `json:"name"`
	Enabled    bool     `json:"enabled"`
	EventTypes []string `json:"event_types"`
	Targets    []struct {
		Type           string `json:"type"`
		Address        string `json:"address"`
		AuthHeader     string `json:"auth_header,omitempty"`
		SkipCertVerify bool   `json:"skip_cert_verify"`
		PayloadFormat  string `json:"payload_format,omitempty"`
	} `json:"targets"`
}

func playHarbor(t *testing.T) *harborPeer {
	t.Helper()
	h := &harborPeer{inner: start(t, server.Config{DataDir: t.TempDir()}), policies: map[string][]webhookPolicy{}}
	behind, err := url.Parse(h.inner.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(behind)
		r.Out.Host = r.In.Host // tokens are had here, too
	}}
	mux := http.NewServeMux()
	mux.Handle("/", proxy)
	mux.HandleFunc("/api/v2.0/projects/{project}/webhook/policies", h.servePolicies)
	mux.HandleFunc("/api/v2.0/projects/{project}/webhook/policies/{id}", h.servePolicy)
	mux.HandleFunc("GET /api/v2.0/auditlog-exts", h.serveLog)
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		down := h.down
		h.mu.Unlock()
		if down != 0 {
			http.Error(w, "<html>no upstream</html>", down)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	h.api = &api{t: t, url: front.URL}
	return h
}

// fail has a gateway in front of the Harbor answer everything; 0: no longer.
func (h *harborPeer) fail(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = status
}

func itoa(id int64) string { return strconv.FormatInt(id, 10) }

func (h *harborPeer) allowed(w http.ResponseWriter, r *http.Request) bool {
	if user, password, _ := r.BasicAuth(); user == "admin" && password == adminPassword {
		return true
	}
	http.Error(w, `{"errors":[{"code":"UNAUTHORIZED","message":"unauthorized"}]}`, http.StatusUnauthorized)
	return false
}

func (h *harborPeer) servePolicies(w http.ResponseWriter, r *http.Request) {
	if !h.allowed(w, r) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	project := r.PathValue("project")
	if r.Method == http.MethodGet {
		list := append([]webhookPolicy{}, h.policies[project]...)
		w.Header().Set("X-Total-Count", strconv.Itoa(len(list)))
		_ = json.NewEncoder(w).Encode(list)
		return
	}
	var p webhookPolicy
	if json.NewDecoder(r.Body).Decode(&p) != nil || len(p.Targets) == 0 {
		http.Error(w, `{"errors":[{"code":"BAD_REQUEST","message":"empty notification target with policy `+p.Name+`"}]}`, http.StatusBadRequest)
		return
	}
	if slices.ContainsFunc(h.policies[project], func(q webhookPolicy) bool { return q.Name == p.Name }) {
		http.Error(w, `{"errors":[{"code":"CONFLICT","message":"notification policy named `+p.Name+` already exists"}]}`, http.StatusConflict)
		return
	}
	h.nextID++
	p.ID = h.nextID
	h.policies[project] = append(h.policies[project], p)
	w.Header().Set("Location", fmt.Sprintf("%s/%d", r.URL.Path, p.ID))
	w.WriteHeader(http.StatusCreated)
}

func (h *harborPeer) servePolicy(w http.ResponseWriter, r *http.Request) {
	if !h.allowed(w, r) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	project := r.PathValue("project")
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	at := slices.IndexFunc(h.policies[project], func(p webhookPolicy) bool { return p.ID == id })
	if at < 0 {
		http.Error(w, `{"errors":[{"code":"NOT_FOUND","message":"not found"}]}`, http.StatusNotFound)
		return
	}
	if r.Method == http.MethodDelete {
		h.policies[project] = slices.Delete(h.policies[project], at, at+1)
		return
	}
	var p webhookPolicy
	if json.NewDecoder(r.Body).Decode(&p) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	p.ID = id
	h.policies[project][at] = p
}

// serveLog is the audit log: filtered as asked, in the order asked for.
func (h *harborPeer) serveLog(w http.ResponseWriter, r *http.Request) {
	if !h.allowed(w, r) {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked++
	q := r.URL.Query().Get("q")
	h.queries = append(h.queries, q)
	var list []object
	_, since, _ := strings.Cut(q, "op_time=[")
	since, _, _ = strings.Cut(since, "~")
	for _, e := range h.log {
		if since != "" && e["op_time"].(string) < since || strings.HasPrefix(q, "operation={create delete}") && e["resource_type"] == "user" {
			continue
		}
		list = append(list, e)
	}
	if strings.HasPrefix(r.URL.Query().Get("sort"), "-") {
		slices.Reverse(list)
	}
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	size, _ := strconv.Atoi(r.URL.Query().Get("page_size"))
	from := min(len(list), (page-1)*size)
	list = list[from:min(len(list), from+size)]
	_ = json.NewEncoder(w).Encode(append([]object{}, list...))
}

// logged is an entry of the audit log about what happens now.
func (h *harborPeer) logged(at time.Time, operation, resourceType, resource string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, object{
		"id": len(h.log) + 1, "op_time": at.UTC().Format("2006-01-02T15:04:05.000Z"), "operation": operation,
		"operation_result": true, "resource": resource, "resource_type": resourceType, "username": "admin",
	})
}

// recordedWebhook is the body of a webhook that a real Harbor has sent.
func recordedWebhook(t testing.TB, name string) object {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "harbor-api", "41-webhook-payload-"+name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var recorded struct{ Body object }
	if err := json.Unmarshal(text, &recorded); err != nil {
		t.Fatal(err)
	}
	return recorded.Body
}

// webhook is what a Harbor sends in one of its formats.
func webhook(t testing.TB, format, event string, at time.Time, repository, tag string, d digest.Digest) object {
	t.Helper()
	name := map[string]string{
		"Default push": "push-default-PUSH_ARTIFACT", "CloudEvents push": "push-cloudevents-harbor_artifact_pushed",
		"Default delete": "delete-default-DELETE_ARTIFACT", "CloudEvents delete": "delete-cloudevents-harbor_artifact_deleted",
	}[format+" "+event]
	body := recordedWebhook(t, name)
	data, isDefault := body["event_data"].(map[string]any)
	if isDefault {
		body["occur_at"] = at.Unix()
	} else {
		data = body["data"].(map[string]any)
		body["time"] = at.UTC().Format(time.RFC3339)
	}
	data["repository"].(map[string]any)["repo_full_name"] = repository
	resource := data["resources"].([]any)[0].(map[string]any)
	resource["digest"], resource["tag"] = d.String(), tag
	if tag == "" {
		resource["tag"] = d.String()
	}
	return body
}

// send posts a webhook to every policy of the project that wants it, and returns what
// was answered.
func (h *harborPeer) send(event string, at time.Time, repository, tag string, d digest.Digest) (statuses []int) {
	h.t.Helper()
	project, _, _ := strings.Cut(repository, "/")
	h.mu.Lock()
	policies := slices.Clone(h.policies[project])
	h.mu.Unlock()
	for _, p := range policies {
		wants := map[string]string{"push": "PUSH_ARTIFACT", "delete": "DELETE_ARTIFACT"}[event]
		if !p.Enabled || !slices.Contains(p.EventTypes, wants) {
			continue
		}
		format := p.Targets[0].PayloadFormat
		if format == "" {
			format = "Default"
		}
		statuses = append(statuses, post(h.t, p.Targets[0].Address, p.Targets[0].AuthHeader, webhook(h.t, format, event, at, repository, tag, d)))
	}
	return statuses
}

func post(t testing.TB, address, auth string, body any) int {
	t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if raw, ok := body.(string); ok {
		text = []byte(raw)
	}
	r, err := http.NewRequest(http.MethodPost, address, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", auth)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}

// push pushes to the Harbor, which notes it in its log and tells it if told is true.
func (h *harborPeer) push(repository, tag string, a *ts.Artifact, told bool) digest.Digest {
	h.t.Helper()
	d := ts.Push(h.t, h.registry(), repository, tag, a)
	at := time.Now()
	resource := repository + ":" + tag
	if tag == "" {
		resource = repository + "@" + d.String()
	}
	h.logged(at, "create", "artifact", resource)
	if told {
		if got := h.send("push", at, repository, tag, d); !slices.Equal(got, []int{http.StatusOK}) {
			h.t.Errorf("the webhook of a push was answered with %v", got)
		}
	}
	return d
}

// delete deletes an artifact of library/app with all its tags.
func (h *harborPeer) delete(d digest.Digest, firstTag string, told bool) {
	h.t.Helper()
	h.do(http.MethodDelete, "/projects/library/repositories/app/artifacts/"+d.String(), nil, nil)
	at := time.Now()
	h.logged(at, "delete", "artifact", "library/app@"+d.String())
	if told {
		h.send("delete", at, "library/app", firstTag, d)
	}
}

// startWithHarbor starts a server whose home is the peer.
func startWithHarbor(t *testing.T, h *harborPeer, c server.Config) *instance {
	t.Helper()
	if c.DataDir == "" {
		c.DataDir = t.TempDir()
	}
	c.Home.URL, c.Home.Username, c.Home.Secret = h.url, "admin", adminPassword
	return start(t, c)
}

func (a *api) attach(more object) map[string]string {
	a.t.Helper()
	var done []struct{ Project, Action, Reason string }
	a.do(http.MethodPost, "/home/harbor/attach", more, &done)
	all := map[string]string{}
	for _, d := range done {
		all[d.Project] = d.Action
		if d.Reason != "" {
			a.t.Errorf("%s: %s", d.Project, d.Reason)
		}
	}
	return all
}

// The second seed with a Harbor that stays where it is: endpoint, rule, push to the
// Harbor, image in the plain registry; then a new push of the tag, and deletions.
func TestAHarborThatIsHomeIsFollowedByItsWebhooks(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"Default", "CloudEvents"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			harbor := playHarbor(t)
			lighter := startWithHarbor(t, harbor, server.Config{Home: server.HomeConfig{AuditInterval: time.Hour}})
			cluster := ts.Distribution(t)
			policy := lighter.eventRule("cluster1-registry-replication", lighter.endpoint("cluster1-registry", cluster), nil)
			wish := object{"cloud_events": format == "CloudEvents"}
			if done := lighter.attach(wish); done["library"] != "created" {
				t.Fatalf("%v", done)
			}
			if done := lighter.attach(wish); done["library"] != "unchanged" {
				t.Errorf("attached once more: %v", done)
			}

			first := harbor.push("library/app", "latest", ts.Image(t, 1, 2, 500), true)
			arrives(t, cluster, "library/app", "latest", first)
			ts.Eventually(t, "the execution says so", func() bool {
				list := lighter.executions(policy)
				return len(list) == 1 && list[0].Status == "Succeed" && list[0].Trigger == "event_based"
			})
			index := ts.Index(t, 2, "linux/amd64", "linux/arm64")
			second := harbor.push("library/app", "latest", index, true)
			arrives(t, cluster, "library/app", "latest", second)
			ts.Pull(t, cluster, "library/app", "latest")

			// Of a deleted artifact Harbor names one tag; all of them go.
			image := ts.Image(t, 3, 1, 500)
			third := harbor.push("library/app", "v3", image, true)
			harbor.push("library/app", "v3.0", image, true)
			for _, tag := range []string{"v3", "v3.0"} {
				arrives(t, cluster, "library/app", tag, third)
			}
			harbor.delete(third, "v3", true)
			vanishes(t, cluster, "library/app", "v3")
			vanishes(t, cluster, "library/app", "v3.0")
			if got, _ := ts.Digest(t, cluster, "library/app", "latest"); got != second {
				t.Errorf("latest is %s now, want %s", got, second)
			}
		})
	}
}

func TestWhatWebhooksDoNotTellIsInTheAuditLog(t *testing.T) {
	t.Parallel()
	harbor := playHarbor(t)
	harbor.logged(time.Now().Add(-time.Hour), "create", "artifact", "library/old:v1")
	dir := t.TempDir()
	config := server.Config{DataDir: dir, Home: server.HomeConfig{AuditInterval: 50 * time.Millisecond}}
	lighter := startWithHarbor(t, harbor, config)
	cluster := ts.Distribution(t)
	policy := lighter.eventRule("all", lighter.endpoint("cluster", cluster), nil)
	ts.Eventually(t, "the log is being read", func() bool {
		harbor.mu.Lock()
		defer harbor.mu.Unlock()
		return harbor.asked > 2
	})

	lost := harbor.push("library/app", "lost", ts.Image(t, 1, 1, 500), false)
	arrives(t, cluster, "library/app", "lost", lost)

	// Tags that are added and removed by the console make no webhooks at all.
	harbor.do(http.MethodPost, "/projects/library/repositories/app/artifacts/lost/tags", object{"name": "stable"}, nil)
	harbor.logged(time.Now(), "create", "tag", "library/app:stable")
	arrives(t, cluster, "library/app", "stable", lost)
	harbor.do(http.MethodDelete, "/projects/library/repositories/app/artifacts/lost/tags/lost", nil, nil)
	harbor.logged(time.Now(), "delete", "tag", "library/app:lost")
	vanishes(t, cluster, "library/app", "lost")
	ts.Pull(t, cluster, "library/app", "stable")

	// What happens while the server is down is found when it is back.
	ts.Eventually(t, "everything is settled", func() bool { return settledExecutions(lighter.api, policy) })
	lighter.Stop()
	missed := harbor.push("library/app", "missed", ts.Image(t, 2, 1, 500), false)
	harbor.delete(lost, "stable", false)
	again := startWithHarbor(t, harbor, config)
	arrives(t, cluster, "library/app", "missed", missed)
	vanishes(t, cluster, "library/app", "stable")

	harbor.mu.Lock()
	defer harbor.mu.Unlock()
	for _, q := range harbor.queries[1:] {
		if !strings.HasPrefix(q, "operation={create delete},resource_type={artifact tag},op_time=[") {
			t.Fatalf("the log is asked for %q", q)
		}
	}
	_ = again
}

func settledExecutions(a *api, policy int64) bool {
	return !slices.ContainsFunc(a.executions(policy), func(e execution) bool { return e.Status == "InProgress" })
}

func TestAChangeThatIsToldTwiceCountsOnce(t *testing.T) {
	t.Parallel()
	harbor := playHarbor(t)
	lighter := startWithHarbor(t, harbor, server.Config{Home: server.HomeConfig{AuditInterval: 50 * time.Millisecond}})
	cluster := ts.Distribution(t)
	policy := lighter.eventRule("all", lighter.endpoint("cluster", cluster), nil)
	lighter.attach(object{})
	pushed := harbor.push("library/app", "v1", ts.Image(t, 1, 1, 500), true)
	at, err := time.Parse("2006-01-02T15:04:05.000Z", harbor.log[len(harbor.log)-1]["op_time"].(string))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // Harbor repeats a delivery whose answer it did not get
		if got := harbor.send("push", at, "library/app", "v1", pushed); !slices.Equal(got, []int{http.StatusOK}) {
			t.Errorf("a repeated webhook was answered with %v", got)
		}
	}
	arrives(t, cluster, "library/app", "v1", pushed)
	asked := func() int {
		harbor.mu.Lock()
		defer harbor.mu.Unlock()
		return harbor.asked
	}
	before := asked()
	ts.Eventually(t, "the log has been read since", func() bool { return asked() > before+3 })
	// A second change after it is certain to come after whatever the first made.
	second := harbor.push("library/app", "v2", ts.Image(t, 2, 1, 500), true)
	arrives(t, cluster, "library/app", "v2", second)
	ts.Eventually(t, "everything is settled", func() bool { return settledExecutions(lighter.api, policy) })
	if n := len(lighter.executions(policy)); n != 2 {
		t.Errorf("two pushes made %d executions", n)
	}
}

func TestWebhooksThatAreNotHarborsAreRefused(t *testing.T) {
	t.Parallel()
	harbor := playHarbor(t)
	lighter := startWithHarbor(t, harbor, server.Config{Home: server.HomeConfig{AuditInterval: time.Hour, WebhookSecret: "hush"}})
	address := lighter.url + "/webhook/harbor"
	good := webhook(t, "Default", "push", time.Now(), "library/app", "v1", ts.Image(t, 1, 1, 10).Digest)
	with := func(path []string, value any) object {
		body := webhook(t, "Default", "push", time.Now(), "library/app", "v1", ts.Image(t, 1, 1, 10).Digest)
		var at any = map[string]any(body)
		for _, step := range path[:len(path)-1] {
			if list, ok := at.([]any); ok {
				at = list[0]
			}
			at = at.(map[string]any)[step]
		}
		if list, ok := at.([]any); ok {
			at = list[0]
		}
		at.(map[string]any)[path[len(path)-1]] = value
		return body
	}
	for name, test := range map[string]struct {
		auth string
		body any
		want int
	}{
		"right":                  {"Bearer hush", good, http.StatusOK},
		"the bare secret":        {"hush", good, http.StatusOK},
		"no secret":              {"", good, http.StatusUnauthorized},
		"the wrong secret":       {"Bearer hus", good, http.StatusUnauthorized},
		"another kind of secret": {"Basic hush", good, http.StatusUnauthorized},
		"no JSON":                {"hush", "<xml>", http.StatusBadRequest},
		"nothing":                {"hush", "", http.StatusBadRequest},
		"too much":               {"hush", strings.Repeat(" ", 2<<20), http.StatusRequestEntityTooLarge},
		"of something else":      {"hush", recordedWebhook(t, "push-default-REPLICATION"), http.StatusOK},
		"of a kind to come":      {"hush", object{"type": "ARTIFACT_SUNG"}, http.StatusOK},
		"no artifact":            {"hush", with([]string{"event_data", "resources"}, []any{}), http.StatusBadRequest},
		"a path for a name":      {"hush", with([]string{"event_data", "repository", "repo_full_name"}, "library/../../users"), http.StatusBadRequest},
		"no project":             {"hush", with([]string{"event_data", "repository", "repo_full_name"}, "alpine"), http.StatusBadRequest},
		"a path for a tag":       {"hush", with([]string{"event_data", "resources", "tag"}, "../x"), http.StatusBadRequest},
		"no digest":              {"hush", with([]string{"event_data", "resources", "digest"}, "sha256:12"), http.StatusBadRequest},
		"a zero byte":            {"hush", with([]string{"operator"}, "a\x00b"), http.StatusOK},
		"nested without end":     {"hush", strings.Repeat("[", 500_000), http.StatusBadRequest},
	} {
		if got := post(t, address, test.auth, test.body); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	answer, err := http.Get(address)
	if err != nil || answer.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %v, %v", answer, err)
	}
	if err == nil {
		_ = answer.Body.Close()
	}
}

func TestAServerWithAHarborForHomeHasNoRegistryAndKnowsItsUsers(t *testing.T) {
	t.Parallel()
	harbor := playHarbor(t)
	harbor.create("/users", object{"username": "dev1", "email": "dev1@example.com", "realname": "dev", "password": "Dev12345"})
	harbor.create("/users", object{"username": "boss", "email": "boss@example.com", "realname": "boss", "password": "Boss12345"})
	var users []struct {
		ID   int64  `json:"user_id"`
		Name string `json:"username"`
	}
	harbor.do(http.MethodGet, "/users?q=username=boss", nil, &users)
	harbor.do(http.MethodPut, fmt.Sprintf("/users/%d/sysadmin", users[0].ID), object{"sysadmin_flag": true}, nil)
	lighter := startWithHarbor(t, harbor, server.Config{Home: server.HomeConfig{AuditInterval: time.Hour}})

	as := func(user, password, method, path string) (int, string) {
		r, err := http.NewRequest(method, lighter.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			r.SetBasicAuth(user, password)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	const rules = "/api/v2.0/replication/policies"
	for name, test := range map[string]struct {
		user, password, path string
		want                 int
		says                 string
	}{
		"the local administrator":          {"admin", adminPassword, rules, http.StatusOK, "[]"},
		"an administrator of the Harbor":   {"boss", "Boss12345", rules, http.StatusOK, "[]"},
		"the same with a wrong password":   {"boss", "Boss1234", rules, http.StatusUnauthorized, "unauthorized"},
		"a user of the Harbor":             {"dev1", "Dev12345", rules, http.StatusForbidden, "dev1"},
		"nobody":                           {"", "", rules, http.StatusUnauthorized, "unauthorized"},
		"who the administrator is":         {"boss", "Boss12345", "/api/v2.0/users/current", http.StatusOK, `"username":"boss"`},
		"projects":                         {"admin", adminPassword, "/api/v2.0/projects", http.StatusNotImplemented, harbor.url},
		"artifacts":                        {"admin", adminPassword, "/api/v2.0/projects/library/repositories/app/artifacts", http.StatusNotImplemented, harbor.url},
		"users":                            {"admin", adminPassword, "/api/v2.0/users", http.StatusNotImplemented, harbor.url},
		"robots":                           {"admin", adminPassword, "/api/v2.0/robots", http.StatusNotImplemented, harbor.url},
		"the registry":                     {"admin", adminPassword, "/v2/", http.StatusNotImplemented, harbor.url},
		"the registry's manifests":         {"", "", "/v2/library/app/manifests/v1", http.StatusNotImplemented, harbor.url},
		"registry 0":                       {"admin", adminPassword, "/api/v2.0/registries/0", http.StatusOK, harbor.url},
		"the Harbor":                       {"boss", "Boss12345", "/api/v2.0/home/harbor", http.StatusOK, `"healthy":true`},
		"the Harbor, for nobody":           {"", "", "/api/v2.0/home/harbor", http.StatusUnauthorized, "unauthorized"},
		"the Harbor, for a user of it":     {"dev1", "Dev12345", "/api/v2.0/home/harbor", http.StatusForbidden, "dev1"},
		"whether the server can do things": {"", "", "/readyz", http.StatusOK, "ok"},
	} {
		status, text := as(test.user, test.password, http.MethodGet, test.path)
		if status != test.want || !strings.Contains(text, test.says) {
			t.Errorf("%s: %d %s, want %d with %s", name, status, text, test.want, test.says)
		}
	}
	if status, _, text := harbor.inner.call(http.MethodGet, "/home/harbor", nil); status != http.StatusNotFound || !strings.Contains(string(text), "embedded") {
		t.Errorf("a server with its own registry: %d %s", status, text)
	}
}

// No webhook and no log tells that a label was set: the comparison finds it.
func TestALabelThatAHarborWasGivenIsFoundByTheComparison(t *testing.T) {
	t.Parallel()
	h := playHarbor(t)
	pushed := ts.Push(t, h.registry(), "library/app", "v1", ts.Image(t, 1, 1, 100))
	ts.Push(t, h.registry(), "library/app", "dev", ts.Image(t, 2, 1, 100))
	label := h.create("/labels", object{"name": "release", "scope": "g"})
	home := startWithHarbor(t, h, server.Config{Reconcile: time.Hour})
	cluster := ts.Distribution(t)
	policy := home.eventRule("promoted", home.endpoint("cluster", cluster), object{
		"filters": []object{{"type": "label", "value": []string{"release"}, "decoration": "matches"}},
	})
	path := fmt.Sprintf("/replication/policies/%d/drift", policy)
	compared := func() (d drift) {
		t.Helper()
		var asked struct {
			Number int64 `json:"number"`
		}
		home.do(http.MethodPost, path+"?reconcile=true", nil, &asked)
		ts.Eventually(t, "the comparison ends", func() bool {
			d = drift{}
			home.do(http.MethodGet, path, nil, &d)
			return d.Check.Done >= asked.Number
		})
		return d
	}
	if d := compared(); !d.InSync || len(d.Items) != 0 {
		t.Errorf("before anything has the label: %+v", d)
	}
	labels := "/projects/library/repositories/app/artifacts/v1/labels"
	h.do(http.MethodPost, labels, object{"id": label}, nil)
	compared()
	arrives(t, cluster, "library/app", "v1", pushed)
	if d := home.verified(policy); !d.InSync || len(d.Items) != 1 {
		t.Errorf("with the label: %+v", d)
	}
	// A label that is taken away deletes nothing.
	h.do(http.MethodDelete, labels+"/"+itoa(label), nil, nil)
	if d := compared(); !d.InSync || len(d.Items) != 1 || d.Items[0].State != "extra" {
		t.Errorf("without the label again: %+v", d)
	}
	if tags := ts.Tags(t, cluster, "library/app"); !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("there are %v", tags)
	}
}
