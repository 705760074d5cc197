package queue_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/queue"
)

func TestAJobHasOthersRunBesideItAlthoughThereIsNoPlace(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		first, _ := p.insert(queue.NewJob{Key: "first"})
		beside, _ := p.insert(queue.NewJob{Key: "beside"})
		later, _ := p.insert(queue.NewJob{Key: "later", RunAt: time.Now().Add(time.Hour)})
		p.insert(queue.NewJob{Key: "stranger"})
		started := make(chan string, 10)
		release := make(chan struct{})
		p.Handle(kind, 1, func(ctx context.Context, job *queue.Job) error {
			if job.Key == "first" {
				// Itself, one that is not due and one that is not there are left alone.
				if err := p.Start(ctx, kind, []int64{first, beside, later, 12345}); err != nil {
					t.Error(err)
				}
			}
			started <- job.Key
			<-release
			return nil
		})
		p.run()
		got := []string{receive(t, started, "the first job"), receive(t, started, "the one beside it")}
		slices.Sort(got)
		if want := []string{"beside", "first"}; !slices.Equal(got, want) {
			t.Errorf("%q run, want %q", got, want)
		}
		close(release)
		if got := receive(t, started, "the stranger, in its turn"); got != "stranger" {
			t.Errorf("%s ran", got)
		}
		until(t, "only the one that is not due to be left", func() bool { return p.rows() == 1 })
	})
}

func TestWhatAJobHasStartedEndsWithTheProcess(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		p.insert(queue.NewJob{Key: "first"})
		beside, _ := p.insert(queue.NewJob{Key: "beside"})
		started := make(chan string, 10)
		p.Handle(kind, 1, func(ctx context.Context, job *queue.Job) error {
			if job.Key == "first" {
				<-ctx.Done() // the process is ending already
				if err := p.Start(context.WithoutCancel(ctx), kind, []int64{beside}); err != nil {
					t.Error(err)
				}
			}
			started <- job.Key
			<-ctx.Done()
			return context.Cause(ctx)
		})
		p.run()
		until(t, "the first job to run", func() bool {
			counts, err := p.Counts(t.Context())
			return err == nil && len(counts) == 1 && counts[0].Running == 1
		})
		p.shutdown()
		if n := p.rows(); n != 2 {
			t.Errorf("%d jobs wait for the next process, want 2", n)
		}
		if got := []string{receive(t, started, "one"), receive(t, started, "the other")}; !slices.Contains(got, "beside") {
			t.Errorf("%q ran", got)
		}
	})
}
