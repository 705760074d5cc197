package registry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
)

// exchange is a recorded answer of a real Harbor.
type exchange struct {
	Status  string            `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
	Raw     *string           `json:"body_raw"`
}

func recorded(t testing.TB, name string) exchange {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "harbor-api", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var e exchange
	if err := json.Unmarshal(text, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e exchange) play(w http.ResponseWriter) {
	for name, value := range e.Headers {
		if name != "Content-Length" {
			w.Header().Set(name, value)
		}
	}
	status, err := strconv.Atoi(strings.Fields(e.Status)[0])
	if err != nil {
		panic(err)
	}
	w.WriteHeader(status)
	if e.Raw != nil {
		_, _ = w.Write([]byte(*e.Raw))
	} else if len(e.Body) > 2 {
		_, _ = w.Write(e.Body)
	}
}

// fakeHarbor answers with what was recorded, by method and escaped path; requests in
// answers take precedence.
type fakeHarbor struct {
	t        testing.TB
	url      string
	recorded map[string]string
	answers  map[string]http.HandlerFunc
	login    bool // users may log in

	mu    sync.Mutex
	seen  []string // method, path and query of what came
	basic int      // how many of them brought a password
}

func newFakeHarbor(t testing.TB) *fakeHarbor {
	h := &fakeHarbor{t: t, answers: map[string]http.HandlerFunc{}, recorded: map[string]string{
		"GET /api/v2.0/projects":                                                        "20-projects-list",
		"GET /api/v2.0/projects/library/repositories":                                   "21-repositories-list",
		"GET /api/v2.0/projects/library/repositories/app/artifacts":                     "23-artifacts-list-with-label",
		"GET /api/v2.0/projects/library/repositories/multi/artifacts":                   "23-artifacts-list-index",
		"GET /api/v2.0/projects/library/repositories/nested%252Fdeep%252Fsvc/artifacts": "23-artifacts-list-repo-404",
		"GET /api/v2.0/projects/library/repositories/nope/artifacts":                    "23-artifacts-list-repo-404",
		"GET /api/v2.0/projects/nope/repositories/x/artifacts":                          "21-repositories-list-project-404",
		"GET /api/v2.0/users/current":                                                   "03-users-current",
		"DELETE /api/v2.0/projects/library/repositories/app/artifacts/v3/tags/v3":       "56-tag-delete",
		"DELETE /api/v2.0/projects/library/repositories/app/artifacts/v1/tags/v1":       "23-artifact-delete-tag-404",
	}}
	h.answers["GET /api/version"] = func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]string{"version": "v2.0"}) }
	h.answers["GET /api/v2.0/projects/team-a/repositories"] = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Total-Count", "0")
		reply(w, []string{})
	}
	h.url = serve(t, h.serve).URL
	return h
}

func (h *fakeHarbor) serve(w http.ResponseWriter, r *http.Request) {
	key := r.Method + " " + r.URL.EscapedPath()
	h.mu.Lock()
	h.seen = append(h.seen, r.Method+" "+r.URL.RequestURI())
	user, password, ok := r.BasicAuth()
	if ok {
		h.basic++
	}
	h.mu.Unlock()
	session, _ := r.Cookie("sid")
	switch {
	case key == "POST /c/login":
		h.serveLogin(w, r)
		return
	case key == "GET /api/version":
	case session != nil && session.Value == "session" && r.Method == http.MethodGet:
	case !ok || password != "p":
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "unauthorized")
		return
	case strings.HasPrefix(user, "robot$") && strings.HasSuffix(key, "/users/current"):
		refuse(w, http.StatusPreconditionFailed, "PRECONDITION", "get current user not available for security context: robot")
		return
	}
	if answer := h.answers[key]; answer != nil {
		answer(w, r)
	} else if name := h.recorded[key]; name != "" {
		recorded(h.t, name).play(w)
	} else {
		refuse(w, http.StatusNotFound, "NOT_FOUND", key+" is not in the recording")
	}
}

func (h *fakeHarbor) serveLogin(w http.ResponseWriter, r *http.Request) {
	csrf, _ := r.Cookie("_gorilla_csrf")
	switch {
	case csrf == nil || r.Header.Get("X-Harbor-CSRF-Token") == "":
		recorded(h.t, "70-session-login-no-csrf").play(w)
	case !h.login || r.FormValue("principal") != "admin" || r.FormValue("password") != "p":
		recorded(h.t, "70-session-login-wrong").play(w)
	default:
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "session", Path: "/", HttpOnly: true})
	}
}

func (h *fakeHarbor) adapter(account string) registry.Adapter {
	h.t.Helper()
	a, err := registry.NewAdapter(registry.Endpoint{
		Provider: registry.ProviderHarbor, URL: h.url, Credential: registry.Credential{AccessKey: account, AccessSecret: "p"},
	}, quick)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(a.Client().Close)
	return a
}

func (h *fakeHarbor) requests() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.seen)
}

func matcher(t testing.TB, filters ...rule.Filter) *rule.Matcher {
	t.Helper()
	m, err := rule.Compile(rule.Rule{Filters: filters})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func named(pattern string) rule.Filter { return rule.Filter{Type: rule.FilterName, Value: pattern} }

func tagged(pattern string) rule.Filter { return rule.Filter{Type: rule.FilterTag, Value: pattern} }

// listed collects a listing by repository.
func listed(t testing.TB, a registry.Adapter, m *rule.Matcher) (all map[string][]registry.Artifact, failures map[string]error) {
	t.Helper()
	all, failures = map[string][]registry.Artifact{}, map[string]error{}
	for l, err := range a.Artifacts(t.Context(), m) {
		if err != nil {
			failures[l.Repository] = err
			continue
		}
		if _, twice := all[l.Repository]; twice {
			t.Errorf("%s is listed twice", l.Repository)
		}
		all[l.Repository] = l.Artifacts
	}
	return all, failures
}

func TestHarborIsListedByItsAPI(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	got, failures := listed(t, h.adapter("robot$x"), nil)
	const docker = "application/vnd.docker.distribution.manifest.v2+json"
	pushed := func(text string) time.Time {
		at, err := time.Parse(time.RFC3339Nano, "2026-11-22T04:2"+text+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	want := map[string][]registry.Artifact{
		"library/app": {
			{Digest: "sha256:d6aed89ce2e0f30a010289f57d17047995946af6a52973e9e6bb8fdf063bba91", Tags: []string{"v2"}, Type: "image", MediaType: docker, Size: 301468, PushTime: pushed("3:51.008")},
			{Digest: "sha256:dbf1f26b7d8c4bddfeca6161177d95caa48b8770f535ced4e277b3641e3ddddc", Tags: []string{"v1"}, Labels: []string{"release"}, Type: "image", MediaType: docker, Size: 301462, PushTime: pushed("3:50.309")},
		},
		"library/multi": {
			{Digest: "sha256:3d35af5cbe824705e8639ba33b88d3c9fd394fc3e8d9a73138790b096ca280a1", Tags: []string{"list"}, Type: "image", MediaType: registry.MediaTypeDockerManifestList, Size: 102497, PushTime: pushed("4:01.077")},
			{Digest: "sha256:80335a104111e7de2486a08fcbe0f3f9a9b6eae4675cd9f6ef5ac7823e3a3dde", Tags: []string{"tmp1"}, Type: "image", MediaType: docker, Size: 50973, PushTime: pushed("4:00.938")},
			{Digest: "sha256:5b860af742ab96d78da1ffe9e1a511fc772fd81c677d23135064c363bd7785e8", Tags: []string{"tmp0"}, Type: "image", MediaType: docker, Size: 50969, PushTime: pushed("4:00.698")},
		},
		"library/nested/deep/svc": nil,
	}
	other := cmpopts.IgnoreFields(registry.Artifact{}, "Types", "TagTimes")
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty(), other); diff != "" || len(failures) > 0 {
		t.Errorf("%v\n%s", failures, diff)
	}
	list := got["library/multi"][0]
	if at := list.TagTimes["list"]; !at.Equal(pushed("4:01.089")) {
		t.Errorf("the tag was pushed at %s", at)
	}
	if !slices.Contains(list.Types, registry.MediaTypeDockerManifestList) || !slices.Contains(got["library/multi"][1].Types, "application/vnd.docker.container.image.v1+json") {
		t.Errorf("types: %q, %q", list.Types, got["library/multi"][1].Types)
	}
}

func TestHarborsRepositoriesThatARuleSpellsOutAreAskedForDirectly(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	got, failures := listed(t, h.adapter("robot$x"), matcher(t, named("{library/app,library/nope,nope/x}")))
	if len(got) != 1 || len(got["library/app"]) != 2 || len(failures) != 0 {
		t.Errorf("%v, %v", got, failures)
	}
	for _, request := range h.requests() {
		if !strings.Contains(request, "/artifacts?") || !strings.Contains(request, "page_size=100") || !strings.Contains(request, "with_label=false") {
			t.Errorf("%s", request)
		}
	}
}

func TestOneRepositoryThatFailsDoesNotEndTheListing(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	h.answers["GET /api/v2.0/projects/library/repositories/app/artifacts"] = func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "FORBIDDEN", "forbidden")
	}
	got, failures := listed(t, h.adapter("robot$x"), nil)
	if len(got) != 2 || len(failures) != 1 || !registry.IsUnauthorized(failures["library/app"]) {
		t.Errorf("%v, %v", got, failures)
	}
}

func TestAListingThatIsNotCompleteSaysSo(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	h.answers["GET /api/v2.0/projects/team-a/repositories"] = func(w http.ResponseWriter, _ *http.Request) {
		recorded(t, "20-project-get-forbidden").play(w)
	}
	got, failures := listed(t, h.adapter("robot$x"), nil)
	if len(got) != 3 || len(failures) != 1 || failures[""] == nil || !strings.Contains(failures[""].Error(), "team-a") {
		t.Errorf("%v, %v", got, failures)
	}
}

func TestHarborsPagesAreReadAtTheSameTime(t *testing.T) {
	t.Parallel()
	for name, total := range map[string]bool{"with a total": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFakeHarbor(t)
			h.answers["GET /api/v2.0/projects/library/repositories/app/artifacts"] = func(w http.ResponseWriter, r *http.Request) {
				page, _ := strconv.Atoi(r.URL.Query().Get("page"))
				var all []map[string]any
				for i := (page - 1) * 100; i < min(page*100, 350); i++ {
					all = append(all, map[string]any{"digest": fmt.Sprintf("sha256:%064x", max(i, 1)), "type": "CHART", "tags": []any{map[string]any{"name": fmt.Sprint("t", i)}}})
				}
				if total {
					w.Header().Set("X-Total-Count", "350")
				}
				reply(w, all)
			}
			got, failures := listed(t, h.adapter("robot$x"), matcher(t, named("library/app")))
			// The first two have one digest: the list moved while it was read.
			if len(got["library/app"]) != 349 || got["library/app"][5].Type != "chart" || len(failures) != 0 {
				t.Errorf("%d artifacts, %v", len(got["library/app"]), failures)
			}
			if n := len(h.requests()); n != 4 {
				t.Errorf("%d requests for 4 pages", n)
			}
		})
	}
}

func TestAUsersPasswordIsCheckedOnce(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	h.login = true
	a := h.adapter("admin")
	if got, failures := listed(t, a, nil); len(got) != 3 || len(failures) != 0 {
		t.Errorf("%v, %v", got, failures)
	}
	if h.basic != 0 {
		t.Errorf("%d of %q brought the password", h.basic, h.requests())
	}
	if err := a.DeleteTag(t.Context(), "library/app", "v3"); err != nil {
		t.Errorf("what changes something needs the password: %v", err)
	}
}

func TestWithoutASessionThePasswordIsUsed(t *testing.T) {
	t.Parallel()
	for _, account := range []string{"admin", "robot$x"} {
		h := newFakeHarbor(t)
		if got, failures := listed(t, h.adapter(account), nil); len(got) != 3 || len(failures) != 0 {
			t.Errorf("%v, %v", got, failures)
		}
		logins := slices.DeleteFunc(h.requests(), func(r string) bool { return !strings.Contains(r, "/c/login") })
		if want := map[string]int{"admin": 2, "robot$x": 0}[account]; len(logins) != want {
			t.Errorf("%s: %q", account, logins)
		}
	}
}

func TestProjectsAreMadeOnce(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	var mu sync.Mutex
	var made []string
	h.answers["POST /api/v2.0/projects"] = func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Name     string            `json:"project_name"`
			Metadata map[string]string `json:"metadata"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		mu.Lock()
		made = append(made, body.Name+" "+body.Metadata["public"])
		mu.Unlock()
		if body.Name == "raced" {
			recorded(t, "20-project-create-conflict").play(w)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}
	a := h.adapter("robot$x")
	for range 2 {
		err := a.Prepare(t.Context(), []string{"library/app", "team-a/x", "new/a", "new/b/c", "open/a", "raced/a"}, map[string]bool{"open": true})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(made)
	if diff := cmp.Diff([]string{"new false", "open true", "raced false"}, made); diff != "" {
		t.Error(diff)
	}
}

func TestProjectsThatCannotBePushedTo(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	h.answers["GET /api/v2.0/projects"] = func(w http.ResponseWriter, r *http.Request) {
		var all []map[string]any
		if r.URL.Query().Get("name") == "cache" {
			all = append(all, map[string]any{"name": "cache", "registry_id": 3})
		}
		reply(w, all)
	}
	h.answers["POST /api/v2.0/projects"] = func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "FORBIDDEN", "forbidden")
	}
	h.answers["HEAD /api/v2.0/projects"] = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("project_name") != "hidden" {
			w.WriteHeader(http.StatusNotFound)
		}
	}
	a := h.adapter("robot$x")
	for repo, says := range map[string]string{
		"cache/app": "proxy cache", "absent/app": "may not create it", "alpine": "needs a project", "UP/app": "invalid",
	} {
		if err := a.Prepare(t.Context(), []string{repo}, nil); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", repo, err)
		}
	}
	if err := a.Prepare(t.Context(), []string{"hidden/app"}, nil); err != nil {
		t.Errorf("a project that is there though it is not shown: %v", err)
	}
	if err := a.CheckRepository("alpine"); !problem.Is(err, problem.BadRequest) {
		t.Errorf("%v", err)
	}
}

