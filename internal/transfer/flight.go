package transfer

import (
	"context"
	"sync"
)

// flights lets calls that want the same thing at the same time share one
// execution. The execution belongs to all of them: it goes on when the caller
// that began it gives up, and is cancelled when the last one does.
type flights[K comparable, V any] struct {
	mu     sync.Mutex
	flying map[K]*flight[V]
}

type flight[V any] struct {
	cancel  context.CancelCauseFunc
	callers int
	done    chan struct{}
	value   V
	err     error
}

// do returns what f returns. shared is true when another call had begun it.
// f gets the values of the first caller's context but not its end.
func (s *flights[K, V]) do(ctx context.Context, key K, f func(context.Context) (V, error)) (value V, shared bool, err error) {
	if ctx.Err() != nil {
		return value, false, context.Cause(ctx)
	}
	fl, shared := s.board(ctx, key, f)
	select {
	case <-fl.done:
		s.leave(key, fl, nil)
		return fl.value, shared, fl.err
	case <-ctx.Done():
		if last := s.leave(key, fl, context.Cause(ctx)); last {
			<-fl.done // it has been cancelled: leave nothing running behind
		}
		return value, shared, context.Cause(ctx)
	}
}

// board joins the flight for key or starts one.
func (s *flights[K, V]) board(ctx context.Context, key K, f func(context.Context) (V, error)) (fl *flight[V], joined bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if fl, ok := s.flying[key]; ok {
		fl.callers++
		return fl, true
	}
	own, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	fl = &flight[V]{cancel: cancel, callers: 1, done: make(chan struct{})}
	if s.flying == nil {
		s.flying = map[K]*flight[V]{}
	}
	s.flying[key] = fl
	go func() {
		fl.value, fl.err = f(own)
		s.mu.Lock()
		if s.flying[key] == fl {
			delete(s.flying, key)
		}
		s.mu.Unlock()
		cancel(nil)
		close(fl.done)
	}()
	return fl, false
}

// leave takes a caller off and reports whether it was the last one. A flight without
// callers ends, and is not joined any more: who comes now must not inherit a
// cancellation.
func (s *flights[K, V]) leave(key K, fl *flight[V], cause error) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fl.callers--
	if fl.callers > 0 {
		return false
	}
	if s.flying[key] == fl {
		delete(s.flying, key)
	}
	fl.cancel(cause)
	return true
}
