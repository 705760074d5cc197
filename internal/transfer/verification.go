package transfer

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/registry"
)

// Verification looks whether artifacts are whole at the destination: each manifest is
// read there, and each blob that it names is asked for by HEAD. What it once saw it
// does not ask again, so it is good for one run only, and it believes nothing that the
// engine remembers: what somebody took away is what it is there to find. It is safe
// for concurrent use.
type Verification struct {
	e *Engine

	mu   sync.Mutex
	seen map[place]*sighting
}

// sighting is what is known of one thing, once done is closed.
type sighting struct {
	done  chan struct{}
	lacks []Lack
	err   error
}

// Lack is something that an artifact needs and the destination does not have.
type Lack struct {
	Role   string // manifest, config, layer, ...
	Digest digest.Digest
}

// String returns the lack in words for people.
func (l Lack) String() string {
	return fmt.Sprintf("%s %s is not at the destination", l.Role, l.Digest)
}

// NewVerification begins a verification. It makes no request.
func (e *Engine) NewVerification() *Verification {
	return &Verification{e: e, seen: map[place]*sighting{}}
}

// Lacks returns what is missing of the artifact d in a repository of the destination,
// nothing if it is whole. Blobs that live outside of registries by design are not
// looked for. Of a sparse index, wanted are the manifests that are to be there, at every depth;
// none: all.
func (v *Verification) Lacks(ctx context.Context, repository string, d digest.Digest, wanted ...digest.Digest) ([]Lack, error) {
	var only map[digest.Digest]bool
	for _, one := range wanted {
		if only == nil {
			only = map[digest.Digest]bool{}
		}
		only[one] = true
	}
	lacks, err := v.manifest(ctx, repository, d, 0, only)
	if err != nil {
		return nil, fmt.Errorf("verify %s at %s: %w", name(repository, string(d)), v.e.o.Name, err)
	}
	return lacks, nil
}

// once has f look at a place, unless somebody has. A failure is not kept.
func (v *Verification) once(ctx context.Context, at place, f func() ([]Lack, error)) ([]Lack, error) {
	for {
		v.mu.Lock()
		s, known := v.seen[at]
		if !known {
			s = &sighting{done: make(chan struct{})}
			v.seen[at] = s
		}
		v.mu.Unlock()
		if !known {
			if s.lacks, s.err = f(); s.err != nil {
				v.mu.Lock()
				delete(v.seen, at)
				v.mu.Unlock()
			}
			close(s.done)
			return s.lacks, s.err
		}
		select {
		case <-s.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if s.err == nil {
			return s.lacks, nil
		}
	}
}

func (v *Verification) manifest(ctx context.Context, repository string, d digest.Digest, depth int, wanted map[digest.Digest]bool) ([]Lack, error) {
	return v.once(ctx, place{aManifest, repository, d}, func() ([]Lack, error) {
		m, err := v.e.target.Manifest(ctx, repository, string(d))
		if registry.IsNotFound(err) {
			v.e.exists.missing(repository, string(d))
			return []Lack{{"manifest", d}}, nil
		}
		if err != nil {
			return nil, failure(Destination, err, "read manifest %s", short(d))
		}
		n, err := oci.Parse(m.Content)
		if err == nil && depth > maxDepth {
			err = fmt.Errorf("%w: indexes are nested more than %d deep", oci.ErrMalformed, maxDepth)
		}
		if err == nil && len(n.Blobs)+len(n.Children) > maxBlobs {
			err = fmt.Errorf("%w: it refers to more than %d blobs and manifests", oci.ErrMalformed, maxBlobs)
		}
		if err != nil {
			return nil, fault(Destination, err, "read manifest %s", short(d))
		}
		if wanted != nil {
			n.Children = slices.DeleteFunc(n.Children, func(d ocispec.Descriptor) bool { return !wanted[d.Digest] })
		}
		return v.parts(ctx, repository, n, depth, wanted)
	})
}

func (v *Verification) parts(ctx context.Context, repository string, n oci.Manifest, depth int, wanted map[digest.Digest]bool) ([]Lack, error) {
	var mu sync.Mutex
	var lacks []Lack
	add := func(more []Lack, err error) error {
		mu.Lock()
		defer mu.Unlock()
		lacks = append(lacks, more...)
		return err
	}
	err := each(ctx, blobsAtOnce, n.Blobs, func(ctx context.Context, b oci.Blob) error {
		if b.Foreign {
			return nil
		}
		return add(v.blob(ctx, repository, b))
	})
	if err != nil {
		return nil, err
	}
	// A manifest waits for its children only, which are further down: no circle can form,
	// since a digest cannot be among what it is made from.
	for _, child := range n.Children {
		if err := add(v.manifest(ctx, repository, child.Digest, depth+1, wanted)); err != nil {
			return nil, err
		}
	}
	return lacks, nil
}

func (v *Verification) blob(ctx context.Context, repository string, b oci.Blob) ([]Lack, error) {
	return v.once(ctx, place{aBlob, repository, b.Digest}, func() ([]Lack, error) {
		there, size, err := v.e.target.BlobExists(ctx, repository, b.Digest)
		if err != nil {
			return nil, failure(Destination, err, "look for %s %s", b.Role, short(b.Digest))
		}
		if there && (size <= 0 || b.Size < 0 || size == b.Size) {
			return nil, nil
		}
		v.e.exists.forget(aBlob, repository, b.Digest)
		if b.Role == oci.Entry { // of a type that nobody knows: it may be a manifest after all
			if state, err := v.e.Inspect(ctx, repository, string(b.Digest)); err != nil || !state.Absent() {
				return nil, err
			}
		}
		return []Lack{{string(b.Role), b.Digest}}, nil
	})
}
