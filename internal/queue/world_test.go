package queue_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

// These tests are the queue's conformance suite: each is one requirement, and all
// run on SQLite and on PostgreSQL. Every process in them has a connection to the
// database of its own, as real ones have.

func TestMain(m *testing.M) {
	if rawURL := os.Getenv(childVariable); rawURL != "" {
		runChild(rawURL)
		return
	}
	goleak.VerifyTestMain(m)
}

const kind = "work"

// limit is how long a test waits for what must happen before it fails.
const limit = 2 * time.Minute

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, rawURL string) { test(t, &world{t: t, url: rawURL}) })
}

// world is a database and the processes that share it.
type world struct {
	t   *testing.T
	url string
}

// process is a Queue as another process would have it.
type process struct {
	*queue.Queue
	t      *testing.T
	db     *store.DB
	cancel context.CancelFunc
	ended  chan error
}

// process makes a Queue that does not run yet. Its lease is longer than the test
// unless the options say otherwise, so that nothing is taken over by accident.
func (w *world) process(o queue.Options) *process {
	w.t.Helper()
	if o.Lease == 0 {
		o.Lease = time.Minute
	}
	if o.Poll == 0 {
		o.Poll = 20 * time.Millisecond
	}
	o.Log = slog.New(slog.NewTextHandler(w.t.Output(), nil))
	db := storetest.OpenURL(w.t, w.url)
	return &process{Queue: queue.New(db, o), t: w.t, db: db}
}

// run starts the queue; it is shut down when the test ends.
func (p *process) run() *process {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.ended = make(chan error, 1)
	go func() { p.ended <- p.Run(ctx) }()
	p.t.Cleanup(func() {
		if p.ended != nil {
			p.shutdown()
		}
	})
	return p
}

func (p *process) shutdown() {
	p.t.Helper()
	p.cancel()
	if err := receive(p.t, p.ended, "Run to return"); err != nil {
		p.t.Errorf("Run: %v", err)
	}
	p.ended = nil
}

// insert inserts a job of the test's kind in a transaction of its own.
func (p *process) insert(j queue.NewJob) (id int64, merged bool) {
	p.t.Helper()
	if j.Kind == "" {
		j.Kind = kind
	}
	err := p.db.InTx(context.Background(), func(tx *store.Tx) error {
		var err error
		id, merged, err = p.Insert(context.Background(), tx, j)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return id, merged
}

// execute runs a statement that no queue would.
func (p *process) execute(statement string, args ...any) {
	p.t.Helper()
	err := p.db.InTx(context.Background(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(context.Background(), statement, args...)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
}

// row is what the database says of a job.
type row struct {
	state, payload, checkpoint string
	attempt, priority, runAt   int64
}

func (p *process) row(id int64) (r row, found bool) {
	p.t.Helper()
	err := p.db.QueryRowContext(context.Background(), `SELECT state, payload, checkpoint, attempt, priority, run_at FROM jobs WHERE id = $1`, id).
		Scan(&r.state, &r.payload, &r.checkpoint, &r.attempt, &r.priority, &r.runAt)
	if err != nil && !store.IsNotFound(err) {
		p.t.Fatal(err)
	}
	return r, err == nil
}

func (p *process) rows() int {
	p.t.Helper()
	var n int
	if err := p.db.QueryRowContext(context.Background(), `SELECT COUNT(*) FROM jobs`).Scan(&n); err != nil {
		p.t.Fatal(err)
	}
	return n
}

// receive waits for a value.
func receive[T any](t *testing.T, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(limit):
		t.Fatalf("waited %s for %s", limit, what)
		panic("unreachable")
	}
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(limit)
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %s for %s", limit, what)
		}
	}
}

// block is a handler that tells of its job and then works until it is cancelled;
// it sends the cause.
func block(started chan<- *queue.Job, causes chan<- error) queue.Handler {
	return func(ctx context.Context, job *queue.Job) error {
		started <- job
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return context.Cause(ctx)
	}
}

// send is a handler that tells of its job and is done.
func send(ran chan<- view) queue.Handler {
	return func(_ context.Context, job *queue.Job) error {
		ran <- seen(job)
		return nil
	}
}

// view is what a test looks at.
type view struct {
	ID                 int64
	Kind, Key, Payload string
	Priority           int64
	Attempt            int
	Checkpoint         string
	Created            time.Time
}

func seen(job *queue.Job) view {
	return view{job.ID, job.Kind, job.Key, job.Payload, job.Priority, job.Attempt, job.Checkpoint, job.Created}
}

// failTimes is a handler that fails that often and then is done.
func failTimes(n int64, ran chan<- view) queue.Handler {
	var calls atomic.Int64
	return func(_ context.Context, job *queue.Job) error {
		ran <- seen(job)
		if calls.Add(1) <= n {
			return errFailed
		}
		return nil
	}
}

var errFailed = errors.New("it failed")
