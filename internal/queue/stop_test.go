package queue_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

func TestStopDeletesAWaitingJob(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		id, _ := p.insert(queue.NewJob{Key: "k"})
		for _, want := range []bool{true, false} {
			if found, err := p.Stop(t.Context(), id); err != nil || found != want {
				t.Errorf("got %v, %v, want %v", found, err, want)
			}
		}
		if p.rows() != 0 {
			t.Error("the job is still there")
		}
	})
}

func TestStopCancelsARunningJobFromAnyProcess(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		started, causes := make(chan *queue.Job, 10), make(chan error, 10)
		p.Handle(kind, 4, block(started, causes))
		p.run()
		other := w.process(queue.Options{})
		for name, stopper := range map[string]*process{"its own": p, "another": other} {
			p.insert(queue.NewJob{Key: name})
			job := receive(t, started, "the job")
			if found, err := stopper.Stop(t.Context(), job.ID); err != nil || !found {
				t.Fatalf("stop from %s process: %v, %v", name, found, err)
			}
			if cause := receive(t, causes, "the job to be cancelled"); !errors.Is(cause, queue.ErrStopped) {
				t.Errorf("stop from %s process: cancelled with %v", name, cause)
			}
			until(t, "the job to be deleted", func() bool { return p.rows() == 0 })
		}
	})
}

func TestStopIsNotUndoneByTheHandler(t *testing.T) {
	for name, end := range map[string]func(ctx context.Context, job *queue.Job) error{
		"that fails":            func(context.Context, *queue.Job) error { return errFailed },
		"that wants to wait":    func(context.Context, *queue.Job) error { return queue.RetryAt(time.Now().Add(time.Hour), errFailed) },
		"that thinks it worked": func(context.Context, *queue.Job) error { return nil },
		"that reschedules": func(_ context.Context, job *queue.Job) error {
			err := job.Reschedule(context.Background(), time.Now(), func(*store.Tx) error {
				panic("called although the job was stopped")
			})
			if !errors.Is(err, queue.ErrStopped) {
				panic(err)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T, w *world) {
				p := w.process(queue.Options{Poll: time.Hour, Backoff: func(int) time.Duration { return 0 }}) // never learns of the stop by itself
				started, release := make(chan *queue.Job, 10), make(chan struct{})
				p.Handle(kind, 1, func(ctx context.Context, job *queue.Job) error {
					started <- job
					<-release
					return end(ctx, job)
				})
				p.run()
				id, _ := p.insert(queue.NewJob{Key: "k"})
				receive(t, started, "the job")
				if found, err := w.process(queue.Options{}).Stop(t.Context(), id); err != nil || !found {
					t.Fatal(found, err)
				}
				close(release)
				until(t, "the job to be deleted", func() bool { return p.rows() == 0 })
				if len(started) > 0 {
					t.Error("it ran again")
				}
			})
		})
	}
}

func TestStopInATransactionHappensWhenItIsCommitted(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		started, causes := make(chan *queue.Job, 10), make(chan error, 10)
		p.Handle(kind, 1, block(started, causes))
		p.run()
		running, _ := p.insert(queue.NewJob{Key: "running"})
		receive(t, started, "the job")
		waiting, _ := p.insert(queue.NewJob{Key: "waiting"})
		stop := func(result error) {
			err := p.db.InTx(t.Context(), func(tx *store.Tx) error {
				for _, id := range []int64{running, waiting} {
					if found, err := p.StopIn(t.Context(), tx, id); err != nil || !found {
						t.Errorf("job %d: %v, %v", id, found, err)
					}
				}
				return result
			})
			if !errors.Is(err, result) {
				t.Error(err)
			}
		}
		stop(errFailed)
		if _, found := p.row(waiting); !found || len(causes) > 0 {
			t.Error("jobs were stopped by a transaction that failed")
		}
		stop(nil)
		if cause := receive(t, causes, "the job to be cancelled"); !errors.Is(cause, queue.ErrStopped) {
			t.Error(cause)
		}
		until(t, "the jobs to be deleted", func() bool { return p.rows() == 0 })
	})
}

func TestAStoppedJobOfADeadProcessDoesNotComeBack(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{Lease: 300 * time.Millisecond})
		id, _ := p.insert(queue.NewJob{Key: "k"})
		p.execute(`UPDATE jobs SET state = 'running', owner = 'a process that is gone', attempt = 1`)
		if found, err := p.Stop(t.Context(), id); err != nil || !found {
			t.Fatal(found, err)
		}
		p.Handle(kind, 1, func(context.Context, *queue.Job) error {
			t.Error("it ran again")
			return nil
		})
		p.run()
		until(t, "the job to be deleted", func() bool { return p.rows() == 0 })
	})
}
