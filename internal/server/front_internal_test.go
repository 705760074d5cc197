package server

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAServerThatStartsSaysSo(t *testing.T) {
	t.Parallel()
	f := &front{}
	ask := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		f.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		return w
	}
	if w := ask("/healthz"); w.Code != http.StatusOK {
		t.Errorf("alive: %d", w.Code)
	}
	for _, path := range []string{"/readyz", "/v2/", "/api/v2.0/health"} {
		if w := ask(path); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
	}
	f.open(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusTeapot, "") }))
	if w := ask("/v2/"); w.Code != http.StatusTeapot {
		t.Errorf("open: %d", w.Code)
	}
}

// stalling starts a server that reads bodies, and dials it.
func stalling(t *testing.T, patience time.Duration, handler http.HandlerFunc) net.Conn {
	t.Helper()
	s := httptest.NewServer(limitStalls(handler, patience))
	t.Cleanup(s.Close)
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

const halfARequest = "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf "

func TestAnUploadThatStallsIsEnded(t *testing.T) {
	t.Parallel()
	ended := make(chan error, 1)
	c := stalling(t, 50*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		ended <- err
	})
	if _, err := io.WriteString(c, halfARequest); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "timeout") {
		t.Errorf("the body ended with %v", err)
	}
}

func TestAHandlerMayTakeItsTimeAfterTheBody(t *testing.T) {
	t.Parallel()
	const patience = 50 * time.Millisecond
	gone := make(chan bool, 1)
	c := stalling(t, patience, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		select {
		case <-r.Context().Done():
			gone <- true
		case <-time.After(4 * patience):
			gone <- false
		}
	})
	if _, err := io.WriteString(c, halfARequest+"whole"); err != nil {
		t.Fatal(err)
	}
	if <-gone {
		t.Error("the request was cancelled although its body had come")
	}
}

func TestStallsAreLimitedOverHTTP2Too(t *testing.T) {
	t.Parallel()
	const patience = 50 * time.Millisecond
	result := make(chan error, 1)
	s := httptest.NewUnstartedServer(limitStalls(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		if err == nil { // a whole body: time counts no more
			select {
			case <-r.Context().Done():
				err = r.Context().Err()
			case <-time.After(4 * patience):
			}
		}
		result <- err
	}), patience))
	s.EnableHTTP2 = true
	s.StartTLS()
	t.Cleanup(s.Close)
	put := func(body io.Reader) {
		answer, err := s.Client().Post(s.URL, "", body)
		if err == nil {
			_ = answer.Body.Close()
		}
	}
	put(strings.NewReader("whole"))
	if err := <-result; err != nil {
		t.Errorf("a whole body: %v", err)
	}
	stalled, end := io.Pipe()
	go put(stalled)
	_, _ = end.Write([]byte("half"))
	if err := <-result; err == nil {
		t.Error("a body that stalls was not ended")
	}
	_ = end.Close()
}

func TestAnIgnoredBodyDoesNotKeepTheConnection(t *testing.T) {
	t.Parallel()
	c := stalling(t, 50*time.Millisecond, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	if _, err := io.WriteString(c, halfARequest); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(c) // until the server hangs up
	if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 401") {
		t.Errorf("%q, %v", text, err)
	}
}
