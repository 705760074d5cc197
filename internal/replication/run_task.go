package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
)

// run is one attempt at a task.
type run struct {
	*Service
	job    *queue.Job
	task   Task
	policy Policy
	planID int64 // the stored plan that is carried out; 0: none
	event  bool  // an event rule's task is tried until the destination agrees
	log    logBuffer
	total  atomic.Int64
	sent   atomic.Int64
	before map[Outcome]int // what earlier attempts had brought
}

// errGivenUp says that a task has no reason any more to be tried.
var errGivenUp = errors.New("given up")

// runTask makes one attempt at a task and writes down how it ended, in the
// transaction that ends the job.
func (s *Service) runTask(ctx context.Context, job *queue.Job) error {
	id, err := strconv.ParseInt(job.Payload, 10, 64)
	if err != nil {
		return fmt.Errorf("task job %d: %w", job.ID, err)
	}
	r := &run{Service: s, job: job, event: job.Kind == eventJob}
	release, err := r.admit(ctx, id)
	if err != nil || release == nil {
		return err
	}
	defer release()
	if r.task, err = r.begin(ctx, id); err != nil {
		if problem.Is(err, problem.NotFound) || errors.Is(err, errGivenUp) {
			return job.Finish(ctx, nil) // stopped, retried by another job, or deleted with its rule
		}
		return err
	}
	r.before = outcomes(r.task.Items)
	for i := range r.task.Items {
		r.task.Items[i].settled = r.task.Items[i].done()
	}
	result := r.traced(ctx)
	if ctx.Err() != nil {
		return r.interrupted(ctx)
	}
	return r.end(ctx, result)
}

// begin marks the task as running and returns it.
func (r *run) begin(ctx context.Context, id int64) (Task, error) {
	var task Task
	err := r.o.DB.InTx(ctx, func(tx *store.Tx) (err error) {
		if task, err = lockTask(ctx, tx, id); err != nil {
			return err
		}
		if task.JobID != r.job.ID {
			return errGivenUp
		}
		_, err = tx.ExecContext(ctx, `UPDATE tasks SET status = 'InProgress', attempts = attempts + 1, next_attempt_time = 0,
			end_time = 0, reason = '' WHERE id = $1`, id)
		if err != nil {
			return err
		}
		return moved(task.Status, InProgress).apply(ctx, tx, task.ExecutionID, store.Millis(r.now()))
	})
	task.Attempts++
	return task, err
}

// attempt does the task's work. It returns the reason why it failed.
func (r *run) attempt(ctx context.Context) error {
	execution, err := r.GetExecution(ctx, r.task.ExecutionID)
	if err != nil {
		return err
	}
	if r.policy, err = r.GetPolicy(ctx, execution.PolicyID); err != nil {
		return err
	}
	if err := execution.checkRegistries(r.policy); err != nil {
		return fmt.Errorf("%w: %w", err, errGivenUp)
	}
	r.planID = execution.PlanID
	switch {
	case r.event && !r.policy.Enabled:
		return fmt.Errorf("the rule is disabled: %w", errGivenUp)
	case r.event && !r.policy.followsEvents():
		return fmt.Errorf("the rule follows no events any more: %w", errGivenUp)
	}
	if !r.policy.goesTo(r.task.DestinationID) {
		if !r.event || len(r.policy.MoreDestinations) > 0 {
			return fmt.Errorf("%s: %w", notADestination, errGivenUp)
		}
		r.task.DestinationID = r.policy.Destination.ID
	}
	route, err := r.route(ctx, r.policy, r.task.DestinationID)
	if err != nil {
		return err
	}
	r.line("INFO", "attempt %d: %s of %s from %s to %s of %s", r.task.Attempts, r.task.Operation,
		r.task.SourceResource(), route.Source.Name, r.task.DestinationResource(), route.Destination.Name)
	leave := r.share(ctx, &route)
	defer leave()
	plan, err := r.plan(ctx, route)
	r.task.Items, r.task.DestinationRepository = plan.Items, plan.DestinationRepository
	if err != nil {
		return err
	}
	var fresh bool
	var release func()
	route.Bandwidth, fresh, release = r.bandwidths.use(r.policy, r.task.DestinationID)
	defer release()
	if fresh { // others may be at work within the limits
		if err := r.FollowBandwidths(ctx); err != nil {
			return err
		}
	}
	stop := r.publish(ctx)
	defer stop()
	return route.Carry(ctx, &plan, Hooks{
		Log:      r.line,
		Progress: r.progress,
		Placed: func(_ context.Context, repository, reference string, d digest.Digest) error {
			return r.note(repository, reference, d)
		},
		Intended: func(_ context.Context, repository, reference string, d digest.Digest) error {
			return r.placements.note(placement{
				registry: r.task.DestinationID, repository: repository, reference: reference, digest: d, intended: true,
			})
		},
		Expected: func(ctx context.Context, repository, reference string) ([]digest.Digest, string, error) {
			return r.placements.expected(ctx, r.task.DestinationID, repository, reference)
		},
		Removed: func(_ context.Context, repository, reference string) error {
			return r.note(repository, reference, "")
		},
	})
}

