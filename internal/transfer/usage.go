package transfer

import (
	"context"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/registry"
)

// usage looks for a manifest below what tags stand for.
type usage struct {
	e          *Engine
	repository string
	wanted     digest.Digest

	mu      sync.Mutex
	found   bool
	visited map[digest.Digest]bool
}

func (u *usage) known() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.found
}

// enter notes a visit; false: there is nothing new to see.
func (u *usage) enter(d digest.Digest) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if d == u.wanted {
		u.found = true
	}
	if u.found || u.visited[d] {
		return false
	}
	if u.visited == nil {
		u.visited = map[digest.Digest]bool{}
	}
	u.visited[d] = true
	return true
}

// visit looks at a manifest and, if it can list others, at those. What has a type
// that is not known to list nothing is read.
func (u *usage) visit(ctx context.Context, d digest.Digest, mediaType string, depth int) error {
	if !u.enter(d) || oci.ListsNothing(mediaType) {
		return nil
	}
	if depth > maxDepth {
		return fault(Destination, fmt.Errorf("%w: indexes are nested more than %d deep", oci.ErrMalformed, maxDepth), "read manifest %s", short(d))
	}
	m, err := u.e.target.Manifest(ctx, u.repository, string(d))
	if registry.IsNotFound(err) {
		return nil // a sparse index: what is not there needs nothing
	}
	if err != nil {
		return failure(Destination, err, "read manifest %s", short(d))
	}
	n, err := oci.Parse(m.Content)
	if err != nil {
		return fault(Destination, err, "read manifest %s", short(d))
	}
	for _, child := range n.Children {
		if err := u.visit(ctx, child.Digest, child.MediaType, depth+1); err != nil {
			return err
		}
	}
	return nil
}
