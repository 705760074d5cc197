package registry

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/oci"
)

// harborArtifact is an artifact in the words of Harbor's API. Versions before 2.5 send
// no accessories.
type harborArtifact struct {
	Digest            string    `json:"digest"`
	Type              string    `json:"type"`
	ManifestMediaType string    `json:"manifest_media_type"`
	MediaType         string    `json:"media_type"` // of the config; of an index its own
	ArtifactType      string    `json:"artifact_type"`
	Size              int64     `json:"size"`
	PushTime          time.Time `json:"push_time"`
	Tags              []struct {
		Name     string    `json:"name"`
		PushTime time.Time `json:"push_time"`
	} `json:"tags"`
	Labels []struct {
		Name string `json:"name"`
	} `json:"labels"`
	References []struct {
		ChildDigest string `json:"child_digest"`
	} `json:"references"`
	Accessories []harborAccessory `json:"accessories"`
}

type harborAccessory struct {
	Digest string `json:"digest"`
}

// check refuses names from which no URL should be made.
func (a harborArtifact) check() error {
	digests := []string{a.Digest}
	for _, r := range a.References {
		digests = append(digests, r.ChildDigest)
	}
	for _, acc := range a.Accessories {
		digests = append(digests, acc.Digest)
	}
	for _, d := range digests {
		if checkDigest(digest.Digest(d)) != nil {
			return fmt.Errorf("the registry names an artifact that cannot be asked for: %q", d)
		}
	}
	for _, t := range a.Tags {
		if err := checkTag(t.Name); err != nil {
			return fmt.Errorf("the registry names a tag that cannot be asked for: %w", err)
		}
	}
	return nil
}

// artifact is the same in the words of this package, without accessories.
func (a harborArtifact) artifact() Artifact {
	out := Artifact{
		Digest: a.Digest, Type: strings.ToLower(a.Type), MediaType: a.ManifestMediaType, Size: a.Size, PushTime: a.PushTime.UTC(),
		TagTimes: make(map[string]time.Time, len(a.Tags)),
	}
	for _, t := range []string{a.MediaType, a.ArtifactType} {
		if t != "" {
			out.Types = append(out.Types, t)
		}
	}
	for _, t := range a.Tags {
		out.Tags = append(out.Tags, t.Name)
		if !t.PushTime.IsZero() {
			out.TagTimes[t.Name] = t.PushTime.UTC()
		}
	}
	for _, l := range a.Labels {
		out.Labels = append(out.Labels, l.Name)
	}
	return out
}

// artifacts lists what a repository holds. With base=* Harbor lists the children of
// indexes too, with their accessories, which would otherwise cost a request each. An
// accessory is in no list: its tags and its own accessories have to be asked for.
func (h *harbor) artifacts(ctx context.Context, name string, labels bool) ([]Artifact, error) {
	query := url.Values{"q": {"base=*"}, "with_tag": {"true"}, "with_label": {strconv.FormatBool(labels)}, "with_accessory": {"true"}}
	list, err := listAll[harborArtifact](ctx, h, h.repository(name, "artifacts"), query)
	if err != nil {
		return nil, err
	}
	g := harborGraph{artifacts: map[string]harborArtifact{}, child: map[string]bool{}}
	for _, a := range list {
		if err := a.check(); err != nil {
			return nil, err
		}
		g.add(a) // one that is listed twice has moved between two pages
	}
	order := slices.Clone(g.order)
	if err := h.readAccessories(ctx, name, &g); err != nil {
		return nil, err
	}
	g.joinCosign()
	var all []Artifact
	for _, d := range order {
		a := g.artifacts[d]
		if g.child[d] && len(a.Tags) == 0 {
			continue
		}
		out := a.artifact()
		out.Accessories = g.accessories(d)
		for _, accessory := range out.Accessories {
			if at := g.artifacts[accessory].PushTime; !at.IsZero() {
				if out.AccessoryTimes == nil {
					out.AccessoryTimes = map[string]time.Time{}
				}
				out.AccessoryTimes[accessory] = at.UTC()
			}
		}
		all = append(all, out)
	}
	for _, d := range g.order[len(order):] { // accessories
		if a := g.artifacts[d]; len(a.Tags) > 0 {
			all = append(all, a.artifact())
		}
	}
	return all, nil
}

