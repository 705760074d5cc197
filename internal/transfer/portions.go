package transfer

import (
	"context"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/oci"
)

// Portions remembers which indexes of the destination were put there without some of
// what they list, and which were made smaller. What it does not know counts as whole.
// It may be called by several goroutines.
type Portions interface {
	// Lacking returns those of some digests of a repository at the destination of which
	// something may be missing that is for these platforms; none: for any.
	Lacking(ctx context.Context, repository string, platforms oci.Platforms, digests ...digest.Digest) (map[digest.Digest]bool, error)
	// Begin notes that an index is about to be put. fresh: the destination does not have it, so
	// what was noted of it until now does not hold any more.
	Begin(ctx context.Context, n PortionNote, fresh bool) error
	// Done notes that all that is wanted is there.
	Done(ctx context.Context, n PortionNote) error
	// Made returns what an index of the source has become at the destination.
	Made(ctx context.Context, repository string, source digest.Digest, platforms oci.Platforms) ([]digest.Digest, error)
	// Forget drops what is noted of a digest: it is whole now, or gone.
	Forget(ctx context.Context, repository string, d digest.Digest) error
}

// PortionNote is an index that is at the destination for some platforms.
type PortionNote struct {
	Repository string        // at the destination
	Source     digest.Digest // of the index at the source
	Digest     digest.Digest // at the destination: the same one, or what it was made into
	Platforms  oci.Platforms
}

// ownPortions are the Portions of an engine that was given none: what it has done itself.
// Of an index that it has not put it believes nothing when platforms are asked for: whoever
// put it there may have left some out.
type ownPortions struct {
	mu   sync.Mutex
	done map[place][]oci.Platforms // of sparse indexes; an empty list: it is not finished
}

func (o *ownPortions) Lacking(_ context.Context, repository string, platforms oci.Platforms, digests ...digest.Digest) (map[digest.Digest]bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	lacking := map[digest.Digest]bool{}
	for _, d := range digests {
		parts, known := o.done[place{aManifest, repository, d}]
		lacks := known || len(platforms) > 0
		for _, part := range parts {
			lacks = lacks && !(len(platforms) > 0 && part.Cover(platforms))
		}
		lacking[d] = lacks
	}
	return lacking, nil
}

func (o *ownPortions) Begin(_ context.Context, n PortionNote, fresh bool) error {
	if n.Source != n.Digest {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	at := place{aManifest, n.Repository, n.Digest}
	if o.done == nil {
		o.done = map[place][]oci.Platforms{}
	}
	if fresh {
		delete(o.done, at)
	}
	o.done[at] = append([]oci.Platforms{}, o.done[at]...)
	return nil
}

func (o *ownPortions) Done(ctx context.Context, n PortionNote) error {
	if err := o.Begin(ctx, n, false); err != nil || n.Source != n.Digest {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	at := place{aManifest, n.Repository, n.Digest}
	o.done[at] = append(o.done[at], n.Platforms)
	return nil
}

func (o *ownPortions) Made(context.Context, string, digest.Digest, oci.Platforms) ([]digest.Digest, error) {
	return nil, nil
}

func (o *ownPortions) Forget(_ context.Context, repository string, d digest.Digest) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.done, place{aManifest, repository, d})
	return nil
}

// Lacking returns those of some indexes that the destination has of which something may be
// missing that is for these platforms; none: for any.
func (e *Engine) Lacking(ctx context.Context, repository string, platforms oci.Platforms, digests ...digest.Digest) (map[digest.Digest]bool, error) {
	return e.portions.Lacking(ctx, repository, platforms, digests...)
}

// lacks is Lacking for one digest.
func (e *Engine) lacks(ctx context.Context, repository string, platforms oci.Platforms, d digest.Digest) (bool, error) {
	lacking, err := e.portions.Lacking(ctx, repository, platforms, d)
	return lacking[d], err
}

// HasAll reports whether the destination has all of some manifests. It asks until one is missing.
func (e *Engine) HasAll(ctx context.Context, repository string, digests []digest.Digest) (bool, error) {
	for _, d := range digests {
		if state, err := e.Inspect(ctx, repository, string(d)); err != nil || state.Absent() {
			return false, err
		}
	}
	return true, nil
}

// RemoveMade deletes what an index of the source has become at the destination, as
// RemoveArtifact does.
func (e *Engine) RemoveMade(ctx context.Context, repository string, source digest.Digest, platforms oci.Platforms) (Removal, error) {
	made, err := e.portions.Made(ctx, repository, source, platforms)
	if err != nil {
		return "", err
	}
	removal := NotThere
	for _, d := range made {
		got, err := e.RemoveArtifact(ctx, repository, d)
		if err != nil {
			return removal, err
		}
		if removal != Removed && got != NotThere {
			removal = got
		}
	}
	return removal, nil
}
