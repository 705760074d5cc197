package transfer

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/oci"
)

// Estimate finds out what copies to one destination would send, and changes nothing
// there. It goes the way that Copy goes, but for what writes: manifests are read from
// the source, blobs are asked for at the destination. The copies are taken as one run:
// a blob that one of them would send is there for the others. It is safe for concurrent
// use, and remembers every blob that it has met.
type Estimate struct {
	e      *Engine
	blobs  flights[place, delivery]
	trees  flights[place, struct{}]
	claims claims

	mu    sync.Mutex
	there map[place]bool           // what the destination would hold by now
	homes map[digest.Digest]string // one repository that would hold a blob
}

// Cost is what a copy would take.
type Cost struct {
	Digest digest.Digest // of the artifact, at the source
	// Bytes of distinct blobs, the accessories' included: to be sent, to be mounted from
	// another repository of the destination, and there already.
	Send, Mount, Present int64
	// Manifests is how many are read from the source, at least: where only some platforms
	// are copied, more are looked at.
	Manifests int64
	// Platforms are those that are copied of an index; none for what is no index.
	Platforms []string
}

// NewEstimate begins an estimate. It makes no request.
func (e *Engine) NewEstimate() *Estimate {
	return &Estimate{e: e, there: map[place]bool{}, homes: map[digest.Digest]string{}}
}

// Cost returns what Copy would take for the same request. Where the destination has not
// shown yet whether it mounts blobs, it is believed to.
func (s *Estimate) Cost(ctx context.Context, r Request) (Cost, error) {
	if err := r.check(); err != nil {
		return Cost{}, err
	}
	r.estimate, r.Log, r.Progress = s, nil, nil
	c := newCopying(s.e, r)
	err := c.run(ctx)
	p := c.track.close()
	top := c.result.Digest
	if c.result.Stored != "" {
		top = c.result.Stored
	}
	cost := Cost{
		Digest: c.result.Digest, Send: p.BytesSent, Mount: p.BytesMounted, Present: p.BytesPresent,
		Manifests: c.manifests.Load(), Platforms: platformsOf(c.childrenOf(top)),
	}
	if err != nil {
		return cost, fmt.Errorf("find out what it takes to copy %s to %s: %w", r.from(), r.to(s.e.o.Name), err)
	}
	return cost, nil
}

// platformsOf names the platforms of an index's children, each once.
func platformsOf(children []ocispec.Descriptor) []string {
	var names []string
	for _, child := range children {
		p := child.Platform
		if p == nil || p.OS == "" || p.OS == "unknown" { // attestations have "unknown"
			continue
		}
		text := p.OS + "/" + p.Architecture
		if p.Variant != "" {
			text += "/" + p.Variant
		}
		names = append(names, text)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// has reports whether the destination would hold something by now. A nil Estimate
// knows of nothing.
func (s *Estimate) has(at place) bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.there[at]
}

func (s *Estimate) note(at place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.there[at] = true
	if at.kind == aBlob && s.homes[at.digest] == "" {
		s.homes[at.digest] = at.repository
	}
}

func (s *Estimate) home(d digest.Digest) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.homes[d]
}

// child is copying.child without a write.
func (s *Estimate) child(ctx context.Context, at place, bring func(context.Context) error) error {
	for {
		if s.has(at) {
			return nil
		}
		_, shared, err := s.trees.do(ctx, at, func(ctx context.Context) (struct{}, error) {
			err := bring(ctx)
			if err == nil {
				s.note(at)
			}
			return struct{}{}, err
		})
		if err == nil || !shared || ctx.Err() != nil || sparesOthers(err) {
			return err
		}
	}
}

// blob is Engine.ensure without a write.
func (s *Estimate) blob(ctx context.Context, b blob) (delivery, error) {
	at := place{aBlob, b.repository, b.desc.Digest}
	if s.has(at) || s.e.exists.holds(aBlob, at.repository, at.digest) {
		s.note(at)
		return delivery{how: fatePresent, size: max(b.desc.Size, 0)}, nil
	}
	for {
		got, shared, err := s.blobs.do(ctx, at, func(ctx context.Context) (delivery, error) {
			got, err := s.bring(ctx, b)
			if err == nil {
				s.note(at)
			}
			return got, err
		})
		switch {
		case err == nil && shared:
			got.how = fatePresent
		case err == nil && got.how == fateSent && b.sent != nil && got.size > 0:
			b.sent(got.size)
		}
		if err == nil || !shared || ctx.Err() != nil || sparesOthers(err) {
			return got, err
		}
	}
}

// bring is Engine.bring without a write: of the repositories that want a blob the first
// one sends it, and the others mount it from there.
func (s *Estimate) bring(ctx context.Context, b blob) (delivery, error) {
	d := b.desc.Digest
	for {
		if s.e.mounts.hopeless() {
			return s.settle(ctx, b)
		}
		if from := s.home(d); from != "" {
			return delivery{how: fateMounted, from: from, size: max(b.desc.Size, 0)}, nil
		}
		held, own := s.claims.take(d)
		if own {
			got, err := s.settle(ctx, b)
			if err == nil {
				s.note(place{aBlob, b.repository, d}) // before others look for a home
			}
			s.claims.release(d, held, err)
			return got, err
		}
		select {
		case <-held.done:
		case <-ctx.Done():
			return delivery{}, context.Cause(ctx)
		}
		if sparesOthers(held.err) {
			return delivery{}, held.err
		}
	}
}

// settle is Engine.settle without a write.
func (s *Estimate) settle(ctx context.Context, b blob) (delivery, error) {
	d, size := b.desc.Digest, b.desc.Size
	there, held, err := s.e.target.BlobExists(ctx, b.repository, d)
	if err != nil {
		return delivery{}, failure(Destination, err, "look for %s %s", b.role, short(d))
	}
	if there && (held <= 0 || size < 0 || held == size) {
		s.e.exists.remember(aBlob, b.repository, d)
		return delivery{how: fatePresent, size: max(size, held, 0)}, nil
	}
	from := s.e.mountSource(b)
	if from == "" {
		from = s.e.holder(ctx, b)
	}
	how := fateSent
	if from != "" {
		how = fateMounted
	}
	if size < 0 || b.role == string(oci.Entry) {
		if size, err = s.sizeAtSource(ctx, b); err != nil {
			return delivery{}, err
		}
	}
	return delivery{how: how, from: from, size: max(size, 0)}, nil
}

// sizeAtSource is the size of a blob that its manifest does not tell, or which may be a
// manifest: then the error is registry.IsNotFound.
func (s *Estimate) sizeAtSource(ctx context.Context, b blob) (int64, error) {
	there, size, err := b.source.BlobExists(ctx, b.sourceRepository, b.desc.Digest)
	if err == nil && !there {
		body, opened := b.source.Blob(ctx, b.sourceRepository, b.desc.Digest, 0, b.desc.Size)
		if err = opened; err == nil {
			err = body.Close()
		}
	}
	if err != nil {
		return 0, failure(Source, err, "look for %s %s", b.role, short(b.desc.Digest))
	}
	return max(size, b.desc.Size), nil
}
