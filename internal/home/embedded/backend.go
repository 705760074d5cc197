package embedded

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/distribution/distribution/v3/registry/handlers"
)

// backend is the library with its storage. A registry has one at a time; while it is
// exchanged, requests that began with the old one end there.
type backend struct {
	app   *handlers.App
	tree  *tree
	stop  context.CancelFunc
	users sync.WaitGroup // requests that it answers
}

func (r *Registry) openBackend(s Storage) (*backend, error) {
	life, stop := context.WithCancel(r.life)
	app, t, err := open(life, s, r.secret)
	if err != nil {
		stop()
		return nil, err
	}
	return &backend{app: app, tree: t, stop: stop}, nil
}

// close ends a backend that nobody uses any more.
func (b *backend) close() error {
	b.users.Wait()
	b.stop()
	return b.app.Shutdown()
}

// use returns the backend for one request; done is called when that is answered.
func (r *Registry) use() (b *backend, done func()) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	r.backend.users.Add(1)
	return r.backend, r.backend.users.Done
}

// tree is the storage as it is now.
func (r *Registry) tree() *tree {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.backend.tree
}

// errNotFrozen keeps a storage from being exchanged under somebody who writes to it.
var errNotFrozen = errors.New("the storage is exchanged only while the registry is frozen")

// Switch has the registry serve another storage from now on, without an interruption:
// what is being read from the old one is read to its end. The registry must be frozen,
// and drained, and both must hold the same.
func (r *Registry) Switch(s Storage) error {
	if !r.gate.isFrozen() {
		return errNotFrozen
	}
	next, err := r.openBackend(s)
	if err != nil {
		return fmt.Errorf("open the storage: %w", err)
	}
	r.mu.Lock()
	old := r.backend
	r.backend = next
	r.mu.Unlock()
	r.background.Go(func() {
		if err := old.close(); err != nil {
			r.log.Error("close the storage before", "error", err)
		}
	})
	return nil
}
