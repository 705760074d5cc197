package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // driver "filesystem"
	"github.com/sirupsen/logrus"

	"github.com/lighterage/lighterage/bench/harness"
)

// server is a registry on a folder, behind a proxy that delays.
type server struct {
	host      string // what tools are told: the proxy
	direct    string // the registry itself, for filling and checking
	requests  atomic.Int64
	blobReads atomic.Int64
	sent      atomic.Int64 // bytes of bodies
	stop      func()
}

func startRegistry(ctx context.Context, dir string, rtt time.Duration) (*server, error) {
	logrus.SetOutput(io.Discard)
	config := &configuration.Configuration{}
	config.Storage = configuration.Storage{
		"filesystem": configuration.Parameters{"rootdirectory": dir, "maxthreads": 100},
		"delete":     configuration.Parameters{"enabled": true},
		"maintenance": configuration.Parameters{
			"uploadpurging": map[any]any{"enabled": false},
		},
	}
	config.Catalog.MaxEntries = 10_000
	config.HTTP.Secret = "bench"
	config.Log.Level = "error"
	config.Log.AccessLog.Disabled = true
	app := handlers.NewApp(ctx, config)
	s := &server{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/sha256:") {
			s.blobReads.Add(1)
		}
		app.ServeHTTP(&countingWriter{w, &s.sent}, r)
	}))
	s.direct = web.Listener.Addr().String()
	front, err := harness.NewFront(s.direct, rtt, nil)
	if err != nil {
		web.Close()
		return nil, fmt.Errorf("start delaying proxy: %w", err)
	}
	s.host = front.Address
	s.stop = func() {
		front.Close()
		web.CloseClientConnections()
		web.Close()
	}
	return s, nil
}

// countingWriter counts the bytes of answers.
type countingWriter struct {
	http.ResponseWriter
	sent *atomic.Int64
}

func (w *countingWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.sent.Add(int64(n))
	return n, err
}

// ReadFrom keeps the kernel's way of sending a file.
func (w *countingWriter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(w.ResponseWriter, r)
	w.sent.Add(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (s *server) reset() {
	s.requests.Store(0)
	s.blobReads.Store(0)
	s.sent.Store(0)
}
func (s *server) count() int64 { return s.requests.Load() }
