package pace_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/lighterage/lighterage/internal/pace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// host is a simulated host: it answers in base time up to capacity requests at a time;
// beyond that requests share what it can do.
type host struct {
	base     time.Duration
	capacity int64
	inFlight atomic.Int64
	peak     atomic.Int64
}

func (h *host) answer() {
	n := h.inFlight.Add(1)
	defer h.inFlight.Add(-1)
	for p := h.peak.Load(); n > p && !h.peak.CompareAndSwap(p, n); p = h.peak.Load() {
	}
	d := h.base
	if n > h.capacity {
		d = h.base * time.Duration(n) / time.Duration(h.capacity)
	}
	time.Sleep(d)
}

// within does work in a slot.
func within(t *testing.T, l *pace.Limiter, work func(start time.Time) (bytes int64)) {
	if err := l.Acquire(t.Context()); err != nil {
		t.Error(err)
		return
	}
	start := time.Now()
	bytes := work(start)
	l.Release(time.Since(start), bytes)
}

// load sends n requests to the host as fast as the limiter lets them and returns how
// long it took.
func load(t *testing.T, l *pace.Limiter, h *host, n int) time.Duration {
	t.Helper()
	start := time.Now()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() { within(t, l, func(time.Time) int64 { h.answer(); return 0 }) })
	}
	wg.Wait()
	return time.Since(start)
}

func TestItOpensForAHostThatCanTakeMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, h := pace.NewLimiter(32, 64), &host{base: 20 * time.Millisecond, capacity: 1000}
		took := load(t, l, h, 10_000)
		if h.peak.Load() != 64 {
			t.Errorf("peak %d, the ceiling is 64", h.peak.Load())
		}
		if ideal := 10_000 / 64 * h.base; took > ideal*11/10 {
			t.Errorf("took %s, all at the ceiling would take %s", took, ideal)
		}
	})
}

func TestItStaysWhereMoreBringsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, h := pace.NewLimiter(32, 200), &host{base: 20 * time.Millisecond, capacity: 20}
		took := load(t, l, h, 10_000)
		if ideal := 10_000 / 20 * h.base; took > ideal*12/10 {
			t.Errorf("took %s, %s is what the host can do", took, ideal)
		}
		if limit := l.Limit(); limit < 16 || limit > 50 {
			t.Errorf("the limit is %d for a host that does 20 at a time", limit)
		}
	})
}

func TestItHalvesOnComplaintsAndRecovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, h := pace.NewLimiter(32, 64), &host{base: 10 * time.Millisecond, capacity: 1000}
		load(t, l, h, 5000)
		complain := func(after time.Duration) func(time.Time) int64 {
			return func(start time.Time) int64 {
				time.Sleep(after)
				l.Halve(start)
				return 0
			}
		}
		// All requests of one moment complain: that is one complaint.
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() { within(t, l, complain(10*time.Millisecond)) })
		}
		wg.Wait()
		if l.Limit() != 32 {
			t.Errorf("the limit went from 64 to %d", l.Limit())
		}
		for range 10 {
			time.Sleep(time.Millisecond)
			within(t, l, complain(time.Millisecond))
		}
		if l.Limit() != 1 {
			t.Errorf("the limit is %d after ten complaints", l.Limit())
		}
		load(t, l, h, 30_000)
		if l.Limit() < 32 {
			t.Errorf("the limit is %d long after the last complaint", l.Limit())
		}
	})
}

func TestTheLimitFollowsTheBytesOfStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// A disk that moves 100 MB/s however many share it: more streams bring nothing.
		l := pace.NewLimiter(32, 64)
		var inFlight atomic.Int64
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() {
				within(t, l, func(time.Time) int64 {
					n := inFlight.Add(1)
					time.Sleep(time.Duration(n) * 500 * time.Millisecond) // 50 MB at 100 MB/s
					inFlight.Add(-1)
					return 50 << 20
				})
			})
		}
		wg.Wait()
		if l.Limit() > 24 {
			t.Errorf("the limit is %d", l.Limit())
		}
	})
}

func TestItGoesDownToWhatAHostSaysItWillTake(t *testing.T) {
	t.Parallel()
	l := pace.NewLimiter(32, 64)
	for _, step := range []struct{ lower, want int }{{40, 32}, {7, 7}, {9, 7}, {-1, 1}} {
		if l.Lower(step.lower); l.Limit() != step.want {
			t.Errorf("lowered to %d it is %d, want %d", step.lower, l.Limit(), step.want)
		}
	}
}

func TestWaitingForASlotEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := pace.NewLimiter(1, 1)
		if err := l.Acquire(t.Context()); err != nil {
			t.Fatal(err)
		}
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Acquire(ctx) }()
		synctest.Wait()
		cancel(stopped)
		if err := <-ended; !errors.Is(err, stopped) {
			t.Errorf("got %v", err)
		}
		l.Release(0, 0)
		if err := l.Acquire(t.Context()); err != nil || l.InUse() != 1 {
			t.Errorf("the slot of the one who left is lost: %d in use, %v", l.InUse(), err)
		}
	})
}

func TestWhoEntersDoesNotWait(t *testing.T) {
	t.Parallel()
	l := pace.NewLimiter(1, 1)
	l.Enter()
	l.Enter()
	if l.InUse() != 2 {
		t.Errorf("%d in use", l.InUse())
	}
	l.Release(0, 0)
	l.Release(0, 0)
	if l.InUse() != 0 {
		t.Errorf("%d in use", l.InUse())
	}
}
