package testserver

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Registry is a registry that runs for a test.
type Registry struct {
	URL      string // http://127.0.0.1:port, https with WithTLS
	Host     string // 127.0.0.1:port
	CA       string // PEM of the authority that signed its certificate, with WithTLS
	Username string // what it wants to hear, with WithBasicAuth and WithTokenAuth
	Password string
	Root     string  // the folder it keeps its files in; "" if in none
	Faults   *Faults // nil for a Remote
	Tokens   *Tokens // nil without WithTokenAuth

	t         testing.TB
	front     *front
	start     func() (http.Handler, func()) // starts the registry proper; the func stops it
	tls       *tls.Config
	transport *http.Transport // for clients of this package

	mu     sync.Mutex
	server *http.Server
	end    func()
}

// Option changes how a registry is started.
type Option func(*options)

type options struct {
	root          string
	store         *Store
	prefix        string // in the bucket of store
	inMemory      bool
	readOnly      bool
	foreignLayers bool
	sparseIndexes bool
	tls           bool
	latency       time.Duration
	username      string
	password      string
	tokens        *TokenOptions
	region        string
	classify      func(*http.Request) string
}

// WithRoot keeps the registry's files in a folder, in distribution's layout. By
// default it is a new one that is removed after the test.
func WithRoot(folder string) Option { return func(o *options) { o.root = folder } }

// WithMemory keeps everything in memory. It is lost when the registry restarts.
func WithMemory() Option { return func(o *options) { o.inMemory = true } }

// WithStore keeps the registry's files in the bucket of an S3 store, below a root
// directory as distribution's configuration has it. What the registry asks of the
// store passes the store's front.
func WithStore(s *Store, rootDirectory string) Option {
	return func(o *options) { o.store, o.prefix = s, rootDirectory }
}

// WithReadOnly makes the registry refuse all changes.
func WithReadOnly() Option { return func(o *options) { o.readOnly = true } }

// WithForeignLayers makes distribution take manifests whose layers have URLs,
// which it refuses by default.
func WithForeignLayers() Option { return func(o *options) { o.foreignLayers = true } }

// WithSparseIndexes makes distribution v3 take indexes that lack children.
func WithSparseIndexes() Option { return func(o *options) { o.sparseIndexes = true } }

// WithTLS serves HTTPS with a certificate of an authority made for this test.
func WithTLS() Option { return func(o *options) { o.tls = true } }

// WithBasicAuth wants this user for everything.
func WithBasicAuth(username, password string) Option {
	return func(o *options) { o.username, o.password, o.tokens = username, password, nil }
}

// WithTokenAuth wants Bearer tokens, which the registry's host gives this user.
func WithTokenAuth(username, password string, tokens TokenOptions) Option {
	return func(o *options) { o.username, o.password, o.tokens = username, password, &tokens }
}

// WithRegion makes a Store's buckets be in a region.
func WithRegion(region string) Option { return func(o *options) { o.region = region } }

// WithLatency delays every request, see Faults.SetLatency.
func WithLatency(d time.Duration) Option { return func(o *options) { o.latency = d } }

func gather(list []Option) options {
	o := options{classify: Class}
	for _, f := range list {
		f(&o)
	}
	return o
}

// serve starts what start gives behind a front, on a free port.
func serve(t testing.TB, o options, start func() (http.Handler, func())) *Registry {
	t.Helper()
	listener, err := net.Listen("tcp", Address(t))
	if err != nil {
		t.Fatalf("start a test server: %v", err)
	}
	r := &Registry{
		Host: listener.Addr().String(), Username: o.username, Password: o.password,
		t: t, start: start, front: newFront(o.classify), transport: &http.Transport{DisableCompression: true},
	}
	r.URL = "http://" + r.Host
	r.Faults = r.front.faults
	r.Faults.SetLatency(o.latency)
	if o.tls {
		r.URL = "https://" + r.Host
		r.CA, r.tls = certificate(t)
		r.transport.TLSClientConfig = trust(r.CA)
	}
	switch {
	case o.tokens != nil:
		r.Tokens = newTokens(*o.tokens, r.URL+"/token", o.username, o.password)
		r.front.guard = r.Tokens
	case o.username != "":
		r.front.guard = &basicAuth{user{username: o.username, password: o.password}}
	}
	r.listen(listener)
	t.Cleanup(r.Stop)
	return r
}

func (r *Registry) listen(listener net.Listener) {
	app, stop := r.start()
	ctx, cancel := context.WithCancel(context.Background())
	r.server = &http.Server{
		Handler:           r.front.open(app),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: patience,
	}
	if r.tls != nil {
		listener = tls.NewListener(listener, r.tls)
	}
	server, done := r.server, make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // always ends with ErrServerClosed
	}()
	r.end = func() {
		cancel()
		_ = server.Close()
		<-done
		r.front.close() // nobody is using the registry's files any more
		stop()
	}
}

// Stop ends the registry as a crash would: connections are cut, new ones are
// refused. What it stored is kept for Restart. Stopping twice is the same as once.
func (r *Registry) Stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.transport.CloseIdleConnections()
	if r.server != nil {
		r.end()
		r.server = nil
	}
}

// Restart stops the registry if it runs and starts it again at the same address.
// The faults and the record of requests go on.
func (r *Registry) Restart() {
	r.t.Helper()
	r.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	var listener net.Listener
	Eventually(r.t, "the port "+r.Host+" is free again", func() (free bool) {
		var err error
		listener, err = net.Listen("tcp", r.Host)
		return err == nil
	})
	r.listen(listener)
}

// SetPassword changes what the registry wants to hear, and Password with it.
// Tokens given before stay good; see Tokens.Expire.
func (r *Registry) SetPassword(password string) {
	r.Password = password
	r.front.guard.setPassword(password)
}

// Requests returns what was asked of the registry since the start or ResetRequests.
func (r *Registry) Requests() Requests { return r.front.recorder.snapshot() }

// ResetRequests forgets what was asked so far.
func (r *Registry) ResetRequests() { r.front.recorder.reset() }

// Client returns an HTTP client that trusts the registry's certificate. It sends
// no credentials.
func (r *Registry) Client() *http.Client { return &http.Client{Transport: r.transport} }

// Remote describes a registry that something else started, for Push, Pull and the
// like: the URL, the user ("" for none) and the PEM of its authority ("" for the
// system's). It cannot be stopped and has no Faults and no Requests; for those put
// a Proxy in front of it.
func Remote(url, username, password, ca string) *Registry {
	r := &Registry{
		URL: url, Host: hostOf(url), CA: ca, Username: username, Password: password,
		transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true},
	}
	if ca != "" {
		r.transport.TLSClientConfig = trust(ca)
	}
	return r
}
