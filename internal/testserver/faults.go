package testserver

import (
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"
)

// Fault is a trick that a registry plays. A request that fits Method, Path and
// Class (empty: any) and is neither among the first Skip ones nor after Times more
// goes through Do.
type Fault struct {
	Method string
	Path   string // regular expression, found anywhere in the path
	Class  string // see Class and StoreClass
	When   func(*http.Request) bool
	Skip   int
	Times  int // 0: always
	Do     Action
}

// Action does something to a request instead of, before, or while the registry
// (next) handles it. The functions that make one are in action.go.
type Action func(next http.Handler) http.Handler

// Faults are the tricks that a registry plays, safe for concurrent use. Those that
// fit a request are applied together, the first one added outermost.
type Faults struct {
	classify func(*http.Request) string

	mu        sync.Mutex
	active    []*Active
	latency   time.Duration
	sessions  map[string]bool // ids of uploads that were started
	forgotten map[string]bool
}

// Active is a Fault that was added.
type Active struct {
	fault  Fault
	path   *regexp.Regexp
	owner  *Faults
	fitted int
	hits   int
}

func newFaults(classify func(*http.Request) string) *Faults {
	return &Faults{classify: classify, sessions: map[string]bool{}, forgotten: map[string]bool{}}
}

// Add starts a fault. It panics when Path is no regular expression.
func (f *Faults) Add(fault Fault) *Active {
	a := &Active{fault: fault, path: regexp.MustCompile(fault.Path), owner: f}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active = append(f.active, a)
	return a
}

// Hits returns how many requests the fault was applied to.
func (a *Active) Hits() int {
	a.owner.mu.Lock()
	defer a.owner.mu.Unlock()
	return a.hits
}

// Remove ends the fault for requests to come.
func (a *Active) Remove() {
	a.owner.mu.Lock()
	defer a.owner.mu.Unlock()
	for i, other := range a.owner.active {
		if other == a {
			a.owner.active = append(a.owner.active[:i:i], a.owner.active[i+1:]...)
			return
		}
	}
}

// Clear ends all faults, and the latency too, for requests to come.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.active, f.latency = nil, 0
}

// SetLatency delays every request by d before anything else, as a network with
// that round trip time does. It is a delay and not a limit: requests wait at the
// same time.
func (f *Faults) SetLatency(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latency = d
}

// ForgetUploads makes the registry not know the uploads any more that were started
// until now. New ones work.
func (f *Faults) ForgetUploads() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id := range f.sessions {
		f.forgotten[id] = true
	}
}

// wrap applies what fits each request.
func (f *Faults) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		latency, actions, forgotten := f.choose(r)
		pause(r, latency)
		handler := f.watchUploads(next)
		if forgotten {
			handler = Error(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry")(handler)
		}
		for i := len(actions) - 1; i >= 0; i-- {
			handler = actions[i](handler)
		}
		handler.ServeHTTP(w, r)
	})
}

func (f *Faults) choose(r *http.Request) (latency time.Duration, actions []Action, forgotten bool) {
	class := f.classify(r)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.active {
		if !a.fits(r, class) {
			continue
		}
		a.fitted++
		if a.fitted <= a.fault.Skip || a.fault.Times > 0 && a.hits >= a.fault.Times {
			continue
		}
		a.hits++
		actions = append(actions, a.fault.Do)
	}
	return f.latency, actions, f.forgotten[uploadID(r.URL.Path)]
}

func (a *Active) fits(r *http.Request, class string) bool {
	return (a.fault.Method == "" || a.fault.Method == r.Method) &&
		(a.fault.Class == "" || a.fault.Class == class) &&
		a.path.MatchString(r.URL.Path) &&
		(a.fault.When == nil || a.fault.When(r))
}

// watchUploads remembers the uploads that the registry starts, before the client
// learns of them.
func (f *Faults) watchUploads(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			w = &uploadWatcher{w, f}
		}
		next.ServeHTTP(w, r)
	})
}

// uploadWatcher sees the answer to the start of an upload.
type uploadWatcher struct {
	http.ResponseWriter
	f *Faults
}

// Unwrap is for http.ResponseController.
func (w *uploadWatcher) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *uploadWatcher) WriteHeader(status int) {
	w.note()
	w.ResponseWriter.WriteHeader(status)
}

func (w *uploadWatcher) Write(p []byte) (int, error) {
	w.note()
	return w.ResponseWriter.Write(p)
}

func (w *uploadWatcher) note() {
	location, err := url.Parse(w.Header().Get("Location"))
	if err != nil {
		return
	}
	if id := uploadID(location.Path); id != "" {
		w.f.mu.Lock()
		defer w.f.mu.Unlock()
		w.f.sessions[id] = true
	}
}

// uploadID returns the last component of an upload's path, "" of another path.
func uploadID(p string) string {
	folder, id := path.Split(p)
	if !strings.HasSuffix(folder, "/blobs/uploads/") {
		return ""
	}
	return id
}
