package replication

import (
	"context"
	"errors"
	"fmt"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
)

var policyColumns = store.Columns{
	"id":               {SQL: "id", Kind: store.Integer},
	"name":             {SQL: "name", Kind: store.Text},
	"description":      {SQL: "description", Kind: store.Text},
	"src_registry_id":  {SQL: "src_registry_id", Kind: store.Integer},
	"dest_registry_id": {SQL: "dest_registry_id", Kind: store.Integer},
	"dest_namespace":   {SQL: "dest_namespace", Kind: store.Text},
	"enabled":          {SQL: "enabled", Kind: store.Boolean},
	"override":         {SQL: "override", Kind: store.Boolean},
	"creation_time":    {SQL: "creation_time", Kind: store.Instant},
	"update_time":      {SQL: "update_time", Kind: store.Instant},
}

const selectPolicy = `SELECT id, name, description, src_registry_id, dest_registry_id, dest_namespace, dest_namespace_replace_count,
	filters, trigger_type, trigger_cron, deletion, override, enabled, speed, copy_by_chunk, single_active, extras,
	creation_time, update_time, events_since,
	coalesce((SELECT next_run FROM replication_schedules WHERE policy_id = replication_policies.id), 0) FROM replication_policies`

// ListPolicies returns rules and how many there are in all.
func (s *Service) ListPolicies(ctx context.Context, q store.ListQuery) ([]Policy, int64, error) {
	where, args := q.Where(policyColumns, "", nil)
	var total int64
	if err := s.o.DB.QueryRowContext(ctx, `SELECT count(*) FROM replication_policies`+where, args...).Scan(&total); err != nil {
		return nil, 0, fmt.Errorf("count replication policies: %w", err)
	}
	list, err := s.selectPolicies(ctx, s.o.DB, selectPolicy+where+q.OrderLimit(policyColumns, "creation_time DESC, id DESC"), args...)
	if err != nil {
		return nil, 0, fmt.Errorf("list replication policies: %w", err)
	}
	for i := range list {
		if err := s.expand(ctx, &list[i]); err != nil {
			return nil, 0, err
		}
	}
	return list, total, nil
}

// GetPolicy returns a rule with both its registries.
func (s *Service) GetPolicy(ctx context.Context, id int64) (Policy, error) {
	p, err := scanPolicy(s.o.DB.QueryRowContext(ctx, selectPolicy+` WHERE id = $1`, id))
	if store.IsNotFound(err) {
		return Policy{}, policyNotFound(id)
	}
	if err == nil {
		err = addDestinations(ctx, s.o.DB, &p)
	}
	if err != nil {
		return Policy{}, fmt.Errorf("read replication policy %d: %w", id, err)
	}
	return p, s.expand(ctx, &p)
}

// lockPolicy returns a rule as it is until tx ends, with the ids of its registries only.
// Until then nobody else changes or starts it.
func lockPolicy(ctx context.Context, tx *store.Tx, id int64) (Policy, error) {
	query := selectPolicy + ` WHERE id = $1`
	if tx.Dialect() == store.PostgreSQL { // SQLite has one writer at a time anyway
		query += ` FOR NO KEY UPDATE`
	}
	p, err := scanPolicy(tx.QueryRowContext(ctx, query, id))
	if store.IsNotFound(err) {
		return Policy{}, policyNotFound(id)
	}
	if err == nil {
		err = addDestinations(ctx, tx, &p)
	}
	if err != nil {
		return Policy{}, fmt.Errorf("read replication policy %d: %w", id, err)
	}
	return p, nil
}

func policyNotFound(id int64) error {
	return problem.New(problem.NotFound, "replication policy %d not found", id)
}

