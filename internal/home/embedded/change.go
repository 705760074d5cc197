package embedded

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
)

// push is a manifest that is to be stored.
type push struct {
	repository string
	digest     digest.Digest
	tags       []string // sorted
	content    []byte
	manifest   home.Manifest
	operator   string
	time       time.Time
	sparse     bool // children of an index may be missing
}

// pushReference is how the intent of a push names what changes: the tags and the
// digest, so that both can be looked at again.
func pushReference(tags []string, d digest.Digest) string {
	if len(tags) == 0 {
		return d.String()
	}
	return strings.Join(tags, ",") + "@" + d.String()
}

// readReference is the reverse of pushReference. Of a tag alone it returns no digest.
func readReference(reference string) (tags []string, d digest.Digest) {
	names, d2, found := strings.Cut(reference, "@")
	switch {
	case found:
		return strings.Split(names, ","), digest.Digest(d2)
	case strings.Contains(reference, ":"):
		return nil, digest.Digest(reference)
	default:
		return []string{reference}, ""
	}
}

// push stores a manifest and records it.
func (r *Registry) push(ctx context.Context, p push) error {
	return r.change(ctx, func(ctx context.Context) error {
		defer r.locks.reference(p.repository, append(slices.Clone(p.tags), p.digest.String())...)()
		if err := r.verify(ctx, p); err != nil {
			return err
		}
		attrs, err := r.extraAttrs(ctx, p.repository, &p.manifest)
		if err != nil {
			return err
		}
		in, err := r.index.Begin(ctx, p.repository, pushReference(p.tags, p.digest), home.PushOperation)
		if err != nil {
			return err
		}
		if err := r.store(ctx, p); err != nil {
			r.index.Abandon(in) // how far it came is for Recover to find out
			return err
		}
		return r.index.RecordPush(ctx, in, r.tree(), home.Push{
			Repository: p.repository, Digest: p.digest, Tags: p.tags, Manifest: p.manifest, ExtraAttrs: attrs, Operator: p.operator, Time: p.time,
		})
	})
}

// store writes a manifest, then its tags: a tag never points nowhere.
func (r *Registry) store(ctx context.Context, p push) error {
	if err := r.tree().putManifest(ctx, p.repository, p.digest, p.content); err != nil {
		return err
	}
	for _, tag := range p.tags {
		if err := r.tree().putTag(ctx, p.repository, tag, p.digest); err != nil {
			return err
		}
	}
	return nil
}

