package replication

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// publishInterval is how far what users see of a running task may be behind.
const publishInterval = time.Second

func (r *run) line(level, format string, args ...any) {
	r.log.add(r.now(), level, fmt.Sprintf(format, args...))
}

// publish writes new log lines and progress to the database now and then until the
// returned function is called.
func (r *run) publish(ctx context.Context) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(publishInterval)
		defer ticker.Stop()
		var shown [2]int64
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			if err := r.show(ctx, &shown); err != nil && ctx.Err() == nil {
				r.Service.log.Warn("progress of a replication task is not written", "task", r.task.ID, "error", err)
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// show writes what is new; what cannot be written stays new.
func (r *run) show(ctx context.Context, shown *[2]int64) error {
	bytes := [2]int64{r.total.Load(), r.sent.Load()}
	lines := r.log.take()
	if bytes == *shown && len(lines) == 0 {
		return nil
	}
	err := r.o.DB.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE tasks SET bytes_total = $3, bytes_sent = $4 WHERE id = $1 AND job_id = $2`,
			r.task.ID, r.job.ID, bytes[0], bytes[1])
		if err != nil {
			return err
		}
		return writeLog(ctx, tx, r.task.ID, lines)
	})
	if err != nil {
		r.log.putBack(lines)
		return err
	}
	*shown = bytes
	return nil
}