func TestATagIsDeletedByTheAPI(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	h.answers["DELETE /api/v2.0/projects/library/repositories/a%252Fb/artifacts/v1/tags/v1"] = func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusPreconditionFailed, "PRECONDITION", "the tag v1 is immutable")
	}
	a := h.adapter("robot$x")
	if err := a.DeleteTag(t.Context(), "library/app", "v3"); err != nil {
		t.Error(err)
	}
	if err := a.DeleteTag(t.Context(), "library/app", "v1"); !registry.IsNotFound(err) {
		t.Errorf("%v", err)
	}
	if err := a.DeleteTag(t.Context(), "library/a/b", "v1"); err == nil || !strings.Contains(err.Error(), "immutability") {
		t.Errorf("%v", err)
	}
	if err := a.DeleteTag(t.Context(), "library/app", "../../../x"); !problem.Is(err, problem.BadRequest) {
		t.Errorf("%v", err)
	}
}

func TestHarborsPing(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	for _, account := range []string{"admin", "robot$x"} {
		if err := h.adapter(account).Client().Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", account, err)
		}
	}
	for credential, want := range map[registry.Credential]registry.PingCause{
		{AccessKey: "admin", AccessSecret: "wrong"}: registry.CauseUnauthorized, {}: "",
	} {
		c := client(t, registry.Endpoint{Provider: registry.ProviderHarbor, URL: h.url, Credential: credential}, quick)
		err := c.Ping(t.Context())
		if e, _ := errors.AsType[*registry.PingError](err); (err != nil) != (want != "") || err != nil && e.Cause != want {
			t.Errorf("%+v: %v", credential, err)
		}
	}
}