// verify checks that everything a manifest refers to is in its repository. The
// subject may be missing (distribution specification, "Pushing Manifests with
// Subject"), and so may layers that are kept elsewhere.
func (r *Registry) verify(ctx context.Context, p push) error {
	const parallel = 8 // questions to an object store take their time
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	var mu sync.Mutex
	var missing []digest.Digest
	look := func(d digest.Digest, has func(context.Context, string, digest.Digest) (bool, error)) {
		group.Go(func() error {
			found, err := has(ctx, p.repository, d)
			if err == nil && !found {
				mu.Lock()
				defer mu.Unlock()
				missing = append(missing, d)
			}
			return err
		})
	}
	for _, blob := range p.manifest.Blobs() {
		if !keptElsewhere(blob) {
			look(blob.Digest, r.tree().hasBlob)
		}
	}
	if !p.sparse {
		for _, child := range p.manifest.Children {
			look(child.Digest, r.tree().HasManifest)
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	return &failure{
		status: http.StatusBadRequest, code: codeManifestBlobUnknown, detail: slices.Compact(missing),
		message: fmt.Sprintf("the manifest refers to %s, which repository %s does not have", missing[0], p.repository),
	}
}

// keptElsewhere reports whether clients get a layer from where its URLs lead, or
// whether it must not be distributed.
func keptElsewhere(layer ocispec.Descriptor) bool {
	return len(layer.URLs) > 0 || strings.Contains(layer.MediaType, ".nondistributable.") ||
		layer.MediaType == "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
}

func (r *Registry) extraAttrs(ctx context.Context, repository string, m *home.Manifest) (map[string]any, error) {
	if !m.WantsConfig() {
		return m.ExtraAttrs(nil), nil
	}
	config, err := r.tree().blob(ctx, repository, m.Config.Digest, m.Config.Size)
	if err != nil {
		return nil, err
	}
	return m.ExtraAttrs(config), nil
}

// removeTag removes one tag and records it. The artifact stays. If want is not "",
// the tag must point at it.
func (r *Registry) removeTag(ctx context.Context, operator, repository, tag string, want digest.Digest) error {
	notFound := problem.New(problem.NotFound, "tag %s:%s not found", repository, tag)
	if !validTag(tag) {
		return notFound
	}
	return r.change(ctx, func(ctx context.Context) error {
		defer r.locks.reference(repository, tag)()
		d, err := r.tree().ResolveTag(ctx, repository, tag)
		if err != nil {
			return err
		}
		if d == "" || want != "" && d != want {
			return notFound
		}
		in, err := r.index.Begin(ctx, repository, tag, home.DeleteOperation)
		if err != nil {
			return err
		}
		if err := r.tree().removeTag(ctx, repository, tag); err != nil {
			r.index.Abandon(in)
			return err
		}
		return r.index.RecordRemoval(ctx, in, r.tree(), home.Removal{
			Repository: repository, Digest: d, Tag: tag, Operator: operator, Time: time.Now(),
		})
	})
}

// removeManifest removes one manifest and the tags that point at it, and records
// it.
func (r *Registry) removeManifest(ctx context.Context, operator, repository string, d digest.Digest) error {
	return r.change(ctx, func(ctx context.Context) error {
		defer r.locks.repository(repository)()
		return r.removeLocked(ctx, operator, repository, d)
	})
}

// removeLocked is removeManifest for a caller that has the lock of the repository.
func (r *Registry) removeLocked(ctx context.Context, operator, repository string, d digest.Digest) error {
	there, err := r.tree().HasManifest(ctx, repository, d)
	if err != nil {
		return err
	}
	known, err := r.known(ctx, repository, d)
	if err != nil {
		return err
	}
	if !there && !known {
		return problem.New(problem.NotFound, "artifact %s@%s not found", repository, d)
	}
	in, err := r.index.Begin(ctx, repository, d.String(), home.DeleteOperation)
	if err != nil {
		return err
	}
	// First the manifest, in one step: from then on it is gone, and what is left is
	// cleaning up.
	var tags []string
	err = r.tree().removeManifest(ctx, repository, d)
	if err == nil {
		tags, err = r.removeTagsOf(ctx, repository, d)
	}
	if err != nil {
		r.index.Abandon(in)
		return err
	}
	return r.index.RecordRemoval(ctx, in, r.tree(), home.Removal{
		Repository: repository, Digest: d, Tags: tags, Operator: operator, Time: time.Now(),
	})
}

// known reports whether the index has an artifact.
func (r *Registry) known(ctx context.Context, repository string, d digest.Digest) (bool, error) {
	_, err := r.index.GetArtifact(ctx, repository, d.String())
	if problem.Is(err, problem.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// removeTagsOf removes the tags in the storage that point at a manifest, and
// returns them.
func (r *Registry) removeTagsOf(ctx context.Context, repository string, d digest.Digest) (removed []string, err error) {
	names, err := r.tagNames(ctx, repository, d)
	if err != nil {
		return nil, err
	}
	for _, tag := range names {
		points, err := r.tree().ResolveTag(ctx, repository, tag)
		if err != nil {
			return nil, err
		}
		if points != d {
			continue
		}
		if err := r.tree().removeTag(ctx, repository, tag); err != nil {
			return nil, err
		}
		removed = append(removed, tag)
	}
	return removed, nil
}

// tagNames returns tags among which are all that point at a manifest. The index
// knows them; before it is complete, every tag in the storage could be one.
func (r *Registry) tagNames(ctx context.Context, repository string, d digest.Digest) ([]string, error) {
	complete, err := r.index.Complete(ctx)
	if err != nil {
		return nil, err
	}
	if !complete {
		return r.tree().tags(ctx, repository)
	}
	a, err := r.index.GetArtifact(ctx, repository, d.String())
	if problem.Is(err, problem.NotFound) {
		return r.tree().tags(ctx, repository)
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, len(a.Tags))
	for i, t := range a.Tags {
		names[i] = t.Name
	}
	return names, nil
}
