package transfer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/registry"
)

// A tombstone is a manifest that nothing but one tag stands for, made so that the
// tag can be deleted on registries that delete only whole manifests. It says what it
// replaced, so that a removal that was interrupted is gone on with. See oci.Tombstone.
const tombstoneNonce = "io.lighterage.nonce" // makes it unlike every other manifest

// maxTombstone is far more than a tombstone has bytes.
const maxTombstone = 4 << 10

// removalHabits is what was learned about deletion at the destination.
type removalHabits struct {
	mu sync.Mutex
	// tag: yes: DELETE of a tag takes the tag away and leaves the manifest; no: it
	// does not, or is not offered.
	tag       verdict
	deletable map[string]bool // repositories where deletion was seen to be allowed
}

func (h *removalHabits) takesTagOnly() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tag == yes
}

func (h *removalHabits) mayTryTag() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tag != no
}

func (h *removalHabits) learnTag(v verdict) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tag = v
}

func (h *removalHabits) knowsDeletable(repository string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.deletable[repository]
}

func (h *removalHabits) learnDeletable(repository string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	const enough = 1000 // the map is a convenience: start again rather than grow
	if h.deletable == nil || len(h.deletable) >= enough {
		h.deletable = map[string]bool{}
	}
	h.deletable[repository] = true
}

// removeByTombstone moves the tag to a tombstone and deletes that. Everything that
// can fail is tried before the tag is touched, and the tag is put back when the
// deletion fails after all.
func (e *Engine) removeByTombstone(ctx context.Context, repository, tag string, expect digest.Digest) (Removal, error) {
	if err := e.checkDeletable(ctx, repository); err != nil {
		return "", err
	}
	original, err := e.target.Manifest(ctx, repository, string(expect))
	if err != nil {
		return "", failure(Destination, err, "read manifest %s", short(expect))
	}
	empty := ocispec.DescriptorEmptyJSON
	_, err = e.ensure(ctx, blob{repository: repository, desc: empty, role: "config", content: empty.Data})
	if err != nil {
		return "", err
	}
	stone, err := newTombstone(expect)
	if err != nil {
		return "", err
	}
	// The last look before the tag is moved: this is the moment that counts.
	state, err := e.Inspect(ctx, repository, tag)
	switch {
	case err != nil:
		return "", err
	case state.Absent():
		return NotThere, nil
	case state.Digest() != expect:
		return Foreign, nil
	}
	// From here on the work is finished even if the caller gives up: a tag must not be
	// left standing for a tombstone.
	ctx = context.WithoutCancel(ctx)
	if err := e.putTombstone(ctx, repository, tag, stone); err != nil {
		return "", err
	}
	if err := e.bury(ctx, repository, tag, stone.Digest); err != nil {
		if _, back := e.target.PutManifest(ctx, repository, tag, original); back != nil {
			return "", failure(Destination, errors.Join(err, back), "delete the tag (and put it back)")
		}
		return "", err
	}
	return Removed, nil
}

// putTombstone stores the tombstone under the tag. A registry that lost the empty
// config meanwhile is given it again.
func (e *Engine) putTombstone(ctx context.Context, repository, tag string, stone registry.Manifest) error {
	_, err := e.target.PutManifest(ctx, repository, tag, stone)
	if lacksParts(err) {
		empty := ocispec.DescriptorEmptyJSON
		e.exists.forget(aBlob, repository, empty.Digest)
		if _, err := e.ensure(ctx, blob{repository: repository, desc: empty, role: "config", content: empty.Data, effort: forcing}); err != nil {
			return err
		}
		_, err = e.target.PutManifest(ctx, repository, tag, stone)
	}
	return failure(Destination, err, "move the tag to a tombstone")
}

