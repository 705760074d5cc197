package replication

import (
	"context"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// DriftState says how a reference stands at a destination.
type DriftState string

// The states.
const (
	InSync      DriftState = "in_sync"
	Missing     DriftState = "missing"      // it is not there, or not whole
	Different   DriftState = "different"    // something else is there
	Extra       DriftState = "extra"        // the rule put it there, and does not want it any more
	NotVerified DriftState = "not_verified" // it could not be found out
)

// DriftEntry is how one reference of a rule stands at one of its destinations.
type DriftEntry struct {
	PolicyID              int64
	DestinationID         int64
	SourceRepository      string
	DestinationRepository string
	Reference             string // tag, or digest of an untagged artifact
	State                 DriftState
	// Drift: the destination is not as the rule wants it. What is extra is drift where the
	// rule repeats deletions and the source does not have it any more.
	Drift             bool
	SourceDigest      string // "" when not known
	DestinationDigest string // "" when nothing is there, or not known
	Reason            string // in words, where the state alone does not tell
	VerifiedTime      time.Time
	pushed            time.Time // to the source; zero: not known, or not asked for
	DeepTime          time.Time // when every blob of it was last seen at the destination; zero: never
}

// DriftCount is how many references of a rule are in a state at a destination.
type DriftCount struct {
	PolicyID      int64
	DestinationID int64
	State         DriftState
	Count         int64
	Drift         int64 // of them
}

// DriftCheck is the verification of a rule: the last one that has ended, and what is asked for.
type DriftCheck struct {
	Asked, Running, Done int64 // numbers of requests: the newest, that which is worked on, up to which all are answered
	StartTime, EndTime   time.Time
	Deep                 bool
	Error                string // why it could not say everything
}

// Drift is how a rule stands as a whole.
type Drift struct {
	Counts []DriftCount // those that are not zero
	Drift  int64        // references that are not as the rule wants them
	// InSync: a verification has ended since the rule was changed, it could tell
	// everything, and nothing is drift.
	InSync  bool
	Waiting int64 // tasks of the rule that are not done
	Check   DriftCheck
}

// Count adds up a state over all destinations.
func (d Drift) Count(state DriftState) (n int64) {
	for _, c := range d.Counts {
		if c.State == state {
			n += c.Count
		}
	}
	return n
}

// Drift says how a rule stands, as far as it was found out.
func (s *Service) Drift(ctx context.Context, policy int64) (Drift, error) {
	p, err := s.GetPolicy(ctx, policy)
	if err != nil {
		return Drift{}, err
	}
	var d Drift
	if d.Counts, err = s.driftCounts(ctx, policy); err != nil {
		return d, err
	}
	for _, c := range d.Counts {
		d.Drift += c.Drift
	}
	if d.Check, err = getDriftCheck(ctx, s.o.DB, policy); err != nil {
		return d, err
	}
	err = s.o.DB.QueryRowContext(ctx, `SELECT count(*) FROM tasks t JOIN executions e ON e.id = t.execution_id
		WHERE e.policy_id = $1 AND t.job_id <> 0`, policy).Scan(&d.Waiting)
	if err != nil {
		return d, fmt.Errorf("count waiting tasks of replication policy %d: %w", policy, err)
	}
	d.InSync = d.Drift == 0 && d.Check.Error == "" && d.Check.Done > 0 && !d.Check.StartTime.Before(p.UpdateTime)
	return d, nil
}

// DriftCounts counts the references of all rules by destination and state.
func (s *Service) DriftCounts(ctx context.Context) ([]DriftCount, error) {
	return s.driftCounts(ctx, 0)
}

func (s *Service) driftCounts(ctx context.Context, policy int64) ([]DriftCount, error) {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT policy_id, registry_id, state, count(*), sum(CASE WHEN is_drift THEN 1 ELSE 0 END) FROM drift
		WHERE $1 = 0 OR policy_id = $1 GROUP BY policy_id, registry_id, state ORDER BY policy_id, registry_id, state`, policy)
	if err != nil {
		return nil, fmt.Errorf("count drift: %w", err)
	}
	return collect(rows, func(row scanner) (c DriftCount, err error) {
		return c, row.Scan(&c.PolicyID, &c.DestinationID, &c.State, &c.Count, &c.Drift)
	})
}

func getDriftCheck(ctx context.Context, q store.Querier, policy int64) (DriftCheck, error) {
	var c DriftCheck
	var start, end int64
	err := q.QueryRowContext(ctx, `SELECT asked, running, done, start_time, end_time, deep, error FROM drift_checks WHERE policy_id = $1`, policy).
		Scan(&c.Asked, &c.Running, &c.Done, &start, &end, &c.Deep, &c.Error)
	if err != nil && !store.IsNotFound(err) {
		return c, fmt.Errorf("read verification of replication policy %d: %w", policy, err)
	}
	c.StartTime, c.EndTime = store.Time(start), store.Time(end)
	return c, nil
}

var driftColumns = store.Columns{
	"state":          {SQL: "state", Kind: store.Text},
	"registry_id":    {SQL: "registry_id", Kind: store.Integer},
	"src_repository": {SQL: "src_repository", Kind: store.Text},
	"dst_repository": {SQL: "dest_repository", Kind: store.Text},
	"reference":      {SQL: "reference", Kind: store.Text},
	"verified_time":  {SQL: "verified_time", Kind: store.Instant},
}

const selectDrift = `SELECT policy_id, registry_id, src_repository, dest_repository, reference, state, is_drift, src_digest, dest_digest,
	reason, verified_time, deep_time FROM drift`

// DriftFilter narrows a list of drift entries; zero fields do not.
type DriftFilter struct {
	State       DriftState
	Destination int64 // registry; 0: all, also home
	DriftOnly   bool
}

// ListDrift returns how references of a rule stand, and how many there are in all.
func (s *Service) ListDrift(ctx context.Context, policy int64, f DriftFilter, q store.ListQuery) ([]DriftEntry, int64, error) {
	if _, err := s.GetPolicy(ctx, policy); err != nil {
		return nil, 0, err
	}
	switch f.State {
	case "", InSync, Missing, Different, Extra, NotVerified:
	default:
		return nil, 0, problem.New(problem.BadRequest, "state %q: want in_sync, missing, different, extra or not_verified", f.State)
	}
	where, args := q.Where(driftColumns, "policy_id = $1 AND ($2 = '' OR state = $2) AND ($3 = 0 OR registry_id = $3) AND (NOT $4 OR is_drift)",
		[]any{policy, string(f.State), f.Destination, f.DriftOnly})
	var total int64
	if err := s.o.DB.QueryRowContext(ctx, `SELECT count(*) FROM drift`+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count drift of replication policy %d: %w", policy, err)
	}
	rows, err := s.o.DB.QueryContext(ctx, selectDrift+where+q.OrderLimit(driftColumns, "registry_id, src_repository, reference"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list drift of replication policy %d: %w", policy, err)
	}
	list, err := collect(rows, scanDrift)
	return list, total, err
}

func scanDrift(row scanner) (DriftEntry, error) {
	var e DriftEntry
	var verified, deep int64
	err := row.Scan(&e.PolicyID, &e.DestinationID, &e.SourceRepository, &e.DestinationRepository, &e.Reference, &e.State, &e.Drift,
		&e.SourceDigest, &e.DestinationDigest, &e.Reason, &verified, &deep)
	e.VerifiedTime, e.DeepTime = store.Time(verified), store.Time(deep)
	return e, err
}

// VerifyDrift asks for a verification of a rule and returns the number of the
// request: it is answered when DriftCheck.Done has reached it. With deep, every blob is
// looked for and not only every tag.
func (s *Service) VerifyDrift(ctx context.Context, policy int64, deep bool) (int64, error) {
	if _, err := s.GetPolicy(ctx, policy); err != nil {
		return 0, err
	}
	var number int64
	err := s.o.DB.InTx(ctx, func(tx *store.Tx) (err error) {
		number, err = s.askForCheck(ctx, tx, policy, checkWish{Deep: deep})
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("verify replication policy %d: %w", policy, err)
	}
	return number, nil
}
