package transfer

import (
	"errors"
	"sync"

	"github.com/opencontainers/go-digest"
)

// claims sees to it that a blob is moved to the destination by one upload at a
// time, whatever repositories wait for it: they mount it when it has arrived.
type claims struct {
	mu    sync.Mutex
	taken map[digest.Digest]*claim
}

type claim struct {
	done chan struct{}
	err  error // why the blob did not arrive; valid once done is closed
}

// take returns a claim of the caller's own to be released, or the one it has to
// wait for.
func (c *claims) take(d digest.Digest) (held *claim, own bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if held, ok := c.taken[d]; ok {
		return held, false
	}
	if c.taken == nil {
		c.taken = map[digest.Digest]*claim{}
	}
	held = &claim{done: make(chan struct{})}
	c.taken[d] = held
	return held, true
}

func (c *claims) release(d digest.Digest, held *claim, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.taken, d)
	held.err = err
	close(held.done)
}

// sparesOthers reports whether a failed upload would fail for those who waited for
// it too: the destination is out of order, as opposed to a source that lacks the
// blob, a repository that may not be written, or a caller who gave up.
func sparesOthers(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Side == Destination && e.Retryable
}
