package replication

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
)

// driftJob is the kind of verifications. Their key is the rule, so that a rule is
// verified once at a time however many servers there are and whoever asks.
const driftJob = "replication.drift"

// checkWish is what a verification is asked to do, the payload of its job.
type checkWish struct {
	Deep      bool `json:"deep,omitempty"`
	Reconcile bool `json:"reconcile,omitempty"` // queue what an event rule has missed
	InTime    bool `json:"in_time,omitempty"`   // nobody waits for it: it gives way to its rule
}

// mergeWishes is the wish of two requests that one verification answers.
func mergeWishes(older, newer string) string {
	var a, b checkWish
	// What cannot be read wishes nothing: it is this package that wrote it.
	_, _ = json.Unmarshal([]byte(older), &a), json.Unmarshal([]byte(newer), &b)
	return store.JSON(checkWish{Deep: a.Deep || b.Deep, Reconcile: a.Reconcile || b.Reconcile, InTime: a.InTime && b.InTime})
}

// askForCheck queues a verification and returns the number of the request.
func (s *Service) askForCheck(ctx context.Context, tx *store.Tx, policy int64, w checkWish) (number int64, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO drift_checks (policy_id, asked, asked_time) VALUES ($1, 1, $2)
		ON CONFLICT (policy_id) DO UPDATE SET asked = drift_checks.asked + 1, asked_time = excluded.asked_time RETURNING asked`,
		policy, store.Millis(s.now())).Scan(&number)
	if err != nil {
		return 0, err
	}
	_, _, err = s.o.Queue.Insert(ctx, tx, queue.NewJob{Kind: driftJob, Key: strconv.FormatInt(policy, 10), Payload: store.JSON(w)})
	return number, err
}

// verification is one run through a rule.
type verification struct {
	*Service
	policy Policy
	wish   checkWish
	start  time.Time       // what it sees is not older than this
	unsure map[string]bool // repositories of the source that could not be listed
	listed int             // references that the source has for the rule
	labels bool            // the rule has a label filter
	number int64           // of the newest request that it answers
}

// runCheck verifies a rule. It can be interrupted anywhere and begins anew then.
func (s *Service) runCheck(ctx context.Context, job *queue.Job) error {
	id, err := strconv.ParseInt(job.Key, 10, 64)
	if err != nil {
		return fmt.Errorf("verification job %d: %w", job.ID, err)
	}
	v := verification{Service: s, unsure: map[string]bool{}}
	if err := json.Unmarshal([]byte(job.Payload), &v.wish); err != nil {
		return fmt.Errorf("verification job %d: %w", job.ID, err)
	}
	if v.policy, err = s.GetPolicy(ctx, id); problem.Is(err, problem.NotFound) {
		return nil
	} else if err != nil {
		return err
	}
	if err := v.begin(ctx); err != nil {
		return err
	}
	trouble := v.run(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(trouble, errRuleRuns) {
		return job.Reschedule(ctx, s.now().Add(reconcileTick), func(tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE drift_checks SET running = 0 WHERE policy_id = $1`, id)
			return err
		})
	}
	if trouble != nil {
		s.log.Warn("a rule could not be verified", "rule", v.policy.Name, "reason", trouble)
		if err := v.doubt(ctx, trouble); err != nil {
			return err
		}
	}
	if err := job.Finish(ctx, func(tx *store.Tx) error { return v.end(ctx, tx, trouble) }); err != nil {
		return err
	}
	v.meterEnd(ctx)
	return nil
}

// meterEnd tells the meter what the verification has found.
func (v *verification) meterEnd(ctx context.Context) {
	d, err := v.Drift(ctx, v.policy.ID)
	switch {
	case err != nil: // the rule is gone, or the database is
	case d.Check.Error != "" || d.Count(NotVerified) > 0:
		v.o.Meter.VerificationEnded(v.policy.Name, VerifiedInPart)
	case d.Drift > 0:
		v.o.Meter.VerificationEnded(v.policy.Name, VerifiedDrift)
	default:
		v.o.Meter.VerificationEnded(v.policy.Name, VerifiedInSync)
	}
}

// begin takes a number: requests that come later are not answered by this run.
func (v *verification) begin(ctx context.Context) error {
	return v.o.DB.InTx(ctx, func(tx *store.Tx) error {
		// Later than all that is known, also in the same millisecond or when a clock was set
		// back: what this run does not see is told from what it sees by the time.
		var last int64
		err := tx.QueryRowContext(ctx, `SELECT coalesce(max(seen_time), 0) FROM drift WHERE policy_id = $1`, v.policy.ID).Scan(&last)
		if err != nil {
			return err
		}
		v.start = store.Time(max(store.Millis(v.now()), last+1))
		return tx.QueryRowContext(ctx, `UPDATE drift_checks SET running = asked WHERE policy_id = $1 RETURNING running`, v.policy.ID).Scan(&v.number)
	})
}

