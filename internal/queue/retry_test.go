package queue_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

func TestAFailedJobRunsAgainAfterItsBackOff(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		asked := make(chan int, 10)
		p := w.process(queue.Options{Backoff: func(attempt int) time.Duration {
			asked <- attempt
			return time.Duration(attempt) * time.Millisecond
		}})
		ran := make(chan view, 10)
		p.Handle(kind, 1, failTimes(2, ran))
		p.run()
		id, _ := p.insert(queue.NewJob{Key: "k", Payload: "text"})
		for attempt := 1; attempt <= 3; attempt++ {
			if got := receive(t, ran, "an attempt"); got.ID != id || got.Attempt != attempt || got.Payload != "text" {
				t.Errorf("attempt %d: got %+v", attempt, got)
			}
		}
		until(t, "the job to be done", func() bool { return p.rows() == 0 })
		if first, second := receive(t, asked, "back-off"), receive(t, asked, "back-off"); first != 1 || second != 2 {
			t.Errorf("back-off was asked for attempts %d and %d", first, second)
		}
	})
}

func TestAHandlerSaysWhenToTryAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		at := time.Now().Add(time.Hour).Truncate(time.Millisecond)
		p.Handle(kind, 1, func(context.Context, *queue.Job) error { return queue.RetryAt(at, errFailed) })
		p.run()
		id, _ := p.insert(queue.NewJob{Key: "k"})
		until(t, "the job to wait", func() bool {
			got, _ := p.row(id)
			return got.state == "waiting" && got.attempt == 1 && got.runAt == at.UnixMilli()
		})
	})
}

func TestRetryAtKeepsTheReason(t *testing.T) {
	t.Parallel()
	if err := queue.RetryAt(time.Now(), errFailed); !errors.Is(err, errFailed) || err.Error() != errFailed.Error() {
		t.Errorf("got %v", err)
	}
	if err := queue.RetryAt(time.Now(), nil); err == nil {
		t.Error("a wish to run again is no error")
	}
}

func TestAPanicFailsTheJobAndNotTheServer(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{Backoff: func(int) time.Duration { return 0 }})
		ran := make(chan view, 10)
		p.Handle(kind, 1, func(_ context.Context, job *queue.Job) error {
			ran <- seen(job)
			if job.Attempt == 1 {
				panic("a mistake in a handler")
			}
			return nil
		})
		p.run()
		p.insert(queue.NewJob{Key: "k"})
		receive(t, ran, "the first attempt")
		receive(t, ran, "the second attempt")
		until(t, "the job to be done", func() bool { return p.rows() == 0 })
	})
}

func TestAJobThatFailsMergesWithTheOneThatWaitsForIt(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		p.Merge(kind, func(older, newer string) string { return older + "+" + newer })
		ran := make(chan view)
		release := make(chan struct{})
		p.Handle(kind, 4, func(ctx context.Context, job *queue.Job) error {
			ran <- seen(job)
			<-release
			if job.Payload != "old" {
				return nil
			}
			if err := job.SaveCheckpoint(ctx, "half"); err != nil {
				return err
			}
			return queue.RetryAt(time.Now().Add(time.Hour), errFailed)
		})
		p.run()
		p.insert(queue.NewJob{Key: "k", Payload: "old", Priority: 3})
		receive(t, ran, "the old job")
		id, _ := p.insert(queue.NewJob{Key: "k", Payload: "new"})
		release <- struct{}{}
		got := receive(t, ran, "what both have become, without the wait")
		want := view{ID: id, Kind: kind, Key: "k", Payload: "old+new", Priority: 3, Attempt: 2, Checkpoint: "half", Created: got.Created}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if n := p.rows(); n != 1 {
			t.Errorf("there are %d jobs, want 1", n)
		}
		release <- struct{}{}
	})
}

func TestFinishIsOneTransactionWithWhatTheJobDid(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		results := make(chan error, 10)
		p.Handle(kind, 1, func(ctx context.Context, job *queue.Job) error {
			refused := job.Finish(ctx, func(tx *store.Tx) error {
				if err := setSetting(ctx, tx, "undone"); err != nil {
					return err
				}
				return errFailed
			})
			results <- refused
			finished := job.Finish(ctx, func(tx *store.Tx) error {
				if _, _, err := p.Insert(ctx, tx, queue.NewJob{Kind: "next", Key: job.Key}); err != nil {
					return err
				}
				return setSetting(ctx, tx, "done")
			})
			results <- finished
			results <- job.Finish(ctx, nil)
			return errFailed // means nothing any more
		})
		ran := make(chan view, 10)
		p.Handle("next", 1, send(ran))
		p.run()
		p.insert(queue.NewJob{Key: "k"})
		if err := receive(t, results, "Finish"); !errors.Is(err, errFailed) {
			t.Errorf("Finish whose function failed: got %v", err)
		}
		if err := receive(t, results, "Finish"); err != nil {
			t.Errorf("Finish: %v", err)
		}
		if err := receive(t, results, "Finish"); err == nil {
			t.Error("a job finished twice")
		}
		receive(t, ran, "the job that Finish inserted")
		until(t, "the jobs to be gone", func() bool { return p.rows() == 0 })
		if got := settings(t, p); got != "done" {
			t.Errorf("got %q, want only the effect of the Finish that succeeded", got)
		}
	})
}

