// Package site runs what benchmarks of a server need: the server itself, and plain
// registries for it to replicate to, all on 127.0.0.1 with their files in one folder.
//
// It measures nothing.
package site

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // driver "filesystem"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sirupsen/logrus"
)

const password = "Bench12345"

// Site is a running server.
type Site struct {
	Dir  string // for whatever the benchmark keeps
	Home string // host and port
	PID  int    // of the server
	ends []func()
}

// Start runs a server with its files in a folder of its own below folder.
func Start(ctx context.Context, binary, folder string) (s *Site, err error) {
	s = &Site{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.Dir, err = os.MkdirTemp(folder, "lighterage-bench-"); err != nil {
		return s, err
	}
	s.ends = append(s.ends, func() { _ = os.RemoveAll(s.Dir) })
	return s, s.startServer(ctx, binary)
}

// Close ends everything and removes the files.
func (s *Site) Close() {
	for i := len(s.ends) - 1; i >= 0; i-- {
		s.ends[i]()
	}
	s.ends = nil
}

// Registry runs a distribution registry with its files in a folder of the site. front
// sees its requests first. stop ends it and leaves the files.
func (s *Site) Registry(ctx context.Context, folder string, front func(http.Handler) http.Handler) (host string, stop func()) {
	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{}
	config.Storage = configuration.Storage{
		"filesystem":  configuration.Parameters{"rootdirectory": filepath.Join(s.Dir, folder)},
		"delete":      configuration.Parameters{"enabled": true},
		"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
	}
	config.HTTP.Secret = "bench"
	config.Log.Level = "error"
	config.Log.AccessLog.Disabled = true
	web := httptest.NewServer(front(handlers.NewApp(ctx, config)))
	return web.Listener.Addr().String(), func() {
		web.CloseClientConnections()
		web.Close()
	}
}

func (s *Site) startServer(ctx context.Context, binary string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Home = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	server := exec.CommandContext(ctx, binary, "serve", "--data", filepath.Join(s.Dir, "home"), "--listen", s.Home)
	server.Env = append(os.Environ(), "LIGHTERAGE_ADMIN_PASSWORD="+password)
	log, err := os.Create(filepath.Join(s.Dir, "log"))
	if err != nil {
		return err
	}
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return fmt.Errorf("start %s: %w", binary, err)
	}
	s.PID = server.Process.Pid
	s.ends = append(s.ends, func() {
		_ = server.Process.Kill()
		_ = server.Wait() // its error is that it was killed
		_ = log.Close()
	})
	deadline := time.Now().Add(time.Minute)
	for {
		if _, err := s.Call(ctx, http.MethodGet, "ping", nil, nil); err == nil {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			text, _ := os.ReadFile(log.Name())
			return fmt.Errorf("the server did not start:\n%s", text)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Create makes something by the API and returns its address.
func (s *Site) Create(ctx context.Context, what string, body any) (string, error) {
	header, err := s.Call(ctx, http.MethodPost, what, body, nil)
	return header.Get("Location"), err
}

// Call makes a request to the API as the administrator.
func (s *Site) Call(ctx context.Context, method, what string, body, into any) (http.Header, error) {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return nil, err
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+s.Home+"/api/v2.0/"+what, &text)
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth("admin", password)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, what, answer.Status, content)
	}
	if into != nil {
		err = json.Unmarshal(content, into)
	}
	return answer.Header, err
}

// Push pushes an image to home as any client does.
func (s *Site) Push(ctx context.Context, repository, tag string, image v1.Image) error {
	reference, err := name.ParseReference(s.Home+"/"+repository+":"+tag, name.Insecure)
	if err != nil {
		return err
	}
	login := &authn.Basic{Username: "admin", Password: password}
	return remote.Write(reference, image, remote.WithContext(ctx), remote.WithAuth(login), remote.WithJobs(4))
}