func (v *verification) end(ctx context.Context, tx *store.Tx, trouble error) error {
	text := ""
	if trouble != nil {
		text = trouble.Error()
	}
	_, err := tx.ExecContext(ctx, `UPDATE drift_checks SET done = $2, running = 0, start_time = $3, end_time = $4, deep = $5, error = $6 WHERE policy_id = $1`,
		v.policy.ID, v.number, store.Millis(v.start), store.Millis(v.now()), v.wish.Deep, text)
	return err
}

// run compares and writes down. Its error says why not everything could be found out.
func (v *verification) run(ctx context.Context) error {
	if err := v.giveWay(ctx); err != nil {
		return err
	}
	route, err := v.routes(ctx, v.policy)
	if err != nil {
		return err
	}
	matcher, err := rule.Compile(v.policy.Rule)
	if err != nil {
		return err
	}
	v.labels = matcher.HasLabelFilter()
	for d, err := range route.Drift(ctx, v.wish.Deep) {
		if err != nil {
			return err
		}
		if err := v.note(ctx, d); err != nil {
			return err
		}
		if err := v.giveWay(ctx); err != nil {
			return err
		}
	}
	for _, to := range route.each() {
		if err := v.findExtras(ctx, to); err != nil {
			return err
		}
	}
	if err := v.forgetUnseen(ctx); err != nil {
		return err
	}
	if v.wish.Reconcile {
		return v.reconcile(ctx)
	}
	return nil
}

// note writes down how a repository stands.
func (v *verification) note(ctx context.Context, d RepositoryDrift) error {
	for i := range d.Entries {
		e := &d.Entries[i]
		e.PolicyID = v.policy.ID
		if e.State == NotVerified {
			continue
		}
		e.VerifiedTime = v.start
		if v.wish.Deep && e.State == InSync {
			e.DeepTime = v.start
		}
	}
	v.listed += len(d.Entries)
	if err := v.excuse(ctx, &d); err != nil {
		return err
	}
	return v.o.DB.InTx(ctx, func(tx *store.Tx) error {
		if d.Plan.Err != nil {
			v.unsure[d.Plan.SourceRepository] = true
			_, err := tx.ExecContext(ctx, `UPDATE drift SET state = 'not_verified', is_drift = TRUE, reason = $4, seen_time = $5
				WHERE policy_id = $1 AND registry_id = $2 AND src_repository = $3 AND seen_time <= $5`,
				v.policy.ID, d.Plan.DestinationID, d.Plan.SourceRepository, d.Plan.Err.Error(), store.Millis(v.start))
			if err != nil {
				return err
			}
		}
		if err := storeDrift(ctx, tx, d.Entries, v.start); err != nil {
			return err
		}
		return wantAgain(ctx, tx, v.policy.ID, d.Plan.DestinationID, d.Plan.SourceRepository, d.Plan.DestinationRepository)
	})
}

// doubt says of what was not looked at that it is not verified.
func (v *verification) doubt(ctx context.Context, why error) error {
	return v.o.DB.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE drift SET state = 'not_verified', is_drift = TRUE, reason = $2, seen_time = $3
			WHERE policy_id = $1 AND seen_time < $3`, v.policy.ID, why.Error(), store.Millis(v.start))
		return err
	})
}

// forgetUnseen drops what the source does not have for the rule, nor the rule at a
// destination, any more. Only a run that has seen everything may.
func (v *verification) forgetUnseen(ctx context.Context) error {
	return v.o.DB.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM drift WHERE policy_id = $1 AND seen_time < $2`, v.policy.ID, store.Millis(v.start))
		return err
	})
}

// extrasAtOnce is how many placements are looked at together.
const extrasAtOnce = 200

// findExtras goes through what the rule has put at a destination and the source's
// list did not name.
func (v *verification) findExtras(ctx context.Context, to Route) error {
	for last := (placement{}); ; {
		rows, err := v.o.DB.QueryContext(ctx, `SELECT p.repository, p.reference, p.digest, p.source_repository, p.kept FROM placements p
			WHERE p.policy_id = $1 AND p.registry_id = $2 AND (p.repository > $3 OR p.repository = $3 AND p.reference > $4)
			AND NOT EXISTS (SELECT 1 FROM drift d WHERE d.policy_id = $1 AND d.registry_id = $2 AND d.dest_repository = p.repository
				AND d.reference = p.reference AND d.seen_time >= $5)
			ORDER BY p.repository, p.reference LIMIT $6`,
			v.policy.ID, to.Destination.ID, last.repository, last.reference, store.Millis(v.start), extrasAtOnce)
		if err != nil {
			return fmt.Errorf("read what the rule has put at %s: %w", to.Destination.Name, err)
		}
		part, err := collect(rows, func(row scanner) (p placement, err error) {
			return p, row.Scan(&p.repository, &p.reference, &p.digest, &p.source, &p.kept)
		})
		if err != nil {
			return err
		}
		if len(part) == 0 {
			return nil
		}
		if err := v.noteExtras(ctx, to, part); err != nil {
			return err
		}
		last = part[len(part)-1]
	}
}

