package registry_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// Providers that are plain registries with a few ways of their own.

func TestGitHubListsOnlyWhatIsSpelledOut(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	r := ts.Distribution(t, ts.WithTokenAuth("octo", "ghp_1", ts.TokenOptions{}))
	c.serve("ghcr.io", r)
	ts.Push(t, r, "octo-org/app", "v1", ts.Image(t, 920, 1, 10))
	a := c.adapter(registry.Endpoint{Provider: "github-ghcr", URL: "https://ghcr.io", Credential: registry.Credential{AccessKey: "octo", AccessSecret: "ghp_1"}})
	all, failures := listed(t, a, matcher(t, named("octo-org/{app,none}")))
	if got := tagsOf(all); !slices.Equal(got, []string{"octo-org/app:v1"}) || len(failures) > 0 {
		t.Errorf("%q, %v", got, failures)
	}
	_, failures = listed(t, a, matcher(t, named("octo-org/**")))
	if err := failures[""]; !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), "{octo-org/app,octo-org/web}") {
		t.Errorf("%v", failures)
	}
	if err := a.CheckRepository("app"); !problem.Is(err, problem.BadRequest) {
		t.Error(err)
	}
	if err := a.DeleteTag(t.Context(), "octo-org/app", "v1"); !isUnsupported(err) {
		t.Errorf("GitHub's registry has no way to remove a tag: %v", err)
	}
	if err := a.Client().Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

const serviceAccount = `{"type": "service_account", "project_id": "ship-1", "private_key": "-----BEGIN PRIVATE KEY-----\nx\n-----END PRIVATE KEY-----\n"}`

func TestGoogleTakesAKeyFile(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	r := ts.Distribution(t, ts.WithTokenAuth("_json_key", serviceAccount, ts.TokenOptions{}))
	c.serve("gcr.io", r)
	ts.Push(t, r, "ship-1/team/app", "v1", ts.Image(t, 921, 1, 10))
	e := registry.Endpoint{Provider: "google-gcr", URL: "https://gcr.io", Credential: registry.Credential{AccessKey: "_json_key", AccessSecret: serviceAccount}}
	a := c.adapter(e)
	if err := a.Client().Ping(t.Context()); err != nil {
		t.Error(err)
	}
	all, failures := listed(t, a, nil)
	if got := tagsOf(all); !slices.Equal(got, []string{"ship-1/team/app:v1"}) || len(failures) > 0 {
		t.Errorf("%q, %v", got, failures)
	}
	if err := a.DeleteTag(t.Context(), "ship-1/team/app", "v1"); err != nil {
		t.Error(err)
	}
	e.Credential.AccessSecret = "a password"
	if _, err := registry.NewAdapter(e, quick); !problem.Is(err, problem.BadRequest) || strings.Contains(err.Error(), "a password") {
		t.Errorf("%v", err)
	}
}

// TestArtifactRegistryIsWalked: it has no catalog; its tag lists name what is below.
func TestArtifactRegistryIsWalked(t *testing.T) {
	t.Parallel()
	const host = "europe-docker.pkg.dev"
	c := newCloud(t)
	c.handle("GET "+host+"/v2/", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v2/":
		case "/v2/_catalog":
			refuse(w, http.StatusForbidden, "DENIED", "no catalog")
		case "/v2/ship-1/tags/list":
			reply(w, map[string]any{"child": []string{"team", "other"}, "manifest": map[string]any{}, "tags": []string{}})
		case "/v2/ship-1/team/tags/list":
			reply(w, map[string]any{"child": []string{"app"}, "manifest": map[string]any{}, "tags": []string{}})
		case "/v2/ship-1/team/app/tags/list":
			reply(w, map[string]any{"child": []string{}, "manifest": map[string]any{"sha256:1": map[string]any{}}, "tags": []string{"v1"}})
		case "/v2/ship-1/other/tags/list", "/v2/none/tags/list":
			refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "gone")
		default:
			t.Errorf("asked for %s", r.URL.Path)
		}
	})
	a := c.adapter(registry.Endpoint{Provider: "google-gcr", URL: "https://" + host})
	all, failures := listed(t, a, matcher(t, named("{ship-1,none}/**")))
	if got := tagsOf(all); !slices.Equal(got, []string{"ship-1/team/app:v1"}) || len(failures) > 0 {
		t.Errorf("%q, %v", got, failures)
	}
	_, failures = listed(t, a, nil)
	if err := failures[""]; !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), "my-project/**") {
		t.Errorf("%v", failures)
	}
}

