package testserver_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestBasicAuth(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r := start(t, ts.WithBasicAuth("ship", "quay"))
		image := ts.Image(t, 1, 1, 100)
		ts.Push(t, r, "library/a", "v1", image)
		for _, wrong := range []*ts.Registry{ts.Remote(r.URL, "", "", ""), ts.Remote(r.URL, "ship", "nope", ""), ts.Remote(r.URL, "boat", "quay", "")} {
			if _, err := ts.TryPull(t.Context(), wrong, "library/a", "v1"); err == nil || !strings.Contains(err.Error(), "UNAUTHORIZED") {
				t.Errorf("%s:%s: %v", wrong.Username, wrong.Password, err)
			}
		}
		if a := do(t, r, "GET", "/v2/", nil); a.status != 401 || a.header.Get("WWW-Authenticate") != `Basic realm="testserver"` {
			t.Errorf("challenge: %d %v", a.status, a.header)
		}
		before := ts.Remote(r.URL, "ship", "quay", "")
		r.SetPassword("new")
		if _, err := ts.TryPull(t.Context(), before, "library/a", "v1"); err == nil {
			t.Error("the old password is still good")
		}
		ts.Pull(t, r, "library/a", "v1")
	})
}

func TestTokenAuth(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r := start(t, ts.WithTLS(), ts.WithTokenAuth("ship", "quay", ts.TokenOptions{}))
		image := ts.Index(t, 1)
		ts.Push(t, r, "library/a", "v1", image)
		ts.Pull(t, r, "library/a", "v1")
		if n := r.Requests().Count("GET token"); n < 2 || n > 10 {
			t.Errorf("%d tokens were asked for:\n%s", n, r.Requests())
		}
		if _, err := ts.TryPull(t.Context(), ts.Remote(r.URL, "ship", "nope", r.CA), "library/a", "v1"); err == nil || !strings.Contains(err.Error(), "UNAUTHORIZED") {
			t.Errorf("a wrong password: %v", err)
		}
		challenge := do(t, r, "POST", "/v2/a/blobs/uploads/?mount=sha256:0&from=b", nil).header.Get("WWW-Authenticate")
		if want := `Bearer realm="` + r.URL + `/token",service="testserver",scope="repository:a:pull,push repository:b:pull"`; challenge != want {
			t.Errorf("challenge %s\nwant      %s", challenge, want)
		}
	})
}

// token asks for a token with a password, or without when username is "".
func token(t *testing.T, r *ts.Registry, username, password, scopes string) (string, map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", r.URL+"/token?service=testserver&scope="+strings.ReplaceAll(scopes, " ", "&scope="), nil)
	if err != nil {
		t.Fatal(err)
	}
	if username != "" {
		request.SetBasicAuth(username, password)
	}
	response, err := r.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var said map[string]any
	if response.StatusCode == http.StatusOK {
		if err := json.NewDecoder(response.Body).Decode(&said); err != nil {
			t.Fatal(err)
		}
	}
	text, _ := said["token"].(string)
	return text, said
}

func TestTokensAllowWhatTheyWereAskedFor(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t, ts.WithTokenAuth("ship", "quay", ts.TokenOptions{AnonymousPull: true}))
	ts.Push(t, r, "library/a", "v1", ts.Image(t, 1, 1, 100))
	pull, said := token(t, r, "ship", "quay", "repository:library/a:pull")
	if said["issued_at"] == nil || said["expires_in"] != 300.0 {
		t.Errorf("said %v", said)
	}
	with := func(token, method, path string) int {
		return do(t, r, method, path, nil, "Authorization", "Bearer "+token).status
	}
	if got := with(pull, "GET", "/v2/library/a/tags/list"); got != 200 {
		t.Errorf("pull: %d", got)
	}
	if got := with(pull, "GET", "/v2/library/b/tags/list"); got != 401 {
		t.Errorf("another repository: %d", got)
	}
	if got := with(pull, "POST", "/v2/library/a/blobs/uploads/"); got != 401 {
		t.Errorf("push with a token to pull: %d", got)
	}
	if got := with(pull, "GET", "/v2/_catalog"); got != 401 {
		t.Errorf("catalog with a token to pull: %d", got)
	}
	both, _ := token(t, r, "ship", "quay", "repository:library/a:pull,push registry:catalog:*")
	if got := with(both, "POST", "/v2/library/a/blobs/uploads/"); got != 202 {
		t.Errorf("push: %d", got)
	}
	if got := with(both, "GET", "/v2/_catalog"); got != 200 {
		t.Errorf("catalog: %d", got)
	}
	if got := with("", "GET", "/v2/"); got != 401 {
		t.Errorf("no token: %d", got)
	}
	r.Tokens.Expire()
	if got := with(both, "GET", "/v2/library/a/tags/list"); got != 401 {
		t.Errorf("expired: %d", got)
	}
	anonymous, _ := token(t, r, "", "", "repository:library/a:pull,push")
	if got := with(anonymous, "GET", "/v2/library/a/tags/list"); got != 200 {
		t.Errorf("anonymous pull: %d", got)
	}
	if got := with(anonymous, "POST", "/v2/library/a/blobs/uploads/"); got != 401 {
		t.Errorf("anonymous push: %d", got)
	}
	r.SetPassword("new")
	if text, _ := token(t, r, "ship", "quay", "repository:library/a:pull"); text != "" {
		t.Error("the old password still gets a token")
	}
	if text, _ := token(t, r, "ship", "new", "repository:library/a:pull"); text == "" {
		t.Error("the new password gets no token")
	}
}

func TestTokensOfOtherKinds(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t, ts.WithMemory(), ts.WithTokenAuth("ship", "quay", ts.TokenOptions{
		Lifetime: time.Nanosecond, WithoutIssuedAt: true, OnlyAccessToken: true,
	}))
	_, said := token(t, r, "ship", "quay", "repository:a:pull")
	if said["issued_at"] != nil || said["token"] != nil || said["access_token"] == "" {
		t.Errorf("said %v", said)
	}
	access, _ := said["access_token"].(string)
	if a := do(t, r, "GET", "/v2/", nil, "Authorization", "Bearer "+access); a.status != 401 {
		t.Errorf("a token that lives a nanosecond: %d", a.status)
	}
	if a := do(t, r, "POST", "/token", nil); a.status != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", a.status)
	}
}
