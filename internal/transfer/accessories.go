package transfer

import (
	"context"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/registry"
)

// cosignSuffixes are the tags beside an image in which cosign keeps what belongs to
// it: sha256-<hex>.sig and so on (cosign: SIGNATURE_SPEC.md, "Tag-based discovery").
var cosignSuffixes = [...]string{".sig", ".att", ".sbom"}

// accessories copies what refers to the artifact that was carried, to the manifests
// within it, and to the accessories themselves.
func (c *copying) accessories(ctx context.Context, top carried) error {
	tree, err := c.manifestsWithin(ctx, top)
	if err != nil {
		return err
	}
	look := top.outcome == Unchanged // then the accessories are likely to be there too
	met := map[digest.Digest]bool{}
	for level := tree; len(level) > 0; {
		var mu sync.Mutex
		var next []digest.Digest
		err := each(ctx, childrenAtOnce, level, func(ctx context.Context, subject digest.Digest) error {
			found, err := c.accessoriesOf(ctx, subject, look)
			mu.Lock()
			defer mu.Unlock()
			for _, placed := range found {
				c.result.Accessories = append(c.result.Accessories, placed)
				c.result.Placed = append(c.result.Placed, placed)
				next = append(next, placed.Digest)
			}
			return err
		})
		if err != nil {
			return err
		}
		for _, d := range level {
			met[d] = true
		}
		level = nil
		for _, d := range next {
			if !met[d] {
				met[d] = true
				level = append(level, d)
			}
		}
		if len(met) > maxManifests {
			return fault(Source, fmt.Errorf("there are more than %d of them", maxManifests), "list accessories of %s", short(top.digest))
		}
	}
	return nil
}

// manifestsWithin returns the digests of the artifact's own manifest and of all that
// it consists of.
func (c *copying) manifestsWithin(ctx context.Context, top carried) ([]digest.Digest, error) {
	if top.outcome == Unchanged && !c.hasRead(top.at()) {
		m, err := c.sourceManifest(ctx, string(top.digest))
		if err != nil {
			return nil, c.sourceFailure(err, string(top.digest))
		}
		if _, err := c.read(m, 0); err != nil {
			return nil, err
		}
	}
	all := []digest.Digest{top.at()}
	met := map[digest.Digest]bool{top.at(): true}
	for i := 0; i < len(all); i++ {
		for _, child := range c.childrenOf(all[i]) {
			if met[child.Digest] {
				continue
			}
			met[child.Digest] = true
			all = append(all, child.Digest)
			// An index within that was at the destination already has not been read.
			if isIndex(child.MediaType) && !c.hasRead(child.Digest) {
				m, err := c.sourceManifest(ctx, string(child.Digest))
				if err != nil {
					return nil, c.sourceFailure(err, string(child.Digest))
				}
				if _, err := c.read(m, 0); err != nil {
					return nil, err
				}
			}
		}
	}
	return c.withoutRewritten(all), nil
}

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == registry.MediaTypeDockerManifestList
}

func (c *copying) childrenOf(d digest.Digest) []ocispec.Descriptor {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.children[d]
}

func (c *copying) hasRead(d digest.Digest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.children[d]
	return ok
}

// accessoriesOf copies the accessories of one manifest.
func (c *copying) accessoriesOf(ctx context.Context, subject digest.Digest, look bool) ([]Placed, error) {
	found, err := c.referrers(ctx, subject)
	if err != nil {
		return nil, err
	}
	var placed []Placed
	var mu sync.Mutex
	note := func(reference string, d digest.Digest) {
		mu.Lock()
		defer mu.Unlock()
		placed = append(placed, Placed{Reference: reference, Digest: d})
	}
	err = each(ctx, childrenAtOnce, found, func(ctx context.Context, desc ocispec.Descriptor) error {
		if err := c.child(ctx, desc, 0, trusting, look); err != nil {
			return fmt.Errorf("accessory %s of %s: %w", short(desc.Digest), short(subject), err)
		}
		note(string(desc.Digest), desc.Digest)
		return nil
	})
	if err != nil {
		return placed, err
	}
	if err := c.confirmAnnounced(ctx, subject, found); err != nil {
		return placed, err
	}
	tags, err := c.cosignTags(ctx, subject)
	if err != nil {
		return placed, err
	}
	for _, tag := range tags {
		got, err := c.carryWhole(ctx, link{source: tag, target: tag, override: c.r.Override})
		if err != nil {
			return placed, fmt.Errorf("accessory %s of %s: %w", tag, short(subject), err)
		}
		if got.outcome != Kept {
			note(tag, got.digest)
		}
	}
	return placed, nil
}

// referrers lists what names the manifest as its subject at the source.
func (c *copying) referrers(ctx context.Context, subject digest.Digest) ([]ocispec.Descriptor, error) {
	return c.e.referrersOf(ctx, c.r.Source, c.r.SourceRepository, subject, c.asOf())
}

// cosignTags returns the tags in which cosign keeps what belongs to the manifest.
func (c *copying) cosignTags(ctx context.Context, subject digest.Digest) ([]string, error) {
	list, err := c.e.accessoryTags(ctx, c.r.Source, c.r.SourceRepository, c.asOf())
	if err != nil {
		return nil, failure(Source, err, "list tags of %s", c.r.SourceRepository)
	}
	var tags []string
	for _, suffix := range cosignSuffixes {
		tag := registry.ReferrersTag(subject) + suffix
		there := list.tags[tag]
		if list.unreadable {
			_, err := c.r.Source.Resolve(ctx, c.r.SourceRepository, tag)
			if err != nil && !registry.IsNotFound(err) {
				return nil, failure(Source, err, "look for %s", name(c.r.SourceRepository, tag))
			}
			there = err == nil
		}
		if there {
			tags = append(tags, tag)
		}
	}
	return tags, nil
}
