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

// DeletionCap bounds the deletions that follow from a comparison without anybody's being
// asked: nobody said that these tags were deleted, they are only not there any more. What
// is more waits until somebody releases it.
type DeletionCap struct {
	// Count is how many they may be; 0: each waits.
	Count int
	// Share is how much they may be of what the rule has put at its destinations, in
	// percent, once they are more than 10.
	Share int
}

// DefaultDeletionCap is the one that holds when nobody says another.
var DefaultDeletionCap = DeletionCap{Count: 100, Share: 25}

const capFloor = 10

// exceeded reports whether gone deletions are too many, of placed things in all.
func (c DeletionCap) exceeded(gone, placed int) bool {
	return gone > c.Count || gone > capFloor && gone*100 > placed*c.Share
}

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
		}
		if _, others := errors.AsType[*brokenRules](err); err == nil || others {
			first = false
		}
	})
}

// reconcileDue queues the verification of each event rule whose last one is older than
// the interval, or of all at the start. What several servers ask for is done once.
func (s *Service) reconcileDue(ctx context.Context, all bool) error {
	rules, err := s.eventRules(ctx)
	broken, some := errors.AsType[*brokenRules](err)
	if err != nil && !some {
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
	if some {
		return broken
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
		rows, err := v.o.DB.QueryContext(ctx, selectDrift+` WHERE policy_id = $1 AND state IN ('missing', 'different') AND is_drift AND seen_time <= $2
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

// reconcileDeletions repeats deletions that no event told of. Too many of them are held
// until somebody releases them, and so is each when the source lists nothing at all, which
// may be a source that lost everything. What waits already goes on waiting, whatever the
// number has become. Each task looks at the source once more before it deletes.
func (v *verification) reconcileDeletions(ctx context.Context) error {
	held, waiting, err := heldExecution(ctx, v.o.DB, v.policy.ID)
	if err != nil || held == 0 && !v.policy.repeatsDeletions() {
		return err
	}
	var gone, fresh []DriftEntry
	if v.policy.repeatsDeletions() {
		err = v.eachExtra(ctx, func(e DriftEntry, _ Item) error {
			gone = append(gone, e)
			if !waiting[deletionOf(e)] {
				fresh = append(fresh, e)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	var placed int
	if err := v.o.DB.QueryRowContext(ctx, `SELECT count(*) FROM placements WHERE policy_id = $1`, v.policy.ID).Scan(&placed); err != nil {
		return err
	}
	why := ""
	switch {
	case v.listed == 0:
		why = fmt.Sprintf("the source has nothing for the rule any more, which makes %d deletions at its destinations", len(gone))
	case v.o.Deletions.exceeded(len(gone), placed):
		why = fmt.Sprintf("%d of %d artifacts that the rule has put at its destinations are gone from the source without an event", len(gone), placed)
	}
	waits := len(waiting)
	if held != 0 && len(gone) == len(fresh) && len(v.unsure) == 0 { // nothing that waits is to be deleted any more
		if held, err = 0, v.withdrawHeld(ctx); err != nil {
			return err
		}
	}
	if why != "" && len(fresh) > 0 {
		waits = len(gone)
		held, err = v.holdDeletions(ctx, gone, why)
	} else {
		err = v.deleteMissed(ctx, fresh)
	}
	if err != nil || held == 0 {
		return err
	}
	return fmt.Errorf("%d deletions wait in execution %d: look at them with \"lighterage execution view %d\", then release or discard them", waits, held, held)
}

func (v *verification) deleteMissed(ctx context.Context, gone []DriftEntry) error {
	for _, e := range gone {
		if item, ok := e.Mend(true); ok {
			if err := v.queueMissed(ctx, e, item, TagDeletion); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *verification) withdrawHeld(ctx context.Context) error {
	return v.o.DB.InTx(ctx, func(tx *store.Tx) error {
		if _, err := lockPolicy(ctx, tx, v.policy.ID); err != nil {
			return err
		}
		_, err := v.withdraw(ctx, tx, v.policy.ID, "nothing of it is to be deleted any more")
		return err
	})
}

// holdDeletions has deletions wait in an execution, in the place of one that waits
// already. It returns 0 when the rule was changed since it was verified.
func (v *verification) holdDeletions(ctx context.Context, gone []DriftEntry, why string) (id int64, err error) {
	err = v.o.DB.InTx(ctx, func(tx *store.Tx) error {
		id = 0
		now, err := lockPolicy(ctx, tx, v.policy.ID)
		if err != nil || !now.UpdateTime.Equal(v.policy.UpdateTime) {
			return err
		}
		if _, err := v.withdraw(ctx, tx, v.policy.ID, "more has gone from the source, and another one lists all of it"); err != nil {
			return err
		}
		id, err = v.hold(ctx, tx, v.policy, gone, why)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("hold %d deletions: %w", len(gone), err)
	}
	if id != 0 {
		v.log.Warn("deletions wait to be released", "rule", v.policy.Name, "execution", id, "reason", why)
	}
	return id, nil
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
