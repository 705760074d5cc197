package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/transfer"
)

// contest finds out which items may be carried: a tag at the destination belongs to the
// repository that was put there first, for as long as that has the tag and a rule that
// wants it there. The others become conflicts. It returns the items that may be carried.
//
// What a plan has found is asked again too, since it may be long ago.
func (r *run) contest(ctx context.Context, route Route, plan RepositoryPlan, items []*Item) ([]*Item, error) {
	var tags []string
	for _, item := range items {
		if !byDigest(item.Reference) {
			tags = append(tags, item.Reference)
		}
	}
	owners, err := r.placements.owners(ctx, plan.DestinationID, plan.DestinationRepository, tags)
	if err != nil {
		return nil, err
	}
	us := owner{policy: r.policy.ID, source: plan.SourceRepository}
	var free []*Item
	for _, item := range items {
		ours := true // what has the same digest is the same
		if !byDigest(item.Reference) {
			if ours, err = r.contestOne(ctx, route, plan, item, owners[item.Reference], us); err != nil {
				return nil, err
			}
		}
		if ours {
			free = append(free, item)
		}
	}
	return free, nil
}

// contestOne is contest for one tag, which has an owner at the destination or none.
func (r *run) contestOne(ctx context.Context, route Route, plan RepositoryPlan, item *Item, was, us owner) (ours bool, err error) {
	suspects := item.Rivals
	if was.source == us.source && was.policy != us.policy && (was.rewritten || r.policy.RewritesIndexes()) {
		other, err := r.keepsOtherPlatforms(ctx, route, was, plan, item)
		if err != nil {
			return false, err
		}
		if other != "" {
			item.Action, item.Rivals = ActionConflict, []string{us.source}
			item.Reason = fmt.Sprintf("the rule %s puts other platforms of %s under the tag %s at the destination: one tag cannot stand for both", other, us.source, item.Reference)
			return false, nil
		}
	}
	for { // until nobody else takes the tag between the look at it and the claim
		rivals := map[owner]bool{}
		for _, name := range suspects {
			rivals[owner{policy: us.policy, source: name}] = true
		}
		if was.source != "" && was.source != us.source {
			rivals[was] = true
		}
		item.Rivals = nil
		for rival := range rivals {
			holds, err := r.holds(ctx, route, rival, plan, item)
			if err != nil {
				return false, err
			}
			if holds {
				item.Rivals = append(item.Rivals, rival.source)
			}
		}
		if len(item.Rivals) > 0 {
			item.lose(us.source, was.source, plan.DestinationRepository)
			return false, nil
		}
		if was.source == us.source || was == (owner{}) && !r.policy.NamesCollide() {
			return true, nil
		}
		claimed, err := r.placements.claim(ctx, plan.DestinationID, plan.DestinationRepository, item.Reference, was, us, r.now())
		if err != nil || claimed {
			return claimed, err
		}
		now, err := r.placements.owners(ctx, plan.DestinationID, plan.DestinationRepository, []string{item.Reference})
		if err != nil {
			return false, err
		}
		was = now[item.Reference]
	}
}

// lose notes that an item's name at the destination is not its repository's. had is
// whose it is, if the books tell.
func (i *Item) lose(source, had, destination string) {
	slices.Sort(i.Rivals)
	i.Rivals = slices.Compact(i.Rivals)
	i.Action = ActionConflict
	i.Reason = collision(i.Reference, append([]string{source}, i.Rivals...), destination)
	if slices.Contains(i.Rivals, had) {
		i.Reason = fmt.Sprintf("the tag %s of %s would be %s:%s at the destination, where %s has put its own", i.Reference, source, destination, i.Reference, had)
	}
}

// holds reports whether an owner still has a claim to an item's name at the
// destination, and means other content by it.
func (r *run) holds(ctx context.Context, route Route, o owner, plan RepositoryPlan, item *Item) (bool, error) {
	_, now, wanted, err := r.claimOf(ctx, route, o, plan, item)
	return wanted && now.Digest != item.Digest, err
}

// claimOf returns the rule of an owner and what it has under an item's name at the source,
// if it still wants that at the destination.
func (r *run) claimOf(ctx context.Context, route Route, o owner, plan RepositoryPlan, item *Item) (p Policy, now registry.Artifact, wanted bool, err error) {
	p = r.policy
	if o.policy != p.ID {
		if p, err = r.GetPolicy(ctx, o.policy); problem.Is(err, problem.NotFound) {
			return p, now, false, nil
		} else if err != nil {
			return p, now, false, err
		}
		// A name of another registry's repositories says nothing about this one's.
		if !p.Enabled || p.Source.ID != r.policy.Source.ID || !p.goesTo(plan.DestinationID) {
			return p, now, false, nil
		}
	}
	if name, err := p.DestinationRepository(o.source); err != nil || name != plan.DestinationRepository {
		return p, now, false, nil // the rule has been changed since
	}
	matcher, err := rule.Compile(p.Rule)
	if err != nil {
		return p, now, false, fmt.Errorf("replication policy %s: %w", p.Name, err)
	}
	if !matcher.MatchRepository(o.source) {
		return p, now, false, nil
	}
	now, found, err := route.Source.current(ctx, o.source, item.Reference)
	if err != nil {
		return p, now, false, fmt.Errorf("look at %s: %w", name(route.Source, o.source, item.Reference), err)
	}
	switch {
	case !found:
	case route.Source.home:
		c := owned(o.source, now)
		c.Tags = []string{item.Reference}
		_, wanted = matcher.Match(c)
	default:
		_, wanted = matcher.MatchTags([]string{item.Reference}) // a remote registry tells no more
	}
	return p, now, wanted, nil
}

// keepsOtherPlatforms names another rule that has put something else than this one would
// under an item's tag, of the same artifact but for other platforms; "" if it does not want that
// any more.
func (r *run) keepsOtherPlatforms(ctx context.Context, route Route, o owner, plan RepositoryPlan, item *Item) (rule string, err error) {
	p, now, wanted, err := r.claimOf(ctx, route, o, plan, item)
	if err != nil || !wanted {
		return "", err
	}
	var put []digest.Digest
	for _, one := range []Policy{p, r.policy} {
		platforms, err := oci.ParsePlatforms(one.Platforms)
		if err != nil {
			return "", err
		}
		read, err := transfer.ReadPortion(ctx, route.Source.Adapter.Client(), o.source, now.Digest, platforms, one.RewritesIndexes())
		if registry.IsNotFound(err) || errors.Is(err, oci.ErrMalformed) {
			return "", nil // the copy will say so
		}
		if err != nil || read.Nothing != "" {
			return "", err
		}
		put = append(put, read.Digest)
	}
	if put[0] == put[1] {
		return "", nil
	}
	return p.Name, nil
}
