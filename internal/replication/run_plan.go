package replication

import (
	"context"
	"fmt"
	"strconv"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/trace"
)

// runPlan makes the tasks of an execution while the plan is still coming in. It
// can be interrupted anywhere: the next attempt passes over the repositories
// that have a task already.
func (s *Service) runPlan(ctx context.Context, job *queue.Job) error {
	id, err := strconv.ParseInt(job.Payload, 10, 64)
	if err != nil {
		return fmt.Errorf("plan job %d: %w", job.ID, err)
	}
	turn, err := s.takeTurn(ctx, id)
	switch {
	case err != nil:
		return err
	case turn == turnLater:
		return job.Reschedule(ctx, s.now().Add(turnInterval), nil)
	case turn == turnOver:
		return nil
	}
	var census rule.Census
	spanned, span := trace.Start(s.o.Tracer.Execution(ctx, s.traceKey(id)), "plan", "execution.id", id)
	p, planErr := s.planExecution(spanned, id, &census)
	span.End(planErr)
	if ctx.Err() != nil {
		return context.Cause(ctx) // stopped, or to be gone on with by another process
	}
	return job.Finish(ctx, func(tx *store.Tx) error {
		if err := lockExecution(ctx, tx, id); err != nil {
			return err
		}
		execution, err := getExecution(ctx, tx, id)
		if problem.Is(err, problem.NotFound) || err == nil && execution.Planned {
			return nil // deleted with its rule, or stopped
		}
		if err != nil {
			return err
		}
		text := ""
		if planErr != nil {
			text = planErr.Error()
		} else if execution.Total == 0 && execution.PlanID != 0 {
			text = fmt.Sprintf("no resources need to be replicated: plan %d has nothing in it", execution.PlanID)
		} else if execution.Total == 0 {
			text = "no resources need to be replicated: nothing at the source matches the filters: " + census.Nothing(p.Rule)
		} else if rule.SelectsEverything(p.Rule) {
			if err := addNote(ctx, tx, id, everythingMatched); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, `UPDATE executions SET planned = TRUE, status_text = $2 WHERE id = $1`, id, text); err != nil {
			return err
		}
		if err := (tally{}).apply(ctx, tx, id, store.Millis(s.now())); err != nil {
			return err
		}
		if planErr == nil {
			return nil
		}
		_, err = tx.ExecContext(ctx, `UPDATE executions SET status = 'Failed' WHERE id = $1 AND status <> 'InProgress'`, id)
		return err
	})
}

// everythingMatched is said of what somebody or a schedule started: it may be more than
// was meant.
const everythingMatched = "everything at the source was selected: no filter is set"

// planExecution makes the tasks of an execution and returns its rule. census counts what
// the source has.
func (s *Service) planExecution(ctx context.Context, id int64, census *rule.Census) (Policy, error) {
	execution, err := s.GetExecution(ctx, id)
	if problem.Is(err, problem.NotFound) {
		return Policy{}, nil
	}
	if err != nil {
		return Policy{}, err
	}
	p, err := s.GetPolicy(ctx, execution.PolicyID)
	if err != nil {
		return p, err
	}
	if err := execution.checkRegistries(p); err != nil {
		return p, err
	}
	known, err := s.plannedTasks(ctx, id)
	if err != nil {
		return p, err
	}
	plans := s.storedPlan(ctx, execution.PlanID)
	if execution.PlanID == 0 {
		route, err := s.routes(ctx, p)
		if err != nil {
			return p, err
		}
		route.Census = census
		plans = route.Plan(ctx)
	}
	for plan, err := range plans {
		if err != nil {
			return p, err
		}
		if known[planned{plan.SourceRepository, plan.DestinationID}] {
			continue
		}
		if err := s.addTask(ctx, id, plan); err != nil {
			return p, err
		}
	}
	return p, nil
}

// planned is what a task is about: a repository of the source and a destination.
type planned struct {
	repository  string
	destination int64
}

func (s *Service) plannedTasks(ctx context.Context, execution int64) (map[planned]bool, error) {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT src_repository, dest_registry_id FROM tasks WHERE execution_id = $1`, execution)
	if err != nil {
		return nil, fmt.Errorf("list tasks of execution %d: %w", execution, err)
	}
	all, err := collect(rows, func(row scanner) (p planned, err error) { return p, row.Scan(&p.repository, &p.destination) })
	known := make(map[planned]bool, len(all))
	for _, p := range all {
		known[p] = true
	}
	return known, err
}

// addTask makes the task of a repository's plan. A plan that needs no work, or
// cannot be carried out, is a task that is finished already.
func (s *Service) addTask(ctx context.Context, execution int64, plan RepositoryPlan) error {
	now := s.now()
	task := Task{
		ExecutionID: execution, Status: Pending, Operation: Copy, ResourceType: plan.ResourceType,
		SourceRepository: plan.SourceRepository, DestinationRepository: plan.DestinationRepository, DestinationID: plan.DestinationID,
		Items: plan.Items, StartTime: now,
	}
	if task.ResourceType == "" {
		task.ResourceType = resourceImage
	}
	var lines logBuffer
	switch {
	case plan.Err != nil:
		task.Status, task.Reason, task.EndTime = Failed, plan.Err.Error(), now
		lines.add(now, "ERROR", plan.Err.Error())
	case !needsWork(plan.Items):
		task.Status, task.EndTime = Succeed, now
		log := func(level, format string, args ...any) { lines.add(now, level, fmt.Sprintf(format, args...)) }
		for i := range task.Items {
			if err := settle(&task.Items[i], log, plan.DestinationRepository); err != nil {
				task.Status, task.Reason = Failed, err.Error()
			}
		}
	}
	waiting := lines.take()
	err := s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		if err := lockExecution(ctx, tx, execution); err != nil {
			return err
		}
		var stopped bool
		if err := tx.QueryRowContext(ctx, `SELECT planned FROM executions WHERE id = $1`, execution).Scan(&stopped); err != nil {
			return err
		}
		if stopped {
			return queue.ErrStopped
		}
		id, err := insertTask(ctx, tx, task)
		if err != nil {
			return err
		}
		if err := writeLog(ctx, tx, id, waiting); err != nil {
			return err
		}
		if task.Status == Pending {
			if err := s.enqueue(ctx, tx, id, queue.NewJob{Kind: bulkJob, RunAt: now}); err != nil {
				return err
			}
		}
		if task.Status.Final() {
			var policy int64
			if err := tx.QueryRowContext(ctx, `SELECT policy_id FROM executions WHERE id = $1`, execution).Scan(&policy); err != nil {
				return err
			}
			if err := driftOfTask(ctx, tx, policy, task, task.Reason, now); err != nil {
				return err
			}
		}
		change := tally{total: 1}
		change.add(task.Status, 1)
		return change.apply(ctx, tx, execution, store.Millis(now))
	})
	if err != nil {
		return fmt.Errorf("add task for %s: %w", plan.SourceRepository, err)
	}
	return nil
}

func needsWork(items []Item) bool {
	for _, item := range items {
		// Whether what was there when it was shown still is has to be asked.
		if item.Action != ActionSkip && item.Action != ActionConflict || item.heldThere() {
			return true
		}
	}
	return false
}
