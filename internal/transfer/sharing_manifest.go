package transfer

import (
	"context"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/registry"
)

// sharedManifest is a manifest that one destination reads for all that copy an artifact.
type sharedManifest struct {
	via   party // the artifact: when nobody copies it any more, the manifest is forgotten
	began time.Time
	done  chan struct{}
	value registry.Manifest // valid once done is closed, as err is
	err   error
	bytes int64 // that it counts in the Sharing's memory
}

// manifest reads a manifest of the artifact that via names. What a tag stands for is
// not older than the share: it was asked for after the destination began.
func (s *Share) manifest(ctx context.Context, source *registry.Client, repository, reference, via string) (registry.Manifest, error) {
	own := func() (registry.Manifest, error) { return source.Manifest(ctx, repository, reference) }
	if s == nil || source != s.source || repository != s.repository {
		return own()
	}
	m, reads := s.manifestOf(reference, s.party(via))
	switch {
	case m == nil:
		return own()
	case reads:
		m.value, m.err = own()
		s.g.hold(s.party(reference), m)
		close(m.done)
		return m.value, m.err
	}
	select {
	case <-m.done:
	case <-ctx.Done():
		return registry.Manifest{}, context.Cause(ctx)
	}
	if m.err != nil {
		return own() // with an error of its own, if it has to be one
	}
	return m.value, nil
}

// manifestOf finds a manifest that was read or is being read for others, or makes one
// that the caller has to read. nil: nobody shares it.
func (s *Share) manifestOf(reference string, via party) (m *sharedManifest, reads bool) {
	g := s.g
	g.mu.Lock()
	defer g.mu.Unlock()
	p := s.party(reference)
	if m, ok := g.manifests[p]; ok && (digest.Digest(reference).Validate() == nil || !m.began.Before(s.since)) {
		return m, false
	}
	others := false
	for o := range g.parties[via] {
		others = others || o.to != s.to
	}
	if s.left || !others || !s.references[via.reference] {
		return nil, false
	}
	m = &sharedManifest{via: via, began: time.Now(), done: make(chan struct{})}
	if g.manifests == nil {
		g.manifests = map[party]*sharedManifest{}
	}
	if old, ok := g.manifests[p]; ok {
		g.memory -= old.bytes
	}
	g.manifests[p] = m
	return m, true
}

// hold keeps a manifest that was read for those who are to come, if there is room.
func (g *Sharing) hold(p party, m *sharedManifest) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.manifests[p] != m {
		return // nobody copies the artifact any more
	}
	if n := int64(len(m.value.Content)); m.err == nil && g.reserve(n) {
		m.bytes = n
	} else {
		delete(g.manifests, p)
	}
}

// forgetManifests drops what was read for a party.
func (g *Sharing) forgetManifests(via party) {
	for p, m := range g.manifests {
		if m.via == via {
			g.memory -= m.bytes
			delete(g.manifests, p)
		}
	}
}
