package queue_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/queue"
)

func TestJobsRunByPriorityThenTimeThenAge(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		p.insert(queue.NewJob{Key: "low", Priority: -1})
		p.insert(queue.NewJob{Key: "first"})
		p.insert(queue.NewJob{Key: "second"})
		p.insert(queue.NewJob{Key: "high", Priority: 7})
		p.insert(queue.NewJob{Key: "overdue"})
		p.execute(`UPDATE jobs SET run_at = run_at - 60000 WHERE key = 'overdue'`)
		ran := make(chan view, 10)
		p.Handle(kind, 1, send(ran))
		p.run()
		var got []string
		for range 5 {
			got = append(got, receive(t, ran, "a job").Key)
		}
		if want := []string{"high", "overdue", "first", "second", "low"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestAJobDoesNotRunBeforeItsTime(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		var ahead atomic.Int64 // by how much the process's clock is ahead
		p := w.process(queue.Options{Clock: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
		ran := make(chan view, 10)
		p.Handle(kind, 4, send(ran))
		p.run()
		p.insert(queue.NewJob{Key: "later", RunAt: time.Now().Add(time.Hour)})
		p.insert(queue.NewJob{Key: "now"})
		if got := receive(t, ran, "the job that is due"); got.Key != "now" {
			t.Fatalf("%s ran", got.Key)
		}
		ahead.Store(int64(time.Hour + time.Minute))
		if got := receive(t, ran, "the other job, an hour later"); got.Key != "later" {
			t.Fatalf("%s ran", got.Key)
		}
	})
}

func TestConcurrencyOfAKindIsBounded(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{Workers: map[string]int{"configured": 1}})
		started := make(chan string, 100)
		release := make(chan struct{})
		handler := func(_ context.Context, job *queue.Job) error {
			started <- job.Kind
			<-release
			return nil
		}
		p.Handle(kind, 3, handler)
		p.Handle("configured", 3, handler)
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			p.insert(queue.NewJob{Key: key})
			p.insert(queue.NewJob{Kind: "configured", Key: key})
			p.insert(queue.NewJob{Kind: "nobody handles this", Key: key})
		}
		p.run()
		got := map[string]int{}
		for range 4 {
			got[receive(t, started, "a job")]++
		}
		if got[kind] != 3 || got["configured"] != 1 {
			t.Errorf("started %v, want 3 and 1", got)
		}
		counts, err := p.Counts(t.Context())
		want := []queue.Count{{Kind: "configured", Waiting: 4, Running: 1}, {Kind: "nobody handles this", Waiting: 5}, {Kind: kind, Waiting: 2, Running: 3}}
		if err != nil || !slices.Equal(counts, want) {
			t.Errorf("got %+v, %v, want %+v", counts, err, want)
		}
		close(release)
		for range 6 {
			receive(t, started, "the rest")
		}
		until(t, "only jobs without a handler to be left", func() bool { return p.rows() == 5 })
	})
}

func TestAnInsertIsServedAtOnceByItsOwnProcess(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{Poll: time.Hour})
		ran := make(chan view, 10)
		p.Handle(kind, 1, send(ran))
		p.run()
		for _, key := range []string{"a", "b", "c"} {
			p.insert(queue.NewJob{Key: key})
			receive(t, ran, "the job without a poll")
		}
	})
}

func TestAnInsertIsFoundByOtherProcesses(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		ran := make(chan view, 10)
		p.Handle(kind, 1, send(ran))
		p.run()
		w.process(queue.Options{}).insert(queue.NewJob{Key: "a"})
		receive(t, ran, "the job of another process")
	})
}
