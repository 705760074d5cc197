package server_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// phaseHook is a log that does something once, when a phase begins. What it does may be
// logged too.
type phaseHook struct {
	slog.Handler
	*phaseHooks
}

type phaseHooks struct {
	mu               sync.Mutex
	phase, direction string
	do               func()
	text             bytes.Buffer
}

func newPhaseHook() *phaseHook {
	h := &phaseHook{phaseHooks: &phaseHooks{}}
	h.Handler = slog.NewTextHandler(&h.text, nil)
	return h
}

func (h *phaseHook) Handle(ctx context.Context, r slog.Record) error {
	values := map[string]string{}
	r.Attrs(func(a slog.Attr) bool {
		values[a.Key] = a.Value.String()
		return true
	})
	h.mu.Lock()
	var do func()
	if h.do != nil && values["phase"] == h.phase && values["direction"] == h.direction {
		do, h.do = h.do, nil
	}
	h.mu.Unlock()
	if do != nil {
		do()
	}
	return h.Handler.Handle(ctx, r)
}

func (h *phaseHook) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &phaseHook{h.Handler.WithAttrs(attrs), h.phaseHooks}
}

func (h *phaseHook) WithGroup(name string) slog.Handler {
	return &phaseHook{h.Handler.WithGroup(name), h.phaseHooks}
}

// at has something done as soon as a phase begins, before anything is done in it.
func (h *phaseHook) at(phase, direction string, do func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.phase, h.direction, h.do = phase, direction, do
}

// movable is a server with images, and a store that they can be moved to.
type movable struct {
	*instance
	store *ts.Store
	log   *phaseHook
	dir   string
}

func startMovable(t *testing.T, list ...ts.Option) *movable {
	t.Helper()
	m := &movable{store: ts.S3(t, list...), log: newPhaseHook(), dir: t.TempDir()}
	m.instance = start(t, server.Config{DataDir: m.dir, Log: slog.New(m.log)})
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.log.text.String())
		}
	})
	if status, _, text := m.call(http.MethodPost, "/storage/migration", object{"destination": destinationOf(m.store, "images")}); status != http.StatusPreconditionFailed {
		t.Errorf("an empty registry is to be moved: %d %s", status, text)
	}
	for i := range 3 {
		ts.Push(t, m.registry(), "library/app", fmt.Sprintf("v%d", i), ts.Image(t, uint64(i), 2, 5000))
	}
	return m
}

func (m *movable) begin() {
	m.t.Helper()
	m.do(http.MethodPost, "/storage/migration", object{"destination": destinationOf(m.store, "images"), "automatic": true}, nil)
}

// works pushes and pulls, which must be stored where the server says that it stores.
func (m *movable) works(t *testing.T, tag, kind string) {
	t.Helper()
	ts.Push(t, m.registry(), "library/app", tag, ts.Image(t, uint64(len(tag)), 2, 500))
	for _, tag := range []string{"v0", "v1", "v2", tag} {
		ts.Pull(t, m.registry(), "library/app", tag)
	}
	var where struct{ Kind string }
	m.do(http.MethodGet, "/storage", nil, &where)
	_, inBucket := m.store.Get("images/docker/registry/v2/repositories/library/app/_manifests/tags/" + tag + "/current/link")
	if where.Kind != kind || inBucket != (kind == "s3") {
		t.Errorf("%s is served, want %s; what was pushed is in the bucket: %v", where.Kind, kind, inBucket)
	}
}

func TestAStoreThatFailsInAnyPhaseLeavesTheRegistryAsItWas(t *testing.T) {
	t.Parallel()
	for _, phase := range []string{"copy", "delta", "final", "check", "switch", "verify"} {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			m := startMovable(t)
			m.log.at(phase, "forward", func() {
				m.store.Faults.Add(ts.Fault{Do: ts.StoreError(http.StatusForbidden, "AccessDenied", "Access Denied")})
			})
			m.begin()
			failed := m.becomes("failed")
			if failed.Problem == nil || failed.Problem.Advice == "" || failed.Window.ReadOnly {
				t.Errorf("problem %+v, window %+v", failed.Problem, failed.Window)
			}
			m.store.Faults.Clear()
			m.works(t, "meanwhile", "directory")
			m.asks("resume")
			m.becomes("migrated")
			m.works(t, "after", "s3")
			ts.Pull(t, m.registry(), "library/app", "meanwhile")
		})
	}
}

