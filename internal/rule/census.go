package rule

import (
	"fmt"
	"strings"
)

// Census counts what a source has and what the filters of a rule leave out of it, to
// tell why a run had nothing to do. The zero Census is empty.
type Census struct {
	Repositories int
	Artifacts    int // accessories are not counted
	Wanted       int
	leftOut      map[FilterType]int // by the first filter that left an artifact out
	labels       bool               // something has labels
}

// Repository counts a repository that the source has told of.
func (c *Census) Repository() { c.Repositories++ }

// Artifact counts an artifact, which m wants or not.
func (c *Census) Artifact(m *Matcher, a Candidate, wanted bool) {
	c.Artifacts++
	c.labels = c.labels || len(a.Labels) > 0
	if wanted {
		c.Wanted++
		return
	}
	if c.leftOut == nil {
		c.leftOut = map[FilterType]int{}
	}
	c.leftOut[m.leftOutBy(a)]++
}

// leftOutBy names the kind of filter that leaves an artifact out, in the order in which
// Match goes by them.
func (m *Matcher) leftOutBy(c Candidate) FilterType {
	if !m.MatchRepository(c.Repository) {
		return FilterName
	}
	if m.image && !strings.EqualFold(c.ResourceType, ResourceImage) {
		return FilterResource
	}
	for _, f := range m.labels {
		if f.carriedBy(c.Labels) == f.excludes {
			return FilterLabel
		}
	}
	if !m.selection.wantsType(c) {
		return byArtifactType
	}
	if _, ok := m.MatchTags(c.Tags); !ok {
		return FilterTag
	}
	return byPushTime
}

// What an artifact can be left out by besides Harbor's filters.
const (
	byArtifactType FilterType = "artifact type"
	byPushTime     FilterType = "push time" // or that others are newer
)

// Nothing says why nothing of a source was wanted. A source may leave out by itself what
// the filters of names and tags do not let through, so there may be nothing to count.
func (c *Census) Nothing(r Rule) string {
	switch {
	case c.Repositories == 0 && SelectsEverything(r):
		return "the source has no repositories"
	case c.Repositories == 0:
		return "no repository at the source passes " + Describe(r)
	case c.Artifacts == 0:
		return fmt.Sprintf("in %s is nothing that passes %s", counted(c.Repositories, "repository", "repositories"), Describe(r))
	}
	var parts []string
	for _, kind := range []FilterType{FilterName, FilterResource, FilterLabel, byArtifactType, FilterTag, byPushTime} {
		if n := c.leftOut[kind]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d by the %s filter%s", n, kind, valuesOf(r, kind)))
		}
	}
	text := fmt.Sprintf("of %s in %s were left out %s", counted(c.Artifacts, "artifact", "artifacts"),
		counted(c.Repositories, "repository", "repositories"), strings.Join(parts, ", "))
	if c.leftOut[FilterLabel] > 0 && !c.labels {
		text += "; the source tells of no labels at all"
	}
	return text
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// valuesOf is what the filters of a kind say, in brackets.
func valuesOf(r Rule, kind FilterType) string {
	var values []string
	for _, f := range r.Filters {
		if text := f.inWords(); f.Type == kind && text != "" {
			values = append(values, text)
		}
	}
	if values == nil {
		return ""
	}
	return " (" + strings.Join(values, "; ") + ")"
}
