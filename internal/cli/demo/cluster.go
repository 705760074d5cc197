package demo

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // driver "filesystem"
)

// Cluster is a registry as clusters have them: distribution, with its files in a
// folder, open to everybody on this machine.
type Cluster struct {
	URL    string
	server *http.Server
	app    *handlers.App
	done   chan error
}

// StartCluster starts the registry at an address of this machine, or at a free
// port if that is taken.
func StartCluster(ctx context.Context, address, folder string) (*Cluster, error) {
	listener, err := Listen(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("cluster registry: %w", err)
	}
	app := handlers.NewApp(ctx, &configuration.Configuration{
		Storage: configuration.Storage{
			"filesystem":  {"rootdirectory": folder},
			"delete":      {"enabled": true},
			"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
		},
		HTTP:    configuration.HTTP{Secret: rand.Text()},
		Catalog: configuration.Catalog{MaxEntries: 1000},
	})
	c := &Cluster{
		URL: "http://" + listener.Addr().String(), app: app, done: make(chan error, 1),
		server: &http.Server{Handler: app, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)},
	}
	go func() { c.done <- c.server.Serve(listener) }()
	return c, nil
}

// Stop ends the registry.
func (c *Cluster) Stop() error {
	err := c.server.Close()
	if served := <-c.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return errors.Join(err, c.app.Shutdown())
}

// Listen listens at an address, or at a free port of its host when the address
// is taken by something else.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err == nil {
		return listener, nil
	}
	host, _, splitErr := net.SplitHostPort(address)
	if splitErr != nil {
		return nil, err
	}
	listener, freeErr := config.Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
	if freeErr != nil {
		return nil, errors.Join(err, freeErr)
	}
	return listener, nil
}