func setSetting(ctx context.Context, tx *store.Tx, name string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ($1, '')`, name)
	return err
}

// settings returns the names that setSetting has set.
func settings(t *testing.T, p *process) string {
	t.Helper()
	rows, err := p.db.QueryContext(t.Context(), `SELECT name FROM settings ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return strings.Join(names, " ")
}

func TestRescheduleIsOneTransactionWithWhatTheJobDid(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		at := time.Now().Add(time.Hour)
		results := make(chan error, 10)
		p.Handle(kind, 1, func(ctx context.Context, job *queue.Job) error {
			results <- job.Reschedule(ctx, at, func(tx *store.Tx) error {
				if err := setSetting(ctx, tx, "undone"); err != nil {
					return err
				}
				return errFailed
			})
			results <- job.Reschedule(ctx, at, func(tx *store.Tx) error {
				if job.MergedInto != 0 {
					return errors.New("merged with a job that is not there")
				}
				return setSetting(ctx, tx, "done")
			})
			return nil // does not finish it
		})
		p.run()
		id, _ := p.insert(queue.NewJob{Key: "k"})
		if err := receive(t, results, "Reschedule"); !errors.Is(err, errFailed) {
			t.Errorf("Reschedule whose function failed: got %v", err)
		}
		if err := receive(t, results, "Reschedule"); err != nil {
			t.Errorf("Reschedule: %v", err)
		}
		if got, _ := p.row(id); got.state != "waiting" || got.runAt != at.UnixMilli() || got.attempt != 1 {
			t.Errorf("got %+v", got)
		}
		if got := settings(t, p); got != "done" {
			t.Errorf("got %q, want only the effect of the Reschedule that succeeded", got)
		}
	})
}

func TestRescheduleTellsWhichJobGoesOn(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		type result struct {
			mergedInto int64
			err        error
		}
		results := make(chan result, 1)
		started := make(chan struct{})
		release := make(chan struct{})
		p.Handle(kind, 1, func(ctx context.Context, job *queue.Job) error {
			close(started)
			<-release
			var r result
			r.err = job.Reschedule(ctx, time.Now().Add(time.Hour), func(*store.Tx) error {
				r.mergedInto = job.MergedInto
				return nil
			})
			results <- r
			return r.err
		})
		p.run()
		p.insert(queue.NewJob{Key: "k", Payload: "old"})
		receive(t, started, "the job")
		id, _ := p.insert(queue.NewJob{Key: "k", Payload: "new", RunAt: time.Now().Add(2 * time.Hour)})
		close(release)
		if got := receive(t, results, "Reschedule"); got.err != nil || got.mergedInto != id {
			t.Errorf("got %+v, want merged into %d", got, id)
		}
		if got, _ := p.row(id); got.payload != "new" || got.attempt != 1 || p.rows() != 1 {
			t.Errorf("got %+v of %d rows", got, p.rows())
		}
	})
}

func TestACheckpointIsThereInTheNextAttempt(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{Backoff: func(int) time.Duration { return 0 }})
		ran := make(chan view, 10)
		p.Handle(kind, 1, func(ctx context.Context, job *queue.Job) error {
			ran <- seen(job)
			switch job.Attempt {
			case 1:
				if err := job.SaveCheckpoint(ctx, "ignored"); err != nil {
					return err
				}
				if err := job.SaveCheckpoint(ctx, "offset 42"); err != nil {
					return err
				}
				return errFailed
			case 2:
				return errFailed
			default:
				return nil
			}
		})
		p.run()
		p.insert(queue.NewJob{Key: "k"})
		for attempt, want := range []string{"", "offset 42", "offset 42"} {
			if got := receive(t, ran, "an attempt"); got.Checkpoint != want {
				t.Errorf("attempt %d: got %q, want %q", attempt+1, got.Checkpoint, want)
			}
		}
	})
}
