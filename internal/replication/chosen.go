package replication

import (
	"context"
	"fmt"
	"slices"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
)

// chosen is what a rule wants of a repository now: tags and digests. It is asked for
// when a rule's wishes depend on times or on what else there is in the repository, so
// that one artifact alone does not tell whether it is wanted.
func (r Route) chosen(ctx context.Context, repository string) (map[string]bool, error) {
	one := r.Rule
	one.Filters = append(slices.Clone(one.Filters), rule.Filter{Type: rule.FilterName, Value: repository})
	matcher, err := rule.Compile(one)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for listing, err := range r.Source.Adapter.Artifacts(ctx, matcher) {
		if err != nil {
			return nil, fmt.Errorf("list %s/%s: %w", r.Source.Name, repository, err)
		}
		if listing.Repository != repository {
			continue
		}
		plan, err := selectItems(listing, matcher, r.now(), &rule.Census{})
		if err != nil {
			return nil, err
		}
		for _, item := range plan.Items {
			wanted[item.Reference] = true
			if item.Digest != "" {
				wanted[item.Digest] = true
			}
		}
	}
	return wanted, nil
}

// wantedTags are those tags of an artifact that the rule wants now.
func (c *carrier) wantedTags(ctx context.Context, a registry.Artifact) ([]string, error) {
	tags, _ := c.matcher.Match(owned(c.plan.SourceRepository, a))
	if !c.matcher.NeedsTimes() {
		return tags, nil
	}
	chosen, err := c.chosen(ctx, c.plan.SourceRepository)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(tags, func(tag string) bool { return !chosen[tag] }), nil
}
