// Package queue runs durable work: jobs are rows of the database, written in the
// caller's own transaction, and survive every process.
//
// It promises that a job whose transaction was committed runs until its handler
// says it is done, at least once; that two jobs of one kind and key never run at
// the same time and at most one of them waits (a second one merges with it); that
// the jobs of a killed process run again within a lease and a few polls (by
// default in less than 12 seconds); that a stopped job stays stopped.
//
// A running job belongs to one process, which keeps a lease by changing the row
// every third of it. Other processes take the job over when they have seen the
// row unchanged for a whole lease by their own monotonic clock, so neither skew
// nor a step of a clock makes a job run twice. A process that cannot reach the
// database cancels its jobs before others may have them, and whatever it still
// writes through Job.Finish or Job.Reschedule is refused with ErrLost.
//
// It never runs work without a lease, keeps no results, and knows nothing of what
// the jobs do.
package queue

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	mathrand "math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// The causes with which a job's context is cancelled (context.Cause).
var (
	// ErrStopped says that somebody stopped the job. Job.Reschedule returns it too.
	ErrStopped = errors.New("the job was stopped")
	// ErrLost says that the job is not this process's any more: another one has
	// taken it over, or may. Job's methods return it too.
	ErrLost = errors.New("the job was lost to another process")
	// ErrShutdown says that the process ends; the job goes back to waiting.
	ErrShutdown = errors.New("the server is shutting down")
)

// Options configure a Queue. The zero value is good.
type Options struct {
	Owner   string                          // names the process in the database; default: host and process id
	Workers map[string]int                  // jobs of a kind that run at a time here, instead of what Handle says
	Lease   time.Duration                   // 9 s by default; the same in all processes of a database
	Poll    time.Duration                   // how often to look for work that other processes left; 1 s by default
	Backoff func(attempt int) time.Duration // wait after an attempt (1 is the first) that failed; default: 5 s doubling to 5 min
	Grace   time.Duration                   // how long Run waits for cancelled handlers when it ends; 10 s by default
	Clock   func() time.Time                // for run times only; default time.Now
	Log     *slog.Logger                    // default: nothing is logged
}

// Queue inserts, stops and runs jobs. It is safe for concurrent use.
type Queue struct {
	db    *store.DB
	o     Options
	owner string // of this Queue alone, also among those of one process
	log   *slog.Logger
	wake  chan struct{}

	mu      sync.Mutex
	kinds   map[string]*kind
	merges  map[string]func(older, newer string) string
	running map[int64]*Job
	started bool
	ending  bool
	base    context.Context // of the jobs, and
	jobs    *sync.WaitGroup // those that run: set by Run, for Start
}

// Handler does the work of a job. What it returns decides what becomes of the
// job, unless it has called Job.Finish or Job.Reschedule:
//
//   - nil: the job is done and deleted.
//   - RetryAt: it waits until that time.
//   - any other error: it waits for the back-off of Options.
//
// The context is cancelled with the cause ErrStopped (the job is then deleted
// whatever the handler returns), ErrShutdown (it waits for another process unless
// the handler returns nil) or ErrLost. A handler must return soon after that.
type Handler func(ctx context.Context, job *Job) error

type kind struct {
	handler     Handler
	concurrency int
}

// NewJob describes a job to insert.
type NewJob struct {
	Kind     string    // which handler
	Key      string    // jobs of one kind and key never run at the same time; must not be empty
	Payload  string    // for the handler
	Priority int64     // higher first
	RunAt    time.Time // not before; the zero time: at once
}

