package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/lighterage/lighterage/internal/registry"
)

// A plan that somebody has looked at and had carried out is done as it was shown. What
// the source has since is not put in the place of what was shown; and what the
// destination has since is not overwritten by it.

// pin fixes what was planned, and what was found at the destination.
func (p *RepositoryPlan) pin() {
	for i := range p.Items {
		item := &p.Items[i]
		item.Planned, item.Replaces = item.Action, item.replaces()
	}
}

// replaces is the digest of what the destination has in the item's place, "" for nothing.
func (i Item) replaces() string {
	if d := i.found.Digest().String(); d != i.wanted() {
		return d
	}
	return ""
}

// heldThere reports whether the item was shown to be at the destination already. One that
// was left out for another reason says so.
func (i Item) heldThere() bool {
	return i.Planned == ActionSkip && (i.Reason == "" || i.Outcome == Lost)
}

// planAsShown says what is to be done now of what was shown. Both sides are asked again
// whether it can be done at all.
func (r *run) planAsShown(ctx context.Context, route Route, plan RepositoryPlan) (RepositoryPlan, error) {
	if !slices.ContainsFunc(plan.Items, Item.pinned) {
		return plan, errors.New("the plan could not tell what is to be done here: make a new one")
	}
	var writes, asked []*Item
	for i := range plan.Items {
		item := &plan.Items[i]
		if item.done() {
			continue
		}
		held := item.heldThere()
		item.Action, item.Outcome = item.Planned, ""
		switch {
		case item.Planned == ActionCopy || item.Planned == ActionOverwrite:
			item.Reason, item.Rivals = "", nil
			writes = append(writes, item)
		case held:
			item.Reason = ""
			asked = append(asked, item)
		}
	}
	free, err := r.contest(ctx, route, plan, writes)
	if err != nil {
		return plan, err
	}
	if asked = append(asked, free...); len(asked) == 0 {
		return plan, nil
	}
	err = route.compare(ctx, plan.SourceRepository, plan.DestinationRepository, asked, make(chan struct{}, questionsAtOnce))
	for _, item := range asked {
		if err != nil { // what was found out until then is not all
			item.Action, item.Reason = item.Planned, ""
		} else {
			item.keepToPlan()
		}
	}
	return plan, err
}

// keepToPlan turns what a comparison has found into what was shown, or into the reason
// why that cannot be done.
func (i *Item) keepToPlan() {
	now := i.found.Digest().String()
	switch {
	case i.Action == ActionSkip && i.Reason != "":
		i.refuse("%s by now: make a new plan", i.Reason)
	case i.Planned == ActionSkip && i.Action != ActionSkip:
		i.refuse("it was at the destination when it was planned, and is not any more: make a new plan")
	case now == i.wanted(): // it is there already, or not all of it, as the comparison says
	case now != "" && now != i.Replaces:
		i.refuse("the destination has %s there since it was planned, which is left alone: make a new plan", now)
	case now == "":
		i.Action = ActionCopy
	default:
		i.Action = i.Planned
	}
}

func (i *Item) refuse(format string, args ...any) {
	i.Action, i.Reason = ActionConflict, fmt.Sprintf(format, args...)
}

// noteMoved looks whether the source still has what was copied as planned. It is said
// and not followed.
func (c *carrier) noteMoved(ctx context.Context, item *Item) {
	now, err := c.Source.digest(ctx, c.plan.SourceRepository, item.Reference)
	if err != nil || now == item.Digest {
		return // what cannot be found out now is found out by the next verification
	}
	item.moved = true
	if now == "" {
		now = "nothing any more"
	}
	c.Log("WARNING", "%s is %s at the source by now; %s was copied, as planned", c.source(item), now, item.Digest)
}

// pinnedFailure says why what was planned could not be copied.
func (c *carrier) pinnedFailure(ctx context.Context, item *Item, failure error) error {
	if !registry.IsNotFound(failure) || ctx.Err() != nil {
		return failure
	}
	now, err := c.Source.digest(ctx, c.plan.SourceRepository, item.Reference)
	switch {
	case err != nil || now == item.Digest:
		return failure
	case now == "":
		return fmt.Errorf("%s is gone from the source since it was planned: make a new plan (%w)", c.source(item), failure)
	default:
		return fmt.Errorf("%s is %s at the source by now, and %s, which was planned, cannot be had any more: make a new plan (%w)",
			c.source(item), now, item.Digest, failure)
	}
}
