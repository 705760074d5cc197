package registry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestATokenIsAskedForOnceAndBeforeTheRequest(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t, ts.WithTokenAuth("robot$sync", "p$ss", ts.TokenOptions{WithoutIssuedAt: true}))
	image := ts.Image(t, 40, 1, 10)
	ts.Push(t, r, "a", "v1", image)
	ts.Push(t, r, "b", "v1", image)
	c := clientOf(t, r)
	r.ResetRequests()
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			if _, err := c.Resolve(t.Context(), []string{"a", "b"}[i%2], "v1"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got := r.Requests()
	if got.Count("GET base") != 1 || got.Count("GET token") != 2 || got.Count("HEAD manifest") != 100 {
		t.Errorf("one question, a token for each repository, 100 requests; but it was:\n%s", got)
	}
}

func TestATokenForPushingServesPulling(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t, ts.WithTokenAuth("u", "p", ts.TokenOptions{OnlyAccessToken: true}))
	c := clientOf(t, r)
	content, d := blob(10)
	for _, repo := range []string{"a", "b", "c"} {
		if _, _, err := c.BlobExists(t.Context(), repo, d); err != nil {
			t.Fatal(err)
		}
		if err := begin(t, c, repo).Put(t.Context(), strings.NewReader(string(content)), 10, d); err != nil {
			t.Fatal(err)
		}
	}
	// a: pull, then pull and push. From then on it is known that we push.
	if n := r.Requests().Count("GET token"); n != 4 {
		t.Errorf("%d token requests for 3 repositories", n)
	}
	mounted, _, err := c.Mount(t.Context(), "d", d, "a")
	if !mounted || err != nil {
		t.Errorf("a mount needs both repositories in its token: %t, %v", mounted, err)
	}
	if err := c.DeleteManifest(t.Context(), "d", digest.FromString("x")); !registry.IsNotFound(err) {
		t.Errorf("delete needs a right of its own: %v", err)
	}
}

func TestAnExpiredTokenIsReplaced(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t, ts.WithTokenAuth("u", "p", ts.TokenOptions{}))
	ts.Push(t, r, "a", "v1", ts.Image(t, 41, 1, 10))
	c := clientOf(t, r)
	for range 3 {
		if _, err := c.Resolve(t.Context(), "a", "v1"); err != nil {
			t.Fatal(err)
		}
		r.Tokens.Expire()
	}

	// A stream cannot be sent again; but the next try will have a new token.
	content, d := blob(10)
	up := begin(t, c, "a")
	r.Tokens.Expire()
	err := up.Put(t.Context(), strings.NewReader(string(content)), 10, d)
	if !registry.IsTemporary(err) || !registry.IsUnauthorized(err) {
		t.Errorf("%v", err)
	}
	if err := up.Put(t.Context(), strings.NewReader(string(content)), 10, d); err != nil {
		t.Errorf("with a new token: %v", err)
	}
}

func TestATokenIsUsedWhileItLives(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t, ts.WithTokenAuth("u", "p", ts.TokenOptions{Lifetime: time.Hour}))
	ts.Push(t, r, "a", "v1", ts.Image(t, 42, 1, 10))
	c := clientOf(t, r)
	r.ResetRequests()
	for range 10 {
		if _, err := c.Resolve(t.Context(), "a", "v1"); err != nil {
			t.Fatal(err)
		}
	}
	if n := r.Requests().Count("GET token"); n != 1 {
		t.Errorf("%d token requests", n)
	}
}

func TestAnExpiredCredentialIsReportedAsSuch(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]ts.Option{
		"token": ts.WithTokenAuth("u", "p", ts.TokenOptions{}), "basic": ts.WithBasicAuth("u", "p"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ts.Distribution(t, option)
			c := clientOf(t, r)
			if _, err := c.Tags(t.Context(), "a"); !registry.IsNotFound(err) {
				t.Fatalf("the credential is good: %v", err)
			}
			r.SetPassword("changed")
			if r.Tokens != nil {
				r.Tokens.Expire()
			}
			r.ResetRequests()
			for range 20 {
				_, err := c.Tags(t.Context(), "a")
				if !registry.IsUnauthorized(err) || registry.IsTemporary(err) || !strings.Contains(err.Error(), `the credential of "u" is wrong, expired or disabled`) {
					t.Fatalf("%v", err)
				}
			}
			if n := r.Requests().Count("GET token"); n > 1 {
				t.Errorf("the wrong password was tried %d times", n)
			}
		})
	}
}