// New makes a Queue on a database. It does nothing until Run is called, except
// inserting and stopping.
func New(db *store.DB, o Options) *Queue {
	if o.Owner == "" {
		host, _ := os.Hostname() // only a name to read; "" is no harm
		o.Owner = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	if o.Lease <= 0 {
		o.Lease = 9 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.Backoff == nil {
		o.Backoff = backoff
	}
	if o.Grace <= 0 {
		o.Grace = 10 * time.Second
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Queue{
		db: db, o: o, log: o.Log,
		owner:   o.Owner + "/" + rand.Text()[:8],
		wake:    make(chan struct{}, 1),
		kinds:   map[string]*kind{},
		merges:  map[string]func(string, string) string{},
		running: map[int64]*Job{},
	}
}

// Owner is how this Queue is named in the database, unlike all others.
func (q *Queue) Owner() string { return q.owner }

// Handle has jobs of a kind run by h, at most concurrency at a time in this
// process. It must be called before Run.
func (q *Queue) Handle(name string, concurrency int, h Handler) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.started {
		panic("queue: Handle(" + name + ") after Run")
	}
	if n, set := q.o.Workers[name]; set {
		concurrency = n
	}
	q.kinds[name] = &kind{handler: h, concurrency: concurrency}
}

// Merge sets how the payloads of two jobs of one kind and key become one, when a
// job is inserted or put back while another waits. Without it the newer one's
// payload is taken. It must be called before the first Insert, in every process.
func (q *Queue) Merge(kind string, f func(older, newer string) string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.merges[kind] = f
}

// Insert adds a job in tx: it is there when tx is committed, and then starts at
// once if it is due. When a job of the same kind and key waits already, the two
// merge: that one's id is returned, it takes the new payload (see Merge), the
// earlier time and the higher priority.
func (q *Queue) Insert(ctx context.Context, tx *store.Tx, j NewJob) (id int64, merged bool, err error) {
	if j.Kind == "" || j.Key == "" {
		return 0, false, fmt.Errorf("insert job %q %q: kind and key must not be empty", j.Kind, j.Key)
	}
	now := store.Millis(q.o.Clock())
	runAt := max(store.Millis(j.RunAt), now)
	id, merged, err = q.insert(ctx, tx, j, now, runAt)
	if err != nil {
		return 0, false, fmt.Errorf("insert job %s %s: %w", j.Kind, j.Key, err)
	}
	if runAt == now {
		tx.OnCommit(q.Wake)
	}
	return id, merged, nil
}

func (q *Queue) insert(ctx context.Context, tx *store.Tx, j NewJob, now, runAt int64) (id int64, merged bool, err error) {
	added := waitingJob{kind: j.Kind, key: j.Key, payload: j.Payload, priority: j.Priority, runAt: runAt, atOnce: runAt == now}
	for {
		// On PostgreSQL another transaction may be adding the same job: this
		// statement waits for it and then adds nothing.
		err = tx.QueryRowContext(ctx, `
			INSERT INTO jobs (kind, key, payload, priority, state, run_at, creation_time)
			VALUES ($1, $2, $3, $4, 'waiting', $5, $6)
			ON CONFLICT (key, kind) WHERE state = 'waiting' DO NOTHING
			RETURNING id`, j.Kind, j.Key, j.Payload, j.Priority, runAt, now).Scan(&id)
		if err == nil || !store.IsNotFound(err) {
			return id, false, err
		}
		// It may have begun to run since; then the next round adds the job.
		if id, err = q.mergeNewer(ctx, tx, added); err == nil || !store.IsNotFound(err) {
			return id, err == nil, err
		}
	}
}

// Stop ends a job: one that waits is deleted, the context of one that runs is
// cancelled with the cause ErrStopped, at once in this process and within half a
// poll in others. It reports false when there is no such job (any more).
func (q *Queue) Stop(ctx context.Context, id int64) (found bool, err error) {
	err = q.db.InTx(ctx, func(tx *store.Tx) error {
		found, err = q.StopIn(ctx, tx, id)
		return err
	})
	return found && err == nil, err
}

// StopIn is Stop in a transaction of the caller's: nothing happens until it is
// committed.
func (q *Queue) StopIn(ctx context.Context, tx *store.Tx, id int64) (found bool, err error) {
	// In this order a job that is claimed in between is found by the second one.
	result, err := tx.ExecContext(ctx, `DELETE FROM jobs WHERE id = $1 AND state = 'waiting'`, id)
	if err != nil {
		return false, fmt.Errorf("stop job %d: %w", id, err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return n == 1, err
	}
	result, err = tx.ExecContext(ctx, `UPDATE jobs SET stop = TRUE WHERE id = $1`, id)
	if err != nil {
		return false, fmt.Errorf("stop job %d: %w", id, err)
	}
	tx.OnCommit(func() { q.cancel(id, ErrStopped) })
	n, err := result.RowsAffected()
	return n == 1, err
}

// Wake has the queue look for work now. Insert does it by itself.
func (q *Queue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Count says how many jobs of a kind there are in all processes.
type Count struct {
	Kind             string
	Waiting, Running int64
}

// Counts returns the number of jobs of every kind that has any, by name.
func (q *Queue) Counts(ctx context.Context) ([]Count, error) {
	rows, err := q.db.QueryContext(ctx, `
		SELECT kind, SUM(CASE WHEN state = 'waiting' THEN 1 ELSE 0 END), SUM(CASE WHEN state = 'running' THEN 1 ELSE 0 END)
		FROM jobs GROUP BY kind ORDER BY kind`)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var counts []Count
	for rows.Next() {
		var c Count
		if err := rows.Scan(&c.Kind, &c.Waiting, &c.Running); err != nil {
			return nil, fmt.Errorf("count jobs: %w", err)
		}
		counts = append(counts, c)
	}
	return counts, rows.Err()
}

// cancel cancels the context of a job if it runs in this process.
func (q *Queue) cancel(id int64, cause error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if job := q.running[id]; job != nil {
		job.cancel(cause)
	}
}

func backoff(attempt int) time.Duration {
	const first, longest = 5 * time.Second, 5 * time.Minute
	d := float64(first) * math.Pow(2, float64(attempt-1))
	d = min(d, float64(longest))
	return time.Duration(d * (0.8 + 0.4*mathrand.Float64())) // spread, so that what failed together does not return together
}