func (r *run) note(repository, reference string, d digest.Digest) error {
	return r.placements.note(placement{
		registry: r.task.DestinationID, repository: repository, reference: reference,
		digest: d, policy: r.policy.ID, source: r.task.SourceRepository, time: r.now(),
	})
}

// plan says what is to be done now. What was found out when the task was made, or
// by the last attempt, is too old to act on.
func (r *run) plan(ctx context.Context, route Route) (RepositoryPlan, error) {
	plan := RepositoryPlan{
		SourceRepository: r.task.SourceRepository, DestinationRepository: r.task.DestinationRepository, DestinationID: r.task.DestinationID,
		ResourceType: r.task.ResourceType, Items: r.task.Items,
	}
	if r.planID != 0 {
		return r.planAsShown(ctx, route, plan)
	}
	unplanned := func(i Item) bool { return i.Action == "" }
	if len(plan.Items) == 0 || slices.ContainsFunc(plan.Items, unplanned) {
		return r.planAnew(ctx, route, plan)
	}
	name, err := route.destinationRepository(plan.SourceRepository)
	if err != nil {
		return plan, err
	}
	plan.DestinationRepository = name
	pending, err := r.pending(ctx, route, plan.Items)
	if err == nil {
		pending, err = r.contest(ctx, route, plan, pending)
	}
	if err != nil || len(pending) == 0 {
		return plan, err
	}
	err = route.compare(ctx, plan.SourceRepository, plan.DestinationRepository, pending, make(chan struct{}, questionsAtOnce))
	for _, item := range pending {
		if item.Accessories && item.Action == ActionSkip && item.Reason == "" {
			item.Action = ActionCopy // of what is there, only the accessories
		}
		if item.Thorough && item.Action == ActionSkip && item.Reason == "" {
			item.Action = ActionCopy // it is there by name only
		}
	}
	return plan, err
}

// planAnew plans a repository whose plan had failed.
func (r *run) planAnew(ctx context.Context, route Route, plan RepositoryPlan) (RepositoryPlan, error) {
	one := route
	one.Rule.Filters = append(slices.Clone(route.Rule.Filters), rule.Filter{Type: rule.FilterName, Value: plan.SourceRepository})
	found := plan
	found.Items = nil
	for p, err := range one.Plan(ctx) {
		if err != nil {
			return plan, err
		}
		if p.SourceRepository == plan.SourceRepository {
			found = p
		}
	}
	if found.Err != nil {
		return plan, found.Err
	}
	if len(found.Items) == 0 {
		r.line("INFO", "nothing in %s matches the filters", plan.SourceRepository)
	}
	// This repository was planned by itself: what it collides with, the books have to tell,
	// and the plan that failed.
	rivals := map[string][]string{}
	for _, item := range plan.Items {
		rivals[item.Reference] = item.Rivals
	}
	var copies []*Item
	for i := range found.Items {
		item := &found.Items[i]
		if item.Action == ActionCopy || item.Action == ActionOverwrite {
			item.Rivals = rivals[item.Reference]
			copies = append(copies, item)
		}
	}
	_, err := r.contest(ctx, route, found, copies)
	return found, err
}

