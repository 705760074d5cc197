package testserver

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// front stands before a server: it counts, fails and asks for credentials.
type front struct {
	recorder *recorder
	faults   *Faults
	guard    guard

	mu      sync.Mutex
	app     http.Handler // nil: stopped
	running int
	idle    *sync.Cond
}

// guard decides who may pass.
type guard interface {
	// admit answers the request itself, and returns false, when it may not pass.
	admit(w http.ResponseWriter, r *http.Request) bool
	setPassword(password string)
}

func newFront(classify func(*http.Request) string) *front {
	f := &front{recorder: &recorder{classify: classify}, faults: newFaults(classify)}
	f.idle = sync.NewCond(&f.mu)
	return f
}

func (f *front) open(app http.Handler) http.Handler {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.app = app
	return f
}

// close refuses new requests and waits for those that run.
func (f *front) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.app = nil
	for f.running > 0 {
		f.idle.Wait()
	}
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	app := f.app
	if app == nil {
		f.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	f.running++
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.running--
		f.idle.Broadcast()
		f.mu.Unlock()
	}()

	record := f.recorder.begin(r)
	defer f.recorder.finish(record)
	r.Body = &countingBody{r.Body, record}
	f.faults.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.guard == nil || f.guard.admit(w, r) {
			app.ServeHTTP(w, r)
		}
	})).ServeHTTP(&countingWriter{ResponseWriter: w, record: record}, r)
}

// Class sorts a request: "HEAD manifest", "POST upload", "POST mount" and so on;
// the nouns are base, catalog, tags, manifest, blob, upload, mount, referrers,
// token and other.
func Class(r *http.Request) string {
	path := r.URL.Path
	noun := "other"
	switch {
	case path == "/v2" || path == "/v2/":
		noun = "base"
	case path == "/token" || path == "/service/token":
		noun = "token"
	case path == "/v2/_catalog":
		noun = "catalog"
	case !strings.HasPrefix(path, "/v2/"):
	case strings.HasSuffix(path, "/tags/list"):
		noun = "tags"
	case strings.Contains(path, "/manifests/"):
		noun = "manifest"
	case strings.Contains(path, "/referrers/"):
		noun = "referrers"
	case strings.Contains(path, "/blobs/uploads") && r.URL.Query().Get("mount") != "":
		noun = "mount"
	case strings.Contains(path, "/blobs/uploads"):
		noun = "upload"
	case strings.Contains(path, "/blobs/"):
		noun = "blob"
	}
	return r.Method + " " + noun
}

// countingBody counts what the registry reads.
type countingBody struct {
	io.ReadCloser
	record *Request
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.record.recorder.update(b.record, func(r *Request) { r.BytesIn += int64(n) })
	return n, err
}

// countingWriter counts what the registry writes.
type countingWriter struct {
	http.ResponseWriter
	record *Request
}

func (w *countingWriter) WriteHeader(status int) {
	if status >= 200 {
		w.record.recorder.update(w.record, func(r *Request) {
			if r.Status == 0 {
				r.Status = status
			}
		})
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.record.recorder.update(w.record, func(r *Request) {
		if r.Status == 0 {
			r.Status = http.StatusOK
		}
		r.BytesOut += int64(n)
	})
	return n, err
}

func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *countingWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// pause waits for d, or less when the client goes away.
func pause(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	}
}
