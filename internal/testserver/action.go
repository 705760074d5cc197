package testserver

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Status answers with a status and headers (name, value, name, value, ...) instead
// of asking the registry. What the client is sending is read first, so that it
// sees the answer and not a cut connection, unless it asked with Expect:
// 100-continue whether to send at all.
func Status(status int, headers ...string) Action {
	return answer(status, headers, nil)
}

// Error is Status with an error in distribution's form.
func Error(status int, code, message string, headers ...string) Action {
	body, err := json.Marshal(map[string]any{"errors": []map[string]string{{"code": code, "message": message}}})
	if err != nil {
		panic(err) // strings always have a JSON form
	}
	return answer(status, append(headers, "Content-Type", "application/json"), body)
}

// TooManyRequests answers 429 and tells the client when to come back.
func TooManyRequests(seconds int) Action {
	return Error(http.StatusTooManyRequests, "TOOMANYREQUESTS", "too many requests", "Retry-After", strconv.Itoa(seconds))
}

func answer(status int, headers []string, body []byte) Action {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Expect") == "" {
				_, _ = io.Copy(io.Discard, r.Body)
			}
			for i := 0; i+1 < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			if r.Method != http.MethodHead {
				_, _ = w.Write(body)
			}
		})
	}
}

// Delay waits before the registry sees the request.
func Delay(d time.Duration) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			pause(r, d)
			next.ServeHTTP(w, r)
		})
	}
}

// Reset cuts the connection before the registry sees the request.
func Reset() Action {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { reset(w) })
	}
}

// ResetRequest cuts the connection when n bytes of the request's body have come.
// The registry got these, and then sees its client disappear.
func ResetRequest(n int64) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := &cutBody{ReadCloser: r.Body, left: n}
			r.Body = body
			lost := &heldAnswer{header: http.Header{}}
			next.ServeHTTP(lost, r)
			if body.cut {
				reset(w)
				return
			}
			lost.send(w) // the body was shorter
		})
	}
}

// ResetAnswer lets the registry do what it was asked, and cuts the connection
// instead of answering.
func ResetAnswer() Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&heldAnswer{header: http.Header{}}, r)
			reset(w)
		})
	}
}

// ResetResponse cuts the connection when the client has been sent n bytes of the
// answer's body. It gets these, and then an unexpected end.
func ResetResponse(n int64) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			cut := &cutWriter{ResponseWriter: w, left: n}
			next.ServeHTTP(cut, r)
			if cut.cut {
				panic(http.ErrAbortHandler) // the way to make net/http end the connection
			}
		})
	}
}

// Hold stops requests on their way until it is released, their client is gone or
// the registry stops. It then lets them go on.
type Hold struct {
	released chan struct{}
	release  sync.Once

	mu      sync.Mutex
	waiting int
}

// NewHold returns a Hold for faults to use.
func NewHold() *Hold { return &Hold{released: make(chan struct{})} }

// Release lets everything go on, now and later.
func (h *Hold) Release() { h.release.Do(func() { close(h.released) }) }

// Waiting returns how many requests are being held.
func (h *Hold) Waiting() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.waiting
}

func (h *Hold) wait(r *http.Request) {
	h.count(1)
	defer h.count(-1)
	select {
	case <-h.released:
	case <-r.Context().Done():
	}
}

func (h *Hold) count(delta int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting += delta
}

// Before holds requests before the registry sees them.
func (h *Hold) Before() Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h.wait(r)
			next.ServeHTTP(w, r)
		})
	}
}

// Request holds requests when n bytes of their body have come: the registry does
// not read on. That the client is gone shows only when it does.
func (h *Hold) Request(n int64) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = &heldBody{ReadCloser: r.Body, hold: h, r: r, left: n}
			next.ServeHTTP(w, r)
		})
	}
}

// Response holds requests when n bytes of the answer's body have been sent.
func (h *Hold) Response(n int64) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&heldWriter{ResponseWriter: w, hold: h, r: r, left: n}, r)
		})
	}
}

// CorruptResponse changes one bit in the answer's body: of the byte at offset, if
// the body is that long.
func CorruptResponse(offset int64) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(&corruptWriter{ResponseWriter: w, at: offset}, r)
		})
	}
}

// CorruptRequest changes one bit in the request's body.
func CorruptRequest(offset int64) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Body = &corruptBody{ReadCloser: r.Body, at: offset}
			next.ServeHTTP(w, r)
		})
	}
}

// DropHeader takes headers out of the answer, such as Docker-Content-Digest.
func DropHeader(names ...string) Action {
	return changeHeader(func(h http.Header) {
		for _, name := range names {
			h.Del(name)
		}
	})
}

// SetHeader puts a header into the answer, in place of what the registry says.
func SetHeader(name, value string) Action {
	return changeHeader(func(h http.Header) { h.Set(name, value) })
}

func changeHeader(change func(http.Header)) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			header := &headerWriter{ResponseWriter: w, change: change}
			next.ServeHTTP(header, r)
			header.once.Do(func() { change(w.Header()) })
		})
	}
}

// RefuseMount makes a registry answer 202 to a mount: it starts an upload.
func RefuseMount() Action {
	return changeRequest(func(r *http.Request) {
		query := r.URL.Query()
		query.Del("mount")
		query.Del("from")
		r.URL.RawQuery = query.Encode()
	})
}

// IgnoreRange makes a registry send the whole blob whatever part was asked for.
func IgnoreRange() Action {
	return changeRequest(func(r *http.Request) { r.Header.Del("Range") })
}

func changeRequest(change func(*http.Request)) Action {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			changed := r.Clone(r.Context())
			change(changed)
			next.ServeHTTP(w, changed)
		})
	}
}

// reset cuts the connection so that the client sees "connection reset by peer".
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = wrapped.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}

var errCut = errors.New("the connection was cut by a test")
