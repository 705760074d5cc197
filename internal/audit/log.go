package audit

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// Settings that say what is recorded, and for how long. All but the last are Harbor's.
const (
	SkipSetting      = "skip_audit_log_database"
	DisabledSetting  = "disabled_audit_log_event_types" // kinds, separated by commas
	RetentionSetting = "audit_log_retention_days"

	DefaultRetention = 90 // days; 0: for ever
)

const (
	settingsFor   = time.Second      // how long settings are believed
	flushInterval = time.Second      // between two writings of notes
	purgeInterval = time.Hour        //
	mostNotes     = 20_000           // that wait to be written: what is more is counted and forgotten
	purgeAtOnce   = 1000             // entries a transaction
	lastFlush     = 10 * time.Second // how long the end of the process waits for notes to be written
)

// Log is the audit log. It is safe for concurrent use. A nil one records nothing.
type Log struct {
	db  *store.DB
	now func() time.Time
	log *slog.Logger

	logins, failures *repeats
	counts           *counts

	mu       sync.Mutex
	notes    []Entry
	lost     int64
	skip     bool
	disabled []Kind
	read     time.Time // when the settings were; zero: never
}

// New returns the audit log in db. Run has notes written.
func New(db *store.DB, log *slog.Logger) *Log {
	if log == nil {
		log = slog.Default()
	}
	return &Log{db: db, now: time.Now, log: log, logins: newRepeats(mostLogins), failures: newRepeats(mostFailures), counts: newCounts()}
}

// Add records an entry in tx.
func (l *Log) Add(ctx context.Context, tx *store.Tx, e Entry) error {
	if l == nil || !l.wanted(ctx, tx, e) { // with tx: to wait for another connection while this one is held could be to wait for good
		return nil
	}
	return l.insert(ctx, tx, []Entry{l.timed(e)})
}

// Write records an entry at once.
func (l *Log) Write(ctx context.Context, e Entry) error {
	if l == nil || !l.wanted(ctx, l.db, e) {
		return nil
	}
	return l.db.InTx(ctx, func(tx *store.Tx) error { return l.insert(ctx, tx, []Entry{l.timed(e)}) })
}

// Note records an entry some time later. It never waits.
func (l *Log) Note(ctx context.Context, e Entry) {
	if l == nil || !l.wanted(ctx, l.db, e) {
		return
	}
	l.keep([]Entry{l.timed(e)})
}

// keep has entries written with the next notes, as many as there is room for.
func (l *Log) keep(entries []Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	room := min(mostNotes-len(l.notes), len(entries))
	l.notes = append(l.notes, entries[:room]...)
	l.lost += int64(len(entries) - room)
}

func (l *Log) timed(e Entry) Entry {
	if e.Time.IsZero() {
		e.Time = l.now()
	}
	return e
}

// wanted reports whether the settings want an entry. Settings that cannot be read count
// as they were: a log that has too much is better than one that misses something.
func (l *Log) wanted(ctx context.Context, q store.Querier, e Entry) bool {
	l.mu.Lock()
	stale := l.read.IsZero() || l.now().Sub(l.read) >= settingsFor
	if stale {
		l.read = l.now() // one asks, the others go on with what is known
	}
	l.mu.Unlock()
	if stale {
		l.readSettings(ctx, q)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.skip && !slices.Contains(l.disabled, e.Kind)
}

func (l *Log) readSettings(ctx context.Context, q store.Querier) {
	skip, disabled, err := settings(ctx, q)
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.skip, l.disabled = skip, disabled
}

// settings are what the database says: whether nothing is recorded, and what is not.
func settings(ctx context.Context, q store.Querier) (skip bool, disabled []Kind, err error) {
	said, _, err := store.Setting(ctx, q, SkipSetting)
	if err != nil {
		return false, nil, err
	}
	list, _, err := store.Setting(ctx, q, DisabledSetting)
	if err != nil {
		return false, nil, err
	}
	for kind := range strings.SplitSeq(list, ",") {
		if kind = strings.TrimSpace(kind); kind != "" {
			disabled = append(disabled, Kind(kind))
		}
	}
	return said == "true", disabled, nil
}

// Run writes notes and removes what is too old, until ctx ends; then it writes what is left.
func (l *Log) Run(ctx context.Context) error {
	flush, purge := time.NewTicker(flushInterval), time.NewTicker(purgeInterval)
	defer flush.Stop()
	defer purge.Stop()
	l.tidy(ctx)
	for {
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
			defer cancel()
			l.keepRepeats(true)
			return l.Flush(end)
		case <-flush.C:
			l.keepRepeats(false)
			if err := l.Flush(ctx); err != nil && ctx.Err() == nil {
				l.log.ErrorContext(ctx, "the audit log could not be written, it is tried again", "error", err)
			}
		case <-purge.C:
			l.tidy(ctx)
		}
	}
}

// keepRepeats has what was counted written, when its time is over or the process is.
func (l *Log) keepRepeats(all bool) {
	for _, r := range []*repeats{l.logins, l.failures} {
		l.keep(r.over(l.now(), all))
	}
}

func (l *Log) tidy(ctx context.Context) {
	n, err := l.Purge(ctx)
	if err != nil && ctx.Err() == nil {
		l.log.ErrorContext(ctx, "old entries of the audit log could not be removed", "error", err)
	}
	if n > 0 {
		l.log.InfoContext(ctx, "old entries of the audit log were removed", "entries", n)
	}
}

// Flush writes what was noted. What cannot be written is kept for the next time.
func (l *Log) Flush(ctx context.Context) error {
	l.mu.Lock()
	notes, lost := l.notes, l.lost
	l.notes, l.lost = nil, 0
	l.mu.Unlock()
	if lost > 0 {
		l.log.WarnContext(ctx, "more was done than the audit log could take: pulls and logins are missing in it", "entries", lost)
	}
	if len(notes) == 0 {
		return nil
	}
	err := l.db.InTx(ctx, func(tx *store.Tx) error { return l.insert(ctx, tx, notes) })
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		kept := append(notes, l.notes...)
		l.lost += int64(len(kept) - min(len(kept), mostNotes))
		l.notes = kept[:min(len(kept), mostNotes)]
	}
	return err
}

// Purge removes the entries that are older than the settings say, and returns how many.
func (l *Log) Purge(ctx context.Context) (removed int64, err error) {
	days, err := l.retention(ctx)
	if err != nil || days == 0 {
		return 0, err
	}
	before := store.Millis(l.now().AddDate(0, 0, -int(days)))
	for {
		var n int64
		// A little at a time: pushes wait for a writer of SQLite.
		err := l.db.InTx(ctx, func(tx *store.Tx) error {
			result, err := tx.ExecContext(ctx, `DELETE FROM audit_logs WHERE id IN
				(SELECT id FROM audit_logs WHERE op_time < $1 ORDER BY op_time, id LIMIT $2)`, before, purgeAtOnce)
			if err != nil {
				return err
			}
			if n, err = result.RowsAffected(); err != nil || n == 0 {
				return err
			}
			return recount(ctx, tx)
		})
		if err != nil {
			return removed, fmt.Errorf("purge the audit log: %w", err)
		}
		if removed += n; n < purgeAtOnce {
			return removed, nil
		}
	}
}