func TestNoCredentialWhereOneIsNeeded(t *testing.T) {
	t.Parallel()
	for _, option := range []ts.Option{ts.WithTokenAuth("u", "p", ts.TokenOptions{}), ts.WithBasicAuth("u", "p")} {
		e := endpointOf(ts.Distribution(t, option))
		e.Credential = registry.Credential{}
		_, err := client(t, e, quick).Tags(t.Context(), "a")
		if !registry.IsUnauthorized(err) || !strings.Contains(err.Error(), "no credential is set") {
			t.Errorf("%v", err)
		}
	}
}

func TestAnonymousPull(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t, ts.WithTokenAuth("u", "p", ts.TokenOptions{AnonymousPull: true}))
	image := ts.Image(t, 43, 1, 10)
	ts.Push(t, r, "a", "v1", image)
	e := endpointOf(r)
	e.Credential = registry.Credential{}
	c := client(t, e, quick)
	if d, err := c.Resolve(t.Context(), "a", "v1"); err != nil || d.Digest != image.Digest {
		t.Errorf("%v", err)
	}
	if _, err := c.StartUpload(t.Context(), "a"); !registry.IsUnauthorized(err) {
		t.Errorf("push: %v", err)
	}
}

// tokenServer gives "good" as a token for what grant says.
func tokenServer(t testing.TB, grant http.HandlerFunc) (registryURL string) {
	t.Helper()
	tokens := serve(t, grant)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer good" {
			refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "")
			return
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/t?keep=1",service="s, with a comma",scope="repository:a:pull"`, tokens.URL))
		w.WriteHeader(http.StatusUnauthorized)
	}).URL
}

func TestATokenServerOnAnotherHost(t *testing.T) {
	t.Parallel()
	url := tokenServer(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		q := r.URL.Query()
		if user != "robot$a+b" || password != "p" || q.Get("keep") != "1" || q.Get("service") != "s, with a comma" || q.Get("scope") != "repository:a:pull" {
			http.Error(w, r.URL.String(), http.StatusBadRequest)
			return
		}
		reply(w, map[string]any{"token": "good", "issued_at": "nonsense"})
	})
	c := client(t, registry.Endpoint{URL: url, Credential: registry.Credential{AccessKey: "robot$a+b", AccessSecret: "p"}}, quick)
	if _, err := c.Tags(t.Context(), "a"); !registry.IsNotFound(err) {
		t.Errorf("%v", err)
	}
}

func TestAnIdentityTokenIsExchanged(t *testing.T) {
	t.Parallel()
	address := tokenServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.FormValue("grant_type") != "refresh_token" || r.FormValue("refresh_token") != "refresh" ||
			r.FormValue("scope") != "repository:a:pull" || r.Header.Get("Authorization") != "" {
			http.Error(w, "no", http.StatusBadRequest)
			return
		}
		reply(w, map[string]any{"access_token": "good", "expires_in": 60})
	})
	for _, credential := range []registry.Credential{{Type: "oauth", AccessKey: "me", AccessSecret: "refresh"}, {AccessKey: "<token>", AccessSecret: "refresh"}} {
		c := client(t, registry.Endpoint{URL: address, Credential: credential}, quick)
		if _, err := c.Tags(t.Context(), "a"); !registry.IsNotFound(err) {
			t.Errorf("%v", err)
		}
	}
}

func TestATokenServerThatRefusesTooMuch(t *testing.T) {
	t.Parallel()
	var asked []string
	var mu sync.Mutex
	address := tokenServer(t, func(w http.ResponseWriter, r *http.Request) {
		scope := r.URL.Query().Get("scope")
		mu.Lock()
		asked = append(asked, scope)
		mu.Unlock()
		if strings.Contains(scope, "push") && !strings.Contains(scope, "mine") {
			refuse(w, http.StatusForbidden, "DENIED", "not yours")
			return
		}
		reply(w, map[string]any{"token": "good"})
	})
	c := client(t, registry.Endpoint{URL: address, Credential: registry.Credential{AccessKey: "u", AccessSecret: "p"}}, quick)
	if _, err := c.StartUpload(t.Context(), "mine"); !registry.IsNotFound(err) {
		t.Fatal(err)
	}
	if _, err := c.Tags(t.Context(), "theirs"); !registry.IsNotFound(err) {
		t.Errorf("reading needs no right to push: %v, asked %q", err, asked)
	}
}

func TestTokenServersThatCannotBeTrusted(t *testing.T) {
	t.Parallel()
	for _, realm := range []string{"", "file:///etc/passwd", "nonsense", "http://"} {
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`"`)
			w.WriteHeader(http.StatusUnauthorized)
		})
		c := client(t, registry.Endpoint{URL: s.URL, Credential: registry.Credential{AccessKey: "u", AccessSecret: "p"}}, quick)
		if _, err := c.Tags(t.Context(), "a"); err == nil {
			t.Errorf("realm %q was used", realm)
		}
	}
	for _, answer := range []string{"", "<html>", `{}`, `{"token":"a\nb"}`, `{"token":1}`} {
		address := tokenServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(answer)) })
		if _, err := client(t, registry.Endpoint{URL: address}, quick).Tags(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "token") {
			t.Errorf("answer %q: %v", answer, err)
		}
	}
}

