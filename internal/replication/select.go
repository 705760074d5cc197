package replication

import (
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
)

// selectItems applies what the rule selects to a repository's artifacts, and counts
// them. The error is that of Matcher.Select.
func selectItems(listing registry.Listing, matcher *rule.Matcher, now time.Time, census *rule.Census) (RepositoryPlan, error) {
	plan := RepositoryPlan{SourceRepository: listing.Repository, ResourceType: resourceImage}
	attached := newAccessories(listing)
	census.Repository()
	planned := map[string]bool{}
	add := func(item Item) {
		if !planned[item.Reference] {
			planned[item.Reference] = true
			plan.Items = append(plan.Items, item)
		}
	}
	candidates := make([]rule.Candidate, len(listing.Artifacts))
	for i, a := range listing.Artifacts {
		candidates[i] = attached.candidate(matcher, listing.Repository, a)
	}
	choices, err := matcher.Select(candidates, now)
	if err != nil {
		return plan, err
	}
	wanted := make([]bool, len(candidates))
	for _, choice := range choices {
		wanted[choice.Index] = true
	}
	for i, c := range candidates {
		if !c.Accessory {
			census.Artifact(matcher, c, wanted[i])
		}
	}
	for _, choice := range choices {
		a, tags := listing.Artifacts[choice.Index], choice.Tags
		if len(tags) == 0 {
			tags = []string{a.Digest}
		}
		for _, tag := range tags {
			add(Item{Reference: tag, Digest: a.Digest, Size: a.Size, pushed: wantedSince(matcher, a, tag), kind: strings.ToLower(a.Type)})
		}
		if resourceType(a.Type) == resourceArtifact {
			plan.ResourceType = resourceArtifact
		}
		if matcher.LeavesAccessories() {
			continue
		}
		for _, accessory := range a.Accessories {
			for _, reference := range attached.of(accessory) {
				pushed := accessoryWantedSince(matcher, a, accessory, tags)
				add(Item{Reference: reference, Digest: accessory, Subject: a.Digest, pushed: pushed, kind: kindAccessory})
			}
		}
	}
	return plan, nil
}

// accessories are what in a listing belongs to something else in it.
type accessories struct {
	// names are the tags of accessories that have some, such as those that cosign
	// makes: whoever looks for them looks there. They go with the accessory whatever
	// the tag filter says.
	names map[string][]string
	// owners are what each belongs to.
	owners map[string][]registry.Artifact
}

func newAccessories(listing registry.Listing) accessories {
	all := accessories{names: map[string][]string{}, owners: map[string][]registry.Artifact{}}
	for _, a := range listing.Artifacts {
		for _, d := range a.Accessories {
			all.owners[d] = append(all.owners[d], a)
		}
	}
	for _, a := range listing.Artifacts {
		if _, is := all.owners[a.Digest]; is && a.Digest != "" {
			all.names[a.Digest] = a.Tags
		}
	}
	return all
}

// of returns the references by which an accessory is copied.
func (all accessories) of(accessory string) []string {
	if tags := all.names[accessory]; len(tags) > 0 {
		return tags
	}
	return []string{accessory}
}

// candidate is an artifact of the listing for itself. The labels of an accessory are
// those of what it belongs to; of several owners one is enough that the rule wants.
func (all accessories) candidate(matcher *rule.Matcher, repository string, a registry.Artifact) rule.Candidate {
	c := owned(repository, a)
	owners := all.owners[a.Digest]
	c.Accessory = len(owners) > 0
	for _, owner := range owners {
		c.Labels = owner.Labels
		if _, ok := matcher.Match(c); ok {
			break
		}
	}
	return c
}

// kindAccessory is the kind of what belongs to another artifact.
const kindAccessory = "accessory"

// The resource types of Harbor's API.
const (
	resourceImage    = "image"
	resourceArtifact = "artifact"
)

// resourceType is the word of Harbor's API for an artifact type. A registry that
// does not tell a type is taken to hold images.
func resourceType(artifactType string) string {
	if artifactType == "" || strings.EqualFold(artifactType, resourceImage) {
		return resourceImage
	}
	return resourceArtifact
}
