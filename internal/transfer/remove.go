package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/registry"
)

// Removal is how a removal ended.
type Removal string

// The ways. Only Removed changed anything.
const (
	Removed  Removal = "removed"
	NotThere Removal = "absent"
	Foreign  Removal = "foreign" // the tag stands for something else: left alone
	InUse    Removal = "in use"  // a tag, or an index with a tag, needs the manifest
)

// RemoveTag removes a tag that stands for expect, and nothing but that tag: the
// manifest and every other tag of it stay. A tag that stands for something else is
// left alone (Foreign).
//
// Ways, in this order: Options.DeleteTag; DELETE of the tag where this registry was
// seen to take only the tag away by it; and else the tag is first moved to a tiny
// manifest of our own, a tombstone, which can then be deleted with whatever means
// the registry has, by its digest if need be, without touching anything else.
// A registry that deletes nothing is found out before the tag is moved.
func (e *Engine) RemoveTag(ctx context.Context, repository, tag string, expect digest.Digest) (Removal, error) {
	got, err := e.removeTag(ctx, repository, tag, expect)
	if err != nil {
		return "", fmt.Errorf("remove tag %s/%s: %w", e.o.Name, name(repository, tag), err)
	}
	if got == Removed {
		e.exists.forget(aTag, repository, digest.Digest(tag)) // who misses it need not doubt all else
	}
	return got, nil
}

func (e *Engine) removeTag(ctx context.Context, repository, tag string, expect digest.Digest) (Removal, error) {
	if err := expect.Validate(); err != nil {
		return "", fmt.Errorf("what the tag is expected to stand for: invalid digest %q", expect)
	}
	state, err := e.Inspect(ctx, repository, tag)
	switch {
	case err != nil:
		return "", err
	case state.Absent():
		return NotThere, nil
	case state.Digest() != expect:
		return e.finishTombstone(ctx, repository, tag, state.Digest(), expect)
	}
	if e.o.DeleteTag != nil {
		err := e.o.DeleteTag(ctx, repository, tag)
		if err == nil || registry.IsNotFound(err) {
			return Removed, nil
		}
		if !errors.Is(err, registry.ErrUnsupported) {
			return "", failure(Destination, err, "delete the tag")
		}
	}
	if e.removal.takesTagOnly() {
		err := e.target.DeleteTag(ctx, repository, tag)
		if err == nil || registry.IsNotFound(err) {
			return Removed, nil
		}
		if !errors.Is(err, registry.ErrUnsupported) {
			return "", failure(Destination, err, "delete the tag")
		}
		e.removal.learnTag(no)
	}
	return e.removeByTombstone(ctx, repository, tag, expect)
}

// RemoveArtifact deletes a manifest by its digest if nothing at the destination
// needs it any more: no tag stands for it, and no index that a tag stands for lists
// it, directly or through other indexes. To know that, every tag of the repository
// is resolved; when one cannot be, or the listing fails, nothing is deleted. A tag
// that somebody sets in the moment between the last look and the deletion is lost
// with the manifest: the protocol offers nothing against that.
func (e *Engine) RemoveArtifact(ctx context.Context, repository string, d digest.Digest) (Removal, error) {
	got, err := e.removeArtifact(ctx, repository, d)
	if err == nil && (got == Removed || got == NotThere) {
		err = e.portions.Forget(ctx, repository, d)
	}
	if err != nil {
		return "", fmt.Errorf("remove %s/%s: %w", e.o.Name, name(repository, string(d)), err)
	}
	return got, nil
}

func (e *Engine) removeArtifact(ctx context.Context, repository string, d digest.Digest) (Removal, error) {
	if err := d.Validate(); err != nil {
		return "", fmt.Errorf("invalid digest %q", d)
	}
	e.exists.forget(aManifest, repository, d)
	state, err := e.Inspect(ctx, repository, string(d))
	if err != nil {
		return "", err
	}
	if state.Absent() {
		return NotThere, nil
	}
	used, err := e.inUse(ctx, repository, d)
	if err != nil {
		return "", err
	}
	if used {
		return InUse, nil
	}
	e.exists.forget(aManifest, repository, d)
	err = e.target.DeleteManifest(ctx, repository, d)
	switch {
	case registry.IsNotFound(err):
		return NotThere, nil
	case errors.Is(err, registry.ErrUnsupported):
		return "", errNoDeletion(err)
	case err != nil:
		return "", failure(Destination, err, "delete manifest %s", short(d))
	}
	return Removed, nil
}

func errNoDeletion(err error) error {
	return fault(Destination, fmt.Errorf("deletion is switched off at the registry: %w", err), "delete the manifest")
}

// lookupsAtOnce bounds the tags that are resolved at the same time.
const lookupsAtOnce = 64

// inUse reports whether a tag needs the manifest.
func (e *Engine) inUse(ctx context.Context, repository string, d digest.Digest) (bool, error) {
	tags, err := e.target.Tags(ctx, repository)
	if err != nil && !registry.IsNotFound(err) {
		return false, failure(Destination, err, "list the tags of %s", repository)
	}
	found := &usage{e: e, repository: repository, wanted: d}
	err = each(ctx, lookupsAtOnce, tags, func(ctx context.Context, tag string) error {
		if found.known() {
			return nil
		}
		desc, err := e.target.Resolve(ctx, repository, tag)
		if registry.IsNotFound(err) {
			return nil // it has gone since
		}
		if err != nil {
			return failure(Destination, err, "look at the tag %s", tag)
		}
		return found.visit(ctx, desc.Digest, desc.MediaType, 0)
	})
	return found.known(), err
}
