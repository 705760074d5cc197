package queue_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

func insertMany(t testing.TB, db *store.DB, q *queue.Queue, jobs int) {
	t.Helper()
	err := db.InTx(t.Context(), func(tx *store.Tx) error {
		for i := range jobs {
			if _, _, err := q.Insert(t.Context(), tx, queue.NewJob{Kind: kind, Key: fmt.Sprint(i)}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestThousandsOfJobsRunOnceEach(t *testing.T) {
	const jobs = 1000
	onBoth(t, func(t *testing.T, w *world) {
		inserter := w.process(queue.Options{})
		insertMany(t, inserter.db, inserter.Queue, jobs)
		var mu sync.Mutex
		runs := map[string]int{}
		all := make(chan struct{})
		for range 2 {
			p := w.process(queue.Options{})
			p.Handle(kind, 16, func(_ context.Context, job *queue.Job) error {
				mu.Lock()
				defer mu.Unlock()
				runs[job.Key]++
				if len(runs) == jobs && runs[job.Key] == 1 {
					close(all)
				}
				return nil
			})
			p.run()
		}
		receive(t, all, "every job")
		until(t, "all jobs to be deleted", func() bool { return inserter.rows() == 0 })
		mu.Lock()
		defer mu.Unlock()
		for key, n := range runs {
			if n != 1 {
				t.Errorf("job %s ran %d times", key, n)
			}
		}
	})
}

// A look, a claim and a deletion, and a look in vain now and then; all on the
// connections of the pool.
func TestAJobCostsFewTransactionsAndNoConnection(t *testing.T) {
	t.Parallel()
	const jobs, others = 200, 40 // others: opening, inserting, this test's own looks
	w := &world{t: t, url: storetest.PostgreSQLURL(t)}
	counter := w.process(queue.Options{})
	count := func() (transactions, connections int) {
		err := counter.db.QueryRowContext(t.Context(), `
			SELECT xact_commit + xact_rollback, sessions FROM pg_stat_database WHERE datname = current_database()`).
			Scan(&transactions, &connections)
		if err != nil {
			t.Fatal(err)
		}
		return transactions, connections
	}
	transactionsBefore, connectionsBefore := count()
	p := w.process(queue.Options{Poll: time.Hour})
	insertMany(t, p.db, p.Queue, jobs)
	ran := make(chan view, jobs)
	p.Handle(kind, 4, send(ran))
	p.run()
	for range jobs {
		receive(t, ran, "a job")
	}
	p.shutdown()
	if err := p.db.Close(); err != nil { // a connection's numbers are counted when it ends
		t.Fatal(err)
	}
	var transactions, connections int
	until(t, "the transactions to be counted", func() bool {
		transactions, connections = count()
		transactions -= transactionsBefore
		connections -= connectionsBefore
		return transactions >= jobs
	})
	t.Logf("%d transactions on %d connections for %d jobs", transactions, connections, jobs)
	if transactions > 4*jobs+others {
		t.Errorf("%d transactions for %d jobs", transactions, jobs)
	}
	if connections > 12 {
		t.Errorf("%d connections for %d jobs of which 4 run at a time", connections, jobs)
	}
}

func BenchmarkJobs(b *testing.B) {
	for name, open := range map[string]func(testing.TB) string{"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgreSQLURL} {
		b.Run(name, func(b *testing.B) {
			db := storetest.OpenURL(b, open(b))
			q := queue.New(db, queue.Options{})
			insertMany(b, db, q, b.N)
			done := make(chan struct{}, b.N)
			q.Handle(kind, 16, func(context.Context, *queue.Job) error {
				done <- struct{}{}
				return nil
			})
			ctx, cancel := context.WithCancel(b.Context())
			ended := make(chan error, 1)
			b.ResetTimer()
			go func() { ended <- q.Run(ctx) }()
			for range b.N {
				<-done
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
			b.StopTimer()
			cancel()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
		})
	}
}
