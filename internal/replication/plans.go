package replication

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

const (
	// planLife is how long a plan may be carried out. Who has to ask others before has a day.
	planLife = 24 * time.Hour
	// planMemory is how long it is told of a plan that it is too old.
	planMemory = 7 * 24 * time.Hour
)

// Plan says what running a rule now would do, stored or not, line by line. See
// Route.Preview.
func (s *Service) Plan(ctx context.Context, p Policy, bytes bool) (iter.Seq2[PlanLine, error], error) {
	route, err := s.planRoute(ctx, &p)
	if err != nil {
		return nil, err
	}
	return route.Preview(ctx, PlanOptions{Bytes: bytes}), nil
}

func (s *Service) planRoute(ctx context.Context, p *Policy) (Route, error) {
	if err := s.checkPolicy(ctx, p); err != nil {
		return Route{}, err
	}
	return s.routes(ctx, *p)
}

// KeepPlan is Plan of a stored rule that is kept, so that StartPlan can have just that
// carried out. Its summary has the id, unless the plan ended early: then it is not kept.
// The lines can be gone through once.
func (s *Service) KeepPlan(ctx context.Context, policy int64, bytes bool) (iter.Seq2[PlanLine, error], error) {
	p, err := s.GetPolicy(ctx, policy)
	if err != nil {
		return nil, err
	}
	route, err := s.planRoute(ctx, &p)
	if err != nil {
		return nil, err
	}
	k := keeping{Service: s, policy: p}
	if err := k.begin(ctx); err != nil {
		return nil, err
	}
	return func(yield func(PlanLine, error) bool) {
		defer k.dropUnlessDone(ctx)
		for line, err := range route.Preview(ctx, PlanOptions{Bytes: bytes, Pin: true, Keep: k.keep}) {
			if err != nil {
				k.failed = true
			}
			if line.Summary != nil && !k.failed {
				if err := k.finish(ctx, line.Summary); err != nil {
					line.Summary.Complete = false
					if !yield(PlanLine{Type: LineError, Error: err.Error()}, err) {
						return
					}
				}
			}
			if !yield(line, err) {
				return
			}
		}
	}, nil
}

// keeping is the writing down of one plan.
type keeping struct {
	*Service
	policy           Policy
	id, position     int64
	created, expires time.Time
	failed, done     bool
}

func (k *keeping) begin(ctx context.Context) error {
	k.created = k.now().UTC().Truncate(time.Millisecond)
	k.expires = k.created.Add(planLife)
	err := k.o.DB.InTx(ctx, func(tx *store.Tx) error {
		endpoints, err := endpointsOf(ctx, tx, k.policy)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `INSERT INTO plans (policy_id, policy_time, endpoints, creation_time, expiry_time) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
			k.policy.ID, store.Millis(k.policy.UpdateTime), endpoints, store.Millis(k.created), store.Millis(k.expires)).Scan(&k.id)
	})
	if err != nil {
		return fmt.Errorf("keep a plan of replication policy %s: %w", k.policy.Name, err)
	}
	return nil
}

// keep writes down one repository's part.
func (k *keeping) keep(ctx context.Context, plan RepositoryPlan) error {
	trouble := ""
	if plan.Err != nil {
		trouble = plan.Err.Error()
	}
	err := k.o.DB.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO plan_repositories (plan_id, position, registry_id, src_repository, dest_repository, resource_type, error, items)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, k.id, k.position, plan.DestinationID, plan.SourceRepository, plan.DestinationRepository,
			plan.ResourceType, trouble, store.JSON(plan.Items))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the plan of %s: %w", plan.SourceRepository, err)
	}
	k.position++
	return nil
}

// finish makes the plan one that can be carried out.
func (k *keeping) finish(ctx context.Context, s *PlanSummary) error {
	err := k.o.DB.InTx(ctx, func(tx *store.Tx) error {
		p, err := lockPolicy(ctx, tx, k.policy.ID)
		if err != nil {
			return err
		}
		if !p.UpdateTime.Equal(k.policy.UpdateTime) {
			return problem.New(problem.Precondition, "the rule was changed while it was planned: the plan is not kept")
		}
		_, err = tx.ExecContext(ctx, `UPDATE plans SET complete = TRUE WHERE id = $1`, k.id)
		return err
	})
	if err != nil {
		return err
	}
	k.done = true
	s.PlanID, s.CreationTime, s.ExpiryTime = k.id, &k.created, &k.expires
	return nil
}

// dropUnlessDone removes what nobody can carry out. If even that fails, the sweep does it.
func (k *keeping) dropUnlessDone(ctx context.Context) {
	if k.done {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bookTime)
	defer cancel()
	err := k.o.DB.InTx(ctx, func(tx *store.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM plans WHERE id = $1`, k.id)
		return err
	})
	if err != nil {
		k.log.Warn("a plan that has not been finished is not removed", "plan", k.id, "error", err)
	}
}