func TestHostileAnswersOfHarborAreErrors(t *testing.T) {
	t.Parallel()
	for name, artifacts := range map[string]string{
		"a digest that is a path": `[{"digest":"../../x","tags":[]}]`,
		"no digest":               `[{"tags":[{"name":"v1"}]}]`,
		"a tag that is a path":    `[{"digest":"sha256:` + strings.Repeat("a", 64) + `","tags":[{"name":"../x"}]}]`,
		"no list":                 `{"a":1}`,
		"no JSON":                 `<html>`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newFakeHarbor(t)
			h.answers["GET /api/v2.0/projects/library/repositories/app/artifacts"] = func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(artifacts))
			}
			got, failures := listed(t, h.adapter("robot$x"), matcher(t, named("library/app")))
			if len(got) != 0 || failures["library/app"] == nil {
				t.Errorf("%v, %v", got, failures)
			}
		})
	}
	h := newFakeHarbor(t)
	h.answers["GET /api/v2.0/projects/library/repositories"] = func(w http.ResponseWriter, _ *http.Request) {
		reply(w, []map[string]string{{"name": "library/../../users"}, {"name": "library/app"}})
	}
	got, failures := listed(t, h.adapter("robot$x"), nil)
	if len(got) != 1 || len(failures) != 1 {
		t.Errorf("%v, %v", got, failures)
	}
}

