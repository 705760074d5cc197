package testserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/lighterage/lighterage/internal/testprogram"
)

// DistributionV2 starts the registry of distribution v2.8 as a process of its own,
// behind a front in this one. Its files are in Root, or in a store. The program is built once for
// a machine and kept in the user's cache folder; where it cannot be built the test
// is skipped, see Unavailable. WithSparseIndexes has no meaning for it.
func DistributionV2(t testing.TB, list ...Option) *Registry {
	t.Helper()
	program, err := testprogram.Build("distribution-v2", t.Logf)
	if err != nil {
		Unavailable(t, "distribution v2.8 cannot be built: %v", err)
	}
	o := gather(list)
	arguments := []string{fmt.Sprintf("-read-only=%t", o.readOnly), fmt.Sprintf("-foreign=%t", o.foreignLayers)}
	switch {
	case o.store != nil:
		parameters, err := json.Marshal(o.store.parameters(o.prefix))
		if err != nil {
			t.Fatal(err)
		}
		arguments = append(arguments, "-s3", string(parameters))
	case o.root == "" && !o.inMemory:
		o.root = t.TempDir()
		fallthrough
	default:
		arguments = append(arguments, "-root", o.root)
	}
	r := serve(t, o, func() (http.Handler, func()) {
		process, err := testprogram.Start(program, arguments...)
		if err != nil {
			t.Errorf("start distribution v2.8: %v", err)
			return http.NotFoundHandler(), func() {}
		}
		handler, closeIdle := reverse(&url.URL{Scheme: "http", Host: process.Address})
		return handler, func() { closeIdle(); process.Stop() }
	})
	r.Root = o.root
	return r
}