// finishTombstone looks whether a tag that is not what it is expected to be stands
// for a tombstone in expect's place, left by an interrupted removal.
func (e *Engine) finishTombstone(ctx context.Context, repository, tag string, found, expect digest.Digest) (Removal, error) {
	desc, err := e.target.Resolve(ctx, repository, string(found))
	if err != nil && !registry.IsNotFound(err) {
		return "", failure(Destination, err, "look at %s", short(found))
	}
	if err != nil || desc.Size > maxTombstone || desc.MediaType != ocispec.MediaTypeImageManifest {
		return Foreign, nil
	}
	m, err := e.target.Manifest(ctx, repository, string(found))
	if registry.IsNotFound(err) {
		return Foreign, nil
	}
	if err != nil {
		return "", failure(Destination, err, "read manifest %s", short(found))
	}
	if removes, is := oci.Tombstone(m.Content); !is || removes != expect {
		return Foreign, nil
	}
	if err := e.bury(ctx, repository, tag, found); err != nil {
		return "", err
	}
	return Removed, nil
}

// bury deletes a tombstone with its tag and makes sure that the tag is gone. On the
// way it learns, at no risk, what DELETE of a tag does at this registry: nothing but
// the tombstone can be hit by it.
func (e *Engine) bury(ctx context.Context, repository, tag string, stone digest.Digest) error {
	e.exists.forget(aManifest, repository, stone)
	e.exists.forget(aTag, repository, digest.Digest(tag))
	deleted := false
	if e.removal.mayTryTag() {
		err := e.target.DeleteTag(ctx, repository, tag)
		switch {
		case err == nil:
			deleted = true
			_, left := e.target.Resolve(ctx, repository, string(stone))
			if left == nil {
				e.removal.learnTag(yes)
			} else if registry.IsNotFound(left) {
				e.removal.learnTag(no) // the manifest went with its tag, and others would have too
			}
		case errors.Is(err, registry.ErrUnsupported):
			e.removal.learnTag(no)
		case !registry.IsNotFound(err):
			return failure(Destination, err, "delete the tag")
		}
	}
	err := e.target.DeleteManifest(ctx, repository, stone)
	switch {
	case err == nil || registry.IsNotFound(err):
	case deleted && errors.Is(err, registry.ErrUnsupported): // an untagged tombstone may stay
	case errors.Is(err, registry.ErrUnsupported):
		return errNoDeletion(err)
	case !deleted:
		return failure(Destination, err, "delete the tombstone %s", short(stone))
	}
	state, err := e.Inspect(ctx, repository, tag)
	if err != nil {
		return err
	}
	if state.Digest() == stone {
		return fault(Destination, errors.New("the registry says that it is deleted, and still has it"), "delete the tag")
	}
	return nil
}

// checkDeletable finds out whether the registry deletes anything, by asking it to
// delete what does not exist.
func (e *Engine) checkDeletable(ctx context.Context, repository string) error {
	if e.removal.knowsDeletable(repository) {
		return nil
	}
	nonce := rand.Text()
	err := e.target.DeleteManifest(ctx, repository, digest.FromString(nonce))
	if errors.Is(err, registry.ErrUnsupported) && e.removal.mayTryTag() {
		refused := err
		if err = e.target.DeleteTag(ctx, repository, "none-"+nonce); errors.Is(err, registry.ErrUnsupported) {
			return errNoDeletion(refused)
		}
	}
	switch {
	case err == nil || registry.IsNotFound(err):
		e.removal.learnDeletable(repository)
		return nil
	case errors.Is(err, registry.ErrUnsupported):
		return errNoDeletion(err)
	}
	return failure(Destination, err, "ask whether %s allows deletion", repository)
}

func newTombstone(removes digest.Digest) (registry.Manifest, error) {
	empty := ocispec.DescriptorEmptyJSON
	empty.Data = nil
	content, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: oci.TombstoneType, Config: empty, Layers: []ocispec.Descriptor{empty},
		Annotations: map[string]string{oci.TombstoneRemoves: string(removes), tombstoneNonce: rand.Text()},
	})
	if err != nil {
		return registry.Manifest{}, fmt.Errorf("make a tombstone: %w", err)
	}
	return registry.Manifest{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(content), Content: content}, nil
}
