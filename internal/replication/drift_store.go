package replication

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// driftRows is how many entries are written with one statement.
const driftRows = 200

// storeDrift writes what is known of references as of a moment. What is known of a
// later moment stays as it is, so that it does not matter in which order a
// verification and the tasks that run beside it write down what they saw.
func storeDrift(ctx context.Context, tx *store.Tx, entries []DriftEntry, asOf time.Time) error {
	key := func(a, b DriftEntry) int { // in one order everywhere, so that transactions do not wait for each other's rows
		return cmp.Or(cmp.Compare(a.PolicyID, b.PolicyID), cmp.Compare(a.DestinationID, b.DestinationID),
			cmp.Compare(a.SourceRepository, b.SourceRepository), cmp.Compare(a.Reference, b.Reference))
	}
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, key)
	entries = slices.CompactFunc(entries, func(a, b DriftEntry) bool { return key(a, b) == 0 })
	for part := range slices.Chunk(entries, driftRows) {
		var values strings.Builder
		var args []any
		for i, e := range part {
			if i > 0 {
				values.WriteString(", ")
			}
			values.WriteString("(")
			row := []any{
				e.PolicyID, e.DestinationID, e.SourceRepository, e.Reference, e.DestinationRepository, string(e.State), e.Drift,
				e.SourceDigest, e.DestinationDigest, e.Reason, store.Millis(e.VerifiedTime), store.Millis(e.DeepTime), store.Millis(asOf),
			}
			for j := range row {
				if j > 0 {
					values.WriteString(", ")
				}
				fmt.Fprintf(&values, "$%d", len(args)+j+1)
			}
			values.WriteString(")")
			args = append(args, row...)
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO drift (policy_id, registry_id, src_repository, reference, dest_repository, state, is_drift,
			src_digest, dest_digest, reason, verified_time, deep_time, seen_time) VALUES `+values.String()+`
			ON CONFLICT (policy_id, registry_id, src_repository, reference) DO UPDATE SET
				dest_repository = excluded.dest_repository, state = excluded.state, is_drift = excluded.is_drift,
				src_digest = CASE WHEN excluded.state = 'not_verified' AND excluded.src_digest = '' THEN drift.src_digest ELSE excluded.src_digest END,
				dest_digest = CASE WHEN excluded.state = 'not_verified' THEN drift.dest_digest ELSE excluded.dest_digest END,
				reason = excluded.reason,
				verified_time = CASE WHEN excluded.verified_time > drift.verified_time THEN excluded.verified_time ELSE drift.verified_time END,
				deep_time = CASE WHEN excluded.deep_time > drift.deep_time THEN excluded.deep_time ELSE drift.deep_time END,
				seen_time = excluded.seen_time
			WHERE drift.seen_time <= excluded.seen_time`, args...)
		if err != nil {
			return fmt.Errorf("write drift: %w", err)
		}
	}
	return nil
}

// dropDrift forgets references that a rule has nothing to do with any more.
func dropDrift(ctx context.Context, tx *store.Tx, entries []DriftEntry) error {
	for _, e := range entries {
		_, err := tx.ExecContext(ctx, `DELETE FROM drift WHERE policy_id = $1 AND registry_id = $2 AND src_repository = $3 AND reference = $4`,
			e.PolicyID, e.DestinationID, e.SourceRepository, e.Reference)
		if err != nil {
			return fmt.Errorf("forget drift: %w", err)
		}
	}
	return nil
}

// driftOfTask notes what a task's items say about the destination. trouble is why
// the items that have no outcome have none; "": they are passed over.
func driftOfTask(ctx context.Context, tx *store.Tx, policy int64, t Task, trouble string, now time.Time) error {
	var known, gone []DriftEntry
	for _, item := range t.Items {
		e := DriftEntry{
			PolicyID: policy, DestinationID: t.DestinationID, SourceRepository: t.SourceRepository,
			DestinationRepository: t.DestinationRepository, Reference: item.Reference, SourceDigest: item.Digest, VerifiedTime: now,
		}
		switch item.Outcome {
		case Copied, Unchanged:
			if item.pinned() && item.Outcome == Unchanged {
				continue // the plan is from before: the next verification tells
			}
			if item.moved {
				e.State, e.Drift, e.DestinationDigest, e.Reason = Different, true, item.standsFor(), "it was copied as planned, and the source has something else since"
				break
			}
			e.State, e.DestinationDigest = InSync, item.standsFor()
		case Kept:
			if item.Action == ActionDelete {
				continue // the source has it again, others use it, or the rule deletes no more: the next verification tells
			}
			e.State, e.Drift, e.DestinationDigest, e.Reason = Different, true, item.found.Digest().String(), item.Reason
		case Deleted, Absent, Foreign:
			if item.pinned() {
				continue // as above: the rule may want it by now
			}
			gone = append(gone, e)
			continue
		case Lost:
			e.State, e.Drift, e.Reason, e.VerifiedTime = NotVerified, true, item.Reason, time.Time{}
		default:
			if trouble == "" || item.Action == ActionDelete {
				continue
			}
			e.State, e.Drift, e.Reason, e.VerifiedTime = NotVerified, true, trouble, time.Time{}
		}
		known = append(known, e)
	}
	if err := storeDrift(ctx, tx, known, now); err != nil {
		return err
	}
	if err := wantAgain(ctx, tx, policy, t.DestinationID, t.SourceRepository, t.DestinationRepository); err != nil {
		return err
	}
	return dropDrift(ctx, tx, gone)
}

// standsFor is the digest that the destination has for an item that is in sync.
func (i Item) standsFor() string {
	if d := i.found.Digest(); d != "" {
		return d.String()
	}
	return i.wanted()
}

// wanted is the digest that the destination is to have.
func (i Item) wanted() string {
	if i.Stands != "" {
		return i.Stands
	}
	return i.Digest
}
