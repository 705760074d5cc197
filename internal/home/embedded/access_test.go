package embedded

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/problem"
)

// rules answers as the account service does: dev may do everything to library and
// nothing to team-a, and there is no project nope.
type rules struct{}

func (rules) Authorize(_ context.Context, authorization, repository string, actions ...string) (string, error) {
	project, _, _ := strings.Cut(repository, "/")
	switch {
	case authorization == "Basic wrong":
		return "", problem.New(problem.Unauthorized, "unauthorized")
	case authorization == "Basic throttled":
		return "", problem.New(problem.TooManyRequest, "too many attempts")
	case authorization == "Basic broken":
		return "", errors.New("the database is gone")
	case project == "nope":
		return "", problem.New(problem.NotFound, "project nope not found")
	case authorization == "" && (project != "library" || slices.Contains(actions, "push") || slices.Contains(actions, "delete")):
		return "", problem.New(problem.Unauthorized, "unauthorized")
	case project == "team-a" || slices.Contains(actions, "catalog"):
		return "", problem.New(problem.Forbidden, "forbidden")
	case authorization == "":
		return "", nil
	}
	return "dev", nil
}

func TestRefusalsAreHarbors(t *testing.T) {
	t.Parallel()
	h := start(t, withAccess(rules{}))
	host := strings.TrimPrefix(h.server.URL, "http://")
	bearer := `Bearer realm="http://` + host + `/service/token",service="harbor-registry"`
	for _, test := range []struct {
		name, request, authorization string
		status                       int
		challenge                    []string
		message                      string
	}{
		{"log in without credentials", "GET /v2/", "", 401, []string{bearer}, "unauthorized: unauthorized"},
		{"log in with wrong ones", "GET /v2/", "Basic wrong", 401, []string{`Basic realm="harbor"`}, "unauthorized: unauthorized"},
		{"private image, anonymous", "GET /v2/team-a/api/manifests/latest", "", 401, []string{bearer + `,scope="repository:team-a/api:pull"`},
			"authorize header needed to send HEAD to repository: authorize header needed to send HEAD to repository"},
		{"push, anonymous", "POST /v2/library/app/blobs/uploads/", "", 401, []string{bearer + `,scope="repository:library/app:pull,push"`},
			"unauthorized to access repository: library/app, action: push: unauthorized to access repository: library/app, action: push"},
		{"push with a mount, anonymous", "POST /v2/library/app/blobs/uploads/?mount=sha256:00&from=library/base", "", 401,
			[]string{bearer + `,scope="repository:library/app:pull,push repository:library/base:pull"`},
			"unauthorized to access repository: library/app, action: push: unauthorized to access repository: library/app, action: push"},
		{"push with a mount from nowhere, anonymous", "POST /v2/library/app/blobs/uploads/?mount=sha256:00&from=%22,x", "", 401,
			[]string{bearer + `,scope="repository:library/app:pull,push"`},
			"unauthorized to access repository: library/app, action: push: unauthorized to access repository: library/app, action: push"},
		{"delete, anonymous", "DELETE /v2/library/app/manifests/v1", "", 401, []string{bearer + `,scope="repository:library/app:delete"`},
			"unauthorized to access repository: library/app, action: delete: unauthorized to access repository: library/app, action: delete"},
		{"push without right", "POST /v2/team-a/app/blobs/uploads/", "Basic dev", 401, []string{`Basic realm="harbor"`},
			"unauthorized to access repository: team-a/app, action: push: unauthorized to access repository: team-a/app, action: push"},
		{"a token that is not enough", "POST /v2/team-a/app/blobs/uploads/", "Bearer old", 401, []string{bearer + `,scope="repository:team-a/app:pull,push"`},
			"unauthorized to access repository: team-a/app, action: push: unauthorized to access repository: team-a/app, action: push"},
		{"unknown project", "GET /v2/nope/app/manifests/nope", "Basic dev", 401, []string{""}, "project nope not found: project nope not found"},
		{"push to an unknown project", "POST /v2/nope/app/blobs/uploads/", "Basic dev", 401, []string{""}, "project nope not found: project nope not found"},
		{"catalog", "GET /v2/_catalog", "Basic dev", 401, []string{`Basic realm="harbor"`}, "unauthorized to list catalog: unauthorized to list catalog"},
		{"throttled", "GET /v2/", "Basic throttled", 429, nil, "too many attempts"},
		{"our fault", "GET /v2/", "Basic broken", 500, nil, "internal server error"},
	} {
		method, path, _ := strings.Cut(test.request, " ")
		got := h.do(method, path, nil, "Authorization", test.authorization)
		want := string(marshal(t, errorBody{Errors: []errorEntry{{Code: got.code(), Message: test.message}}})) + "\n"
		if got.status != test.status || string(got.body) != want || !slices.Equal(got.header.Values("Www-Authenticate"), test.challenge) {
			t.Errorf("%s: %d %q %s\nwant %d %q %s", test.name, got.status, got.header.Values("Www-Authenticate"), got.body, test.status, test.challenge, want)
		}
		if test.status == 401 && got.code() != codeUnauthorized {
			t.Errorf("%s: code %s", test.name, got.code())
		}
		if got.header.Get("Docker-Distribution-Api-Version") != "registry/2.0" {
			t.Errorf("%s: no API version", test.name)
		}
	}
}

