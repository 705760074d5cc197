package embedded

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/home"
)

// Options says how a Registry works.
type Options struct {
	Storage  Storage
	Index    *home.Index
	Access   Access
	ReadOnly func() bool // asked for each request; nil: never

	// TokenRealm returns the URL of the token service for a client's request; nil:
	// /service/token at the host that the client used.
	TokenRealm func(req *http.Request) string

	// HTTPSecret signs the state of uploads that clients carry. Servers that share a
	// storage need the same; "": a random one.
	HTTPSecret string

	// Frozen opens the registry as Freeze leaves it: a process before has frozen it.
	Frozen bool

	Log *slog.Logger // nil: slog.Default()
}

// Storage says where the registry keeps its files.
type Storage struct {
	Driver     string         // filesystem, s3 or inmemory
	Parameters map[string]any // as in distribution's configuration: rootdirectory; bucket, region, ...
}

// Timings of the work in the background, and of changes.
const (
	flushInterval = 5 * time.Second  // pull counts, signs of life, left-over intents
	silence       = 30 * time.Second // after which another process is taken for dead
	changeTimeout = 5 * time.Minute  // for one change of the storage and its record
)

// Registry is the home registry. It serves /v2/ and is safe for concurrent use.
type Registry struct {
	index      *home.Index
	access     Access
	readOnly   func() bool
	tokenRealm func(req *http.Request) string
	log        *slog.Logger
	locks      *locks
	gate       *gate
	secret     string // see Options.HTTPSecret

	mu      sync.RWMutex
	backend *backend

	life       context.Context // of the registry: what outlives requests belongs to it
	stop       context.CancelFunc
	background sync.WaitGroup
	changes    sync.WaitGroup // that must be recorded before the database is closed
}

// New opens the storage and settles the changes that a process before left
// unfinished. Close the registry after use.
func New(ctx context.Context, o Options) (*Registry, error) {
	if o.Index == nil || o.Access == nil {
		return nil, errors.New("open home registry: it needs an index and an access")
	}
	r := &Registry{
		index: o.Index, access: o.Access, readOnly: o.ReadOnly, tokenRealm: o.TokenRealm, log: o.Log, locks: newLocks(),
		gate: newGate(), secret: cmp.Or(o.HTTPSecret, rand.Text()),
	}
	if r.readOnly == nil {
		r.readOnly = func() bool { return false }
	}
	if r.tokenRealm == nil {
		r.tokenRealm = tokenService
	}
	if r.log == nil {
		r.log = slog.Default()
	}
	r.life, r.stop = context.WithCancel(context.WithoutCancel(ctx))
	if o.Frozen {
		r.Freeze()
	}
	var err error
	if r.backend, err = r.openBackend(o.Storage); err != nil {
		r.stop()
		return nil, fmt.Errorf("open home registry: %w", err)
	}
	// What cannot be settled now is tried again every few seconds; pulls and other
	// pushes need not wait for it.
	if err := r.Recover(ctx); err != nil {
		r.log.Error("settle unfinished changes", slog.Any("error", err))
	}
	r.background.Go(func() { r.tick(r.life) })
	return r, nil
}

// tokenService is the token service at the host that the client used.
func tokenService(req *http.Request) string {
	scheme := "http"
	if req.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + req.Host + "/service/token"
}

// Close waits for changes that are being recorded, writes what is left to write
// and ends the work in the background. Requests must have ended.
func (r *Registry) Close() {
	r.changes.Wait()
	r.stop()
	r.background.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), flushInterval)
	defer cancel()
	if err := r.index.FlushPulls(ctx); err != nil {
		r.log.Error("close home registry", slog.Any("error", err))
	}
	if err := r.backend.app.Shutdown(); err != nil {
		r.log.Error("close home registry", slog.Any("error", err))
	}
}

// tick does what has to be done now and then.
func (r *Registry) tick(ctx context.Context) {
	ticker := time.NewTicker(flushInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for what, f := range map[string]func(context.Context) error{
			"count pulls": r.index.FlushPulls, "keep intents alive": r.index.KeepAlive, "settle unfinished changes": r.Recover,
		} {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				r.log.Error(what, slog.Any("error", err))
			}
		}
	}
}

// ServeHTTP serves the registry API under /v2/.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.serve(w, req, r.access)
}

func (r *Registry) serve(w http.ResponseWriter, req *http.Request, access Access) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	rt, failed := parseRoute(req.URL.Path)
	if failed != nil {
		fail(w, failed.status, failed.code, failed.message)
		return
	}
	// Before Access is asked, as in Harbor: where projects are made by pushing, to
	// authorize a push makes one.
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		ctx, cancel := context.WithCancel(req.Context())
		defer cancel()
		leave, ok := r.gate.enter(false, abortRequest(w, req.Body, cancel))
		if !ok || r.readOnly() {
			if ok {
				leave()
			}
			fail(w, http.StatusForbidden, codeDenied, readOnlyMessage)
			return
		}
		defer leave()
		req = req.WithContext(passing(ctx))
	}
	operator, ok := r.authorize(w, req, access, rt)
	if !ok {
		return
	}
	_, own := access.(trusted)
	c := call{route: rt, operator: operator, own: own, access: access}
	switch rt.endpoint {
	case endpointBase:
		r.serveBase(w, req)
	case endpointCatalog:
		r.serveCatalog(w, req)
	case endpointTags:
		r.serveTags(w, req, c)
	case endpointReferrers:
		r.serveReferrers(w, req, c)
	case endpointManifest:
		r.serveManifest(w, req, c)
	default:
		r.serveBlob(w, req, c)
	}
}

// call is a request that passed.
type call struct {
	route
	operator string
	own      bool // made by this process, through Transport
	access   Access
}

func (r *Registry) serveBase(w http.ResponseWriter, req *http.Request) {
	if !allow(w, req, http.MethodGet, http.MethodHead) {
		return
	}
	w.Header().Set("Content-Length", "2")
	w.Header().Set("Content-Type", jsonType)
	w.WriteHeader(http.StatusOK)
	if req.Method == http.MethodGet {
		_, _ = w.Write([]byte("{}"))
	}
}

// allow answers methods that an endpoint does not have.
func allow(w http.ResponseWriter, req *http.Request, methods ...string) bool {
	for _, method := range methods {
		if req.Method == method {
			return true
		}
	}
	for _, method := range methods {
		w.Header().Add("Allow", method)
	}
	fail(w, http.StatusMethodNotAllowed, codeUnsupported, "method "+req.Method+" is not allowed here")
	return false
}

// forward has the library answer. The path is rebuilt from what was understood, so
// that both see the same.
func (r *Registry) forward(w http.ResponseWriter, req *http.Request, rt route) {
	inner := req.Clone(req.Context())
	inner.URL.Path, inner.URL.RawPath = rt.path(), ""
	inner.Header.Del("Authorization")
	w.Header().Del("Docker-Distribution-Api-Version") // the library adds its own
	b, done := r.use()
	defer done()
	b.app.ServeHTTP(w, inner)
}

// fault answers an error that is nobody's fault but ours, or says what is wrong.
func (r *Registry) fault(w http.ResponseWriter, req *http.Request, err error) {
	if f, ok := errors.AsType[*failure](err); ok {
		failDetailed(w, f.status, f.code, f.message, f.detail)
		return
	}
	f := answerOf(err)
	if f.status == http.StatusInternalServerError && !errors.Is(err, context.Canceled) {
		r.log.Error("registry request", slog.String("method", req.Method), slog.String("path", req.URL.Path), slog.Any("error", err))
	}
	fail(w, f.status, f.code, f.message)
}
