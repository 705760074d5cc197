package pace_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lighterage/lighterage/internal/pace"
)

// moved counts the bytes that so many streams move within limits in a time.
func moved(t *testing.T, limits pace.Limits, streams int, long time.Duration) int64 {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), long)
	defer stop()
	var bytes atomic.Int64
	var all sync.WaitGroup
	for range streams {
		all.Go(func() {
			for {
				n := min(32<<10, limits.AtOnce())
				if limits.Wait(ctx, n) != nil {
					return
				}
				bytes.Add(int64(n))
			}
		})
	}
	all.Wait()
	return bytes.Load()
}

func TestStreamsKeepWithinTheTightestOfTheirLimits(t *testing.T) {
	for name, c := range map[string]struct {
		rates   []int64
		streams int
		want    int64 // a second
	}{
		"two that are alike": {[]int64{1 << 20, 1 << 20}, 1, 1 << 20},
		"the first":          {[]int64{1 << 16, 1 << 20}, 1, 1 << 16},
		"the second":         {[]int64{1 << 20, 1 << 16}, 8, 1 << 16},
		"beside none":        {[]int64{0, 1 << 18, 0}, 8, 1 << 18},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limits := pace.Limits{nil}
				for _, rate := range c.rates {
					limits = append(limits, pace.NewAdjustable(rate))
				}
				if got := moved(t, limits, c.streams, 10*time.Second); got < c.want*95/10 || got > c.want*105/10 {
					t.Errorf("%d bytes in 10 s, want %d a second", got, c.want)
				}
			})
		})
	}
}

func TestALimitIsSharedByStreamsThatHaveOthersOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 1 << 20
		shared := pace.NewAdjustable(rate)
		var got [2]int64
		var all sync.WaitGroup
		for i, own := range []int64{rate / 4, 10 * rate} {
			all.Go(func() { got[i] = moved(t, pace.Limits{pace.NewAdjustable(own), shared}, 4, 10*time.Second) })
		}
		all.Wait()
		if sum := got[0] + got[1]; sum < rate*95/10 || sum > rate*105/10 {
			t.Errorf("%d bytes together in 10 s, want %d a second", sum, rate)
		}
		if got[0] > rate/4*105/10 {
			t.Errorf("the slow one moved %d bytes", got[0])
		}
	})
}

func TestWithoutLimitsNobodyWaits(t *testing.T) {
	t.Parallel()
	for _, limits := range []pace.Limits{nil, {}, {nil}, {pace.NewBandwidth(0), pace.NewAdjustable(0)}} {
		leave, err := limits.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		leave()
		if err := limits.Wait(t.Context(), 1<<40); err != nil || limits.AtOnce() < 1<<40 {
			t.Errorf("%v: %v, %d at once", limits, err, limits.AtOnce())
		}
	}
}

func TestWhoCannotEnterALimitLeavesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, full := pace.NewBandwidth(1000), pace.NewBandwidth(1000)
		for range 8 {
			if _, err := full.Enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stopped) })
		var waiting sync.WaitGroup
		for range 8 {
			waiting.Go(func() {
				if _, err := (pace.Limits{first, full}).Enter(ctx); !errors.Is(err, stopped) {
					t.Error(err)
				}
			})
		}
		waiting.Wait()
		for range 8 { // there is room for as many as before
			if _, err := first.Enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
