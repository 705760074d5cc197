package replication

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// The cap on deletions that follow from a comparison: nobody said that these tags were
// deleted, they are only not there any more. More than capCount of them, or more than
// one in capShare of what the rule has put at the destination once they are more than
// capFloor, wait until somebody confirms them.
const (
	capCount = 100
	capShare = 4
	capFloor = 10
)

// reconcileTick is how often it is looked whether a rule is due.
const reconcileTick = 15 * time.Second

// watchReconcile compares the event rules with the truth when the server starts and at
// the interval of Options.Reconcile, until ctx ends.
func (s *Service) watchReconcile(ctx context.Context) {
	if s.o.Reconcile <= 0 {
		return
	}
	first := true
	every(ctx, reconcileTick, func(ctx context.Context) {
		err := s.reconcileDue(ctx, first)
		if err != nil && ctx.Err() == nil {
			s.log.Error("event rules are not compared with their destinations", "error", err)
			return
		}
		first = false
	})
}

// reconcileDue queues the verification of each event rule whose last one is older than
// the interval, or of all at the start. What several servers ask for is done once.
func (s *Service) reconcileDue(ctx context.Context, all bool) error {
	rules, err := s.eventRules(ctx)
	if err != nil {
		return err
	}
	for _, r := range rules {
		err := s.o.DB.InTx(ctx, func(tx *store.Tx) error {
			if _, err := lockPolicy(ctx, tx, r.ID); err != nil {
				return err
			}
			var asked int64
			err := tx.QueryRowContext(ctx, `SELECT asked_time FROM drift_checks WHERE policy_id = $1`, r.ID).Scan(&asked)
			if err != nil && !store.IsNotFound(err) {
				return err
			}
			// A tenth earlier or later, by the rule, so that rules do not all come at once.
			wait := s.o.Reconcile + s.o.Reconcile/100*time.Duration(r.ID*7%21-10)
			if !all && s.now().Sub(store.Time(asked)) < wait {
				return nil
			}
			_, err = s.askForCheck(ctx, tx, r.ID, checkWish{Reconcile: true})
			return err
		})
		if err != nil {
			return fmt.Errorf("replication policy %s: %w", r.Name, err)
		}
	}
	return nil
}

// Reconcile compares an event rule with the truth now, and has what it missed done.
// It returns the number of the request, see VerifyDrift.
func (s *Service) Reconcile(ctx context.Context, policy int64) (number int64, err error) {
	p, err := s.GetPolicy(ctx, policy)
	if err != nil {
		return 0, err
	}
	if !p.followsEvents() {
		return 0, problem.New(problem.Precondition, "the policy %d is disabled, or follows no events", policy)
	}
	err = s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		number, err = s.askForCheck(ctx, tx, policy, checkWish{Reconcile: true})
		return err
	})
	return number, err
}

// reconcile makes tasks of what the verification has found, as the events would have
// that never came.
func (v *verification) reconcile(ctx context.Context) error {
	if !v.policy.followsEvents() {
		return nil
	}
	for last := (DriftEntry{}); ; {
		rows, err := v.o.DB.QueryContext(ctx, selectDrift+` WHERE policy_id = $1 AND state IN ('missing', 'different') AND seen_time <= $2
			AND (registry_id, src_repository, reference) > ($3, $4, $5) ORDER BY registry_id, src_repository, reference LIMIT $6`,
			v.policy.ID, store.Millis(v.start), last.DestinationID, last.SourceRepository, last.Reference, extrasAtOnce)
		if err != nil {
			return fmt.Errorf("read drift: %w", err)
		}
		part, err := collect(rows, scanDrift)
		if err != nil {
			return err
		}
		if len(part) == 0 {
			break
		}
		for _, e := range part {
			if item, ok := e.Mend(v.policy.Override); ok {
				if err := v.queueMissed(ctx, e, item, Copy); err != nil {
					return err
				}
			}
		}
		last = part[len(part)-1]
	}
	return v.reconcileDeletions(ctx)
}

// queueMissed adds one task, unless one waits or runs for the same reference.
func (v *verification) queueMissed(ctx context.Context, e DriftEntry, item Item, operation Operation) error {
	digest := item.Digest
	if digest == "" {
		digest = e.DestinationDigest
	}
	event := home.Event{Repository: e.SourceRepository, Digest: digest, Artifact: strings.ToUpper(resourceImage), Time: v.now()}
	work := []eventWork{{e.DestinationID, operation, []Item{item}}}
	const races = 5 // as in dispatchEvent
	for race := 1; ; race++ {
		err := v.o.DB.InTx(ctx, func(tx *store.Tx) error {
			if operation == Copy { // one that waits or runs will do it
				key := eventKey(v.policy.ID, e.DestinationID, e.SourceRepository, item.Reference)
				var busy bool
				err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE key = $1 AND kind = $2)`, key, eventJob).Scan(&busy)
				if err != nil || busy {
					return err
				}
			}
			return v.addEventTasks(ctx, tx, event, v.policy, work)
		})
		if !errors.Is(err, errOvertaken) || race == races {
			return err
		}
	}
}

// reconcileDeletions repeats deletions that no event told of. Nothing is deleted when
// the source lists nothing at all, which may be a source that lost everything; and each
// task looks at the source once more before it deletes.
func (v *verification) reconcileDeletions(ctx context.Context) error {
	if !v.policy.repeatsDeletions() {
		return nil
	}
	var gone, placed int64
	err := v.o.DB.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM drift WHERE policy_id = $1 AND state = 'extra' AND is_drift),
		(SELECT count(*) FROM placements WHERE policy_id = $1)`, v.policy.ID).Scan(&gone, &placed)
	if err != nil || gone == 0 {
		return err
	}
	if v.listed == 0 {
		return fmt.Errorf("the source has nothing for the rule any more: %d deletions do not follow from that; delete at the destination by hand, or push something", gone)
	}
	if gone > capCount || gone > capFloor && gone*capShare > placed {
		return fmt.Errorf("%d of %d artifacts that the rule has put at its destinations are gone from the source without an event: so many deletions are not carried out by themselves; confirm them with a repair", gone, placed)
	}
	return v.eachExtra(ctx, func(e DriftEntry, item Item) error { return v.queueMissed(ctx, e, item, TagDeletion) })
}

func (v *verification) eachExtra(ctx context.Context, f func(DriftEntry, Item) error) error {
	for last := (DriftEntry{}); ; {
		rows, err := v.o.DB.QueryContext(ctx, selectDrift+` WHERE policy_id = $1 AND state = 'extra' AND is_drift
			AND (registry_id, src_repository, reference) > ($2, $3, $4) ORDER BY registry_id, src_repository, reference LIMIT $5`,
			v.policy.ID, last.DestinationID, last.SourceRepository, last.Reference, extrasAtOnce)
		if err != nil {
			return fmt.Errorf("read drift: %w", err)
		}
		part, err := collect(rows, scanDrift)
		if err != nil {
			return err
		}
		if len(part) == 0 {
			return nil
		}
		for _, e := range part {
			if item, ok := e.Mend(true); ok {
				if err := f(e, item); err != nil {
					return err
				}
			}
		}
		last = part[len(part)-1]
	}
}
