// Command distribution-v2 is the registry of github.com/docker/distribution v2.8,
// the one that Harbor and most clusters run, for the tests of Lighterage.
//
// It is a module of its own because that registry and its successor cannot agree
// on the versions of what they both need.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/docker/distribution/configuration"
	"github.com/docker/distribution/registry/handlers"
	_ "github.com/docker/distribution/registry/storage/driver/filesystem"
	_ "github.com/docker/distribution/registry/storage/driver/inmemory"
	_ "github.com/docker/distribution/registry/storage/driver/s3-aws"
	"github.com/sirupsen/logrus"
)

func main() {
	address := flag.String("address", "127.0.0.1:0", "`address` to listen on; the one in use is printed to the standard output")
	root := flag.String("root", "", "`folder` to keep everything in; in memory when empty")
	s3 := flag.String("s3", "", "`parameters` of the S3 driver, in JSON, to keep everything in a bucket")
	readOnly := flag.Bool("read-only", false, "refuse every change")
	foreign := flag.Bool("foreign", false, "take manifests that name layers by URL")
	verbose := flag.Bool("verbose", false, "log to the standard error")
	flag.Parse()
	if !*verbose {
		logrus.SetOutput(io.Discard)
	}
	forgetAmazon()
	config, err := configure(*root, *s3, *readOnly, *foreign)
	if err == nil {
		err = serve(*address, config)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "distribution-v2:", err)
		os.Exit(1)
	}
}

// forgetAmazon keeps what the machine has set up for Amazon's tools away from the S3
// driver: it is told all it needs.
func forgetAmazon() {
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name) // the name is one that is set
		}
	}
}

func configure(root, s3 string, readOnly, foreign bool) (*configuration.Configuration, error) {
	config := &configuration.Configuration{Storage: configuration.Storage{
		"delete": {"enabled": true},
		"maintenance": {
			"uploadpurging": map[any]any{"enabled": false},
			"readonly":      map[any]any{"enabled": readOnly},
		},
	}}
	switch {
	case s3 != "":
		var parameters configuration.Parameters
		if err := json.Unmarshal([]byte(s3), &parameters); err != nil {
			return nil, fmt.Errorf("parameters of the S3 driver: %w", err)
		}
		config.Storage["s3"] = parameters
	case root == "":
		config.Storage["inmemory"] = configuration.Parameters{}
	default:
		config.Storage["filesystem"] = configuration.Parameters{"rootdirectory": root}
	}
	if foreign {
		config.Validation.Manifests.URLs.Allow = []string{".*"}
	}
	config.Catalog.MaxEntries = 1000
	config.HTTP.Secret = "of a test" // uploads go on after a restart
	config.Log.AccessLog.Disabled = true
	return config, nil
}

// serve ends when a signal comes or its parent, which holds the other end of the
// standard input, is gone.
func serve(address string, config *configuration.Configuration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handlers.NewApp(ctx, config)}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	fmt.Println(listener.Addr())
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
