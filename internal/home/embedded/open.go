package embedded

import (
	"context"
	"crypto/rand"
	_ "crypto/sha512" // digests that clients may choose
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"

	"github.com/distribution/distribution/v3"
	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	registrymiddleware "github.com/distribution/distribution/v3/registry/middleware/registry"
	"github.com/distribution/distribution/v3/registry/storage/driver"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // driver "filesystem"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"   // driver "inmemory"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws"     // driver "s3"
)

// open starts the library. It panics on configurations that it does not like; what
// can be checked is checked before, and the rest becomes an error.
func open(ctx context.Context, s Storage, secret string) (app *handlers.App, t *tree, err error) {
	if err := s.check(); err != nil {
		return nil, nil, err
	}
	if err := registerCapture(); err != nil {
		return nil, nil, err
	}
	bridgeLogs()
	defer func() {
		if p := recover(); p != nil {
			app, t, err = nil, nil, fmt.Errorf("storage %s: %v", s.Driver, p)
		}
	}()
	t = &tree{}
	app = handlers.NewApp(ctx, configure(s, secret, t))
	if t.driver == nil {
		return nil, nil, errors.New("the registry library did not hand over its storage")
	}
	return app, t, nil
}

func (s Storage) check() error {
	text := func(name string) string {
		value, _ := s.Parameters[name].(string)
		return value
	}
	switch s.Driver {
	case "inmemory":
		return nil
	case "filesystem":
		root := text("rootdirectory")
		if root == "" {
			return errors.New("storage filesystem: rootdirectory is missing")
		}
		if err := os.MkdirAll(root, 0o777); err != nil {
			return fmt.Errorf("storage filesystem: %w", err)
		}
		return nil
	case "s3":
		if text("bucket") == "" {
			return errors.New("storage s3: bucket is missing")
		}
		if text("region") == "" && text("regionendpoint") == "" {
			return errors.New("storage s3: region is missing")
		}
		return nil
	default:
		return fmt.Errorf("storage driver %q is not one of filesystem, s3 and inmemory", s.Driver)
	}
}

func configure(s Storage, secret string, t *tree) *configuration.Configuration {
	if secret == "" {
		secret = rand.Text()
	}
	parameters := configuration.Parameters{}
	maps.Copy(parameters, s.Parameters)
	c := &configuration.Configuration{
		Storage: configuration.Storage{
			s.Driver: parameters,
			"delete": configuration.Parameters{"enabled": true},
			// Through Transport a redirect would lead out of the process, and clients in
			// a cluster often cannot reach the object store.
			"redirect": configuration.Parameters{"disable": true},
		},
		Middleware: map[string][]configuration.Middleware{
			"registry": {{Name: captureName, Options: configuration.Parameters{captureInto: t}}},
		},
	}
	c.Catalog.MaxEntries = maxPage
	c.HTTP.Secret = secret
	// A client behind a proxy gets back to where it came from.
	c.HTTP.RelativeURLs = true
	return c
}

// The library hands its storage to registry middlewares only, which it knows by
// name in a table of the process.
const (
	captureName = "lighterage"
	captureInto = "into"
)

var registerCapture = sync.OnceValue(func() error { return registrymiddleware.Register(captureName, capture) })

func capture(_ context.Context, namespace distribution.Namespace, d driver.StorageDriver, options map[string]any) (distribution.Namespace, error) {
	t, ok := options[captureInto].(*tree)
	if !ok {
		return nil, errors.New("the middleware lighterage is for the home registry only")
	}
	t.driver, t.namespace = d, namespace
	return namespace, nil
}