// Harbor's info says what its clients show.
func TestInfoIsHarbors(t *testing.T) {
	t.Parallel()
	docker, err := registry.NewAdapter(registry.Endpoint{Provider: registry.ProviderDockerRegistry, URL: "h"}, quick)
	if err != nil {
		t.Fatal(err)
	}
	for name, info := range map[string]registry.Info{
		"12-registry-info": docker.Info(), "12-registry-info-harbor": newFakeHarbor(t).adapter("x").Info(), "12-registry-info-0-local": registry.HomeInfo(),
	} {
		var want map[string]any
		if err := json.Unmarshal(recorded(t, name).Body, &want); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(info)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestProviders(t *testing.T) {
	t.Parallel()
	types := registry.ProviderTypes()
	if !slices.IsSorted(types) || len(slices.Compact(slices.Clone(types))) != len(types) {
		t.Errorf("%q", types)
	}
	for _, p := range registry.Providers() {
		if _, err := registry.NewAdapter(registry.Endpoint{Provider: p.Type, URL: " "}, quick); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%s takes no URL: %v", p.Type, err)
		}
		text, err := json.Marshal(p)
		if plain := p.Type == registry.ProviderHarbor || p.Type == registry.ProviderDockerRegistry; err != nil || plain != (string(text) == "{}") && plain {
			t.Errorf("%s has no pattern: %s, %v", p.Type, text, err)
		}
	}
	if _, err := registry.NewAdapter(registry.Endpoint{Provider: "nope", URL: "h"}, quick); !problem.Is(err, problem.BadRequest) {
		t.Errorf("%v", err)
	}
}

func TestEveryProviderIsDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/providers.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range registry.ProviderTypes() {
		if !strings.Contains(string(text), "\n| `"+name+"` |") {
			t.Errorf("docs/providers.md has no row for %s", name)
		}
	}
}
