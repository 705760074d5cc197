package harbor

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/store"
)

// change is one thing that happened in the Harbor, as it was told. Webhook and audit
// log tell the same change with the same reference and the same second: both are made
// from one event of Harbor's.
type change struct {
	key
	digest   string // "" where the audit log does not tell it
	operator string
}

type key struct {
	kind       string // an event type of package home
	repository string
	reference  string // the tag; a deleted artifact's digest, and that of a push without a tag
	second     int64  // Unix time
}

// event is the change as replication takes it.
func (c change) event(now time.Time) home.Event {
	e := home.Event{Type: c.kind, Repository: c.repository, Digest: c.digest, Operator: c.operator, Time: now}
	if isDigest(c.reference) {
		e.Digest = c.reference
	} else {
		e.Tags = []string{c.reference}
	}
	return e
}

// recordWebhook stores what a webhook told. A change counts once for each digest:
// deliveries are repeated, but a tag may be pushed twice in a second.
func (h *Home) recordWebhook(ctx context.Context, changes []change) error {
	return h.record(ctx, changes, func(r *told, c change) {
		if c.digest != "" && !slices.Contains(r.digests, c.digest) {
			r.digests = append(r.digests, c.digest)
		}
	}, nil)
}

// recordAudit stores what a stretch of the audit log told, with how often, and how far
// the log has been read then.
func (h *Home) recordAudit(ctx context.Context, changes []change, times map[key]int64, cursor func(*store.Tx) error) error {
	return h.record(ctx, changes, func(r *told, c change) { r.logged = max(r.logged, times[c.key]) }, cursor)
}

// told is what is known of a change: a row of harbor_changes.
type told struct {
	digests  []string
	logged   int64
	recorded int64
}

// record notes changes, and makes an event of each that one side has told more often
// than there are events already. All of it is in the database when record returns, or
// nothing.
func (h *Home) record(ctx context.Context, changes []change, note func(*told, change), also func(*store.Tx) error) error {
	// In one order everywhere, so that servers do not wait for each other's rows.
	slices.SortStableFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.repository, b.repository),
			cmp.Compare(a.reference, b.reference), cmp.Compare(a.second, b.second))
	})
	return h.db.InTx(ctx, func(tx *store.Tx) error {
		for _, c := range changes {
			if err := h.recordOne(ctx, tx, c, note); err != nil {
				return fmt.Errorf("record %s of %s %s: %w", c.kind, c.repository, c.reference, err)
			}
		}
		if also == nil {
			return nil
		}
		return also(tx)
	})
}

func (h *Home) recordOne(ctx context.Context, tx *store.Tx, c change, note func(*told, change)) error {
	var r told
	var digests string
	at := []any{c.kind, c.repository, c.reference, c.second}
	// The update that changes nothing locks the row on PostgreSQL.
	err := tx.QueryRowContext(ctx, `INSERT INTO harbor_changes (kind, repository, reference, second) VALUES ($1, $2, $3, $4)
		ON CONFLICT (kind, repository, reference, second) DO UPDATE SET second = excluded.second
		RETURNING digests, logged, recorded`, at...).Scan(&digests, &r.logged, &r.recorded)
	if err != nil {
		return err
	}
	if err := store.FromJSON(digests, &r.digests); err != nil {
		return err
	}
	note(&r, c)
	if heard := max(int64(len(r.digests)), r.logged); heard > r.recorded {
		r.recorded = heard // one event for all of them: it is looked at what is there now
		if err := home.AddEvent(ctx, tx, c.event(h.now())); err != nil {
			return err
		}
		tx.OnCommit(h.wake)
	}
	_, err = tx.ExecContext(ctx, `UPDATE harbor_changes SET digests = $5, logged = $6, recorded = $7
		WHERE kind = $1 AND repository = $2 AND reference = $3 AND second = $4`, append(at, store.JSON(r.digests), r.logged, r.recorded)...)
	return err
}

const (
	sweepInterval = time.Hour
	// keptFor is how long a change is remembered. A webhook that is repeated later than
	// that makes one needless event.
	keptFor = 7 * 24 * time.Hour
)

// sweep forgets changes of long ago.
func (h *Home) sweep(ctx context.Context) {
	err := h.db.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM harbor_changes WHERE second < $1`, h.now().Add(-keptFor).Unix())
		return err
	})
	if err != nil && ctx.Err() == nil {
		h.log.Error("old changes of the Harbor are not swept", "error", err)
	}
}
