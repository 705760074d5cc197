package server_test

import (
	"net/http"
	"testing"

	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// Servers that share a PostgreSQL serve one storage: none pushes to the old one when another
// has gone to the new one, and what one that was killed had begun another one ends.
func TestServersThatShareADatabaseMoveTogether(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	store := ts.S3(t)
	dir, database := t.TempDir(), storetest.PostgreSQLURL(t)
	first := startProcess(t, dir, ts.Address(t), database)
	t.Cleanup(func() { first.kill() })
	second := startProcess(t, dir, ts.Address(t), database)
	t.Cleanup(func() { second.kill() })
	ts.Push(t, first.registry(), "library/app", "v1", ts.Image(t, 1, 2, 5000))
	one, two := pushing(t, first.api, "library/one"), pushing(t, second.api, "library/two")

	first.do(http.MethodPost, "/storage/migration", object{"destination": destinationOf(store, "images")}, nil)
	second.becomes("waiting")
	second.asks("cutover")
	m := first.becomes("migrated")
	t.Logf("read-only for %.2f s", m.Window.Seconds)
	served := func(p *process) string {
		var where struct {
			Kind    string
			Servers int
		}
		p.do(http.MethodGet, "/storage", nil, &where)
		if where.Servers != 2 {
			t.Errorf("%d servers are told of", where.Servers)
		}
		return where.Kind
	}
	for _, p := range []*process{first, second} {
		if kind := served(p); kind != "s3" {
			t.Errorf("%s serves %s", p.url, kind)
		}
		ts.Eventually(t, "pushes are taken again", func() bool {
			return ts.TryPush(t.Context(), p.registry(), "library/app", "after", ts.Image(t, 2, 2, 1000)) == nil
		})
		ts.Pull(t, p.registry(), "library/app", "v1")
	}
	one.end()
	two.end()
	for _, p := range []*process{first, second} {
		one.agrees(t, p.registry(), "library/one")
		two.agrees(t, p.registry(), "library/two")
	}

	// The one is killed on the way back; the other brings it to its end.
	first.asks("rollback")
	second.kill()
	second = startProcess(t, dir, ts.Address(t), database)
	first.kill()
	second.becomes("rolled_back")
	ts.Push(t, second.registry(), "library/app", "last", ts.Image(t, 3, 2, 1000))
	one.agrees(t, second.registry(), "library/one")
	two.agrees(t, second.registry(), "library/two")
	if _, ok := store.Get("images/docker/registry/v2/repositories/library/app/_manifests/tags/last/current/link"); ok {
		t.Error("what was pushed after the way back is in the bucket")
	}
}
