package replication

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// gatherTime is how long the plan of a repository for one destination waits for those
// for the others, so that they are carried out at the same time and read the source
// together.
const gatherTime = 500 * time.Millisecond

// gathering delivers the plans of each repository for several destinations together.
// Once a destination has kept the others waiting in vain nobody waits any more.
type gathering struct {
	ctx          context.Context
	destinations int
	deliver      func(RepositoryPlan) error
	hasty        atomic.Bool

	mu     sync.Mutex
	groups map[string]*planGroup // by repository, until they are complete
}

type planGroup struct {
	plans    int
	complete chan struct{}
}

// gather returns deliver, for plans that are to be delivered together.
func gather(ctx context.Context, destinations int, deliver func(RepositoryPlan) error) func(RepositoryPlan) error {
	if destinations < 2 {
		return deliver
	}
	g := &gathering{ctx: ctx, destinations: destinations, deliver: deliver, groups: map[string]*planGroup{}}
	return g.add
}

func (g *gathering) add(plan RepositoryPlan) error {
	complete := g.count(plan.SourceRepository)
	if !g.hasty.Load() {
		timer := time.NewTimer(gatherTime)
		defer timer.Stop()
		select {
		case <-complete:
		case <-timer.C:
			g.hasty.Store(true)
		case <-g.ctx.Done():
			return context.Cause(g.ctx)
		}
	}
	return g.deliver(plan)
}

// count adds a plan to its group and returns what is closed when the group is complete.
func (g *gathering) count(repository string) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	group, ok := g.groups[repository]
	if !ok {
		group = &planGroup{complete: make(chan struct{})}
		g.groups[repository] = group
	}
	if group.plans++; group.plans == g.destinations {
		close(group.complete)
		delete(g.groups, repository)
	}
	return group.complete
}
