package api_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lighterage/lighterage/internal/server"
	"github.com/lighterage/lighterage/internal/testserver"
)

const adminPassword = "Harbor12345"

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, testserver.IgnoreLeaks()...)
}

// lighterage is a whole server for a test.
type lighterage struct {
	t    testing.TB
	url  string
	host string
	home *testserver.Registry // its home registry, as admin
	log  *lockedBuffer
	http *http.Client
	// storage is the folder of its home registry.
	storage string
}

// start runs a server until the test ends.
func start(t testing.TB) *lighterage {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan server.Info, 1), make(chan error, 1)
	log := &lockedBuffer{}
	dir := t.TempDir() // here, so that it is removed after the server has ended
	go func() {
		ended <- server.Run(ctx, server.Config{
			DataDir: dir, Listen: "127.0.0.1:0", AdminPassword: adminPassword,
			Log: slog.New(slog.NewTextHandler(log, nil)), Ready: func(i server.Info) { ready <- i },
		})
	}()
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("server ended with %v", err)
		}
	})
	select {
	case info := <-ready:
		return &lighterage{
			t: t, storage: filepath.Join(dir, "registry"), url: info.URL, host: strings.TrimPrefix(info.URL, "http://"), log: log,
			home: testserver.Remote(info.URL, "admin", adminPassword, ""),
			http: &http.Client{Transport: transport, Timeout: time.Minute, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		}
	case err := <-ended:
		ended <- nil
		t.Fatalf("server did not start: %v", err)
		return nil
	}
}

// answer is what the server said.
type answer struct {
	*http.Response
	body string
}

// do makes a request as a user ("": anonymous) with headers (name, value, ...).
func (l *lighterage) do(method, path, user, password, body string, headers ...string) answer {
	l.t.Helper()
	r, err := http.NewRequestWithContext(l.t.Context(), method, l.url+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := l.http.Do(r)
	if err != nil {
		l.t.Fatal(err)
	}
	return read(l.t, response)
}

func read(t testing.TB, response *http.Response) answer {
	t.Helper()
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response, string(text)}
}

// admin makes a request as the administrator.
func (l *lighterage) admin(method, path, body string, headers ...string) answer {
	l.t.Helper()
	return l.do(method, path, "admin", adminPassword, body, headers...)
}

// must makes a request as the administrator that has to be answered with a status.
func (l *lighterage) must(status int, method, path, body string) answer {
	l.t.Helper()
	a := l.admin(method, path, body)
	if a.StatusCode != status {
		l.t.Fatalf("%s %s: %s %s, want %d\nserver log:\n%s", method, path, a.Status, a.body, status, l.log)
	}
	return a
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
