// Package pace keeps work within what a host or a network can take: how many
// requests are under way at a time, and how many bytes move in a second.
//
// It knows nothing of hosts, requests or protocols, and never decides what failed
// or whether it is tried again.
package pace

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Limiter is a semaphore whose size follows what a host can take. It grows while
// more requests in flight finish more work per second, goes back when they do not, and
// halves when the host complains: TCP's idea, with throughput in the place of loss.
type Limiter struct {
	mu      sync.Mutex
	limit   int
	ceiling int
	inUse   int
	waiters list.List // of chan struct{}, first come first served

	window    window
	before    rates // what the last smaller limit achieved
	grewFrom  int   // the limit before the step under trial, 0: none
	hold      int   // windows to leave the limit alone
	slowStart bool  // double until the first step that brings nothing
	bestWait  time.Duration
	halvedAt  time.Time
}

// window is what happened since the limit was last considered.
type window struct {
	start  time.Time
	done   int
	bytes  int64
	took   time.Duration
	queued bool // somebody waited: the limit was what held work back
}

type rates struct{ requests, bytes float64 } // per second

const (
	leastWindow  = 20 * time.Millisecond
	mostWindow   = time.Second
	restWindows  = 16
	betterBy     = 1.05
	leastForSlow = 4 // latency alone never takes the limit below this
)

// NewLimiter returns a limiter that begins at start and never lets more than ceiling
// in at a time.
func NewLimiter(start, ceiling int) *Limiter {
	return &Limiter{limit: min(start, ceiling), ceiling: ceiling, slowStart: true}
}

// Limit returns how many may be in now.
func (l *Limiter) Limit() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limit
}

// InUse returns how many are in now.
func (l *Limiter) InUse() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inUse
}

// Enter takes a slot whether there is one or not.
func (l *Limiter) Enter() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begin()
	l.inUse++
}

func (l *Limiter) begin() {
	if l.window.start.IsZero() {
		l.window.start = time.Now()
	}
}

// Acquire waits for a slot. It fails only when ctx ends, with the cause.
func (l *Limiter) Acquire(ctx context.Context) error {
	l.mu.Lock()
	l.begin()
	if l.inUse < l.limit && l.waiters.Len() == 0 {
		l.inUse++
		l.mu.Unlock()
		return nil
	}
	l.window.queued = true
	turn := make(chan struct{})
	place := l.waiters.PushBack(turn)
	l.mu.Unlock()

	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-turn: // both happened: pass the slot on
		l.inUse--
		l.admit()
	default:
		l.waiters.Remove(place)
	}
	return context.Cause(ctx)
}

// admit hands free slots to waiters. The caller holds the lock.
func (l *Limiter) admit() {
	for l.inUse < l.limit && l.waiters.Len() > 0 {
		turn := l.waiters.Remove(l.waiters.Front()).(chan struct{})
		l.inUse++
		close(turn)
	}
}

// Release gives a slot back, and tells how long the request took and how many bytes
// of body it moved: the limit follows these.
func (l *Limiter) Release(took time.Duration, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.inUse--
	w := &l.window
	w.done++
	w.bytes += bytes
	w.took += took
	now := time.Now()
	open := now.Sub(w.start)
	if open >= mostWindow && w.done >= min(l.limit, 4) || open >= leastWindow && w.done >= 2*l.limit {
		l.consider(open)
		l.window = window{start: now, queued: l.waiters.Len() > 0}
	}
	l.admit()
}

// consider sets the limit after a window. The caller holds the lock.
func (l *Limiter) consider(open time.Duration) {
	w := l.window
	now := rates{requests: float64(w.done) / open.Seconds(), bytes: float64(w.bytes) / open.Seconds()}
	wait := w.took / time.Duration(w.done)
	if l.bestWait == 0 || wait < l.bestWait {
		l.bestWait = wait
	}
	if !w.queued { // the work, not the limit, decided how much was in flight
		l.grewFrom = 0
		return
	}
	if l.grewFrom > 0 {
		better := now.requests > l.before.requests*betterBy || now.bytes > l.before.bytes*betterBy
		if !better {
			l.limit, l.grewFrom = l.grewFrom, 0
			l.hold, l.slowStart = restWindows, false
			return
		}
	}
	if l.hold > 0 {
		l.hold--
		// A host that takes many times as long as it could is being crowded, even when
		// it does not say so: fewer at a time get as much done.
		if l.hold == 0 && wait > 8*l.bestWait && wait > 500*time.Millisecond && l.limit > leastForSlow {
			l.limit = max(l.limit*3/4, leastForSlow)
			l.hold = restWindows
			l.bestWait *= 2 // the measure may have been of smaller work; do not sink on it for ever
		}
		return
	}
	if l.limit >= l.ceiling {
		l.grewFrom = 0
		return
	}
	l.before, l.grewFrom = now, l.limit
	step := max(1, l.limit/4)
	if l.slowStart {
		step = l.limit
	}
	l.limit = min(l.limit+step, l.ceiling)
}

// Halve answers a complaint about a request that began at start. Requests that were
// already under way at the last halving tell nothing new.
func (l *Limiter) Halve(start time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if start.Before(l.halvedAt) {
		return
	}
	l.halvedAt = time.Now()
	l.limit = max(1, l.limit/2)
	l.grewFrom, l.hold, l.slowStart = 0, restWindows, false
	l.window = window{start: l.halvedAt, queued: l.waiters.Len() > 0}
}

// Lower brings the limit down to n, for hosts that say how many requests they will
// still take.
func (l *Limiter) Lower(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n = max(1, n); n < l.limit {
		l.limit = n
		l.grewFrom, l.hold, l.slowStart = 0, restWindows, false
	}
}
