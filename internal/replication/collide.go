package replication

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// A rule that flattens paths or renames may give two repositories one name at the
// destination. That is fine as long as they have no tag in common. Of a tag that they
// have in common nobody can say which one is meant, and which one wins would be chance:
// so neither is carried, and both say why.

// heldPlans gathers the plans of such a rule until all of them are known.
type heldPlans struct {
	mu  sync.Mutex
	all []RepositoryPlan
}

// add has the form of what sends a plan.
func (h *heldPlans) add(plan RepositoryPlan) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, plan)
	return nil
}

// plans returns what was gathered, in the order of the names at the source, with the
// collisions marked.
func (h *heldPlans) plans() []RepositoryPlan {
	slices.SortStableFunc(h.all, func(a, b RepositoryPlan) int { return strings.Compare(a.SourceRepository, b.SourceRepository) })
	type target struct {
		registry   int64
		repository string
	}
	sharing := map[target][]*RepositoryPlan{}
	for i := range h.all {
		if p := &h.all[i]; p.DestinationRepository != "" {
			t := target{p.DestinationID, p.DestinationRepository}
			sharing[t] = append(sharing[t], p)
		}
	}
	for _, plans := range sharing {
		if len(plans) > 1 {
			markCollisions(plans)
		}
	}
	return h.all
}

// markCollisions marks the tags that repositories of one name have in common. One of
// which the tags are not known may have any.
func markCollisions(plans []*RepositoryPlan) {
	claims := map[string][]claim{}
	for _, p := range plans {
		if len(p.Items) == 0 && p.Err != nil {
			for _, other := range plans {
				other.contest(p.SourceRepository, fmt.Sprintf("of %s, which would have the same name at the destination, it is not known which tags it has: %v", p.SourceRepository, p.Err))
			}
			continue
		}
		for i := range p.Items {
			if item := &p.Items[i]; !byDigest(item.Reference) {
				claims[item.Reference] = append(claims[item.Reference], claim{p, item})
			}
		}
	}
	for _, c := range claims {
		if len(c) > 1 && !sameContent(c) {
			collide(c)
		}
	}
}

// claim is a repository's wish to have a name at the destination.
type claim struct {
	plan *RepositoryPlan
	item *Item
}

// sameContent reports whether it does not matter whose claim is met.
func sameContent(claims []claim) bool {
	d := claims[0].item.Digest
	return d != "" && !slices.ContainsFunc(claims, func(c claim) bool { return c.item.Digest != d })
}

func collide(claims []claim) {
	var names []string
	for _, c := range claims {
		names = append(names, c.plan.SourceRepository)
	}
	for _, c := range claims {
		c.item.Action = ActionConflict
		c.item.Rivals = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == c.plan.SourceRepository })
		c.item.Reason = collision(c.item.Reference, names, c.plan.DestinationRepository)
	}
}

// contest marks all tags of a plan.
func (p *RepositoryPlan) contest(rival, reason string) {
	if p.SourceRepository == rival {
		return
	}
	for i := range p.Items {
		if item := &p.Items[i]; !byDigest(item.Reference) {
			item.Action, item.Rivals, item.Reason = ActionConflict, []string{rival}, reason
		}
	}
}

// collision says which repositories have a claim to one name. Of many the first few
// are enough to see what is wrong with the rule.
func collision(tag string, names []string, destination string) string {
	const shown = 3
	text := strings.Join(names, ", ")
	if len(names) > shown {
		text = fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
	} else if i := strings.LastIndex(text, ", "); i >= 0 {
		text = text[:i] + " and " + text[i+2:]
	}
	return fmt.Sprintf("the tag %s of %s would be %s:%s at the destination: neither is put there", tag, text, destination, tag)
}