// endpointsOf is what a plan depends on of the registries of a rule.
func endpointsOf(ctx context.Context, tx *store.Tx, p Policy) (string, error) {
	type endpoint struct {
		ID        int64
		Type, URL string
	}
	var all []endpoint
	for _, id := range p.remotes() {
		e := endpoint{ID: id}
		if err := tx.QueryRowContext(ctx, `SELECT type, url FROM registries WHERE id = $1`, id).Scan(&e.Type, &e.URL); err != nil {
			return "", fmt.Errorf("read registry %d: %w", id, err)
		}
		all = append(all, e)
	}
	return store.JSON(all), nil
}

// StartPlan has a kept plan of a rule carried out, once and exactly as it was shown.
func (s *Service) StartPlan(ctx context.Context, policy, plan int64, trigger Trigger) (id int64, err error) {
	err = s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		p, err := lockPolicy(ctx, tx, policy) // two who start the plan come one after the other
		if err != nil {
			return err
		}
		if !p.Enabled {
			return problem.New(problem.Precondition, "the policy %d is disabled", policy)
		}
		if err := s.mayCarryOut(ctx, tx, p, plan); err != nil {
			return err
		}
		if id, err = s.insertExecution(ctx, tx, p, trigger, false); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE executions SET plan_id = $2 WHERE id = $1`, id, plan); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE plans SET execution_id = $2 WHERE id = $1`, plan, id); err != nil {
			return err
		}
		_, _, err = s.o.Queue.Insert(ctx, tx, queue.NewJob{Kind: planJob, Key: fmt.Sprint(id), Payload: fmt.Sprint(id)})
		return err
	})
	if _, refused := errors.AsType[*problem.Error](err); refused {
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("start plan %d of replication policy %d: %w", plan, policy, err)
	}
	return id, nil
}

