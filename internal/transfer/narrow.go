package transfer

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/registry"
)

// carryPortion is carry for what is copied for some platforms only: the source is read
// first, since what the destination has to have follows from it.
func (c *copying) carryPortion(ctx context.Context, l link) (carried, error) {
	reference := l.source
	if l.digest != "" {
		reference = string(l.digest)
	}
	m, err := c.sourceManifest(ctx, reference)
	if err != nil {
		return carried{digest: l.digest}, c.sourceFailure(err, reference)
	}
	p, err := readsFrom(c.r.Source, c.r.SourceRepository, c.r.Platforms, c.r.Rewrite).artifact(ctx, m, 0)
	if err != nil {
		return carried{digest: m.Digest}, narrowFailure(Source, err, "read manifest %s", name(c.r.SourceRepository, string(m.Digest)))
	}
	if p.verdict == notChosen {
		got := carried{outcome: LeftOut, digest: m.Digest, reason: p.why(c.r.Platforms)}
		c.say("%s: %s; it is not copied", c.what(l), got.reason)
		return got, nil
	}
	if p.whole() {
		l.digest = m.Digest
		return c.carryWhole(ctx, l)
	}
	c.know(p)
	got := carried{digest: m.Digest, stored: p.manifest.Digest, media: m.MediaType}
	if l.target == "" {
		l.target = string(got.stored)
	}
	state := l.state
	if !state.Asked() {
		if state, err = c.e.Inspect(ctx, c.r.TargetRepository, l.target); err != nil {
			return got, err
		}
	}
	if state.Absent() {
		c.e.exists.missing(c.r.TargetRepository, l.target)
	}
	got.previous = state.Digest()
	if got.previous == got.stored && !c.r.Thorough {
		lacks, err := c.lacksOf(ctx, p)
		if err != nil {
			return got, err
		}
		if !lacks {
			got.outcome = Unchanged
			c.say("%s: the destination has it already (%s)", c.what(l), short(got.stored))
			return got, nil
		}
		c.say("%s: the destination has %s, but not for all platforms that are wanted", c.what(l), short(got.stored))
	} else if got.previous != "" && got.previous != got.stored && !l.override {
		got.outcome = Kept
		c.say("%s: the destination has something else (%s) under this tag; it is kept", c.what(l), short(state.Digest()))
		return got, nil
	}
	if err := c.topPortion(ctx, p, l.target); err != nil {
		return got, err
	}
	got.outcome = Copied
	if p.rewritten() {
		c.say("%s: copied %s for %s, as the smaller index %s", c.what(l), short(got.digest), c.r.Platforms.InWords(), short(got.stored))
	} else {
		c.say("%s: copied %s for %s", c.what(l), short(got.digest), c.r.Platforms.InWords())
	}
	return got, nil
}

// know notes what is left out before anything is copied.
func (c *copying) know(p *portion) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.each(func(p *portion) {
		c.portions[p.manifest.Digest] = p
		c.children[p.manifest.Digest] = p.parsed.Children
	})
}

// portionOf returns what is known to be left out of a manifest, nil if it is nothing.
func (c *copying) portionOf(d digest.Digest) *portion {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.portions[d]
}

// topPortion is top for an index of which something is left out.
func (c *copying) topPortion(ctx context.Context, p *portion, reference string) error {
	d := p.manifest.Digest
	state, err := c.e.Inspect(ctx, c.r.TargetRepository, string(d))
	if err != nil {
		return err
	}
	if !state.Absent() && !c.r.Thorough {
		lacks, err := c.lacksOf(ctx, p)
		if err != nil {
			return err
		}
		if !lacks {
			c.say("%s: the destination has %s already; only the tag is set", name(c.r.SourceRepository, c.r.SourceReference), short(d))
			return c.store(ctx, p.manifest, p.parsed, reference, 0)
		}
	}
	how := trusting
	if c.r.Thorough {
		how = checking
	}
	return c.noting(ctx, d, p, state.Absent(), func() error {
		if err := c.parts(ctx, p.parsed, 0, how, true, nil); err != nil {
			return err
		}
		return c.store(ctx, p.manifest, p.parsed, reference, 0)
	})
}

// noting has put bring a manifest that lists others, and keeps the books: before an index
// is there of which something is left out, they say so. A whole one makes them forget.
func (c *copying) noting(ctx context.Context, d digest.Digest, p *portion, fresh bool, put func() error) error {
	if c.r.estimate != nil {
		return put() // nothing is put
	}
	if p == nil {
		if err := put(); err != nil {
			return err
		}
		lacks, err := c.e.lacks(ctx, c.r.TargetRepository, nil, d)
		if err != nil || !lacks {
			return err
		}
		return c.e.portions.Forget(ctx, c.r.TargetRepository, d)
	}
	note := PortionNote{Repository: c.r.TargetRepository, Source: p.source, Digest: d, Platforms: c.r.Platforms}
	if err := c.e.portions.Begin(ctx, note, fresh && !p.rewritten()); err != nil {
		return err
	}
	if err := put(); err != nil {
		return err
	}
	return c.e.portions.Done(ctx, note)
}

// lacksOf reports whether the destination may lack something that is wanted of an index that
// it has. One that was made smaller is there or not; its digest says what it lists.
func (c *copying) lacksOf(ctx context.Context, p *portion) (bool, error) {
	platforms := c.r.Platforms
	if p.rewritten() {
		platforms = nil
	}
	return c.e.lacks(ctx, c.r.TargetRepository, platforms, p.manifest.Digest)
}

// believes reports whether a manifest that the destination has by name can be taken to be
// there with all that is wanted of it.
func (c *copying) believes(ctx context.Context, d digest.Digest, mediaType string) (bool, error) {
	if oci.ListsNothing(mediaType) {
		return true, nil
	}
	var lacks bool
	var err error
	if p := c.portionOf(d); p != nil {
		lacks, err = c.lacksOf(ctx, p)
	} else {
		lacks, err = c.e.lacks(ctx, c.r.TargetRepository, nil, d)
	}
	return err == nil && !lacks, err
}

// refusesSparse reports whether the destination refused an index because of what is
// left out of it. named are the digests that it said it lacks.
func refusesSparse(p *portion, named map[digest.Digest]bool) bool {
	if p == nil {
		return false
	}
	for _, d := range p.left {
		if named[d] {
			return true
		}
	}
	return false
}

// sparseHint says what can be done about a registry that takes no sparse index.
func sparseHint(err error) error {
	return fmt.Errorf("the destination takes no index without all that it lists: have a smaller index made "+
		"(platform_mode: rewrite), or let the registry take it (distribution 3: validation.manifests.indexes.platforms: none): %w", err)
}

// mayRefuseSparse reports whether a refusal may be because of what an index lacks. Registries
// have many ways to say so.
func mayRefuseSparse(err error) bool {
	e, ok := errors.AsType[*registry.Error](err)
	if !ok || registry.IsTemporary(err) {
		return false
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return false
	}
	return e.Status >= 400 && e.Status < 500
}

// withoutRewritten leaves out of the manifests whose accessories are looked for those that
// are others at the destination: what refers to them does not refer to what is there.
func (c *copying) withoutRewritten(all []digest.Digest) []digest.Digest {
	kept := all[:0:0]
	for _, d := range all {
		if p := c.portionOf(d); p != nil && p.rewritten() {
			c.say("accessories of the index %s (signatures, SBOMs and the like) are not copied: at the destination it is %s, to which they do not refer",
				short(p.source), short(d))
			continue
		}
		kept = append(kept, d)
	}
	return kept
}
