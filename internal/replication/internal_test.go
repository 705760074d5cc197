package replication

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

func TestBackoffDoublesUpToTenMinutes(t *testing.T) {
	t.Parallel()
	for attempt, want := range map[int64]time.Duration{
		0: 5 * time.Second, 1: 5 * time.Second, 2: 10 * time.Second, 3: 20 * time.Second, 7: 320 * time.Second,
		8: 10 * time.Minute, 9: 10 * time.Minute, 63: 10 * time.Minute, 64: 10 * time.Minute, 1 << 40: 10 * time.Minute,
	} {
		if got := backoff(attempt); got != want {
			t.Errorf("after attempt %d: %s, want %s", attempt, got, want)
		}
	}
}

// The counts follow from the tasks whatever these do, and the status from the counts.
func TestCountsFollowTheTasks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		statuses := []Status{Pending, InProgress, Succeed, Failed, Stopped}
		var id int64
		tasks := make([]Status, 6)
		update := func(f func(tx *store.Tx) error) {
			t.Helper()
			if err := db.InTx(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		update(func(tx *store.Tx) error {
			err := tx.QueryRowContext(t.Context(), `INSERT INTO replication_policies (name, creation_time, update_time) VALUES ('x', 1, 1) RETURNING id`).Scan(&id)
			if err != nil {
				return err
			}
			err = tx.QueryRowContext(t.Context(), `INSERT INTO executions (policy_id, trigger_type, status, planned, start_time)
				VALUES ($1, 'manual', 'InProgress', TRUE, 1) RETURNING id`, id).Scan(&id)
			if err != nil {
				return err
			}
			change := tally{total: int64(len(tasks))}
			for i := range tasks {
				tasks[i] = Pending
				change.add(Pending, 1)
			}
			return change.apply(t.Context(), tx, id, 10)
		})
		for range 100 {
			i, to := rand.IntN(len(tasks)), statuses[rand.IntN(len(statuses))]
			update(func(tx *store.Tx) error { return moved(tasks[i], to).apply(t.Context(), tx, id, 20) })
			tasks[i] = to
			e, err := getExecution(t.Context(), db, id)
			if err != nil {
				t.Fatal(err)
			}
			want := Execution{ID: id, PolicyID: e.PolicyID, Trigger: Manual, Planned: true, Total: int64(len(tasks)), StartTime: e.StartTime}
			for _, s := range tasks {
				switch s {
				case Succeed:
					want.Succeed++
				case Failed:
					want.Failed++
				case Stopped:
					want.Stopped++
				default:
					want.InProgress++
				}
			}
			switch {
			case want.InProgress > 0:
				want.Status = InProgress
			case want.Failed > 0:
				want.Status = Failed
			case want.Stopped > 0:
				want.Status = Stopped
			default:
				want.Status = Succeed
			}
			if want.Status.Final() {
				want.EndTime = store.Time(20)
			}
			if e != want {
				t.Fatalf("tasks %v: %+v, want %+v", tasks, e, want)
			}
		}
	})
}

func TestUniteKeepsEveryReferenceAndTheNewerMeaning(t *testing.T) {
	t.Parallel()
	older := []Item{{Reference: "v1", Action: ActionDelete}, {Reference: "v2", Action: ActionDelete, Outcome: Deleted}}
	got := unite(older, []Item{{Reference: "v3", Action: ActionCopy}, {Reference: "v2", Action: ActionCopy}})
	want := []Item{{Reference: "v1", Action: ActionDelete}, {Reference: "v2", Action: ActionCopy}, {Reference: "v3", Action: ActionCopy}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if older[1].Action != ActionDelete {
		t.Error("the older items were changed")
	}
}

func TestALogIsBounded(t *testing.T) {
	t.Parallel()
	var b logBuffer
	for range maxLogLines + 100 {
		b.add(time.Time{}, "INFO", "x")
	}
	lines := b.take()
	if len(lines) != maxLogLines || lines[len(lines)-1].Level != "WARNING" {
		t.Errorf("%d lines, the last: %+v", len(lines), lines[len(lines)-1])
	}
	b.putBack(lines[:2])
	b.add(time.Time{}, "INFO", "dropped")
	if got := b.take(); len(got) != 2 {
		t.Errorf("%d lines", len(got))
	}
}

func TestRulesAreVerifiedAtMomentsThatAreSpread(t *testing.T) {
	t.Parallel()
	const rules, interval = 100, 24 * time.Hour
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	var moments []time.Duration
	for policy := range int64(rules) {
		at := momentBefore(policy+1, interval, now)
		if at.After(now) || now.Sub(at) >= interval {
			t.Errorf("rule %d: %s", policy+1, at)
		}
		if again := momentBefore(policy+1, interval, at.Add(interval-1)); !again.Equal(at) {
			t.Errorf("rule %d: %s, and before its next moment %s", policy+1, at, again)
		}
		if next := momentBefore(policy+1, interval, at.Add(interval)); !next.Equal(at.Add(interval)) {
			t.Errorf("rule %d: %s comes after %s", policy+1, next, at)
		}
		moments = append(moments, now.Sub(at))
	}
	slices.Sort(moments)
	for i := range moments[1:] {
		if gap := moments[i+1] - moments[i]; gap > 3*interval/rules {
			t.Errorf("nothing is verified for %s", gap)
		}
	}
}
