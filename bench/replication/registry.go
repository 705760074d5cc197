package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
	host     string // what tools are told: the proxy
	direct   string // the registry itself, for filling and checking
	requests atomic.Int64
	stop     func()
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
		app.ServeHTTP(w, r)
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

func (s *server) reset()       { s.requests.Store(0) }
func (s *server) count() int64 { return s.requests.Load() }
