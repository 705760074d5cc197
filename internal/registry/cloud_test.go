package registry_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// cloud stands for the hosts of a provider: their names lead to handlers of the test,
// over real connections. What has no handler answers 404 and is told by strangers.
type cloud struct {
	t         testing.TB
	server    *httptest.Server
	transport *http.Transport
	mux       *http.ServeMux

	mu        sync.Mutex
	asked     []string            // "METHOD host/path?query", in order
	secrets   map[string][]string // host -> what it was shown in headers and bodies
	strangers []string
}

func newCloud(t testing.TB) *cloud {
	c := &cloud{t: t, mux: http.NewServeMux(), transport: &http.Transport{}, secrets: map[string][]string{}}
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.note(r)
		c.mux.ServeHTTP(w, r)
	}))
	c.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.strangers = append(c.strangers, r.Method+" "+r.Host+r.URL.Path)
		c.mu.Unlock()
		w.WriteHeader(http.StatusNotFound)
	})
	t.Cleanup(func() {
		c.transport.CloseIdleConnections()
		c.server.Close()
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.strangers) > 0 {
			t.Errorf("asked for what nobody expects: %q", c.strangers)
		}
	})
	return c
}

// RoundTrip brings a request to the test's server, whatever host it is for.
func (c *cloud) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.Host = r.URL.Host
	out.URL.Scheme, out.URL.Host = "http", c.server.Listener.Addr().String()
	return c.transport.RoundTrip(out)
}

func (c *cloud) note(r *http.Request) {
	line := r.Method + " " + r.Host + r.URL.EscapedPath()
	if r.URL.RawQuery != "" {
		line += "?" + r.URL.RawQuery
	}
	var shown []string
	for name, values := range r.Header {
		shown = append(shown, name+": "+strings.Join(values, ","))
	}
	if r.Method == http.MethodPost && r.ContentLength > 0 && r.ContentLength < 1<<16 {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		shown = append(shown, string(body))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, line)
	c.secrets[r.Host] = append(c.secrets[r.Host], shown...)
}

// count tells how often a request was made whose line begins so.
func (c *cloud) count(prefix string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, line := range c.asked {
		if strings.HasPrefix(line, prefix) {
			n++
		}
	}
	return n
}

// knows reports which hosts have seen a text in a header or a small body.
func (c *cloud) knows(secret string) (hosts []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for host, shown := range c.secrets {
		if slices.ContainsFunc(shown, func(s string) bool { return strings.Contains(s, secret) }) {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return hosts
}

// serve lets a real registry answer below a host's /v2/, and give its tokens there.
func (c *cloud) serve(host string, r *ts.Registry) {
	to, err := url.Parse(r.URL)
	if err != nil {
		c.t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Transport: c.transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			p.Out.Host = to.Host
		},
		ModifyResponse: func(resp *http.Response) error {
			for _, name := range []string{"Location", "Www-Authenticate", "Link"} {
				if v := resp.Header.Get(name); v != "" {
					resp.Header.Set(name, strings.ReplaceAll(v, r.URL, "https://"+host))
				}
			}
			return nil
		},
	}
	c.mux.Handle(host+"/v2/", proxy)
	c.mux.Handle(host+"/token", proxy)
}

// handle lets a function answer a pattern such as "GET host/path".
func (c *cloud) handle(pattern string, h http.HandlerFunc) {
	method, rest, _ := strings.Cut(pattern, " ")
	c.mux.HandleFunc(method+" "+rest, h)
}

// adapter makes an adapter that lives in the cloud.
func (c *cloud) adapter(e registry.Endpoint) registry.Adapter {
	c.t.Helper()
	o := quick
	o.Transport = c
	a, err := registry.NewAdapter(e, o)
	if err != nil {
		c.t.Fatal(err)
	}
	return a
}

// given reads a request's JSON.
func given(t testing.TB, r *http.Request) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.NewDecoder(r.Body).Decode(&v); err != nil {
		t.Errorf("%s %s: %v", r.Method, r.URL, err)
	}
	return v
}

// cause is why a ping failed.
func cause(t testing.TB, err error) *registry.PingError {
	t.Helper()
	p, ok := errors.AsType[*registry.PingError](err)
	if !ok {
		t.Fatalf("no cause: %v", err)
	}
	return p
}

func isUnsupported(err error) bool { return errors.Is(err, registry.ErrUnsupported) }
