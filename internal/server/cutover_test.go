package server_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// move is a storage migration as the API shows it.
type move struct {
	Status, Phase, Direction string
	Wish                     string
	Actions                  []string
	Window                   struct {
		Seconds  float64
		ReadOnly bool `json:"read_only"`
	}
	Problem *struct{ Code, Message, Advice string }
	Pulls   []struct{ What, Error string }
	Deltas  []struct{ Objects int64 }
	Total   struct {
		Objects, Bytes int64
		Proofs         map[string]int64
	}
	Evidence  struct{ Objects, Same, Before int64 }
	Rehearsal *struct {
		Objects, Same int64
		Proofs, Bytes map[string]int64
	}
	Artifacts struct{ Manifests, Tags, Broken int64 }
}

func (a *api) move() move {
	a.t.Helper()
	var m move
	a.do(http.MethodGet, "/storage/migration", nil, &m)
	return m
}

// becomes waits until the migration has a status.
func (a *api) becomes(status string) move {
	a.t.Helper()
	var m move
	ts.Eventually(a.t, "the migration is "+status, func() bool {
		m = a.move()
		if m.Status == "failed" && m.Wish == "" && status != "failed" {
			a.t.Fatalf("the migration stops in %s: %s (%s)", m.Phase, m.Problem.Message, m.Problem.Advice)
		}
		return m.Status == status
	})
	return m
}

func (a *api) asks(action string) {
	a.t.Helper()
	a.do(http.MethodPut, "/storage/migration/"+action, nil, nil)
}

// destinationOf is where a store's bucket is, in the words of the API.
func destinationOf(s *ts.Store, prefix string) object {
	return object{"provider": "Minio", "endpoint": s.Endpoint, "region": "us-east-1", "bucket": s.Bucket, "prefix": prefix, "access_key": s.AccessKey, "secret_key": s.SecretKey}
}

// pusher pushes, retags and deletes until it is stopped, and knows what it was told.
type pusher struct {
	acknowledged
	stop chan struct{}
	once sync.Once
	done sync.WaitGroup
	said int
}

func pushing(t *testing.T, a *api, repository string) *pusher {
	p := &pusher{acknowledged: acknowledged{tags: map[string]possible{}}, stop: make(chan struct{})}
	home := a.registry()
	p.done.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-p.stop:
				return
			default:
			}
			tag := fmt.Sprintf("t%d", i%5)
			image := ts.Image(t, uint64(1000+i), 2, 2000)
			d := image.Descriptor().Digest.String()
			p.ask(tag, d)
			if err := ts.TryPush(t.Context(), home, repository, tag, image); err == nil {
				p.answer(tag, d)
				p.mu.Lock()
				p.said++
				p.mu.Unlock()
			}
		}
	})
	t.Cleanup(func() { p.end() })
	return p
}

// end has it push no more.
func (p *pusher) end() {
	p.once.Do(func() { close(p.stop) })
	p.done.Wait()
}

// agrees compares what clients were told with what the registry says.
func (p *pusher) agrees(t *testing.T, r *ts.Registry, repository string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.said == 0 {
		t.Error("nothing was pushed")
	}
	for tag, want := range p.tags {
		d, ok := ts.Digest(t, r, repository, tag)
		if !ok || d.String() != want.now && !strings.Contains(strings.Join(want.unsure, " "), d.String()) {
			t.Errorf("%s:%s is %s (%v), and clients were told %s", repository, tag, d, ok, want.now)
		}
	}
}

// reader pulls an image again and again: nobody who reads must notice anything.
type reader struct {
	stop, done chan struct{}
	pulled     int
}

func reading(t *testing.T, home *ts.Registry, repository, tag string) *reader {
	r := &reader{stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for {
			select {
			case <-r.stop:
				return
			default:
			}
			if _, err := ts.TryPull(t.Context(), home, repository, tag); err != nil {
				t.Errorf("a pull while the storage is moved: %v", err)
				return
			}
			r.pulled++
		}
	}()
	return r
}

// end has it read no more, and tells how often it did.
func (r *reader) end() int {
	close(r.stop)
	<-r.done
	return r.pulled
}

