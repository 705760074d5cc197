package queue_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

// childVariable makes the test binary a process that runs jobs of the database it
// names until it is killed.
const childVariable = "LIGHTERAGE_QUEUE_TEST_DATABASE"

const killedLease = 1500 * time.Millisecond

func runChild(rawURL string) {
	fail := func(err error) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	db, err := store.Open(context.Background(), rawURL)
	if err != nil {
		fail(err)
	}
	q := queue.New(db, queue.Options{Lease: killedLease, Poll: 20 * time.Millisecond})
	q.Handle(kind, 4, func(ctx context.Context, job *queue.Job) error {
		if err := job.SaveCheckpoint(ctx, "the child was here"); err != nil {
			fail(err)
		}
		fmt.Println("running", job.Key)
		<-ctx.Done()
		return context.Cause(ctx)
	})
	fail(q.Run(context.Background()))
}

func TestJobsOfAKilledProcessRunAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{Lease: killedLease})
		ran := make(chan view, 10)
		p.Handle(kind, 4, send(ran))
		const jobs = 3
		for i := range jobs {
			p.insert(queue.NewJob{Key: fmt.Sprint(i)})
		}

		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childVariable+"="+w.url)
		child.Stderr = os.Stderr
		output, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(output)
		for range jobs {
			if !lines.Scan() {
				t.Error("the child ended by itself")
			}
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = child.Wait() // it was killed

		p.run()
		for range jobs {
			if got := receive(t, ran, "a job of the killed process"); got.Attempt != 2 || got.Checkpoint != "the child was here" {
				t.Errorf("got %+v", got)
			}
		}
		until(t, "the jobs to be done", func() bool { return p.rows() == 0 })
	})
}

func TestAProcessWithoutTheDatabaseGivesItsJobsUpBeforeOthersTakeThem(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		const lease = time.Second
		cut := w.process(queue.Options{Lease: lease})
		started, causes := make(chan *queue.Job, 1), make(chan error, 1)
		cut.Handle(kind, 1, block(started, causes))
		cut.run()
		cut.insert(queue.NewJob{Key: "k"})
		receive(t, started, "the job")

		other := w.process(queue.Options{Lease: lease})
		given := make(chan bool, 1)
		other.Handle(kind, 1, func(context.Context, *queue.Job) error {
			given <- len(causes) > 0
			return nil
		})
		other.run()
		if err := cut.db.Close(); err != nil {
			t.Fatal(err)
		}
		if !receive(t, given, "the other process to run the job") {
			t.Error("it ran in two processes at the same time")
		}
		if cause := receive(t, causes, "the cause"); !errors.Is(cause, queue.ErrLost) {
			t.Errorf("cancelled with %v", cause)
		}
	})
}

func TestALostJobCannotChangeAnything(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{Lease: 600 * time.Millisecond})
		started, results := make(chan *queue.Job, 1), make(chan error, 10)
		lost := make(chan struct{})
		p.Handle(kind, 1, func(ctx context.Context, job *queue.Job) error {
			started <- job
			<-lost
			never := func(*store.Tx) error { return errors.New("called although the job was lost") }
			results <- job.SaveCheckpoint(context.Background(), "mine")
			results <- job.Reschedule(context.Background(), time.Now(), never)
			results <- job.Finish(context.Background(), never)
			<-ctx.Done()
			results <- context.Cause(ctx)
			return nil // would delete it
		})
		p.run()
		id, _ := p.insert(queue.NewJob{Key: "k"})
		receive(t, started, "the job")
		p.execute(`UPDATE jobs SET owner = 'another process', attempt = attempt + 1, lease_until = lease_until + 1`)
		close(lost)
		for _, what := range []string{"SaveCheckpoint", "Reschedule", "Finish", "the context"} {
			if err := receive(t, results, what); !errors.Is(err, queue.ErrLost) {
				t.Errorf("%s: got %v, want ErrLost", what, err)
			}
		}
		if got, found := p.row(id); !found || got.attempt != 2 || got.checkpoint != "" {
			t.Errorf("got %+v, %v", got, found)
		}
	})
}

func TestShutdownGivesJobsBackAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		leaving := w.process(queue.Options{}) // with a lease longer than the test
		started, causes := make(chan *queue.Job, 10), make(chan error, 10)
		leaving.Handle(kind, 2, block(started, causes))
		leaving.run()
		leaving.insert(queue.NewJob{Key: "a"})
		leaving.insert(queue.NewJob{Key: "b"})
		receive(t, started, "a job")
		receive(t, started, "a job")
		leaving.shutdown()
		for range 2 {
			if cause := receive(t, causes, "a job to be cancelled"); !errors.Is(cause, queue.ErrShutdown) {
				t.Errorf("cancelled with %v", cause)
			}
		}
		staying := w.process(queue.Options{})
		ran := make(chan view, 10)
		staying.Handle(kind, 2, send(ran))
		staying.run()
		for range 2 {
			if got := receive(t, ran, "a job of the process that left"); got.Attempt != 1 {
				t.Errorf("the attempt that was cut short was counted: %+v", got)
			}
		}
	})
}

func TestShutdownKeepsWhatAHandlerCompletes(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		started := make(chan struct{})
		p.Handle(kind, 1, func(ctx context.Context, _ *queue.Job) error {
			close(started)
			<-ctx.Done()
			return nil
		})
		p.run()
		p.insert(queue.NewJob{Key: "k"})
		receive(t, started, "the job")
		p.shutdown()
		if p.rows() != 0 {
			t.Error("a job that was done is still there")
		}
	})
}

func TestShutdownNamesTheJobsThatDoNotEnd(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{Grace: time.Millisecond})
		started, release := make(chan struct{}), make(chan struct{})
		p.Handle(kind, 1, func(context.Context, *queue.Job) error {
			close(started)
			<-release
			return nil
		})
		p.insert(queue.NewJob{Key: "deaf"})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		receive(t, started, "the job")
		cancel()
		err := receive(t, ended, "Run to return")
		if want := "jobs did not end within 1ms of being cancelled: work deaf"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		close(release)
		until(t, "the job to be done after all", func() bool { return p.rows() == 0 })
	})
}

func TestRunIsForOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		p.Handle(kind, 1, func(context.Context, *queue.Job) error { return nil })
		p.run()
		p.insert(queue.NewJob{Key: "k"})
		until(t, "the queue to run", func() bool { return p.rows() == 0 })
		if err := p.Run(t.Context()); err == nil {
			t.Error("Run ran twice")
		}
		defer func() {
			if recover() == nil {
				t.Error("a handler was added to a running queue")
			}
		}()
		p.Handle("late", 1, nil)
	})
}
