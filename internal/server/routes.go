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
	"github.com/lighterage/lighterage/internal/home/embedded"
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

// volume measures the file system that a folder is on.
func volume(s embedded.Storage) func() (free, total uint64, err error) {
	root, ok := s.Parameters["rootdirectory"].(string)
	if s.Driver != "filesystem" || !ok {
		return nil
	}
	return func() (free, total uint64, err error) {
		var st syscall.Statfs_t
		if err := syscall.Statfs(root, &st); err != nil {
			return 0, 0, problem.Wrap(problem.Unknown, err, "measure %s", root)
		}
		return st.Bavail * uint64(st.Bsize), st.Blocks * uint64(st.Bsize), nil
	}
}

// buildVersion is the version that the Go tools have noted in this program.
func buildVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "dev"
}
