package server

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// front answers on the listener: until the server is open, that it is starting.
type front struct{ handler atomic.Pointer[http.Handler] }

func (f *front) open(h http.Handler) { f.handler.Store(&h) }

// ServeHTTP implements http.Handler.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := f.handler.Load(); h != nil {
		(*h).ServeHTTP(w, r)
		return
	}
	if r.URL.Path == "/healthz" {
		answer(w, http.StatusOK, "starting\n")
		return
	}
	w.Header().Set("Retry-After", "5")
	answer(w, http.StatusServiceUnavailable, "The server is starting: it reads what its storage holds. Try again later.\n")
}

// limitStalls ends requests whose body does not come any further. As long as it
// does, it may take as long as it likes.
func limitStalls(next http.Handler, patience time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			body := &impatientBody{ReadCloser: r.Body, control: http.NewResponseController(w), patience: patience}
			body.wait(time.Now().Add(patience)) // also for what is read after the handler, before the next request
			r.Body = body
		}
		next.ServeHTTP(w, r)
	})
}

type impatientBody struct {
	io.ReadCloser
	control  *http.ResponseController
	patience time.Duration
}

// Read gives the client time anew. Once the body has ended no time counts any more:
// the server then listens whether the client goes away.
func (b *impatientBody) Read(p []byte) (int, error) {
	b.wait(time.Now().Add(b.patience))
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.wait(time.Time{})
	}
	return n, err
}

// wait sets until when bytes may come, where the connection can tell.
func (b *impatientBody) wait(until time.Time) { _ = b.control.SetReadDeadline(until) }
