package replication

import (
	"context"
	"fmt"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

// RepairDrift starts an execution for just what is drift, as it was last found out, and
// returns it with the number of its items; 0 and 0 when there is nothing to be done. What
// is different is left alone where the rule does not override. What is extra is deleted
// where the rule repeats deletions, however much it is: to ask for a repair is to
// confirm that. Each task looks at both sides again before it does anything.
func (s *Service) RepairDrift(ctx context.Context, policy int64) (execution, items int64, err error) {
	p, err := s.GetPolicy(ctx, policy)
	if err != nil {
		return 0, 0, err
	}
	if !p.Enabled {
		return 0, 0, problem.New(problem.Precondition, "the policy %d is disabled", policy)
	}
	tasks, err := s.repairs(ctx, p)
	if err != nil || len(tasks) == 0 {
		return 0, 0, err
	}
	err = s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		now := s.now()
		items = 0
		if _, err := s.withdraw(ctx, tx, p.ID, "a repair does it"); err != nil {
			return err
		}
		if execution, err = s.insertExecution(ctx, tx, p, Manual, true); err != nil {
			return err
		}
		for _, t := range tasks {
			t.ExecutionID, t.StartTime = execution, now
			id, err := insertTask(ctx, tx, t)
			if err != nil {
				return err
			}
			if err := s.enqueue(ctx, tx, id, queue.NewJob{Kind: bulkJob, RunAt: now}); err != nil {
				return err
			}
			items += int64(len(t.Items))
		}
		n := int64(len(tasks))
		return tally{total: n, inProgress: n}.apply(ctx, tx, execution, store.Millis(now))
	})
	if err != nil {
		return 0, 0, fmt.Errorf("repair the drift of replication policy %s: %w", p.Name, err)
	}
	return execution, items, nil
}

// repairs are the tasks that make good what is drift: one for each repository,
// destination and operation.
func (s *Service) repairs(ctx context.Context, p Policy) ([]Task, error) {
	rows, err := s.o.DB.QueryContext(ctx, selectDrift+` WHERE policy_id = $1 AND is_drift ORDER BY registry_id, src_repository, state, reference`, p.ID)
	if err != nil {
		return nil, fmt.Errorf("read drift of replication policy %s: %w", p.Name, err)
	}
	entries, err := collect(rows, scanDrift)
	return mendingTasks(p, entries), err
}

// mendingTasks are the tasks that make good what is drift of some entries. Those of a
// repository at a destination follow each other, by what is to be done.
func mendingTasks(p Policy, entries []DriftEntry) (tasks []Task) {
	for _, e := range entries {
		item, ok := e.Mend(p.Override)
		if !ok || !p.goesTo(e.DestinationID) || item.Action == ActionDelete && !p.repeatsDeletions() {
			continue
		}
		operation := Copy
		if item.Action == ActionDelete {
			operation = TagDeletion
		}
		last := len(tasks) - 1
		if last < 0 || tasks[last].DestinationID != e.DestinationID || tasks[last].SourceRepository != e.SourceRepository || tasks[last].Operation != operation {
			tasks = append(tasks, Task{
				Status: Pending, Operation: operation, ResourceType: resourceImage, DestinationID: e.DestinationID,
				SourceRepository: e.SourceRepository, DestinationRepository: e.DestinationRepository,
			})
			last++
		}
		tasks[last].Items = append(tasks[last].Items, item)
	}
	return tasks
}