// readAccessories asks for accessories that the graph names and does not have, and for
// theirs, until there are no more.
func (h *harbor) readAccessories(ctx context.Context, name string, g *harborGraph) error {
	for missing := g.missing(); len(missing) > 0; missing = g.missing() {
		if len(g.order)+len(missing) > harborMost {
			return fmt.Errorf("more than %d accessories: %w", harborMost, ErrTooLarge)
		}
		var mu sync.Mutex
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(listers)
		for _, d := range missing {
			group.Go(func() error {
				a, err := h.artifact(ctx, name, d)
				if IsNotFound(err) { // deleted in between
					a, err = harborArtifact{Digest: d}, nil
				}
				if err != nil {
					return fmt.Errorf("look at accessory %s: %w", d, err)
				}
				mu.Lock()
				defer mu.Unlock()
				g.add(a)
				return nil
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// artifact asks for one artifact, by tag or digest.
func (h *harbor) artifact(ctx context.Context, name, reference string) (harborArtifact, error) {
	r := h.request(http.MethodGet, h.repository(name, "artifacts", reference))
	r.url.RawQuery = "with_tag=true&with_label=true&with_accessory=true"
	answer, err := h.session.do(ctx, r)
	if err != nil {
		return harborArtifact{}, h.lacks(err, "artifact: read", project(name))
	}
	var a harborArtifact
	if err := decode(answer, &a); err != nil {
		return a, err
	}
	if err := a.check(); err != nil {
		return a, err
	}
	if byDigest := checkTag(reference) != nil; byDigest && a.Digest != reference {
		return a, fmt.Errorf("asked for %s the registry answers with %s: %w", reference, a.Digest, ErrDigestMismatch)
	}
	return a, nil
}

// harborGraph is what a repository's artifacts have to do with each other.
type harborGraph struct {
	artifacts map[string]harborArtifact
	order     []string
	child     map[string]bool // an index names it
}

func (g *harborGraph) add(a harborArtifact) {
	if _, twice := g.artifacts[a.Digest]; twice {
		return
	}
	g.artifacts[a.Digest] = a
	g.order = append(g.order, a.Digest)
	for _, r := range a.References {
		g.child[r.ChildDigest] = true
	}
}

// missing are the accessories that are named and not there.
func (g *harborGraph) missing() []string {
	var missing []string
	seen := map[string]bool{}
	for _, d := range g.order {
		for _, acc := range g.artifacts[d].Accessories {
			if _, there := g.artifacts[acc.Digest]; !there && !seen[acc.Digest] {
				seen[acc.Digest] = true
				missing = append(missing, acc.Digest)
			}
		}
	}
	return missing
}

// joinCosign makes accessories of what cosign keeps in tags: Harbor calls only
// signatures so, and versions before 2.5 nothing.
func (g *harborGraph) joinCosign() {
	for _, d := range g.order {
		subject, there := g.artifacts[oci.CosignSubject(g.artifacts[d].artifact().Tags).String()]
		if !there || subject.Digest == d || slices.ContainsFunc(subject.Accessories, func(a harborAccessory) bool { return a.Digest == d }) {
			continue
		}
		subject.Accessories = append(slices.Clone(subject.Accessories), harborAccessory{Digest: d})
		g.artifacts[subject.Digest] = subject
	}
}

// accessories is everything that refers to an artifact or its children, directly or
// through another accessory.
func (g *harborGraph) accessories(of string) []string {
	var all []string
	seen := map[string]bool{of: true}
	for open := []string{of}; len(open) > 0; open = open[1:] {
		a := g.artifacts[open[0]]
		for _, r := range a.References {
			if !seen[r.ChildDigest] {
				seen[r.ChildDigest] = true
				open = append(open, r.ChildDigest)
			}
		}
		for _, acc := range a.Accessories {
			if !seen[acc.Digest] {
				seen[acc.Digest] = true
				all, open = append(all, acc.Digest), append(open, acc.Digest)
			}
		}
	}
	return all
}