func TestAzureRemovesATagByItsOwnAPI(t *testing.T) {
	t.Parallel()
	const host = "ships.azurecr.io"
	c := newCloud(t)
	var scopes []string
	c.handle("GET "+host+"/v2/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://`+host+`/oauth2/token",service="`+host+`"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		reply(w, map[string]any{"tags": []string{"v1"}})
	})
	c.handle("GET "+host+"/oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != "app-secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		scopes = append(scopes, r.FormValue("scope"))
		reply(w, map[string]string{"access_token": "acr-token"})
	})
	c.handle("DELETE "+host+"/acr/v1/team/app/_tags/{tag}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("tag") == "kept" {
			refuse(w, http.StatusForbidden, "DENIED", "no")
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	a := c.adapter(registry.Endpoint{Provider: "azure-acr", URL: "https://" + host, Credential: registry.Credential{AccessKey: "app-id", AccessSecret: "app-secret"}})
	if _, err := a.Client().Tags(t.Context(), "team/app"); err != nil {
		t.Error(err)
	}
	if err := a.DeleteTag(t.Context(), "team/app", "v1"); err != nil {
		t.Error(err)
	}
	if want := []string{"repository:team/app:metadata_read", "repository:team/app:delete"}; !slices.Equal(scopes, want) {
		t.Errorf("asked for %q, want %q", scopes, want)
	}
	if err := a.DeleteTag(t.Context(), "team/app", "kept"); !registry.IsUnauthorized(err) || !strings.Contains(err.Error(), "AcrDelete") {
		t.Error(err)
	}
}

func TestTheServersIdentityIsExchangedAtAzure(t *testing.T) {
	const host = "ships.azurecr.io"
	c := newCloud(t)
	c.handle("GET 169.254.169.254/metadata/identity/oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata") != "true" || r.FormValue("client_id") != "which-identity" || r.FormValue("resource") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		reply(w, map[string]string{"access_token": "aad-token"})
	})
	c.handle("POST "+host+"/oauth2/exchange", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("access_token") != "aad-token" || r.FormValue("service") != host {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		reply(w, map[string]string{"refresh_token": "acr-refresh"})
	})
	c.handle("GET "+host+"/v2/", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer acr-access" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://`+host+`/oauth2/token",service="`+host+`"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	})
	c.handle("POST "+host+"/oauth2/token", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("refresh_token") != "acr-refresh" || r.FormValue("grant_type") != "refresh_token" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		reply(w, map[string]string{"access_token": "acr-access"})
	})
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", "")
	e := registry.Endpoint{Provider: "azure-acr", URL: "https://" + host, Credential: registry.Credential{AccessKey: "managed-identity", AccessSecret: "which-identity"}}
	if err := c.adapter(e).Client().Ping(t.Context()); err != nil {
		t.Error(err)
	}
	for _, url := range []string{"https://evil.example", "http://" + host, "https://" + host + ".evil.example", "https://" + host + ":8443"} {
		e.URL = url
		if _, err := registry.NewAdapter(e, quick); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%s would be shown this server's identity: %v", url, err)
		}
	}
}

