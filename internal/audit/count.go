package audit

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

const (
	// settledAfter is the age at which entries count as settled: all that are older have been
	// written. Entries that are written later than lateAfter, since the database was away or
	// what they are about took long, have everything counted anew; the time between allows
	// for the clocks of several servers.
	settledAfter = 3 * time.Minute
	lateAfter    = 2 * time.Minute
	// countedFor is how long a count is believed, in case that something is wrong with a clock.
	countedFor = 15 * time.Minute
	// mostCounts is how many are kept.
	mostCounts = 200
	// countedSetting is another number whenever settled entries are others than before.
	countedSetting = "audit_log_changes"
)

// counts knows how many entries fulfil conditions. To count a million of them takes a while,
// and each page of a list has to say how many there are: so those that are settled are counted
// once, and again after some were removed, and what came since is added.
type counts struct {
	mu    sync.Mutex
	known map[string]counted
}

// counted is how many entries were older than a time.
type counted struct {
	before  int64 // in milliseconds, as the database has it
	settled int64
	changes string // when it was counted
	at      time.Time
}

func newCounts() *counts { return &counts{known: map[string]counted{}} }

// count returns how many entries a WHERE clause selects.
func (c *counts) count(ctx context.Context, db *store.DB, now time.Time, where string, args []any) (total int64, err error) {
	key := fmt.Sprint(where, "\x00", args)
	changes, _, err := db.Setting(ctx, countedSetting) // first: what changes afterwards is found out the next time
	if err != nil {
		return 0, fmt.Errorf("count the audit log: %w", err)
	}
	c.mu.Lock()
	known, found := c.known[key]
	c.mu.Unlock()
	if !found || known.changes != changes || now.Sub(known.at) >= countedFor || now.Before(known.at) {
		known = counted{changes: changes, at: now}
	}
	before := max(store.Millis(now.Add(-settledAfter)), known.before)
	since, conjunction := "", " WHERE "
	if where != "" {
		conjunction = " AND "
	}
	if known.before > 0 {
		since = conjunction + "op_time >= " + strconv.FormatInt(known.before, 10)
	}
	var settled, all int64
	err = db.QueryRowContext(ctx, fmt.Sprintf(`SELECT COUNT(CASE WHEN op_time < %d THEN 1 END), COUNT(*) FROM audit_logs`, before)+where+since, args...).Scan(&settled, &all)
	if err != nil {
		return 0, fmt.Errorf("count the audit log: %w", err)
	}
	total = known.settled + all
	known.settled, known.before = known.settled+settled, before
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= mostCounts {
		clear(c.known)
	}
	c.known[key] = known
	return total, nil
}

// recount has settled entries counted anew, by all servers that share the database.
func recount(ctx context.Context, tx *store.Tx) error {
	if err := store.SetSetting(ctx, tx, countedSetting, strconv.FormatInt(time.Now().UnixNano(), 36)); err != nil {
		return fmt.Errorf("note that the audit log was changed: %w", err)
	}
	return nil
}
