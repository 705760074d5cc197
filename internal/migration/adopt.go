package migration

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// adopt finds out what a destination holds that has no journal yet: one that another
// tool has filled, one whose journal was lost, or the old volume that a registry goes
// back to. What is found to be right is recorded and need not be copied.
//
// A store says by ETag and checksum what it holds; what it does not say so is copied
// again. In a directory links are read, and a blob counts as there when it has the
// size of the source's: a registry writes blobs in one piece. Such a blob is recorded
// as known by its size only, so that a check hashes it.
func (c *copier) adopt(ctx context.Context) error {
	if c.j.Len() > 0 || c.o.DryRun && c.o.Repositories != nil {
		return nil
	}
	parts, err := c.adoptedParts(ctx)
	if err != nil || len(parts) == 0 {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	err = compareParts(ctx, c.src, c.dst, parts, func(p pair) error {
		f := layout.Parse(p.name)
		if p.src == nil || p.dst == nil || !c.o.Shard.has(f) || f.Kind == layout.Upload || f.Kind == layout.Foreign {
			return nil
		}
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wg.Go(func() {
			defer func() { <-c.slots }()
			if err := c.adoptOne(ctx, f, p); err != nil {
				cancel(err)
			}
		})
		return nil
	})
	if err != nil {
		cancel(err)
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("find out what is in the destination already: %w", err)
	}
	return c.j.flush(ctx)
}

// adoptedParts are the listings of what is compared; none if the destination is empty.
func (c *copier) adoptedParts(ctx context.Context) ([]tree.ListOptions, error) {
	whole := []tree.ListOptions{{Prefix: layout.Root}}
	if !c.o.Shard.all() {
		var err error
		if whole, err = c.o.Shard.parts(ctx, c.dst, tree.ListOptions{}); err != nil {
			return nil, err
		}
	}
	for _, part := range whole {
		for _, err := range c.dst.List(ctx, part) {
			if err != nil {
				return nil, err
			}
			if c.o.Shard.all() {
				return listingParts(ctx, c.src, 0)
			}
			return whole, nil
		}
	}
	return nil, nil
}

func (c *copier) adoptOne(ctx context.Context, f layout.File, p pair) error {
	target, err := c.adoptable(ctx, f, p)
	if err != nil || target == "" {
		return err
	}
	proof, err := c.proveAdopted(ctx, f, p, target)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case tree.IsFatal(err):
		return err
	case err != nil || proof == tree.Unproven:
		return nil // it is copied again
	}
	c.mu.Lock()
	c.adopted++
	c.mu.Unlock()
	receipt := tree.Receipt{Proof: proof, ETag: p.dst.ETag}
	if f.Kind == layout.TagLink {
		return c.j.storedTag(ctx, p.name, target.String(), receipt)
	}
	return c.j.stored(ctx, p.name, p.dst.Size, receipt)
}

// adoptable returns what a link leads to, or the digest of a blob; "" for what is not
// adopted: a link that cannot be read or is wrong is left to the copy.
func (c *copier) adoptable(ctx context.Context, f layout.File, p pair) (digest.Digest, error) {
	if f.Kind == layout.Blob {
		return f.Digest(), nil
	}
	if text, known := f.LinkContent(); known {
		return digest.Digest(text), nil
	}
	content, err := tree.ReadAll(ctx, c.src, p.name, maxLink)
	if err != nil {
		if ctx.Err() != nil || tree.IsFatal(err) {
			return "", err
		}
		return "", nil
	}
	target, err := f.Target(content)
	if err != nil {
		return "", nil
	}
	return target, nil
}

func (c *copier) proveAdopted(ctx context.Context, f layout.File, p pair, target digest.Digest) (tree.Proof, error) {
	want, content := target, []byte(nil)
	if f.IsLink() {
		content = []byte(target)
		want = digest.FromBytes(content)
		if p.dst.Size != int64(len(content)) {
			return tree.Unproven, nil
		}
	}
	proof, err := c.dst.Prove(ctx, *p.dst, want, content)
	if !c.dst.Local() || proof > tree.Unproven || err != nil {
		return proof, err
	}
	if content == nil {
		if p.src.Size == p.dst.Size {
			return tree.Sized, nil
		}
		return tree.Unproven, nil
	}
	if _, err := hashObject(ctx, c.dst, p.name, want); err != nil {
		if errors.Is(err, tree.ErrDigest) {
			return tree.Unproven, nil
		}
		return tree.Unproven, err
	}
	return tree.ReadBack, nil
}
