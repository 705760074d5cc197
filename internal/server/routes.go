package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/lighterage/lighterage/internal/api"
	"github.com/lighterage/lighterage/internal/console"
	"github.com/lighterage/lighterage/internal/migration/cutover"
	"github.com/lighterage/lighterage/internal/problem"
)

// health looks at the parts of the server that can fail.
func (s *server) health(ctx context.Context) []api.Component {
	return []api.Component{
		{Name: "core"},
		{Name: "database", Err: s.db.Ping(ctx)},
		{Name: "registry", Err: s.checkRegistry(ctx)},
	}
}

func (s *server) checkRegistry(ctx context.Context) error {
	if s.harbor != nil {
		return s.harbor.Check(ctx)
	}
	return s.home.Check(ctx)
}

// healthTime is how long a part of the server may take to say how it is.
const healthTime = 5 * time.Second

// ready answers whether the server can do its work now, part by part.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), healthTime)
	defer cancel()
	status, text := http.StatusOK, ""
	for _, c := range s.health(ctx) {
		if c.Err != nil {
			status = http.StatusServiceUnavailable
			text += fmt.Sprintf("%s: %v\n", c.Name, c.Err)
			continue
		}
		text += c.Name + ": ok\n"
	}
	answer(w, status, text)
}

// welcome is what the server's address says to whoever is no browser, or to one too
// when there is no console.
func welcome(version string, console string) string {
	return "Lighterage " + version + "\n\n" +
		"registry:  docker login to this address\n" +
		"API:       /api/v2.0 (Harbor's)\n" +
		"commands:  lighterage login, registry, policy, execution\n" +
		"console:   " + console + "\n"
}

// greet answers at the server's address: a browser gets the console.
func greet(c *console.Console, version string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept")
		wantsPage := strings.Contains(r.Header.Get("Accept"), "text/html")
		switch {
		case wantsPage && c.IsBuilt():
			c.ServeHTTP(w, r)
		case c.IsBuilt():
			answer(w, http.StatusOK, welcome(version, "open this address in a browser"))
		default:
			answer(w, http.StatusOK, welcome(version, "not there\n\n"+console.HowToGet))
		}
	})
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // a client that is gone reads nothing
}

// protect turns a panic in a handler into a log line and a broken connection: an
// answer that was begun must not look complete.
func protect(next http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v != http.ErrAbortHandler {
					log.Error("a request failed", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
				}
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// volume measures the file system that the storage is on, if it is on one.
func (s *storageService) volume() (free, total uint64, err error) {
	s.mu.Lock()
	root := s.place.Path
	s.mu.Unlock()
	if root == "" {
		return 0, 0, nil
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(root, &st); err != nil {
		return 0, 0, problem.Wrap(problem.Unknown, err, "measure %s", root)
	}
	return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
}

// provider is the kind of storage, in Harbor's word.
func (s *storageService) provider() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.place.Kind() == cutover.S3 {
		return "s3"
	}
	return "filesystem"
}

// buildVersion is the version that the Go tools have noted in this program.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
