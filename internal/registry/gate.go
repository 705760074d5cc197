package registry

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/pace"
)

// lane is a kind of request with a budget of its own. Short requests must not wait
// behind bodies, and an upload must not wait for a slot that the download feeding it
// holds: a copy within one host would stand still for ever.
type lane int

const (
	short lane = iota
	download
	upload
	laneCount
)

// gate admits requests to one host: at most as many at a time as the host has shown it
// can take, and none while the host has asked for silence.
type gate struct {
	host     string
	maxPause time.Duration

	mu    sync.Mutex
	until time.Time // no request starts before this
	lanes [laneCount]*pace.Limiter
}

const startConcurrency = 32

func newGate(host string, ceiling int, maxPause time.Duration) *gate {
	g := &gate{host: host, maxPause: maxPause}
	// Short requests cost a host little and are many: they get twice the streams' ceiling.
	g.lanes[short] = pace.NewLimiter(startConcurrency, 2*ceiling)
	g.lanes[download] = pace.NewLimiter(startConcurrency, ceiling)
	g.lanes[upload] = pace.NewLimiter(startConcurrency, ceiling)
	return g
}

// acquire waits for a slot and for the end of a pause. It fails when ctx ends, and at
// once when the host has asked for a longer silence than a request should wait for.
// A request that goes on with work admitted before waits for the pause only.
func (g *gate) acquire(ctx context.Context, l lane, goesOn bool) (*slot, error) {
	if err := g.pause(ctx); err != nil {
		return nil, err
	}
	lim := g.lanes[l]
	if goesOn {
		lim.Enter()
	} else if err := lim.Acquire(ctx); err != nil {
		return nil, err
	}
	// The pause may have begun while we waited for the slot.
	if err := g.pause(ctx); err != nil {
		lim.Release(0, 0)
		return nil, err
	}
	return &slot{limiter: lim, start: time.Now()}, nil
}

func (g *gate) pause(ctx context.Context) error {
	for {
		g.mu.Lock()
		wait := time.Until(g.until)
		g.mu.Unlock()
		if wait <= 0 {
			return ctx.Err()
		}
		if wait > g.maxPause {
			return &Error{
				Method: "wait for", Host: g.host, Status: http.StatusTooManyRequests, RetryAfter: wait,
				hint: "the host has asked for no more requests until then",
			}
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// hold stops every new request to the host for d.
func (g *gate) hold(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until := time.Now().Add(d); until.After(g.until) {
		g.until = until
	}
}

// crowded tells that the host answered a short request that began at start with "too
// much" in words of its own.
func (g *gate) crowded(start time.Time) { g.lanes[short].Halve(start) }

// sleep waits for d or until ctx ends, whichever is first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// slot is the right to have one request in flight. A nil slot is that of a request
// outside the gate.
type slot struct {
	limiter *pace.Limiter
	start   time.Time
	once    sync.Once
}

// done gives the slot back after moving so many bytes of body.
func (s *slot) done(bytes int64) {
	if s == nil {
		return
	}
	s.once.Do(func() { s.limiter.Release(time.Since(s.start), bytes) })
}

// congested tells that the host answered this request with "too much" or not at all.
func (s *slot) congested() {
	if s != nil {
		s.limiter.Halve(s.start)
	}
}
