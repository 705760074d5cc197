package registry_test

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, ts.IgnoreLeaks()...) }

// quick are options with which failures come fast enough for tests.
var quick = registry.Options{Backoff: time.Millisecond, StallTimeout: 20 * time.Second, AnswerTimeout: 20 * time.Second}

func client(t testing.TB, e registry.Endpoint, o registry.Options) *registry.Client {
	t.Helper()
	c, err := registry.NewClient(e, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func endpointOf(r *ts.Registry) registry.Endpoint {
	return registry.Endpoint{
		Provider: registry.ProviderDockerRegistry, URL: r.URL, CACertificate: r.CA,
		Credential: registry.Credential{AccessKey: r.Username, AccessSecret: r.Password},
	}
}

func clientOf(t testing.TB, r *ts.Registry) *registry.Client {
	t.Helper()
	return client(t, endpointOf(r), quick)
}

// serve runs a handler for the answers that no real registry can be made to give.
func serve(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// open answers the base as a registry without authentication and everything else by h.
func open(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v2/" {
			w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
			return
		}
		h(w, r)
	}
}

func fake(t testing.TB, h http.HandlerFunc) *registry.Client {
	t.Helper()
	return client(t, registry.Endpoint{URL: serve(t, open(h)).URL}, quick)
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		panic(err)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}}); err != nil {
		panic(err)
	}
}

type counter struct{ atomic.Int64 }

func (c *counter) next() int64 { return c.Add(1) }

// quiet keeps a server's complaints about failed handshakes out of the test's output.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// echo answers with a list of tags whose only one is the path that was asked for.
func echo(w http.ResponseWriter, r *http.Request) {
	reply(w, map[string]any{"tags": []string{r.URL.EscapedPath()}})
}
