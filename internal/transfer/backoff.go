package transfer

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/lighterage/lighterage/internal/registry"
)

// patience decides how long a stream that breaks is taken up again. It counts
// attempts that brought nothing: whoever moves forward is never given up.
type patience struct {
	attempts  int           // failures in a row without progress that are endured
	first     time.Duration // the first wait; each further one is twice as long
	longest   time.Duration
	failures  int
	highWater int64
}

func (e *Engine) patience() *patience {
	return &patience{attempts: e.o.Attempts, first: e.o.Backoff, longest: e.o.MaxBackoff, highWater: -1}
}

// reached tells how far the work has come. Coming further than ever before
// forgives the failures so far.
func (p *patience) reached(offset int64) {
	if offset > p.highWater {
		p.highWater = offset
		p.failures = 0
	}
}

// exhausted notes a failure and reports whether it was one too many.
func (p *patience) exhausted() bool {
	p.failures++
	return p.failures > p.attempts
}

// pause waits after the failures so far, and at least as long as the registry
// asked for in err. It returns early, with the cause, when ctx ends.
func (p *patience) pause(ctx context.Context, err error) error {
	wait := p.first << min(max(p.failures-1, 0), 20)
	if wait <= 0 || wait > p.longest {
		wait = p.longest
	}
	wait = wait/2 + rand.N(wait/2+1) // jitter: streams that broke together must not come back together
	wait = max(wait, registry.RetryAfter(err))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