func TestMountNeedsTheRightToPullFromItsSource(t *testing.T) {
	t.Parallel()
	h := start(t, withAccess(rules{}))
	d := digest.FromString("secret")
	// Put there by somebody who may.
	content := []byte("secret")
	if err := h.tree().driver.PutContent(t.Context(), blobData(d), content); err != nil {
		t.Fatal(err)
	}
	if err := h.tree().driver.PutContent(t.Context(), layerLink("team-a/app", d), []byte(d)); err != nil {
		t.Fatal(err)
	}
	path := "/v2/library/app/blobs/uploads/?mount=" + d.String() + "&from=team-a/app"
	h.want(http.StatusAccepted, "POST", path, nil, "Authorization", "Basic dev")
	h.want(http.StatusNotFound, "GET", "/v2/library/app/blobs/"+d.String(), nil)

	h2 := start(t, withAccess(mountAccess{}))
	for _, authorization := range []string{"", "Bearer for-library-only"} {
		got := h2.want(http.StatusUnauthorized, "POST", path, nil, "Authorization", authorization)
		challenge := got.header.Get("Www-Authenticate")
		if !strings.HasPrefix(challenge, "Bearer ") || !strings.Contains(challenge, `scope="repository:library/app:pull,push repository:team-a/app:pull"`) {
			t.Errorf("%q: challenge %s", authorization, challenge)
		}
	}
}

// mountAccess lets everybody push. Who pulls needs credentials, and another token
// than the one for the push.
type mountAccess struct{}

func (mountAccess) Authorize(_ context.Context, authorization, _ string, actions ...string) (string, error) {
	if slices.Contains(actions, "pull") && (authorization == "" || authorization == "Bearer for-library-only") {
		return "", problem.New(problem.Unauthorized, "unauthorized")
	}
	return "", nil
}

func TestReadOnlyModeRefusesWritesAndLetsPullsGoOn(t *testing.T) {
	t.Parallel()
	readOnly := false
	h := start(t, withReadOnly(func() bool { return readOnly }))
	image := h.image(repo, "a")
	h.put(repo, "v1", image)
	d := digest.FromBytes(image)
	upload := h.upload(repo)
	readOnly = true
	for _, request := range []string{
		"PUT /v2/" + repo + "/manifests/v2", "DELETE /v2/" + repo + "/manifests/v1", "POST /v2/" + repo + "/blobs/uploads/",
		"PATCH " + upload, "PUT " + upload, "DELETE " + upload, "DELETE /v2/" + repo + "/blobs/" + d.String(),
	} {
		method, path, _ := strings.Cut(request, " ")
		got := h.want(http.StatusForbidden, method, path, image)
		if want := `{"errors":[{"code":"DENIED","message":"The system is in read only mode. Any modification is prohibited."}]}` + "\n"; string(got.body) != want {
			t.Errorf("%s: %s", request, got.body)
		}
	}
	for name, err := range map[string]error{
		"DeleteArtifact":   h.DeleteArtifact(t.Context(), "admin", repo, d),
		"DeleteTag":        h.DeleteTag(t.Context(), "admin", repo, "v1"),
		"CreateTag":        h.CreateTag(t.Context(), "admin", repo, "v2", d),
		"DeleteRepository": h.DeleteRepository(t.Context(), "admin", repo),
	} {
		if !problem.Is(err, problem.Denied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.want(http.StatusOK, "GET", "/v2/"+repo+"/manifests/v1", nil)
	h.want(http.StatusOK, "GET", "/v2/"+repo+"/tags/list", nil)
	readOnly = false
	h.put(repo, "v2", image)
}

// makesProjects makes the project of a push when it is asked, as the account service
// does when it is told to.
type makesProjects struct{ pushes atomic.Int64 }

func (m *makesProjects) Authorize(_ context.Context, _, _ string, actions ...string) (string, error) {
	if slices.Contains(actions, "push") {
		m.pushes.Add(1)
	}
	return "dev", nil
}

func TestReadOnlyModeMakesNoProjects(t *testing.T) {
	t.Parallel()
	access := &makesProjects{}
	h := start(t, withAccess(access), withReadOnly(func() bool { return true }))
	h.want(http.StatusForbidden, "POST", "/v2/new/app/blobs/uploads/", nil)
	h.want(http.StatusForbidden, "PUT", "/v2/new/app/manifests/v1", []byte("{}"))
	if n := access.pushes.Load(); n != 0 {
		t.Errorf("%d pushes were let in, and their project was made", n)
	}
}

func TestReadOnlyModeHoldsForAPushThatIsUnderWay(t *testing.T) {
	t.Parallel()
	var readOnly atomic.Bool
	h := start(t, withReadOnly(readOnly.Load))
	image := h.image(repo, "a")
	body, rest := io.Pipe()
	asked := make(chan struct{})
	go func() {
		_, _ = rest.Write(image[:10]) // a test that fails shows in the answer
		<-asked
		_, _ = rest.Write(image[10:])
		_ = rest.Close()
	}()
	arrived := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		req.Body = &announced{ReadCloser: req.Body, first: sync.OnceFunc(func() { close(arrived) })}
		h.Registry.ServeHTTP(w, req)
	}))
	defer server.Close()
	go func() {
		<-arrived // the request has passed; its body has not come
		readOnly.Store(true)
		close(asked)
	}()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL+"/v2/"+repo+"/manifests/late", body)
	h.must(err)
	req.Header.Set("Content-Type", mediaTypeOf(image))
	resp, err := server.Client().Do(req)
	h.must(err)
	h.must(resp.Body.Close())
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("status %s", resp.Status)
	}
	h.want(http.StatusNotFound, "HEAD", "/v2/"+repo+"/manifests/late", nil)
}

// announced tells when somebody begins to read a body.
type announced struct {
	io.ReadCloser
	first func()
}

func (a *announced) Read(p []byte) (int, error) {
	a.first()
	return a.ReadCloser.Read(p)
}
