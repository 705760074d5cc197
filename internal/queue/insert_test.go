package queue_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

func TestAJobExistsExactlyWhenItsTransactionIsCommitted(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		ran := make(chan view, 10)
		p.Handle(kind, 1, send(ran))
		p.run()
		undone := errors.New("undone")
		err := p.db.InTx(t.Context(), func(tx *store.Tx) error {
			if _, _, err := p.Insert(t.Context(), tx, queue.NewJob{Kind: kind, Key: "undone"}); err != nil {
				return err
			}
			return undone
		})
		if !errors.Is(err, undone) {
			t.Fatal(err)
		}
		id, merged := p.insert(queue.NewJob{Key: "kept", Payload: "text"})
		if merged {
			t.Error("the first job of a key is said to be merged")
		}
		got := receive(t, ran, "the job")
		if got.ID != id || got.Key != "kept" || got.Payload != "text" || got.Kind != kind || got.Attempt != 1 || time.Since(got.Created) > limit {
			t.Errorf("got %+v", got)
		}
		until(t, "the job to be deleted", func() bool { return p.rows() == 0 })
	})
}

func TestAJobNeedsKindAndKey(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		for _, j := range []queue.NewJob{{Kind: kind}, {Key: "k"}} {
			err := p.db.InTx(t.Context(), func(tx *store.Tx) error {
				_, _, err := p.Insert(t.Context(), tx, j)
				return err
			})
			if err == nil {
				t.Errorf("%+v was inserted", j)
			}
		}
	})
}

func TestWaitingJobsOfOneKeyMerge(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		later, sooner := time.Now().Add(2*time.Hour), time.Now().Add(time.Hour)
		id, _ := p.insert(queue.NewJob{Key: "k", Payload: "1", Priority: 5, RunAt: later})
		for _, tt := range []struct {
			job  queue.NewJob
			want row
		}{
			{queue.NewJob{Key: "k", Payload: "2", Priority: 1, RunAt: sooner}, row{state: "waiting", payload: "2", priority: 5, runAt: sooner.UnixMilli()}},
			{queue.NewJob{Key: "k", Payload: "3", Priority: 9, RunAt: later}, row{state: "waiting", payload: "3", priority: 9, runAt: sooner.UnixMilli()}},
		} {
			again, merged := p.insert(tt.job)
			if again != id || !merged {
				t.Errorf("%+v: got id %d merged %v, want %d", tt.job, again, merged, id)
			}
			if got, _ := p.row(id); got != tt.want {
				t.Errorf("%+v: got %+v, want %+v", tt.job, got, tt.want)
			}
		}
		p.insert(queue.NewJob{Key: "k", Payload: "4"})
		if got, _ := p.row(id); got.runAt > time.Now().UnixMilli() {
			t.Error("a job that is wanted at once waits for the later time of the other")
		}
		if other, merged := p.insert(queue.NewJob{Kind: "other", Key: "k"}); other == id || merged {
			t.Error("jobs of two kinds merged")
		}
	})
}

func TestPayloadsMergeAsTheKindSays(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		p.Merge(kind, func(older, newer string) string { return older + "+" + newer })
		id, _ := p.insert(queue.NewJob{Key: "k", Payload: "a"})
		p.insert(queue.NewJob{Key: "k", Payload: "b"})
		if got, _ := p.row(id); got.payload != "a+b" {
			t.Errorf("got %q, want a+b", got.payload)
		}
	})
}

func TestAJobWaitsForTheRunningOneOfItsKey(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		started := make(chan view)
		release := make(chan struct{})
		p.Handle(kind, 4, func(_ context.Context, job *queue.Job) error {
			started <- seen(job)
			<-release
			return nil
		})
		p.run()
		p.insert(queue.NewJob{Key: "k", Payload: "first"})
		first := receive(t, started, "the first job")
		second, merged := p.insert(queue.NewJob{Key: "k", Payload: "second"})
		if merged || second == first.ID {
			t.Error("a job merged with a running one, which may have done its work already")
		}
		p.insert(queue.NewJob{Key: "other"})
		if got := receive(t, started, "the job with another key"); got.Key != "other" {
			t.Fatalf("got %+v while the first one of its key ran", got)
		}
		release <- struct{}{}
		release <- struct{}{}
		if got := receive(t, started, "the second job"); got.ID != second {
			t.Errorf("got %+v", got)
		}
		release <- struct{}{}
	})
}

// The property that replication stands on: whatever is committed before a job is
// inserted is seen by a run that begins afterwards, however inserts, runs,
// failures and merges of several processes meet.
func TestEveryInsertIsFollowedByARunAndNoTwoRunsOfAKeyOverlap(t *testing.T) {
	const keys, inserters, inserts = 3, 4, 40
	onBoth(t, func(t *testing.T, w *world) {
		var done [keys]atomic.Int64    // highest number that a run has seen
		var wanted [keys]atomic.Int64  // highest number that was inserted
		var current [keys]atomic.Int64 // runs at the moment
		handler := func(_ context.Context, job *queue.Job) error {
			var k int
			if _, err := fmt.Sscanf(job.Key, "key-%d", &k); err != nil {
				return err
			}
			if current[k].Add(1) > 1 {
				t.Errorf("two jobs with %s run at the same time", job.Key)
			}
			defer current[k].Add(-1)
			saw := wanted[k].Load()
			if rand.IntN(3) == 0 {
				return queue.RetryAt(time.Now(), errFailed)
			}
			for {
				before := done[k].Load()
				if saw <= before || done[k].CompareAndSwap(before, saw) {
					return nil
				}
			}
		}
		processes := []*process{w.process(queue.Options{}), w.process(queue.Options{})}
		for _, p := range processes {
			p.Handle(kind, 4, handler)
			p.run()
		}
		var wg sync.WaitGroup
		for i := range inserters {
			p := processes[i%len(processes)]
			wg.Go(func() {
				for range inserts {
					k := rand.IntN(keys)
					wanted[k].Add(1) // before the job is inserted
					p.insert(queue.NewJob{Key: fmt.Sprintf("key-%d", k)})
				}
			})
		}
		wg.Wait()
		until(t, "all jobs to be done", func() bool { return processes[0].rows() == 0 })
		for k := range keys {
			if done[k].Load() != wanted[k].Load() {
				t.Errorf("key-%d: the last run saw %d of %d", k, done[k].Load(), wanted[k].Load())
			}
		}
	})
}
