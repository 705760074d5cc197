package registry_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// hub is Docker Hub: a real registry for the images, and the API as it is documented.
func hub(t *testing.T) (*cloud, *ts.Registry, registry.Endpoint) {
	c := newCloud(t)
	r := ts.Distribution(t, ts.WithTokenAuth("ship", "dckr_pat_1", ts.TokenOptions{}))
	c.serve("registry-1.docker.io", r)
	c.handle("POST hub.docker.com/v2/auth/token", func(w http.ResponseWriter, req *http.Request) {
		if in := given(t, req); in["identifier"] != "ship" || in["secret"] != "dckr_pat_1" {
			w.WriteHeader(http.StatusUnauthorized)
			reply(w, map[string]string{"message": "Incorrect authentication credentials"})
			return
		}
		reply(w, map[string]string{"access_token": "hub-session"})
	})
	guarded := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Authorization") != "Bearer hub-session" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			h(w, req)
		}
	}
	c.handle("GET hub.docker.com/v2/repositories/namespaces", guarded(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"namespaces": []string{"ship", "fleet"}})
	}))
	c.handle("GET hub.docker.com/v2/namespaces/{ns}/repositories", guarded(func(w http.ResponseWriter, req *http.Request) {
		named := func(names ...string) (all []map[string]string) {
			for _, n := range names {
				all = append(all, map[string]string{"namespace": req.PathValue("ns"), "name": n})
			}
			return all
		}
		switch {
		case req.PathValue("ns") == "fleet" && req.FormValue("page") == "1":
			reply(w, map[string]any{"next": "https://hub.docker.com/v2/...page=2", "results": named("app")})
		case req.PathValue("ns") == "fleet":
			reply(w, map[string]any{"results": named("web")})
		case req.PathValue("ns") == "ship":
			reply(w, map[string]any{"results": named("tool")})
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	c.handle("GET hub.docker.com/v2/namespaces/{ns}/repositories/{name}", guarded(func(w http.ResponseWriter, req *http.Request) {
		if req.PathValue("ns") != "friend" || req.PathValue("name") != "shared" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	return c, r, registry.Endpoint{
		Provider: "docker-hub", URL: "https://hub.docker.com", Credential: registry.Credential{AccessKey: "ship", AccessSecret: "dckr_pat_1"},
	}
}

func TestDockerHubIsListedByItsAPI(t *testing.T) {
	t.Parallel()
	c, r, e := hub(t)
	image := ts.Image(t, 900, 1, 10)
	for _, name := range []string{"fleet/app:v1", "fleet/app:v2", "fleet/web:v1", "ship/tool:v1"} {
		repo, tag, _ := strings.Cut(name, ":")
		ts.Push(t, r, repo, tag, image)
	}
	a := c.adapter(e)
	all, failures := listed(t, a, nil)
	if got := tagsOf(all); !slices.Equal(got, []string{"fleet/app:v1", "fleet/app:v2", "fleet/web:v1", "ship/tool:v1"}) || len(failures) > 0 {
		t.Errorf("%q, %v", got, failures)
	}
	if n := c.count("POST hub.docker.com/v2/auth/token"); n != 1 {
		t.Errorf("logged in %d times", n)
	}
	before := c.count("GET hub.docker.com/v2/namespaces/ship")
	all, failures = listed(t, a, matcher(t, named("{fleet,none}/a*")))
	if got := tagsOf(all); !slices.Equal(got, []string{"fleet/app:v1", "fleet/app:v2"}) || len(failures) > 0 {
		t.Errorf("a namespace that the filter names: %q, %v", got, failures)
	}
	if c.count("GET hub.docker.com/v2/namespaces/ship") != before {
		t.Error("a namespace was listed that the rule cannot want")
	}
	if got := c.knows("dckr_pat_1"); !slices.Equal(got, []string{"hub.docker.com"}) {
		t.Errorf("the access token was shown to %q", got)
	}
}

func TestDockerHubWantsTwoComponents(t *testing.T) {
	t.Parallel()
	c, _, e := hub(t)
	a := c.adapter(e)
	for name, fits := range map[string]bool{"library/alpine": true, "alpine": false, "a/b/c": false} {
		if err := a.CheckRepository(name); (err == nil) != fits || err != nil && !problem.Is(err, problem.BadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, failures := listed(t, a, matcher(t, named("alpine")))
	if err := failures["alpine"]; err == nil || !strings.Contains(err.Error(), "library/alpine") {
		t.Errorf("nobody says where alpine is: %v", failures)
	}
}

func TestDockerHubSaysWhoseNamespaceItIs(t *testing.T) {
	t.Parallel()
	c, _, e := hub(t)
	a := c.adapter(e)
	for name, want := range map[string]string{
		"fleet/new": "", "ship/new": "", "friend/shared": "", "stranger/app": `"stranger" is no namespace of the account "ship" (it has ship, fleet)`,
	} {
		err := a.Prepare(t.Context(), []string{name}, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDockerHubRemovesATagByItsAPI(t *testing.T) {
	t.Parallel()
	c, _, e := hub(t)
	c.handle("DELETE hub.docker.com/v2/repositories/fleet/app/tags/{tag}/", func(w http.ResponseWriter, r *http.Request) {
		switch r.PathValue("tag") {
		case "v1":
			w.WriteHeader(http.StatusNoContent)
		case "kept":
			w.WriteHeader(http.StatusForbidden)
			reply(w, map[string]string{"detail": "access denied"})
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	a := c.adapter(e)
	if err := a.DeleteTag(t.Context(), "fleet/app", "v1"); err != nil {
		t.Error(err)
	}
	if err := a.DeleteTag(t.Context(), "fleet/app", "gone"); !registry.IsNotFound(err) {
		t.Error(err)
	}
	if err := a.DeleteTag(t.Context(), "fleet/app", "kept"); !registry.IsUnauthorized(err) || !strings.Contains(err.Error(), "Read, Write, Delete") || !strings.Contains(err.Error(), "access denied") {
		t.Error(err)
	}
}

func TestAPingOfDockerHubTriesThePassword(t *testing.T) {
	t.Parallel()
	c, _, e := hub(t)
	if err := c.adapter(e).Client().Ping(t.Context()); err != nil {
		t.Error(err)
	}
	wrong := e
	wrong.Credential.AccessSecret = "nope"
	err := c.adapter(wrong).Client().Ping(t.Context())
	if p := cause(t, err); p.Cause != registry.CauseUnauthorized || !strings.Contains(p.Message, `of "ship" is wrong`) {
		t.Errorf("%v", err)
	}
	if strings.Contains(err.Error(), "nope") {
		t.Errorf("the secret is in the message: %v", err)
	}
	anonymous := e
	anonymous.Credential = registry.Credential{}
	if err := c.adapter(anonymous).Client().Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOnlyDockerHubIsDockerHub(t *testing.T) {
	t.Parallel()
	_, err := registry.NewAdapter(registry.Endpoint{Provider: "docker-hub", URL: "https://mirror.example.com"}, quick)
	if !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), "https://hub.docker.com") {
		t.Errorf("%v", err)
	}
}

func TestWhatAHostSaysOfItsLimitIsKept(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		header map[string]string
		want   registry.RateLimit
	}{
		"Docker Hub": {
			map[string]string{"Ratelimit-Limit": "100;w=21600", "Ratelimit-Remaining": "76;w=21600", "Docker-Ratelimit-Source": "203.0.113.9"},
			registry.RateLimit{Limit: 100, Remaining: 76, Window: 6 * time.Hour, Source: "203.0.113.9"},
		},
		"others": {map[string]string{"X-Ratelimit-Limit": "5000", "X-Ratelimit-Remaining": "4999"}, registry.RateLimit{Limit: 5000, Remaining: 4999}},
	} {
		c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
			for k, v := range test.header {
				w.Header().Set(k, v)
			}
			reply(w, map[string]any{"tags": []string{"v1"}})
		})
		if _, ok := c.RateLimit(); ok {
			t.Errorf("%s: known before anything was said", name)
		}
		if _, err := c.Tags(t.Context(), "a/b"); err != nil {
			t.Fatal(err)
		}
		got, ok := c.RateLimit()
		if !ok || got.Time.IsZero() {
			t.Errorf("%s: %+v", name, got)
		}
		got.Time = time.Time{}
		if got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func TestPullsAreCountedAtDockerHubOnly(t *testing.T) {
	t.Parallel()
	c, _, e := hub(t)
	if !c.adapter(e).Client().MetersPulls() {
		t.Error("Docker Hub counts pulls")
	}
	for url, want := range map[string]bool{"https://registry-1.docker.io": true, "https://docker.io": true, "https://registry.example.com": false} {
		if got := client(t, registry.Endpoint{URL: url}, quick).MetersPulls(); got != want {
			t.Errorf("%s: %v", url, got)
		}
	}
}
