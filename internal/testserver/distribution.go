package testserver

import (
	"context"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // driver "filesystem"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"   // driver "inmemory"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws"     // driver "s3"
	"github.com/sirupsen/logrus"
)

// Distribution starts the registry of distribution v3 in this process. Its files
// are in Root, unless WithStore puts them elsewhere. Everything may be deleted.
func Distribution(t testing.TB, list ...Option) *Registry {
	t.Helper()
	logrus.SetOutput(io.Discard) // where distribution logs, it cannot be told another place
	o := gather(list)
	if o.store != nil {
		forgetBundle()
	}
	if o.root == "" && !o.inMemory && o.store == nil {
		o.root = t.TempDir()
	}
	r := serve(t, o, func() (http.Handler, func()) {
		app := handlers.NewApp(context.Background(), configure(o))
		return app, func() { _ = app.Shutdown() }
	})
	r.Root = o.root
	return r
}

func configure(o options) *configuration.Configuration {
	config := &configuration.Configuration{Storage: configuration.Storage{
		"delete": {"enabled": true},
		"maintenance": {
			"uploadpurging": map[any]any{"enabled": false},
			"readonly":      map[any]any{"enabled": o.readOnly},
		},
	}}
	switch {
	case o.store != nil:
		config.Storage["s3"] = o.store.parameters(o.prefix)
	case o.inMemory:
		config.Storage["inmemory"] = configuration.Parameters{}
	default:
		config.Storage["filesystem"] = configuration.Parameters{"rootdirectory": o.root}
	}
	if o.foreignLayers {
		config.Validation.Manifests.URLs.Allow = []string{".*"}
	}
	if o.sparseIndexes {
		config.Validation.Manifests.Indexes.Platforms = "none"
	}
	config.Catalog.MaxEntries = 1000
	config.HTTP.Secret = "of a test" // uploads go on after a restart
	return config
}

// forgetBundle keeps the authorities that the machine has named for Amazon's tools away
// from the S3 driver, which would change the client of the whole process for them each
// time that one is started, while others use it.
var forgetBundle = sync.OnceFunc(func() {
	_ = os.Unsetenv("AWS_CA_BUNDLE") // the name is a valid one
})

// parameters are what distribution's S3 driver, of any version, wants to know of a
// store. Clients that are sent to the store for a blob reach it too.
func (s *Store) parameters(rootDirectory string) configuration.Parameters {
	return configuration.Parameters{
		"bucket": s.Bucket, "region": s.Region, "regionendpoint": s.Endpoint, "forcepathstyle": true, "secure": false,
		"accesskey": s.AccessKey, "secretkey": s.SecretKey, "rootdirectory": rootDirectory,
	}
}