func TestThePasswordNeverTravelsInTheClearForATLSRegistry(t *testing.T) {
	t.Parallel()
	plain := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the token server was asked without TLS") })
	r := ts.Distribution(t, ts.WithTLS())
	r.Faults.Add(ts.Fault{Do: ts.Status(http.StatusUnauthorized, "WWW-Authenticate", `Bearer realm="`+plain.URL+`/token"`)})
	e := endpointOf(r)
	e.Credential = registry.Credential{AccessKey: "u", AccessSecret: "p"}
	if _, err := client(t, e, quick).Tags(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "in the clear") {
		t.Errorf("%v", err)
	}
}

func TestOneWaiterLeavingDoesNotEndTheOthersWait(t *testing.T) {
	t.Parallel()
	arrived, release := make(chan struct{}, 10), make(chan struct{})
	address := tokenServer(t, func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		reply(w, map[string]any{"token": "good"})
	})
	c := client(t, registry.Endpoint{URL: address, Credential: registry.Credential{AccessKey: "u", AccessSecret: "p"}}, quick)
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := c.Tags(ctx, "a"); first <- err }()
	<-arrived
	go func() { _, err := c.Tags(t.Context(), "a"); second <- err }()
	cancel()
	if err := <-first; err == nil || registry.IsNotFound(err) {
		t.Errorf("the first should have left: %v", err)
	}
	close(release)
	if err := <-second; !registry.IsNotFound(err) {
		t.Errorf("the second: %v", err)
	}
}

// Harbor answers 401 with an empty challenge when a project does not exist (recorded
// in 24-v2-project-unknown.json).
func TestHarborsUnknownProjectIsNotFound(t *testing.T) {
	t.Parallel()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch _, _, ok := r.BasicAuth(); {
		case r.URL.Path == "/service/token":
			body, _ := json.Marshal(map[string]any{"token": "t", "expires_in": 1800, "issued_at": time.Now()})
			_, _ = w.Write(body)
		case r.Header.Get("Authorization") == "" && !ok:
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/service/token",service="harbor-registry"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			w.Header().Set("WWW-Authenticate", "")
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "project nope not found: project nope not found")
		}
	})
	c := client(t, registry.Endpoint{URL: s.URL, Credential: registry.Credential{AccessKey: "u", AccessSecret: "p"}}, quick)
	if _, err := c.Resolve(t.Context(), "nope/app", "v1"); !registry.IsNotFound(err) || registry.IsUnauthorized(err) {
		t.Errorf("HEAD: %v", err)
	}
	if _, err := c.StartUpload(t.Context(), "nope/app"); !registry.IsNotFound(err) {
		t.Errorf("POST: %v", err)
	}
}

// Harbor answers a token that is no longer good with a challenge for a password.
func TestAPasswordChallengeForABadTokenMeansANewToken(t *testing.T) {
	t.Parallel()
	var tokens counter
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		good := fmt.Sprintf("Bearer t%d", max(tokens.Load(), 2))
		switch got := r.Header.Get("Authorization"); {
		case r.URL.Path == "/token":
			reply(w, map[string]any{"token": fmt.Sprintf("t%d", tokens.next())})
		case got == "":
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		case got != good:
			w.Header().Set("WWW-Authenticate", `Basic realm="harbor"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			refuse(w, http.StatusNotFound, "NAME_UNKNOWN", "")
		}
	})
	c := client(t, registry.Endpoint{URL: s.URL, Credential: registry.Credential{AccessKey: "u", AccessSecret: "p"}}, quick)
	if _, err := c.Tags(t.Context(), "a"); !registry.IsUnauthorized(err) {
		t.Fatalf("a fresh token that is bad is a refusal: %v", err)
	}
	for range 3 {
		if _, err := c.Tags(t.Context(), "a"); !registry.IsNotFound(err) {
			t.Errorf("%v", err)
		}
	}
	if tokens.Load() != 2 {
		t.Errorf("%d tokens", tokens.Load())
	}
	tokens.next() // now the token in use is bad
	if _, err := c.Tags(t.Context(), "a"); !registry.IsNotFound(err) || tokens.Load() != 4 {
		t.Errorf("%v, %d tokens", err, tokens.Load())
	}
}
