package queue_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lighterage/lighterage/internal/queue"
)

// The tests of this file run with the default times on a clock that jumps, which
// SQLite allows because it lives in the process.

// inBubble runs a test in which time passes when everything waits.
func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) { test(t, &world{t: t, url: "sqlite:" + dir + "/test.db"}) })
}

func defaults() queue.Options { return queue.Options{Lease: 9 * time.Second, Poll: time.Second} }

func TestAnAbandonedJobRunsAgainWithinFifteenSeconds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p := w.process(defaults())
		ran := make(chan time.Time, 1)
		p.Handle(kind, 1, func(context.Context, *queue.Job) error {
			ran <- time.Now()
			return nil
		})
		p.run()
		p.insert(queue.NewJob{Key: "k", RunAt: time.Now().Add(time.Hour)})
		time.Sleep(300 * time.Millisecond) // any moment between two looks
		p.execute(`UPDATE jobs SET state = 'running', owner = 'a process that is gone', attempt = 1, run_at = creation_time, lease_until = 1`)
		killed := time.Now()
		if took := (<-ran).Sub(killed); took < 9*time.Second || took > 12*time.Second {
			t.Errorf("it ran again after %s, want 9 to 12 s", took)
		}
	})
}

func TestAStopFromAnotherProcessArrivesWithinASecond(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p := w.process(defaults())
		started, causes := make(chan *queue.Job, 1), make(chan error, 1)
		p.Handle(kind, 1, block(started, causes))
		p.run()
		id, _ := p.insert(queue.NewJob{Key: "k"})
		<-started
		time.Sleep(100 * time.Millisecond) // any moment between two looks
		began := time.Now()
		if found, err := w.process(defaults()).Stop(t.Context(), id); err != nil || !found {
			t.Fatal(found, err)
		}
		if cause := <-causes; !errors.Is(cause, queue.ErrStopped) {
			t.Error(cause)
		}
		if took := time.Since(began); took >= time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestALongJobKeepsItsLeaseWhateverTheClocksSay(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var step atomic.Int64 // added to the clock of the process that works
		options := defaults()
		options.Clock = func() time.Time { return time.Now().Add(time.Duration(step.Load())) }
		working := w.process(options)
		started, causes := make(chan *queue.Job, 10), make(chan error, 10)
		working.Handle(kind, 1, block(started, causes))
		working.run()
		for _, skew := range []time.Duration{-24 * time.Hour, -time.Minute, time.Minute, 24 * time.Hour} {
			options := defaults()
			options.Clock = func() time.Time { return time.Now().Add(skew) }
			other := w.process(options)
			other.Handle(kind, 1, block(started, causes))
			other.run()
		}
		working.insert(queue.NewJob{Key: "k"})
		<-started
		for _, s := range []time.Duration{0, time.Hour, -time.Hour} {
			step.Store(int64(s))
			time.Sleep(5 * time.Minute)
			if len(started) > 0 || len(causes) > 0 {
				t.Fatalf("with a clock that was set by %s: the job was taken over (%d) or cancelled (%d)", s, len(started), len(causes))
			}
		}
	})
}

func TestAJobThatIsDueRunsWhateverTheClocksSay(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		options := defaults()
		options.Clock = func() time.Time { return time.Now().Add(-time.Hour) }
		behind := w.process(options)
		ran := make(chan view, 1)
		behind.Handle(kind, 1, send(ran))
		behind.run()
		began := time.Now()
		w.process(defaults()).insert(queue.NewJob{Key: "k"})
		<-ran
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("a process whose clock is behind began it after %s", took)
		}
	})
}

func TestAnIdleQueueLooksOncePerPoll(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var looks atomic.Int64
		options := defaults()
		options.Clock = func() time.Time {
			looks.Add(1)
			return time.Now()
		}
		p := w.process(options)
		p.Handle(kind, 10, func(context.Context, *queue.Job) error { return nil })
		p.run()
		time.Sleep(time.Minute)
		if n := looks.Load(); n < 59 || n > 61 {
			t.Errorf("it looked %d times in a minute, want 60", n)
		}
	})
}

func TestDefaultBackOffGrowsToFiveMinutes(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p := w.process(defaults())
		ran := make(chan time.Time, 100)
		p.Handle(kind, 1, func(context.Context, *queue.Job) error {
			ran <- time.Now()
			return errFailed
		})
		p.run()
		p.insert(queue.NewJob{Key: "k"})
		before := <-ran
		for _, want := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300, 300} {
			want *= time.Second
			now := <-ran
			if took := now.Sub(before); took < want*8/10 || took > want*12/10+time.Second {
				t.Errorf("waited %s, want %s give or take a fifth", took, want)
			}
			before = now
		}
	})
}