// mayCarryOut says why a plan of a rule that is locked cannot be carried out.
func (s *Service) mayCarryOut(ctx context.Context, tx *store.Tx, p Policy, plan int64) error {
	var policy, policyTime, created, expires, execution int64
	var complete bool
	var endpoints string
	err := tx.QueryRowContext(ctx, `SELECT policy_id, policy_time, complete, endpoints, creation_time, expiry_time, execution_id FROM plans WHERE id = $1`, plan).
		Scan(&policy, &policyTime, &complete, &endpoints, &created, &expires, &execution)
	if store.IsNotFound(err) {
		return problem.New(problem.NotFound, "replication plan %d not found", plan)
	}
	if err != nil {
		return err
	}
	now, err := endpointsOf(ctx, tx, p)
	if err != nil {
		return err
	}
	refuse := func(format string, args ...any) error {
		return problem.New(problem.Precondition, "plan %d %s: make a new plan", plan, fmt.Sprintf(format, args...))
	}
	switch {
	case policy != p.ID:
		return problem.New(problem.BadRequest, "plan %d is not one of policy %d but of policy %d", plan, p.ID, policy)
	case execution != 0:
		return problem.New(problem.Conflict, "plan %d was carried out already, by execution %d: make a new plan", plan, execution)
	case expires <= store.Millis(s.now()):
		return refuse("is too old: it was made at %s, and could be carried out until %s",
			store.Time(created).UTC().Format(time.RFC3339), store.Time(expires).UTC().Format(time.RFC3339))
	case !complete:
		return refuse("was not finished")
	case policyTime != store.Millis(p.UpdateTime):
		return refuse("is from before the rule was changed")
	case endpoints != now:
		return refuse("is about another registry: the URL of one of the rule's registries was changed since")
	}
	if !p.SingleActive {
		return nil
	}
	var active bool
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM executions WHERE policy_id = $1 AND status = 'InProgress')`, p.ID).Scan(&active)
	if err == nil && active {
		err = problem.New(problem.Precondition, "the rule runs one execution at a time, and one is in progress: start plan %d when it has ended", plan)
	}
	return err
}

// planPart is how many repositories of a kept plan are read at a time.
const planPart = 20

// storedPlan are the parts of a kept plan.
func (s *Service) storedPlan(ctx context.Context, plan int64) iter.Seq2[RepositoryPlan, error] {
	return func(yield func(RepositoryPlan, error) bool) {
		var complete bool
		err := s.o.DB.QueryRowContext(ctx, `SELECT complete FROM plans WHERE id = $1`, plan).Scan(&complete)
		if store.IsNotFound(err) || err == nil && !complete {
			err = problem.New(problem.Precondition, "plan %d is not kept any more: make a new plan", plan)
		}
		for next := int64(0); err == nil; next += planPart {
			var part []RepositoryPlan
			if part, err = s.storedPart(ctx, plan, next); err != nil || len(part) == 0 {
				break
			}
			for p := range slices.Values(part) {
				if !yield(p, nil) {
					return
				}
			}
		}
		if err != nil {
			yield(RepositoryPlan{}, err)
		}
	}
}

func (s *Service) storedPart(ctx context.Context, plan, from int64) ([]RepositoryPlan, error) {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT registry_id, src_repository, dest_repository, resource_type, error, items FROM plan_repositories
		WHERE plan_id = $1 AND position >= $2 AND position < $3 ORDER BY position`, plan, from, from+planPart)
	if err != nil {
		return nil, fmt.Errorf("read plan %d: %w", plan, err)
	}
	return collect(rows, func(row scanner) (p RepositoryPlan, err error) {
		var trouble, items string
		if err := row.Scan(&p.DestinationID, &p.SourceRepository, &p.DestinationRepository, &p.ResourceType, &trouble, &items); err != nil {
			return p, err
		}
		if trouble != "" {
			p.Err = errors.New(trouble)
		}
		return p, store.FromJSON(items, &p.Items)
	})
}

// sweepPlans removes what plans that cannot be carried out any more say, and later the
// plans. One that is being carried out is kept until all its tasks are there.
func (s *Service) sweepPlans(ctx context.Context, tx *store.Tx) error {
	const idle = ` AND NOT EXISTS (SELECT 1 FROM executions e WHERE e.plan_id = plans.id AND NOT e.planned)`
	now := s.now()
	for statement, before := range map[string]time.Time{
		`UPDATE plans SET complete = FALSE WHERE expiry_time < $1 AND complete` + idle:                             now,
		`DELETE FROM plan_repositories WHERE plan_id IN (SELECT id FROM plans WHERE expiry_time < $1` + idle + `)`: now,
		`DELETE FROM plans WHERE expiry_time < $1` + idle:                                                          now.Add(-planMemory),
	} {
		if _, err := tx.ExecContext(ctx, statement, store.Millis(before)); err != nil {
			return fmt.Errorf("sweep plans: %w", err)
		}
	}
	return nil
}
