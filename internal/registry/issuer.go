package registry

import (
	"context"
	"sync"
	"time"
)

// issuer keeps a credential that a provider gives out for a time, and gets the next one
// before it runs out: a copy may take longer than any of them is good for.
type issuer struct {
	// issue asks the provider. A zero time means that the credential does not run out.
	issue func(ctx context.Context) (Credential, time.Time, error)

	turn chan struct{} // held by the one who asks; a mutex that a context can leave

	mu      sync.Mutex
	current Credential
	got     time.Time
	renew   time.Time // when the next one is due; zero: never
	refusal denial    // the provider's last no, for a moment
}

// A credential that is refused although it has not run out may have been taken back.
// A younger one would be refused again.
const issuedAnew = time.Minute

func newIssuer(issue func(context.Context) (Credential, time.Time, error)) *issuer {
	return &issuer{issue: issue, turn: make(chan struct{}, 1)}
}

// get returns a living credential. Callers at the same time wait for one request.
func (i *issuer) get(ctx context.Context) (Credential, error) {
	if c, ok, err := i.known(); ok {
		return c, err
	}
	select {
	case i.turn <- struct{}{}:
		defer func() { <-i.turn }()
	case <-ctx.Done():
		return Credential{}, context.Cause(ctx)
	}
	if c, ok, err := i.known(); ok { // somebody was faster
		return c, err
	}
	asked := time.Now()
	c, expires, err := i.issue(ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil {
		if IsUnauthorized(err) {
			i.refusal = denial{err: err, until: time.Now().Add(denialMemory)}
		}
		return Credential{}, err
	}
	i.current, i.got, i.renew, i.refusal = c, asked, time.Time{}, denial{}
	if !expires.IsZero() {
		i.renew = asked.Add(issuedLife(expires.Sub(asked)))
	}
	return c, nil
}

// issuedLife is how long a credential is used of the time it is good for: a request
// that starts with it must arrive with it.
func issuedLife(life time.Duration) time.Duration {
	life = max(life, time.Minute) // a clock that goes wrong must not make every request ask
	return life - min(life/4, 15*time.Minute)
}

func (i *issuer) known() (Credential, bool, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	now := time.Now()
	if now.Before(i.refusal.until) {
		return Credential{}, true, i.refusal.err
	}
	if i.got.IsZero() || !i.renew.IsZero() && !now.Before(i.renew) {
		return Credential{}, false, nil
	}
	return i.current, true, nil
}

// drop forgets a credential that was refused and reports whether the next one may be
// better.
func (i *issuer) drop(refused Credential) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.current != refused {
		return true // it has been replaced meanwhile
	}
	if i.got.IsZero() || time.Since(i.got) < issuedAnew {
		return false
	}
	i.got = time.Time{}
	return true
}