// pending returns the items that must be compared with the destination, brought up
// to date with the source.
func (r *run) pending(ctx context.Context, route Route, items []Item) ([]*Item, error) {
	matcher, err := rule.Compile(route.Rule)
	if err != nil {
		return nil, err
	}
	// A first attempt follows its plan at once, and looks again after it wrote.
	look := r.event || r.task.Attempts > 1
	chosen := sync.OnceValues(func() (map[string]bool, error) { return route.chosen(ctx, r.task.SourceRepository) })
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(questionsAtOnce)
	for i := range items {
		item := &items[i]
		if item.done() {
			continue
		}
		if !look && item.Action == ActionSkip {
			continue // for the reason that the plan has found
		}
		item.Outcome, item.Reason = "", ""
		if item.Action == ActionDelete && !r.event && !r.policy.repeatsDeletions() { // an event's may have become a copy
			item.Outcome, item.Reason = Kept, "the rule repeats no deletions any more"
			r.line("WARNING", "%s: %s, nothing is deleted", item.Reference, item.Reason)
			continue
		}
		if look {
			group.Go(func() error { return r.refresh(ctx, route, matcher, chosen, item) })
		} else if item.contested() {
			item.Action = ActionCopy // contest finds out whether its rivals are still there
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var pending []*Item
	for i := range items {
		if item := &items[i]; !item.done() && (item.Action == ActionCopy || item.Action == ActionOverwrite) {
			pending = append(pending, item)
		}
	}
	return pending, nil
}

// refresh finds out what an item is at the source and what follows from it.
func (r *run) refresh(ctx context.Context, route Route, matcher *rule.Matcher, chosen func() (map[string]bool, error), item *Item) error {
	now, found, err := route.Source.current(ctx, r.task.SourceRepository, item.Reference)
	if err != nil {
		return fmt.Errorf("look at %s: %w", name(route.Source, r.task.SourceRepository, item.Reference), err)
	}
	switch {
	case !found && r.policy.repeatsDeletions() && (r.event || item.Action == ActionDelete):
		item.Action = ActionDelete
	case !found:
		item.Action, item.Reason = ActionSkip, goneFromSource
	case item.Action == ActionDelete && (!r.event || byDigest(item.Reference)):
		item.Outcome, item.Reason = Kept, "the source has it again" // and what was pushed has tasks of its own
	case r.event:
		wanted, err := r.wants(ctx, matcher, item, now)
		if err != nil {
			return fmt.Errorf("look at what %s belongs to: %w", name(route.Source, r.task.SourceRepository, item.Reference), err)
		}
		if !wanted {
			item.Action, item.Reason = ActionSkip, unwanted
			return nil
		}
		fallthrough
	default:
		item.Digest, item.Action = now.Digest, ActionCopy
	}
	if !r.event || item.Action != ActionCopy || !matcher.NeedsTimes() {
		return nil
	}
	wanted, err := chosen()
	if err == nil && !wanted[item.Reference] {
		item.Action, item.Reason = ActionSkip, "the rule selects newer ones"
	}
	return err
}

// wants reports whether the filters let a reference of home through that is a now.
func (r *run) wants(ctx context.Context, matcher *rule.Matcher, item *Item, a registry.Artifact) (bool, error) {
	if !matcher.HasLabelFilter() && !matcher.LeavesAccessories() {
		return item.Subject != "" || wants(matcher, r.task.SourceRepository, item.Reference, a), nil
	}
	owners, err := r.o.Home.Owners(ctx, r.task.SourceRepository, a.Digest)
	if err != nil {
		return false, err
	}
	if len(owners) == 0 && matcher.LeavesAccessories() {
		orphan, err := r.o.Home.IsAccessory(ctx, r.task.SourceRepository, a.Digest)
		if err != nil || orphan {
			return false, err
		}
	}
	if len(owners) == 0 {
		return item.Subject != "" || wants(matcher, r.task.SourceRepository, item.Reference, a), nil
	}
	if matcher.LeavesAccessories() {
		return false, nil
	}
	for _, owner := range owners { // whose labels are those of the accessory
		if _, wanted := matcher.Match(owned(r.task.SourceRepository, owner)); wanted {
			return true, nil
		}
		a.Labels = owner.Labels
		if wants(matcher, r.task.SourceRepository, item.Reference, a) {
			return true, nil
		}
	}
	return false, nil
}

// wants reports whether the filters let a reference through that is a now.
func wants(matcher *rule.Matcher, repository, reference string, a registry.Artifact) bool {
	c := owned(repository, a)
	if !byDigest(reference) {
		c.Tags = []string{reference}
	}
	_, ok := matcher.Match(c)
	return ok
}
