package replication

import (
	"context"
	"fmt"
	"iter"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/transfer"
)

// PlanOptions say what a preview finds out besides the actions.
type PlanOptions struct {
	// Bytes: what would really be sent. Each manifest that is to be copied is read from the
	// source for it, and each blob is asked for at the destination.
	Bytes bool
	// Pin: the digest of everything that is to be copied, so that the plan can be carried
	// out as it is. Keep is then called for each part before its lines are told.
	Pin  bool
	Keep func(ctx context.Context, plan RepositoryPlan) error
}

// previewsAtOnce bounds the repositories that are looked through at the same time.
const previewsAtOnce = 16

// Preview tells what running the rule now would do, reference by reference, as it is
// found out, and at last one summary. It is Plan, written for those who look at it.
// Nothing is changed at either side. A line with an error is about a repository or a
// reference; an error beside a line ends the plan, and the summary that follows it says
// that the plan is not complete.
func (r Route) Preview(ctx context.Context, o PlanOptions) iter.Seq2[PlanLine, error] {
	return func(yield func(PlanLine, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		if r.Census == nil {
			r.Census = &rule.Census{}
		}
		sum := newPlanSum(r, o)
		var fatal error
		for plan, err := range r.examined(ctx, o) {
			if err == nil && o.Keep != nil {
				err = o.Keep(ctx, plan.RepositoryPlan)
			}
			if err != nil {
				fatal = err
				break
			}
			for _, line := range sum.lines(plan) {
				if !yield(line, nil) {
					return
				}
			}
		}
		if fatal != nil {
			sum.cut = true
			if !yield(PlanLine{Type: LineError, Error: fatal.Error()}, fatal) {
				return
			}
		}
		yield(PlanLine{Type: LineSummary, Summary: sum.summary()}, nil)
	}
}

// examinedPlan is a repository's plan and what carrying it out takes.
type examinedPlan struct {
	RepositoryPlan
	costs    []*transfer.Cost // of each item; nil: not known, or nothing
	troubles []error          // of each item
}

// examined looks further into the plans as they come, several at a time.
func (r Route) examined(ctx context.Context, o PlanOptions) iter.Seq2[examinedPlan, error] {
	return func(yield func(examinedPlan, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		estimates := map[int64]*transfer.Estimate{}
		routes := map[int64]Route{}
		for _, to := range r.each() {
			routes[to.Destination.ID], estimates[to.Destination.ID] = to, to.Destination.Engine.NewEstimate()
		}
		plans, result := make(chan examinedPlan), make(chan error, 1)
		go func() {
			defer close(plans)
			group, ctx := errgroup.WithContext(ctx)
			group.SetLimit(previewsAtOnce)
			var fatal error
			looked := false
			for plan, err := range r.Plan(ctx) {
				if fatal = err; err == nil && plan.Err != nil && !looked {
					looked, fatal = true, r.unusable(ctx)
				}
				if fatal != nil {
					break
				}
				group.Go(func() error {
					e := examinedPlan{RepositoryPlan: plan}
					if o.Pin {
						e.Err = routes[plan.DestinationID].resolve(ctx, &e.RepositoryPlan)
					}
					if o.Bytes {
						routes[plan.DestinationID].measure(ctx, estimates[plan.DestinationID], &e)
					}
					if o.Pin {
						e.pin()
					}
					select {
					case plans <- e:
						return nil
					case <-ctx.Done():
						return context.Cause(ctx)
					}
				})
			}
			err := group.Wait()
			if fatal != nil {
				err = fatal
			}
			result <- err
		}()
		going := true
		for plan := range plans {
			if going && !yield(plan, nil) {
				going = false
				cancel() // and go on reading until everything has ended
			}
		}
		if err := <-result; err != nil && going {
			yield(examinedPlan{}, err)
		}
	}
}

// unusable says which registry cannot be used at all, so that a plan need not say so of
// each repository. With several destinations those that can be used are planned.
func (r Route) unusable(ctx context.Context) error {
	sides := []*Side{r.Source}
	if len(r.More) == 0 {
		sides = append(sides, r.Destination)
	}
	for _, side := range sides {
		if side.home {
			continue
		}
		if err := side.Adapter.Client().Ping(ctx); err != nil && ctx.Err() == nil {
			return problem.Wrap(problem.BadRequest, err, "registry %s cannot be used", side.Name)
		}
	}
	return nil
}

// writes reports whether carrying an item out puts something at the destination.
func (i Item) writes() bool { return i.Action == ActionCopy || i.Action == ActionOverwrite }

// resolve asks the source for digests that its list did not tell. The error is why the
// repository cannot be replicated.
func (r Route) resolve(ctx context.Context, plan *RepositoryPlan) error {
	if plan.Err != nil {
		return plan.Err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(itemsAtOnce)
	for i := range plan.Items {
		item := &plan.Items[i]
		if !item.writes() || item.Digest != "" {
			continue
		}
		group.Go(func() error {
			d, err := r.Source.digest(ctx, plan.SourceRepository, item.Reference)
			switch {
			case err != nil:
				return fmt.Errorf("look at %s: %w", name(r.Source, plan.SourceRepository, item.Reference), err)
			case d == "":
				item.Action, item.Reason = ActionSkip, goneFromSource
			default:
				item.Digest = d
			}
			return nil
		})
	}
	return group.Wait()
}

// measure finds out what copying the items of a plan takes.
func (r Route) measure(ctx context.Context, s *transfer.Estimate, plan *examinedPlan) {
	plan.costs, plan.troubles = make([]*transfer.Cost, len(plan.Items)), make([]error, len(plan.Items))
	if plan.Err != nil {
		return
	}
	platforms, err := r.platforms()
	if err != nil {
		plan.Err = err
		return
	}
	c := carrier{Route: r, wanted: platforms, Hooks: Hooks{Log: func(string, string, ...any) {}}, plan: &plan.RepositoryPlan, start: r.now()}
	var group errgroup.Group
	group.SetLimit(itemsAtOnce)
	for i := range plan.Items {
		// Accessories come with what they belong to, and after it.
		if item := &plan.Items[i]; item.writes() && item.Subject == "" {
			group.Go(func() error {
				cost, err := s.Cost(ctx, c.request(i))
				if plan.troubles[i] = err; err == nil {
					plan.costs[i] = &cost
				}
				return nil
			})
		}
	}
	_ = group.Wait() // its functions return nil
	for i := range plan.Items {
		item := &plan.Items[i]
		if cost := plan.costs[i]; cost != nil && item.Digest == "" && digest.Digest(cost.Digest).Validate() == nil {
			item.Digest = cost.Digest.String()
		}
	}
}
