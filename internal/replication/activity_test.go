package replication_test

import (
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestHoursCountTheTasksThatEndedInThem(t *testing.T) {
	onBoth(t, func(w *world) {
		w.run()
		policy := w.policy("all", rule.EventBased)
		w.push("library/app", "v1", ts.Image(t, 1, 1, 5000))
		w.settled()
		now := time.Now().UTC().Truncate(time.Hour)
		// As if it had happened at other times: at the edges of what is told, and beyond.
		err := w.db.InTx(t.Context(), func(tx *store.Tx) error {
			for i, at := range []time.Time{now.Add(-3 * time.Hour), now.Add(-3*time.Hour - time.Millisecond), now.Add(-2*time.Hour - time.Millisecond), now.Add(-time.Hour)} {
				_, err := tx.ExecContext(t.Context(), `INSERT INTO tasks (execution_id, status, operation, resource_type, src_repository, dest_repository, bytes_sent, start_time, end_time)
					SELECT id, $2, 'copy', 'image', 'a/b', 'a/b', $3, 0, $4 FROM executions WHERE policy_id = $1`, policy, []string{"Succeed", "Succeed", "Failed", "Stopped"}[i], 10+i, store.Millis(at))
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		hours, err := w.Hours(t.Context(), 4)
		if err != nil {
			t.Fatal(err)
		}
		if len(hours) != 4 || !hours[0].Start.Equal(now.Add(-3*time.Hour)) && !hours[0].Start.Equal(now.Add(-2*time.Hour)) {
			t.Fatalf("%+v", hours)
		}
		if hours[0].Start.Equal(now.Add(-2 * time.Hour)) {
			t.Skip("an hour has ended meanwhile")
		}
		if h := hours[0]; h.Succeed != 1 || h.Failed != 1 || h.Bytes != 10+12 {
			t.Errorf("the first hour: %+v", h)
		}
		if h := hours[1]; h.Succeed+h.Failed+h.Stopped+h.Bytes != 0 {
			t.Errorf("the second hour: %+v", h)
		}
		if h := hours[2]; h.Stopped != 1 || h.Bytes != 13 {
			t.Errorf("the third hour: %+v", h)
		}
		if h := hours[3]; h.Succeed != 1 || h.Bytes < 5000 {
			t.Errorf("this hour: %+v", h)
		}
	})
}