func TestQuay(t *testing.T) {
	t.Parallel()
	const host = "quay.io"
	c := newCloud(t)
	r := ts.Distribution(t, ts.WithTokenAuth("ships+robot", "cli-password", ts.TokenOptions{}))
	c.serve(host, r)
	image := ts.Image(t, 922, 1, 10)
	for _, name := range []string{"ships/app", "ships/web", "fleet/tool"} {
		ts.Push(t, r, name, "v1", image)
	}
	guarded := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("Authorization") != "Bearer oauth-token" {
				w.WriteHeader(http.StatusUnauthorized)
				reply(w, map[string]string{"error_type": "invalid_token", "detail": "Invalid token"})
				return
			}
			h(w, req)
		}
	}
	c.handle("GET "+host+"/api/v1/user/", guarded(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"username": "sailor", "organizations": []map[string]string{{"name": "ships"}, {"name": "fleet"}}})
	}))
	c.handle("GET "+host+"/api/v1/repository", guarded(func(w http.ResponseWriter, req *http.Request) {
		named := func(names ...string) (all []map[string]string) {
			for _, n := range names {
				all = append(all, map[string]string{"namespace": req.FormValue("namespace"), "name": n})
			}
			return all
		}
		switch {
		case req.FormValue("namespace") == "ships" && req.FormValue("next_page") == "":
			reply(w, map[string]any{"repositories": named("app"), "next_page": "2"})
		case req.FormValue("namespace") == "ships":
			reply(w, map[string]any{"repositories": named("web")})
		case req.FormValue("namespace") == "fleet":
			reply(w, map[string]any{"repositories": named("tool")})
		default:
			reply(w, map[string]any{"repositories": named()})
		}
	}))
	var made []string
	there := map[string]bool{"organization/ships": true, "users/sailor": true}
	for _, kind := range []string{"organization", "users"} {
		c.handle("GET "+host+"/api/v1/"+kind+"/{name}", guarded(func(w http.ResponseWriter, req *http.Request) {
			if !there[kind+"/"+req.PathValue("name")] {
				w.WriteHeader(http.StatusNotFound)
			}
		}))
	}
	c.handle("POST "+host+"/api/v1/organization/", guarded(func(w http.ResponseWriter, req *http.Request) {
		in := given(t, req)
		if in["name"] == "forbidden" {
			w.WriteHeader(http.StatusForbidden)
			reply(w, map[string]string{"error_type": "insufficient_scope", "error_message": "Unauthorized"})
			return
		}
		made = append(made, fmt.Sprint(in["name"]))
		w.WriteHeader(http.StatusCreated)
	}))
	c.handle("DELETE "+host+"/api/v1/repository/ships/app/tag/{tag}", guarded(func(w http.ResponseWriter, req *http.Request) {
		if req.PathValue("tag") != "v1" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}))

	e := registry.Endpoint{Provider: "quay", URL: "https://" + host, Credential: registry.Credential{
		AccessKey: "json_file", AccessSecret: `{"account_name": "ships+robot", "docker_cli_password": "cli-password", "oauth2_token": "oauth-token"}`,
	}}
	a := c.adapter(e)
	if err := a.Client().Ping(t.Context()); err != nil {
		t.Error(err)
	}
	all, failures := listed(t, a, nil)
	if got := tagsOf(all); !slices.Equal(got, []string{"fleet/tool:v1", "ships/app:v1", "ships/web:v1"}) || len(failures) > 0 {
		t.Errorf("%q, %v", got, failures)
	}
	if err := a.Prepare(t.Context(), []string{"ships/app", "sailor/app", "new/app"}, nil); err != nil || !slices.Equal(made, []string{"new"}) {
		t.Errorf("%v, made %q", err, made)
	}
	if err := a.Prepare(t.Context(), []string{"forbidden/app"}, nil); !registry.IsUnauthorized(err) || !strings.Contains(err.Error(), `"Administer Organization"`) {
		t.Error(err)
	}
	if err := a.DeleteTag(t.Context(), "ships/app", "v1"); err != nil {
		t.Error(err)
	}
	if err := a.DeleteTag(t.Context(), "ships/app", "gone"); !registry.IsNotFound(err) {
		t.Error(err)
	}

	robot := e
	robot.Credential = registry.Credential{AccessKey: "ships+robot", AccessSecret: "cli-password"}
	a = c.adapter(robot)
	all, failures = listed(t, a, matcher(t, named("fleet/**")))
	if got := tagsOf(all); !slices.Equal(got, []string{"fleet/tool:v1"}) || len(failures) > 0 {
		t.Errorf("a robot reads the catalog: %q, %v", got, failures)
	}
	if err := a.DeleteTag(t.Context(), "ships/app", "v1"); !isUnsupported(err) {
		t.Error(err)
	}
	for _, secret := range []string{`{"account_name": "x"}`, `{`, `{}`, "plain"} {
		bad := e
		bad.Credential.AccessSecret = secret
		if _, err := registry.NewAdapter(bad, quick); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%s: %v", secret, err)
		}
	}
}