func TestAMigrationIsPausedInAnyPhase(t *testing.T) {
	t.Parallel()
	for _, phase := range []string{"copy", "delta", "freeze", "drain", "final", "check"} {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			m := startMovable(t)
			m.log.at(phase, "forward", func() { m.asks("pause") })
			m.begin()
			if paused := m.becomes("paused"); paused.Window.ReadOnly {
				t.Error("the registry is read-only while the migration is paused")
			}
			m.works(t, "meanwhile", "directory")
			m.asks("resume")
			m.becomes("migrated")
			m.works(t, "after", "s3")
			m.asks("finish")
			if m.becomes("finished"); m.move().Actions != nil && len(m.move().Actions) > 0 {
				t.Errorf("after the end there is still to be asked for %v", m.move().Actions)
			}
		})
	}
}

func TestAMigrationIsRolledBackFromAnyPhase(t *testing.T) {
	t.Parallel()
	for _, phase := range []string{"copy", "freeze", "final", "check", "switch", "verify", "thaw"} {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			m := startMovable(t)
			m.log.at(phase, "forward", func() { m.asks("rollback") })
			m.begin()
			if back := m.becomes("rolled_back"); back.Window.ReadOnly {
				t.Error("the registry is read-only after it was rolled back")
			}
			m.works(t, "after", "directory")
			m.begin() // and once more, to the same bucket
			m.becomes("migrated")
			m.works(t, "again", "s3")
		})
	}
}

func TestAnAdministratorsReadOnlyModeStaysAsItIs(t *testing.T) {
	t.Parallel()
	m := startMovable(t)
	m.do(http.MethodPut, "/configurations", object{"read_only": true}, nil)
	m.begin()
	m.becomes("migrated")
	if err := ts.TryPush(t.Context(), m.registry(), "library/app", "no", ts.Image(t, 5, 1, 10)); err == nil {
		t.Error("the migration has switched the administrator's read-only mode off")
	}
	m.do(http.MethodPut, "/configurations", object{"read_only": false}, nil)
	m.works(t, "yes", "s3")
}

func TestADestinationThatCannotBeUsedIsRefused(t *testing.T) {
	t.Parallel()
	m := startMovable(t)
	for name, change := range map[string]object{
		"no bucket":        {"bucket": ""},
		"half a key":       {"secret_key": ""},
		"endpoint":         {"endpoint": "minio:9000"},
		"signatures":       {"v4auth": false},
		"certificate":      {"ca_certificate": "no PEM"},
		"prefix":           {"prefix": "a/../b"},
		"of the journal":   {"prefix": ".lighterage"},
		"no region at all": {"endpoint": "", "region": ""},
	} {
		d := destinationOf(m.store, "images")
		for k, v := range change {
			d[k] = v
		}
		if status, _, text := m.call(http.MethodPost, "/storage/migration", object{"destination": d}); status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if status, _, _ := m.call(http.MethodGet, "/storage/migration", nil); status != http.StatusNotFound {
		t.Errorf("a migration that was refused is there: %d", status)
	}
	d := destinationOf(m.store, "images")
	d["secret_key"] = "wrong"
	m.do(http.MethodPost, "/storage/migration", object{"destination": d}, nil)
	if status, _, _ := m.call(http.MethodPost, "/storage/migration", object{"destination": d}); status != http.StatusConflict {
		t.Errorf("two migrations at a time: %d", status)
	}
	if p := m.becomes("failed").Problem; p.Code != "preflight" {
		t.Errorf("problem %+v", p)
	}
	m.do(http.MethodPut, "/storage/migration/resume", object{"access_key": m.store.AccessKey, "secret_key": m.store.SecretKey}, nil)
	m.becomes("waiting")
	m.asks("cancel")
	m.becomes("canceled")
	m.works(t, "after", "directory")

	// Another registry is in a bucket: the two must not become one.
	m.store.Put("other/docker/registry/v2/repositories/library/theirs/_manifests/tags/v1/current/link", []byte("sha256:"))
	m.do(http.MethodPost, "/storage/migration", object{"destination": destinationOf(m.store, "other")}, nil)
	if p := m.becomes("failed").Problem; p.Code != "preflight" {
		t.Errorf("problem %+v", p)
	}
}

func TestAStoreWithACertificateOfItsOwnIsServedAfterARestart(t *testing.T) {
	t.Parallel()
	m := startMovable(t, ts.WithTLS())
	d := destinationOf(m.store, "images")
	m.do(http.MethodPost, "/storage/migration", object{"destination": d, "automatic": true}, nil)
	if p := m.becomes("failed").Problem; p.Code != "preflight" {
		t.Errorf("problem %+v", p)
	}
	m.asks("cancel")
	m.becomes("canceled")
	d["ca_certificate"] = m.store.CA
	m.do(http.MethodPost, "/storage/migration", object{"destination": d, "automatic": true}, nil)
	m.becomes("migrated")
	m.works(t, "after", "s3")
	m.Stop()
	m.instance = start(t, server.Config{DataDir: m.dir, Log: slog.New(m.log)})
	m.works(t, "restarted", "s3")
}