// selectPolicies returns rules with the ids of their registries only.
func (s *Service) selectPolicies(ctx context.Context, q store.Querier, query string, args ...any) ([]Policy, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	list, err := collect(rows, scanPolicy)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if err := addDestinations(ctx, q, &list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// addDestinations reads the ids of a rule's further destinations.
func addDestinations(ctx context.Context, q store.Querier, p *Policy) error {
	rows, err := q.QueryContext(ctx, `SELECT registry_id FROM replication_policy_destinations WHERE policy_id = $1 ORDER BY position`, p.ID)
	if err != nil {
		return fmt.Errorf("list destinations of replication policy %d: %w", p.ID, err)
	}
	p.MoreDestinations, err = collect(rows, func(row scanner) (e Endpoint, err error) { return e, row.Scan(&e.ID) })
	return err
}

func scanPolicy(row scanner) (Policy, error) {
	var p Policy
	var filters, trigger, extras string
	var replaceCount, speed, created, updated, since, next int64
	err := row.Scan(&p.ID, &p.Name, &p.Description, &p.Source.ID, &p.Destination.ID, &p.DestNamespace, &replaceCount,
		&filters, &trigger, &p.Cron, &p.Deletion, &p.Override, &p.Enabled, &speed, &p.CopyByChunk, &p.SingleActive,
		&extras, &created, &updated, &since, &next)
	if err != nil {
		return Policy{}, err
	}
	p.ReplaceCount, p.Speed, p.Trigger = int8(replaceCount), int32(speed), rule.TriggerType(trigger)
	p.CreationTime, p.UpdateTime, p.NextRun = store.Time(created), store.Time(updated), store.Time(next)
	p.EventsSince = store.Time(since)
	if err := store.FromJSON(extras, &p.Extras); err != nil {
		return p, err
	}
	return p, store.FromJSON(filters, &p.Filters)
}

// expand fills in the registries of a rule.
func (s *Service) expand(ctx context.Context, p *Policy) error {
	var err error
	if p.Source, err = s.GetEndpoint(ctx, p.Source.ID); err != nil {
		return err
	}
	if p.Destination, err = s.GetEndpoint(ctx, p.Destination.ID); err != nil {
		return err
	}
	for i, e := range p.MoreDestinations {
		if p.MoreDestinations[i], err = s.GetEndpoint(ctx, e.ID); err != nil {
			return err
		}
	}
	return nil
}

// CreatePolicy checks and stores a rule.
func (s *Service) CreatePolicy(ctx context.Context, p Policy) (int64, error) {
	if err := s.checkPolicy(ctx, &p); err != nil {
		return 0, err
	}
	now := s.now()
	var id int64
	err := s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		if err := keepEndpoints(ctx, tx, p.remotes()); err != nil {
			return err
		}
		err := tx.QueryRowContext(ctx, `INSERT INTO replication_policies (name, description, src_registry_id, dest_registry_id,
			dest_namespace, dest_namespace_replace_count, filters, trigger_type, trigger_cron, deletion, override, enabled, speed,
			copy_by_chunk, single_active, extras, creation_time, update_time, events_since)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17, $18) RETURNING id`,
			append(policyValues(p), store.Millis(now), store.Millis(p.eventsSince(now)))...).Scan(&id)
		if err != nil {
			return err
		}
		if err := storeDestinations(ctx, tx, id, p.MoreDestinations); err != nil {
			return err
		}
		p.ID = id
		if err := s.setSchedule(ctx, tx, p); err != nil {
			return err
		}
		return s.bringExisting(ctx, tx, p, Policy{})
	})
	if store.IsConflict(err) {
		return 0, problem.New(problem.Conflict, "replication policy %s already exists", p.Name)
	}
	if err != nil {
		return 0, fmt.Errorf("create replication policy %s: %w", p.Name, err)
	}
	return id, nil
}

func policyValues(p Policy) []any {
	return []any{
		p.Name, p.Description, p.Source.ID, p.Destination.ID, p.DestNamespace, int64(p.ReplaceCount), store.JSON(p.Filters),
		string(p.Trigger), p.Cron, p.Deletion, p.Override, p.Enabled, int64(p.Speed), p.CopyByChunk, p.SingleActive, store.JSON(p.Extras),
	}
}

