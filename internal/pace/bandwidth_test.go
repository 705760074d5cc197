package pace_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/lighterage/lighterage/internal/pace"
)

func TestAStreamTakesTheTimeThatItsBytesMayTake(t *testing.T) {
	for name, rate := range map[string]int64{"slow": 1000, "medium": 1 << 20, "fast": 100 << 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := pace.NewBandwidth(rate)
				size := 10 * rate
				start := time.Now()
				n, err := io.Copy(io.Discard, b.Reader(t.Context(), io.LimitReader(zeros{}, size)))
				took := time.Since(start)
				if err != nil || n != size {
					t.Fatalf("%d bytes, %v", n, err)
				}
				if took < 9500*time.Millisecond || took > 10500*time.Millisecond {
					t.Errorf("10 s worth of bytes took %s", took)
				}
			})
		})
	}
}

func TestSmallBodiesOfManyAreCountedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate, blobs, size = 100_000, 14_080, 71 // 10 s
		b := pace.NewBandwidth(rate)
		start := time.Now()
		var wg sync.WaitGroup
		work := make(chan struct{})
		for range 50 {
			wg.Go(func() {
				for range work {
					if _, err := io.Copy(io.Discard, b.Reader(t.Context(), strings.NewReader(strings.Repeat("x", size)))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for range blobs {
			work <- struct{}{}
		}
		close(work)
		wg.Wait()
		if took := time.Since(start); took < 9500*time.Millisecond || took > 10500*time.Millisecond {
			t.Errorf("10 s worth of small bodies took %s", took)
		}
	})
}

func TestWithoutALimitReadersStayThemselves(t *testing.T) {
	t.Parallel()
	for _, rate := range []int64{0, -1} {
		b := pace.NewBandwidth(rate)
		r := strings.NewReader("lighter")
		if got := b.Reader(t.Context(), r); got != io.Reader(r) || b.Rate() != 0 {
			t.Errorf("rate %d: %T, %d", rate, got, b.Rate())
		}
		if err := b.Wait(t.Context(), 1<<30); err != nil {
			t.Errorf("rate %d: %v", rate, err)
		}
	}
	if rate := pace.NewBandwidth(5).Rate(); rate != 5 {
		t.Errorf("rate %d, want 5", rate)
	}
}

func TestAChangedLimitHoldsForStreamsUnderWay(t *testing.T) {
	for name, steps := range map[string][]int64{
		"slower":          {1 << 20, 1 << 10},
		"faster":          {1 << 10, 1 << 20},
		"limited":         {0, 1 << 20},
		"several changes": {1 << 16, 1 << 12, 1 << 20, 1 << 14},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := pace.NewAdjustable(steps[0])
				ctx, stop := context.WithCancel(t.Context())
				var moved atomic.Int64
				var streams sync.WaitGroup
				for range 20 {
					streams.Go(func() {
						r := b.Reader(ctx, zeros{})
						for buffer := make([]byte, 32<<10); ; {
							n, err := r.Read(buffer)
							if err != nil {
								return
							}
							moved.Add(int64(n))
							if b.Rate() == 0 {
								time.Sleep(time.Millisecond)
							}
						}
					})
				}
				for _, rate := range steps {
					b.SetRate(rate)
					time.Sleep(time.Second) // what was under way at the old rate
					before := moved.Load()
					time.Sleep(10 * time.Second)
					got := float64(moved.Load()-before) / 10
					if rate > 0 && (got < 0.95*float64(rate) || got > 1.05*float64(rate)) {
						t.Errorf("%.0f bytes a second at a limit of %d", got, rate)
					}
				}
				stop()
				streams.Wait()
			})
		})
	}
}

func TestALimitCanBeTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pace.NewAdjustable(1000)
		b.SetRate(-1)
		start := time.Now()
		if err := b.Wait(t.Context(), 1<<30); err != nil || time.Since(start) != 0 || b.Rate() != 0 {
			t.Errorf("%s, %v, rate %d", time.Since(start), err, b.Rate())
		}
	})
}

func TestWaitingForBytesEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stopped) })
		start := time.Now()
		n, err := io.Copy(io.Discard, pace.NewBandwidth(100).Reader(ctx, zeros{}))
		if !errors.Is(err, stopped) || time.Since(start) != time.Second || n > 110 {
			t.Errorf("%d bytes in %s, %v", n, time.Since(start), err)
		}
	})
}

func TestAnErrorOfTheSourceIsPassedOn(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r := pace.NewBandwidth(1<<20).Reader(t.Context(), io.MultiReader(bytes.NewReader(make([]byte, 7)), iotest.ErrReader(broken)))
	if content, err := io.ReadAll(r); len(content) != 7 || !errors.Is(err, broken) {
		t.Errorf("%d bytes, %v", len(content), err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestFewStreamsShareLittle(t *testing.T) {
	for name, c := range map[string]struct {
		rate int64
		want int64
	}{"little": {1000, 8}, "some": {24 * 128 << 10, 24}, "much": {1 << 30, 48}, "no limit": {0, 200}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := pace.NewAdjustable(c.rate)
				var inside, most atomic.Int64
				var streams sync.WaitGroup
				for range 200 {
					streams.Go(func() {
						leave, err := b.Enter(t.Context())
						if err != nil {
							t.Error(err)
							return
						}
						defer leave()
						n := inside.Add(1)
						for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
						}
						time.Sleep(time.Second)
						inside.Add(-1)
					})
				}
				streams.Wait()
				if most.Load() != c.want {
					t.Errorf("%d streams at the same time, want %d", most.Load(), c.want)
				}
			})
		})
	}
}

func TestLanesShareTheBytesAndNotThePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 1000
		b := pace.NewBandwidth(rate)
		stuck, moving := b.Lane(), b.Lane()
		for range 8 {
			if _, err := stuck.Enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		leave, err := moving.Enter(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer leave()
		start := time.Now()
		for range 5 {
			for _, lane := range []*pace.Bandwidth{stuck, moving} {
				if err := lane.Wait(t.Context(), rate); err != nil {
					t.Fatal(err)
				}
			}
		}
		if took := time.Since(start); took < 9500*time.Millisecond || took > 10500*time.Millisecond {
			t.Errorf("10 s worth of bytes in two lanes took %s", took)
		}
		b.SetRate(0)
		if moving.Rate() != 0 {
			t.Error("a lane has another rate than its limit")
		}
	})
}

func TestWaitingForAPlaceEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stopped := errors.New("stopped")
		b := pace.NewBandwidth(1000)
		for range 8 {
			if _, err := b.Enter(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(stopped) })
		if _, err := b.Enter(ctx); !errors.Is(err, stopped) {
			t.Errorf("%v, want %v", err, stopped)
		}
		var none *pace.Bandwidth
		if leave, err := none.Enter(ctx); err != nil {
			t.Error(err)
		} else {
			leave()
		}
	})
}
