package registry

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheGateOpensForAHostThatCanTakeMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("h", 32, time.Minute)
		var inFlight, peak atomic.Int64
		var wg sync.WaitGroup
		for range 10_000 {
			wg.Go(func() {
				s, err := g.acquire(t.Context(), short, false)
				if err != nil {
					t.Error(err)
					return
				}
				n := inFlight.Add(1)
				for p := peak.Load(); n > p && !peak.CompareAndSwap(p, n); p = peak.Load() {
				}
				time.Sleep(20 * time.Millisecond)
				inFlight.Add(-1)
				s.done(0)
			})
		}
		wg.Wait()
		if peak.Load() != 64 {
			t.Errorf("peak %d, the ceiling is 64", peak.Load())
		}
	})
}

func TestAComplaintHalvesItsLaneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("h", 32, time.Minute)
		var slots []*slot
		for range 2 {
			s, err := g.acquire(t.Context(), upload, false)
			if err != nil {
				t.Fatal(err)
			}
			slots = append(slots, s)
		}
		time.Sleep(time.Millisecond)
		for _, s := range slots { // of one moment: that is one complaint
			s.congested()
			s.done(0)
		}
		if up, down := g.lanes[upload].Limit(), g.lanes[download].Limit(); up != 16 || down != 32 {
			t.Errorf("the limits are %d and %d", up, down)
		}
	})
}

func TestAPauseHoldsEveryRequestForItsWholeLength(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("h", 32, time.Minute)
		start := time.Now()
		g.hold(30 * time.Second)
		g.hold(10 * time.Second) // does not shorten it
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				s, err := g.acquire(t.Context(), lane(i%int(laneCount)), false)
				if err != nil {
					t.Error(err)
					return
				}
				if waited := time.Since(start); waited != 30*time.Second {
					t.Errorf("waited %s", waited)
				}
				s.done(0)
			})
		}
		wg.Wait()
	})
}

func TestALongPauseIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("h", 32, time.Minute)
		g.hold(time.Hour)
		start := time.Now()
		_, err := g.acquire(t.Context(), short, false)
		if RetryAfter(err) != time.Hour || !IsTemporary(err) || time.Since(start) != 0 {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("h", 1, time.Hour)
		busy, err := g.acquire(t.Context(), upload, false)
		if err != nil {
			t.Fatal(err)
		}
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() { _, err := g.acquire(ctx, upload, false); ended <- err }()
		synctest.Wait()
		cancel(stopped)
		if err := <-ended; !errors.Is(err, stopped) {
			t.Errorf("in the queue: %v", err)
		}

		ctx, cancel = context.WithCancelCause(t.Context())
		g.hold(time.Minute)
		go func() { _, err := g.acquire(ctx, short, false); ended <- err }()
		synctest.Wait()
		cancel(stopped)
		if err := <-ended; !errors.Is(err, stopped) {
			t.Errorf("in a pause: %v", err)
		}
		busy.done(0)
		time.Sleep(time.Minute)
		if again, err := g.acquire(t.Context(), upload, false); err != nil {
			t.Errorf("the slot of the one who left is lost: %v", err)
		} else {
			again.done(0)
		}
	})
}

func TestShortRequestsDoNotWaitBehindBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("h", 2, time.Minute)
		for range 2 {
			for _, l := range []lane{download, upload} {
				if _, err := g.acquire(t.Context(), l, false); err != nil {
					t.Fatal(err)
				}
			}
		}
		s, err := g.acquire(t.Context(), short, false)
		if err != nil {
			t.Fatal(err)
		}
		s.done(0)
	})
}

// An upload under way whose source breaks must get its source back even when all
// download slots are held by copies that wait for an upload slot.
func TestWhatGoesOnDoesNotWaitForASlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate("h", 2, time.Minute)
		var held []*slot
		for range 2 {
			s, err := g.acquire(t.Context(), download, false)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, s)
		}
		s, err := g.acquire(t.Context(), download, true)
		if err != nil {
			t.Fatal(err)
		}
		s.done(0)
		for _, s := range held {
			s.done(0)
		}
		if n := g.lanes[download].InUse(); n != 0 {
			t.Errorf("%d slots are still held", n)
		}
	})
}