func storeDestinations(ctx context.Context, tx *store.Tx, policy int64, more []Endpoint) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM replication_policy_destinations WHERE policy_id = $1`, policy); err != nil {
		return err
	}
	for i, e := range more {
		_, err := tx.ExecContext(ctx, `INSERT INTO replication_policy_destinations (policy_id, position, registry_id) VALUES ($1, $2, $3)`, policy, i, e.ID)
		if err != nil {
			return err
		}
	}
	return nil
}

// UpdatePolicy replaces a rule as a whole. Work that waits for the rule follows
// the new one; a rule that is disabled gives its waiting work up.
func (s *Service) UpdatePolicy(ctx context.Context, p Policy) error {
	if _, err := s.GetPolicy(ctx, p.ID); err != nil {
		return err
	}
	if err := s.checkPolicy(ctx, &p); err != nil {
		return err
	}
	err := s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		if err := keepEndpoints(ctx, tx, p.remotes()); err != nil {
			return err
		}
		old, err := lockPolicy(ctx, tx, p.ID)
		if err != nil {
			return err
		}
		now := s.now()
		p.EventsSince = old.EventsSince
		result, err := tx.ExecContext(ctx, `UPDATE replication_policies SET name = $1, description = $2, src_registry_id = $3,
			dest_registry_id = $4, dest_namespace = $5, dest_namespace_replace_count = $6, filters = $7, trigger_type = $8,
			trigger_cron = $9, deletion = $10, override = $11, enabled = $12, speed = $13, copy_by_chunk = $14, single_active = $15,
			extras = $16, update_time = $17, events_since = $18 WHERE id = $19`,
			append(policyValues(p), store.Millis(now), store.Millis(p.eventsSince(now)), p.ID)...)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, policyNotFound(p.ID))
		}
		if err := storeDestinations(ctx, tx, p.ID, p.MoreDestinations); err != nil {
			return err
		}
		if err := s.setSchedule(ctx, tx, p); err != nil {
			return err
		}
		if err := s.bringExisting(ctx, tx, p, old); err != nil {
			return err
		}
		if err := s.askAgain(ctx, tx, p); err != nil {
			return err
		}
		switch {
		case !p.Enabled:
			return s.giveUp(ctx, tx, p.ID, "the rule was disabled", nil)
		case !p.followsEvents():
			return s.giveUp(ctx, tx, p.ID, "the rule follows no events any more", nil)
		}
		return s.redirect(ctx, tx, p)
	})
	if store.IsConflict(err) {
		return problem.New(problem.Conflict, "replication policy %s already exists", p.Name)
	}
	if err != nil {
		return fmt.Errorf("update replication policy %s: %w", p.Name, err)
	}
	s.bandwidths.set(limitOf{id: p.ID}, p.BytesPerSecond())
	return nil
}

// redirect has the tasks of events that wait follow a rule whose destinations may
// have changed: to its only one, and of several nobody knows which.
func (s *Service) redirect(ctx context.Context, tx *store.Tx, p Policy) error {
	if len(p.MoreDestinations) > 0 {
		return s.giveUp(ctx, tx, p.ID, notADestination, func(t Task) bool { return !p.goesTo(t.DestinationID) })
	}
	_, err := tx.ExecContext(ctx, `UPDATE tasks SET dest_registry_id = $2 WHERE job_id <> 0 AND dest_registry_id <> $2
		AND execution_id IN (SELECT id FROM executions WHERE policy_id = $1 AND trigger_type = $3)`, p.ID, p.Destination.ID, string(EventBased))
	return err
}

const notADestination = "the rule does not go to this registry any more"

// giveUp settles the tasks of events that wait for an attempt, those of which is
// tells; nil is all. A running one ends.
func (s *Service) giveUp(ctx context.Context, tx *store.Tx, policy int64, reason string, of func(Task) bool) error {
	rows, err := tx.QueryContext(ctx, `SELECT t.id FROM tasks t JOIN executions e ON e.id = t.execution_id JOIN jobs j ON j.id = t.job_id
		WHERE e.policy_id = $1 AND e.trigger_type = $2 AND j.state = 'waiting' ORDER BY t.id`, policy, string(EventBased))
	if err != nil {
		return err
	}
	ids, err := collect(rows, func(row scanner) (id int64, err error) { return id, row.Scan(&id) })
	if err != nil {
		return err
	}
	now := store.Millis(s.now())
	for _, id := range ids {
		task, err := lockTask(ctx, tx, id)
		if err != nil {
			return err
		}
		if task.JobID == 0 || of != nil && !of(task) {
			continue
		}
		if _, err := s.o.Queue.StopIn(ctx, tx, task.JobID); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE tasks SET status = 'Stopped', job_id = 0, next_attempt_time = 0, end_time = $2, reason = $3 WHERE id = $1`,
			id, now, reason)
		if err != nil {
			return err
		}
		if err := moved(task.Status, Stopped).apply(ctx, tx, task.ExecutionID, now); err != nil {
			return err
		}
	}
	return nil
}

// DeletePolicy removes a rule and its history. A rule that is at work must be
// stopped first; work that only waits for its next attempt, or to be released, goes with
// the rule.
func (s *Service) DeletePolicy(ctx context.Context, id int64) error {
	return s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		var running int64
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM executions WHERE policy_id = $1 AND status = $2 AND hold = ''`, id, InProgress).Scan(&running)
		if err != nil {
			return err
		}
		if running > 0 {
			return problem.New(problem.Precondition, "contains executions that aren't in final status, stop the execution first")
		}
		if err := s.cancelJobs(ctx, tx, `SELECT t.job_id FROM tasks t JOIN executions e ON e.id = t.execution_id WHERE e.policy_id = $1 AND t.job_id <> 0`, id); err != nil {
			return err
		}
		result, err := tx.ExecContext(ctx, `DELETE FROM replication_policies WHERE id = $1`, id)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, policyNotFound(id))
		}
		return nil
	})
}

// checkPolicy checks a rule and brings it into the form in which it is stored.
func (s *Service) checkPolicy(ctx context.Context, p *Policy) error {
	if p.Speed < 0 {
		p.Speed = 0 // clients send -1 for "unlimited"
	}
	if err := p.checkRegistries(); err != nil {
		return err
	}
	if err := p.Validate(); err != nil {
		return err
	}
	if p.Trigger == rule.EventBased && !p.Push() {
		return problem.New(problem.BadRequest, "trigger event_based needs the local registry as source: a pull-based rule can be started manually or on a schedule")
	}
	for _, id := range p.remotes() {
		if _, err := s.GetEndpoint(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (p Policy) checkRegistries() error {
	seen := map[int64]bool{}
	for _, e := range p.Destinations() {
		switch {
		case e.ID == p.Source.ID: // Harbor says so of two registries that are not its own, too
			return problem.New(problem.BadRequest, "either src_registry or dest_registry should be empty and the other one shouldn't be empty")
		case seen[e.ID]:
			return problem.New(problem.BadRequest, "registry %d is a destination twice", e.ID)
		}
		seen[e.ID] = true
	}
	return nil
}