func TestGitLab(t *testing.T) {
	t.Parallel()
	const host, server = "registry.gitlab.example", "gitlab.example"
	c := newCloud(t)
	r := ts.Distribution(t)
	image := ts.Image(t, 923, 1, 10)
	for _, name := range []string{"fleet/app", "fleet/app/worker", "other/tool"} {
		ts.Push(t, r, name, "v1", image)
	}
	proxy := newCloud(t)
	proxy.serve("behind", r)
	c.handle("GET "+host+"/v2/", func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer gitlab-jwt" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://`+server+`/sub/jwt/auth",service="container_registry"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		req.Host = "behind"
		proxy.mux.ServeHTTP(w, req)
	})
	c.handle("GET "+server+"/sub/jwt/auth", func(w http.ResponseWriter, _ *http.Request) { reply(w, map[string]string{"token": "gitlab-jwt"}) })
	guarded := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if req.Header.Get("PRIVATE-TOKEN") != "glpat-1" {
				w.WriteHeader(http.StatusUnauthorized)
				reply(w, map[string]string{"message": "401 Unauthorized"})
				return
			}
			h(w, req)
		}
	}
	c.handle("GET "+server+"/sub/api/v4/projects", guarded(func(w http.ResponseWriter, req *http.Request) {
		if req.FormValue("page") == "1" {
			w.Header().Set("X-Next-Page", "2")
			reply(w, []map[string]any{{"id": 1, "path_with_namespace": "Fleet/App"}, {"id": 9, "path_with_namespace": "fleet/closed"}})
			return
		}
		reply(w, []map[string]any{{"id": 2, "path_with_namespace": "other/tool"}})
	}))
	repositories := guarded(func(w http.ResponseWriter, req *http.Request) {
		switch req.PathValue("project") {
		case "1", "fleet/app":
			reply(w, []map[string]any{{"id": 11, "path": "fleet/app"}, {"id": 12, "path": "fleet/app/worker"}})
		case "2":
			reply(w, []map[string]any{{"id": 21, "path": "other/tool"}})
		case "9":
			w.WriteHeader(http.StatusForbidden)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	c.handle("GET "+server+"/sub/api/v4/projects/{project}/registry/repositories", repositories)
	c.handle("DELETE "+server+"/sub/api/v4/projects/{project}/registry/repositories/12/tags/{tag}", guarded(func(w http.ResponseWriter, req *http.Request) {
		if req.PathValue("tag") != "v1" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	a := c.adapter(registry.Endpoint{Provider: "gitlab", URL: "https://" + host, Credential: registry.Credential{AccessKey: "sailor", AccessSecret: "glpat-1"}})
	all, failures := listed(t, a, nil)
	if got := tagsOf(all); !slices.Equal(got, []string{"fleet/app/worker:v1", "fleet/app:v1", "other/tool:v1"}) || len(failures) > 0 {
		t.Errorf("%q, %v", got, failures)
	}
	before := c.count("GET " + server + "/sub/api/v4/projects/2/")
	all, _ = listed(t, a, matcher(t, named("fleet/**")))
	if got := tagsOf(all); !slices.Equal(got, []string{"fleet/app/worker:v1", "fleet/app:v1"}) || c.count("GET "+server+"/sub/api/v4/projects/2/") != before {
		t.Errorf("%q", got)
	}
	if err := a.DeleteTag(t.Context(), "fleet/app/worker", "v1"); err != nil {
		t.Error(err)
	}
	if err := a.DeleteTag(t.Context(), "fleet/app/worker", "gone"); !registry.IsNotFound(err) {
		t.Error(err)
	}
	if err := a.DeleteTag(t.Context(), "no/such/project", "v1"); !registry.IsNotFound(err) {
		t.Error(err)
	}
	if got := c.knows("glpat-1"); !slices.Equal(got, []string{server}) {
		t.Errorf("the access token was shown to %q", got)
	}
	deploy := c.adapter(registry.Endpoint{Provider: "gitlab", URL: "https://" + host, Credential: registry.Credential{AccessKey: "deploy", AccessSecret: "gldt-1"}})
	_, failures = listed(t, deploy, nil)
	if err := failures[""]; err == nil || !strings.Contains(err.Error(), "read_api") {
		t.Errorf("%v", failures)
	}
}

func TestArtifactory(t *testing.T) {
	t.Parallel()
	const host = "ships.jfrog.example"
	c := newCloud(t)
	r := ts.Distribution(t, ts.WithBasicAuth("sailor", "api-key"))
	c.serve(host, r)
	image := ts.Image(t, 924, 1, 2000)
	ts.Push(t, r, "docker-local/app", "v1", image)
	keys := []string{"docker-local"}
	guarded := func(h http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if _, password, _ := req.BasicAuth(); password != "api-key" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			h(w, req)
		}
	}
	c.handle("GET "+host+"/artifactory/api/repositories", guarded(func(w http.ResponseWriter, req *http.Request) {
		if req.FormValue("packageType") != "docker" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		var all []map[string]string
		for _, k := range keys {
			all = append(all, map[string]string{"key": k})
		}
		reply(w, all)
	}))
	c.handle("PUT "+host+"/artifactory/api/repositories/{key}", guarded(func(w http.ResponseWriter, req *http.Request) {
		in := given(t, req)
		if in["rclass"] != "local" || in["packageType"] != "docker" || req.PathValue("key") == "forbidden" {
			w.WriteHeader(http.StatusForbidden)
			reply(w, map[string]any{"errors": []map[string]any{{"status": 403, "message": "Forbidden"}}})
			return
		}
		keys = append(keys, req.PathValue("key"))
	}))
	c.handle("GET "+host+"/artifactory/api/docker/docker-local/v2/_catalog", guarded(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, map[string]any{"repositories": []string{"app"}})
	}))
	e := registry.Endpoint{Provider: "jfrog-artifactory", URL: "https://" + host + "/artifactory", Credential: registry.Credential{AccessKey: "sailor", AccessSecret: "api-key"}}
	a := c.adapter(e)
	all, failures := listed(t, a, nil)
	if got := tagsOf(all); !slices.Equal(got, []string{"docker-local/app:v1"}) || len(failures) > 0 {
		t.Errorf("%q, %v", got, failures)
	}
	if err := a.Prepare(t.Context(), []string{"docker-local/app", "docker-new/app"}, nil); err != nil || !slices.Contains(keys, "docker-new") {
		t.Errorf("%v, %q", err, keys)
	}
	if err := a.Prepare(t.Context(), []string{"forbidden/app"}, nil); !registry.IsUnauthorized(err) || !strings.Contains(err.Error(), "local Docker repository forbidden") {
		t.Error(err)
	}

	// A blob is sent by PATCH, and the closing PUT has no body.
	r.ResetRequests()
	blob := image.Blobs[0]
	up, err := a.Client().StartUpload(t.Context(), "docker-new/app")
	if err != nil {
		t.Fatal(err)
	}
	if err := up.Put(t.Context(), strings.NewReader(string(blob.Content)), int64(len(blob.Content)), blob.Digest); err != nil {
		t.Fatal(err)
	}
	if n := r.Requests().Count("PATCH upload"); n != 1 {
		t.Errorf("%d times PATCH", n)
	}
	if err := a.Client().Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestMirantis(t *testing.T) {
	t.Parallel()
	const host = "msr.example"
	c := newCloud(t)
	r := ts.Distribution(t, ts.WithBasicAuth("sailor", "secret"))
	c.serve(host, r)
	image := ts.Image(t, 925, 1, 10)
	ts.Push(t, r, "fleet/app", "v1", image)
	ts.Push(t, r, "fleet/web", "v1", image)
	c.handle("GET "+host+"/api/v0/repositories", func(w http.ResponseWriter, req *http.Request) {
		if req.FormValue("pageStart") == "" {
			w.Header().Set("X-Next-Page-Start", "two")
			reply(w, map[string]any{"repositories": []map[string]string{{"namespace": "fleet", "name": "app"}}})
			return
		}
		reply(w, map[string]any{"repositories": []map[string]string{{"namespace": "fleet", "name": "web"}}})
	})
	made := map[string]any{}
	c.handle("GET "+host+"/api/v0/repositories/{ns}/{name}", func(w http.ResponseWriter, req *http.Request) {
		if req.PathValue("ns")+"/"+req.PathValue("name") != "fleet/app" {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	c.handle("GET "+host+"/enzi/v0/accounts/{ns}", func(w http.ResponseWriter, req *http.Request) {
		if req.PathValue("ns") != "fleet" {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	c.handle("POST "+host+"/enzi/v0/accounts", func(w http.ResponseWriter, req *http.Request) {
		in := given(t, req)
		made[fmt.Sprint(in["name"])] = in["isOrg"]
		w.WriteHeader(http.StatusCreated)
	})
	c.handle("POST "+host+"/api/v0/repositories/{ns}", func(w http.ResponseWriter, req *http.Request) {
		in := given(t, req)
		made[req.PathValue("ns")+"/"+fmt.Sprint(in["name"])] = in["visibility"]
		w.WriteHeader(http.StatusCreated)
	})
	c.handle("DELETE "+host+"/api/v0/repositories/fleet/app/tags/v1", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	a := c.adapter(registry.Endpoint{Provider: "dtr", URL: "https://" + host, Credential: registry.Credential{AccessKey: "sailor", AccessSecret: "secret"}})
	all, failures := listed(t, a, nil)
	if got := tagsOf(all); !slices.Equal(got, []string{"fleet/app:v1", "fleet/web:v1"}) || len(failures) > 0 {
		t.Errorf("%q, %v", got, failures)
	}
	if err := a.Prepare(t.Context(), []string{"fleet/app", "fleet/new", "other/open"}, map[string]bool{"other": true}); err != nil {
		t.Fatal(err)
	}
	if len(made) != 3 || made["fleet/new"] != "private" || made["other"] != true || made["other/open"] != "public" {
		t.Errorf("made %v", made)
	}
	if err := a.DeleteTag(t.Context(), "fleet/app", "v1"); err != nil {
		t.Error(err)
	}
	if err := a.CheckRepository("a/b/c"); !problem.Is(err, problem.BadRequest) {
		t.Error(err)
	}
}