func (v *verification) noteExtras(ctx context.Context, to Route, part []placement) error {
	found := make([]*DriftEntry, len(part))
	group, each := errgroup.WithContext(ctx)
	group.SetLimit(questionsAtOnce)
	for i, p := range part {
		if p.source == "" {
			p.source = p.repository // from before it was noted: most likely
		}
		if v.unsure[p.source] {
			continue
		}
		group.Go(func() (err error) {
			found[i], err = v.extra(each, to, p)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var entries []DriftEntry
	for _, e := range found {
		if e != nil {
			entries = append(entries, *e)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	return v.o.DB.InTx(ctx, func(tx *store.Tx) error {
		if err := storeDrift(ctx, tx, entries, v.start); err != nil {
			return err
		}
		return v.excuseKept(ctx, tx, to)
	})
}

// excuseKept takes out of drift what somebody has decided to keep, also since it was read
// what is kept. It comes after the rows were written, so that whoever decides meanwhile
// either is seen here or finds them.
func (v *verification) excuseKept(ctx context.Context, tx *store.Tx, to Route) error {
	_, err := tx.ExecContext(ctx, `UPDATE drift SET is_drift = FALSE, reason = $3 WHERE policy_id = $1 AND registry_id = $2 AND state = 'extra' AND is_drift
		AND EXISTS (SELECT 1 FROM placements p WHERE p.kept AND p.registry_id = drift.registry_id AND p.repository = drift.dest_repository
			AND p.reference = drift.reference AND p.digest = drift.dest_digest AND p.policy_id = drift.policy_id)`,
		v.policy.ID, to.Destination.ID, keptReason)
	if err != nil {
		return fmt.Errorf("look what is to stay at %s: %w", to.Destination.Name, err)
	}
	return nil
}

// extra looks whether something that the rule put at the destination is still there,
// and has no reason to be. nil: it is gone or somebody else's, or goes with something
// that the rule wants.
func (v *verification) extra(ctx context.Context, to Route, p placement) (*DriftEntry, error) {
	state, err := to.Destination.Engine.Inspect(ctx, p.repository, p.reference)
	if err != nil {
		return nil, err
	}
	if state.Digest() != p.digest {
		return nil, nil
	}
	reference := p.reference
	if byDigest(reference) {
		made, err := madeFrom(ctx, v.o.DB, to.Destination.ID, p.repository, reference)
		if err != nil {
			return nil, fmt.Errorf("look up what %s was made from: %w", reference, err)
		}
		reference = cmp.Or(made, reference)
	}
	now, err := to.Source.digest(ctx, p.source, reference)
	if err != nil {
		return nil, fmt.Errorf("look at %s: %w", name(to.Source, p.source, p.reference), err)
	}
	e := &DriftEntry{
		PolicyID: v.policy.ID, DestinationID: to.Destination.ID, SourceRepository: p.source, DestinationRepository: p.repository,
		Reference: p.reference, State: Extra, SourceDigest: now, DestinationDigest: p.digest.String(), VerifiedTime: v.start,
	}
	named, err := v.policy.DestinationRepository(p.source)
	switch {
	case err != nil || named != p.repository:
		e.Reason = "the rule gives its repository another name now"
	case now != "" && (byDigest(p.reference) || rule.IsAccessoryTag(p.reference)):
		return nil, nil // it came along with something else
	case now != "":
		e.Reason = "the source has it, and the rule does not want it any more"
	case !v.policy.repeatsDeletions():
		e.Reason = "the source does not have it any more, and the rule does not repeat deletions"
	case p.kept:
		e.Reason = keptReason
	default:
		e.Reason, e.Drift = "the source does not have it any more", true
	}
	return e, nil
}

// keptReason is why something stays that could be deleted.
const keptReason = "the source does not have it any more, and somebody has decided that it stays"

// repeatsDeletions reports whether what is gone from home is to be deleted at the destinations.
func (p Policy) repeatsDeletions() bool { return p.Deletion && p.followsEvents() }
