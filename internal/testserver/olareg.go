package testserver

import (
	"net/http"
	"testing"

	"github.com/olareg/olareg"
	"github.com/olareg/olareg/config"
)

// Olareg starts the registry of olareg in this process, another implementation
// than distribution. It has the referrers API and deletes a tag alone, but has no
// catalog. Its files are in Root, as OCI layouts.
func Olareg(t testing.TB, list ...Option) *Registry {
	t.Helper()
	o := gather(list)
	if o.root == "" && !o.inMemory {
		o.root = t.TempDir()
	}
	r := serve(t, o, func() (http.Handler, func()) {
		yes := true
		conf := config.Config{
			Storage: config.ConfigStorage{StoreType: config.StoreDir, RootDir: o.root, ReadOnly: &o.readOnly},
			API:     config.ConfigAPI{DeleteEnabled: &yes},
		}
		conf.API.Blob.DeleteEnabled = &yes
		conf.API.Manifest.SparseIndex = &o.sparseIndexes
		conf.Storage.GC.Frequency = -1
		if o.inMemory {
			conf.Storage.StoreType = config.StoreMem
		}
		server := olareg.New(conf)
		return server, func() { _ = server.Close() }
	})
	r.Root = o.root
	return r
}
