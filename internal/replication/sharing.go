package replication

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/transfer"
)

// The tasks of a rule with several destinations that run in this process read from the
// source together, where they are at it at the same time. So a task that begins has
// those of the other destinations begin too, if they wait.

// sharings are what the rules that are at work read together. The zero value is ready.
type sharings struct {
	patience time.Duration // see transfer.Sharing

	mu    sync.Mutex
	rules map[int64]*ruleSharing // by id
}

type ruleSharing struct {
	transfer.Sharing
	users int
}

// use returns what a rule reads together, nil for one with a single destination.
// release must be called when it is used no more.
func (x *sharings) use(p Policy) (sharing *transfer.Sharing, release func()) {
	if len(p.MoreDestinations) == 0 {
		return nil, func() {}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	shared, ok := x.rules[p.ID]
	if !ok {
		if x.rules == nil {
			x.rules = map[int64]*ruleSharing{}
		}
		shared = &ruleSharing{Sharing: transfer.Sharing{Patience: x.patience}}
		x.rules[p.ID] = shared
	}
	shared.users++
	return &shared.Sharing, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if shared.users--; shared.users == 0 {
			delete(x.rules, p.ID)
		}
	}
}

// Join lets the route read what Carry copies together with the routes to other
// destinations that have joined. It does so before the plan is known in full, so that
// they wait for each other. leave must be called after Carry.
func (r *Route) Join(sharing *transfer.Sharing, plan RepositoryPlan) (leave func()) {
	if sharing == nil {
		return func() {}
	}
	r.Share = sharing.Join(r.Destination.Engine, r.Source.Adapter.Client(), plan.SourceRepository, toCopy(plan.Items))
	return r.Share.Leave
}

// toCopy are the references that a plan wants copied.
func toCopy(items []Item) []string {
	var references []string
	for _, item := range items {
		if !item.done() && (item.Action == ActionCopy || item.Action == ActionOverwrite) {
			references = append(references, item.Reference)
		}
	}
	return references
}

// share joins the tasks of the rule's other destinations, and has those begin that wait
// to copy the same repository.
func (r *run) share(ctx context.Context, route *Route) (leave func()) {
	sharing, release := r.sharings.use(r.policy)
	part := route.Join(sharing, RepositoryPlan{SourceRepository: r.task.SourceRepository, Items: r.task.Items})
	if sharing != nil && len(toCopy(r.task.Items)) > 0 {
		if err := r.fetchCompanions(ctx); err != nil && ctx.Err() == nil {
			r.line("WARNING", "the tasks of the other destinations begin when their turn comes: %v", err)
		}
	}
	return func() {
		part()
		release()
	}
}

// fetchCompanions has the waiting tasks begin that take the same repository of this
// execution to other destinations.
func (r *run) fetchCompanions(ctx context.Context) error {
	rows, err := r.o.DB.QueryContext(ctx, `SELECT job_id FROM tasks WHERE execution_id = $1 AND src_repository = $2 AND status = 'Pending'
		AND job_id <> 0 AND id <> $3`, r.task.ExecutionID, r.task.SourceRepository, r.task.ID)
	if err != nil {
		return fmt.Errorf("look for them: %w", err)
	}
	jobs, err := collect(rows, func(row scanner) (id int64, err error) { return id, row.Scan(&id) })
	if err != nil {
		return fmt.Errorf("look for them: %w", err)
	}
	return r.o.Queue.Start(ctx, r.job.Kind, jobs)
}
