package embedded

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// passing marks what a request does after it has passed the gate.
func passing(ctx context.Context) context.Context { return context.WithValue(ctx, passedKey, true) }

func hasPassed(ctx context.Context) bool {
	passed, _ := ctx.Value(passedKey).(bool)
	return passed
}

// gate is what everything passes that writes to the storage. While it is shut nothing
// new passes, and who has passed before is known, so that it can be waited for.
type gate struct {
	mu     sync.Mutex
	shut   bool
	inside map[*visit]struct{}
	empty  chan struct{} // closed when inside has become empty; nil: nobody waits
}

// visit is something that writes.
type visit struct{ abort func() }

func newGate() *gate { return &gate{inside: map[*visit]struct{}{}} }

// enter passes the gate; ok is false while it is shut, unless the visit is part of what
// it is shut for. abort, which may be nil, breaks off what is written.
func (g *gate) enter(privileged bool, abort func()) (leave func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut && !privileged {
		return nil, false
	}
	v := &visit{abort}
	g.inside[v] = struct{}{}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.inside, v)
		if len(g.inside) == 0 && g.empty != nil {
			close(g.empty)
			g.empty = nil
		}
	}, true
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
}

func (g *gate) isFrozen() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.shut
}

// wait returns when nobody is inside.
func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	if len(g.inside) == 0 {
		g.mu.Unlock()
		return nil
	}
	if g.empty == nil {
		g.empty = make(chan struct{})
	}
	empty := g.empty
	g.mu.Unlock()
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// abort breaks off what can be broken off, and returns how many there were.
func (g *gate) abort() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for v := range g.inside {
		if v.abort != nil {
			v.abort()
			n++
		}
	}
	return n
}

// Freeze has the registry refuse what would change its storage from now on, as
// read-only mode does. What has begun before goes on, see Drain.
func (r *Registry) Freeze() { r.gate.set(true) }

// Thaw ends what Freeze began. Read-only mode is another thing and stays as it is.
func (r *Registry) Thaw() { r.gate.set(false) }

// Frozen reports whether Freeze was called, and Thaw not since.
func (r *Registry) Frozen() bool { return r.gate.isFrozen() }

// abortTime is how long what was broken off may take to end.
const abortTime = 30 * time.Second

// Drain waits until nothing is written any more that began before Freeze. After patience
// it breaks off uploads that are still coming in: their clients have had no answer, and
// begin anew. A manifest that is being recorded is always waited for.
func (r *Registry) Drain(ctx context.Context, patience time.Duration) (aborted int, err error) {
	if !r.Frozen() {
		return 0, errNotFrozen
	}
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if r.gate.wait(patient) == nil {
		return 0, nil
	}
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	aborted = r.gate.abort()
	last, cancel := context.WithTimeout(ctx, changeTimeout+abortTime)
	defer cancel()
	if err := r.gate.wait(last); err != nil {
		return aborted, fmt.Errorf("wait for what is being written to the storage: %w", err)
	}
	return aborted, nil
}

// abortRequest breaks off a request whose body is still coming.
func abortRequest(w http.ResponseWriter, body io.Closer, cancel context.CancelFunc) func() {
	control := http.NewResponseController(w)
	return func() {
		// To close the body of a connection would wait for who reads it; in this process
		// there is no connection, and to close it is what ends the reading.
		if control.SetReadDeadline(time.Unix(1, 0)) != nil {
			_ = body.Close()
		}
		cancel()
	}
}
