package replication

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
)

// Rules that are reconciled are verified with that. All others that have run once are
// verified at an interval, with HEAD requests, each at its own moment of the interval.

// verifiedAtOnce is how many rules are verified at a time because of their moment, on
// all servers together: who comes back after a night does not ask for all of them.
const verifiedAtOnce = 2

// errRuleRuns says that a verification nobody waits for gives way to its rule.
var errRuleRuns = errors.New("the rule runs")

// watchVerifications verifies rules at the interval of Options.Verify until ctx ends.
func (s *Service) watchVerifications(ctx context.Context) {
	if s.o.Verify <= 0 {
		return
	}
	said := ""
	every(ctx, min(reconcileTick, max(s.o.Verify/10, 50*time.Millisecond)), func(ctx context.Context) {
		trouble := ""
		if err := s.VerifyDue(ctx); err != nil && ctx.Err() == nil {
			trouble = err.Error()
		}
		if trouble != said && trouble != "" { // the same trouble is told once, not every few seconds
			s.log.Error("rules are not verified when they are due", "error", trouble)
		}
		said = trouble
	})
}

// dueCheck is a rule whose verification is due, and when one was last asked for.
type dueCheck struct{ policy, asked int64 }

// VerifyDue asks for the verification of rules whose moment has come, those first that
// have waited longest. Of all servers that share a database one asks. A rule that runs,
// or of which others are being verified, waits for a later look.
func (s *Service) VerifyDue(ctx context.Context) error {
	if s.o.Verify <= 0 {
		return nil
	}
	due, err := s.checksDue(ctx)
	if err != nil {
		return fmt.Errorf("look for rules to be verified: %w", err)
	}
	// Counted after that, so that what another server asks for meanwhile counts.
	var busy int
	err = s.o.DB.QueryRowContext(ctx, `SELECT count(*) FROM jobs WHERE kind = $1 AND (state = 'running' OR run_at <= $2)`,
		driftJob, store.Millis(s.now())).Scan(&busy)
	if err != nil {
		return fmt.Errorf("count verifications: %w", err)
	}
	var failures []error
	for _, d := range due[:max(0, min(len(due), verifiedAtOnce-busy))] {
		if err := s.o.DB.InTx(ctx, func(tx *store.Tx) error { return s.askInTime(ctx, tx, d) }); err != nil {
			failures = append(failures, fmt.Errorf("replication policy %d: %w", d.policy, err))
		}
	}
	return errors.Join(failures...)
}

func (s *Service) checksDue(ctx context.Context) ([]dueCheck, error) {
	// Event rules are looked after by the reconcile, if there is one.
	rows, err := s.o.DB.QueryContext(ctx, `SELECT p.id, coalesce(c.asked_time, p.creation_time) FROM replication_policies p
		LEFT JOIN drift_checks c ON c.policy_id = p.id
		WHERE p.enabled AND (p.trigger_type <> $1 OR $2)
		AND EXISTS (SELECT 1 FROM executions e WHERE e.policy_id = p.id)
		AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.policy_id = p.id AND e.status = 'InProgress')`,
		string(rule.EventBased), s.o.Reconcile <= 0)
	if err != nil {
		return nil, err
	}
	all, err := collect(rows, func(row scanner) (d dueCheck, err error) { return d, row.Scan(&d.policy, &d.asked) })
	if err != nil {
		return nil, err
	}
	due := slices.DeleteFunc(all, func(d dueCheck) bool {
		return !store.Time(d.asked).Before(momentBefore(d.policy, s.o.Verify, s.now()))
	})
	slices.SortFunc(due, func(a, b dueCheck) int { return cmp.Or(cmp.Compare(a.asked, b.asked), cmp.Compare(a.policy, b.policy)) })
	return due, nil
}

// momentBefore is the last moment before now at which a rule is to be verified. Rules of
// any ids are spread evenly over the interval (multiples of the golden ratio are), the
// same on every server and after every start.
func momentBefore(policy int64, interval time.Duration, now time.Time) time.Time {
	_, part := math.Modf(float64(policy) * math.Phi)
	offset := time.Duration(part * float64(interval)).Truncate(time.Millisecond) // as times are stored
	return now.Add(-offset).Truncate(interval).Add(offset)
}

// askInTime asks for one verification, unless somebody else has since.
func (s *Service) askInTime(ctx context.Context, tx *store.Tx, d dueCheck) error {
	if _, err := lockPolicy(ctx, tx, d.policy); problem.Is(err, problem.NotFound) {
		return nil // it was deleted just now
	} else if err != nil {
		return err
	}
	var asked int64
	err := tx.QueryRowContext(ctx, `SELECT asked_time FROM drift_checks WHERE policy_id = $1`, d.policy).Scan(&asked)
	if err != nil && !store.IsNotFound(err) {
		return err
	}
	if asked > d.asked {
		return nil
	}
	_, err = s.askForCheck(ctx, tx, d.policy, checkWish{InTime: true})
	return err
}

// giveWay is errRuleRuns when nobody waits for the verification and its rule runs: its
// questions would only tell what the rule is about to change, and take its room.
func (v *verification) giveWay(ctx context.Context) error {
	if !v.wish.InTime {
		return nil
	}
	var runs bool
	err := v.o.DB.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM executions WHERE policy_id = $1 AND status = 'InProgress')`, v.policy.ID).Scan(&runs)
	if err == nil && runs {
		return errRuleRuns
	}
	return err
}