func TestTheStorageMovesWhileClientsPushAndGoesBack(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	dir := t.TempDir()
	s := start(t, server.Config{DataDir: dir})
	home := s.registry()
	images := map[string]*ts.Artifact{}
	for i := range 5 {
		tag := fmt.Sprintf("v%d", i)
		images[tag] = ts.Image(t, uint64(i), 3, 50_000)
		ts.Push(t, home, "library/app", tag, images[tag])
	}
	p := pushing(t, s.api, "library/busy")
	r := reading(t, home, "library/app", "v0")
	s.do(http.MethodPost, "/storage/migration", object{"destination": destinationOf(store, "images")}, nil)
	m := s.becomes("waiting")
	if len(m.Deltas) == 0 {
		t.Error("no look for what is new is told of")
	}
	waited := m.Total
	if waited.Objects < int64(len(images)) || waited.Bytes < 5*3*50_000 || len(waited.Proofs) == 0 {
		t.Errorf("all copies together brought %+v", waited)
	}
	if r := m.Rehearsal; r == nil || r.Same == 0 || sum(r.Proofs) != r.Same || sum(r.Bytes) < 5*3*50_000 {
		t.Errorf("while it waits the check before the window tells %+v", r)
	}
	s.asks("cutover")
	m = s.becomes("migrated")
	if r := m.Rehearsal; r == nil || r.Same < m.Evidence.Before || sum(r.Proofs) != r.Same {
		t.Errorf("%d objects were proven before the window, and of that check it says %+v", m.Evidence.Before, r)
	}
	if m.Window.ReadOnly || m.Window.Seconds <= 0 {
		t.Errorf("window %+v", m.Window)
	}
	t.Logf("read-only for %.2f s", m.Window.Seconds)
	if m.Evidence.Same != m.Evidence.Objects || m.Artifacts.Manifests < 5 || m.Artifacts.Broken != 0 || len(m.Pulls) < 2 {
		t.Errorf("evidence %+v, artifacts %+v, pulls %+v", m.Evidence, m.Artifacts, m.Pulls)
	}
	ts.Push(t, home, "library/app", "after", images["v0"])
	if _, ok := store.Get("images/docker/registry/v2/repositories/library/app/_manifests/tags/after/current/link"); !ok {
		t.Error("what was pushed after the change is not in the bucket")
	}
	p.end()
	p.agrees(t, home, "library/busy")

	if n := r.end(); n == 0 {
		t.Error("nothing was pulled while the storage was moved")
	}

	// A restart serves the bucket, with the old command line.
	s.Stop()
	s = start(t, server.Config{DataDir: dir})
	var where struct{ Kind, Place string }
	s.do(http.MethodGet, "/storage", nil, &where)
	if total := s.move().Total; total.Objects < waited.Objects || total.Bytes < waited.Bytes {
		t.Errorf("after a restart all copies together brought %+v, and before %+v", total, waited)
	}
	if where.Kind != "s3" || !strings.Contains(s.info.Storage, "s3://") {
		t.Errorf("after a restart %+v is served, and told at the start %s", where, s.info.Storage)
	}
	home = s.registry()
	p.agrees(t, home, "library/busy")
	for tag := range images {
		ts.Pull(t, home, "library/app", tag)
	}
	if text := refusal(t, server.Config{DataDir: t.TempDir(), Storage: filepath.Join(dir, "registry")}); !strings.Contains(text, "s3://harbor/images") {
		t.Errorf("a server that has lost its database says of the old folder: %s", text)
	}
	s.Stop()
	if text := refusal(t, server.Config{DataDir: dir, Storage: t.TempDir()}); !strings.Contains(text, "s3://harbor/images") {
		t.Errorf("a server that is given a third storage says: %s", text)
	}
	s = start(t, server.Config{DataDir: dir, Storage: store.Location("images")})
	home = s.registry()
	p.agrees(t, home, "library/busy")
	s.Stop()
	s = start(t, server.Config{DataDir: dir})
	home = s.registry()
	nothingSecret(t, store.SecretKey, dir, s.api)

	// Back again, with what was pushed and deleted since.
	s.do(http.MethodDelete, "/projects/library/repositories/app/artifacts/v1", nil, nil)
	fresh := ts.Image(t, 99, 2, 1000)
	ts.Push(t, home, "library/new", "v1", fresh)
	r = reading(t, home, "library/app", "v0")
	s.asks("rollback")
	m = s.becomes("rolled_back")
	r.end()
	s.do(http.MethodGet, "/storage", nil, &where)
	if where.Kind != "directory" || m.Direction != "back" {
		t.Errorf("after going back %+v is served, direction %s", where, m.Direction)
	}
	if _, ok := ts.Digest(t, home, "library/app", "v1"); ok {
		t.Error("what was deleted meanwhile is there again")
	}
	if d, ok := ts.Digest(t, home, "library/new", "v1"); !ok || d != fresh.Descriptor().Digest {
		t.Error("what was pushed meanwhile is not there")
	}
	ts.Pull(t, home, "library/new", "v1")
	p.agrees(t, home, "library/busy")
	s.Stop()
	store.Stop()
	s = start(t, server.Config{DataDir: dir})
	ts.Pull(t, s.registry(), "library/app", "after")
}

// sum adds up what was counted.
func sum(counts map[string]int64) (n int64) {
	for _, count := range counts {
		n += count
	}
	return n
}

// nothingSecret looks for a secret where it must not be.
func nothingSecret(t *testing.T, secret, dir string, a *api) {
	t.Helper()
	for _, path := range []string{"/storage", "/storage/migration"} {
		if _, _, text := a.call(http.MethodGet, path, nil); bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s shows the secret key", path)
		}
	}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return nil // databases come and go
		}
		if text, err := os.ReadFile(path); err == nil && bytes.Contains(text, []byte(secret)) {
			t.Errorf("%s holds the secret key", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// refusal is why a server does not start.
func refusal(t *testing.T, c server.Config) string {
	t.Helper()
	c.Listen = "127.0.0.1:0"
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c.Ready = func(server.Info) { cancel() }
	if err := server.Run(ctx, c); err != nil {
		return err.Error()
	}
	return "nothing: it has started"
}
