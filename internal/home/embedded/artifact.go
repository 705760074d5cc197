package embedded

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
)

func (r *Registry) writable() error {
	if r.readOnly() {
		return problem.New(problem.Denied, "%s", readOnlyMessage)
	}
	return nil
}

// DeleteArtifact removes an artifact with all its tags, and what nobody needs after
// it, as Harbor does: its accessories, and the children of an index that have no
// tag and no other parent. Each removed artifact has one delete_artifact event,
// which names the tags it had. It returns problem.NotFound when there is no such
// artifact and problem.Precondition when an index contains it.
//
// A DELETE through the registry API removes the one manifest that it names.
func (r *Registry) DeleteArtifact(ctx context.Context, operator, repository string, d digest.Digest) error {
	if err := r.writable(); err != nil {
		return err
	}
	return r.change(ctx, func(ctx context.Context) error {
		defer r.locks.repository(repository)()
		parents, err := r.index.Parents(ctx, repository, d.String())
		if err != nil {
			return err
		}
		if len(parents) > 0 {
			return problem.New(problem.Precondition, "the deleting artifact is referenced by others")
		}
		return r.deleteDeeply(ctx, operator, repository, d)
	})
}

// deleteDeeply deletes an artifact before what depends on it, so that a failure in
// between leaves artifacts that are whole.
func (r *Registry) deleteDeeply(ctx context.Context, operator, repository string, d digest.Digest) error {
	a, err := r.index.GetArtifact(ctx, repository, d.String())
	if err != nil {
		return err
	}
	if err := r.removeLocked(ctx, operator, repository, d); err != nil {
		return err
	}
	for _, accessory := range a.Accessories {
		if err := r.deleteUnneeded(ctx, operator, repository, accessory.Digest, true); err != nil {
			return err
		}
	}
	for _, child := range a.References {
		if err := r.deleteUnneeded(ctx, operator, repository, child.ChildDigest, false); err != nil {
			return err
		}
	}
	return nil
}

// deleteUnneeded deletes an artifact that belonged to one that was deleted. Tags
// keep a child, but not an accessory.
func (r *Registry) deleteUnneeded(ctx context.Context, operator, repository, dependent string, accessory bool) error {
	parents, err := r.index.Parents(ctx, repository, dependent)
	if err != nil || len(parents) > 0 {
		return err
	}
	a, err := r.index.GetArtifact(ctx, repository, dependent)
	if problem.Is(err, problem.NotFound) { // of a sparse index, or deleted already
		return nil
	}
	if err != nil || !accessory && len(a.Tags) > 0 {
		return err
	}
	return r.deleteDeeply(ctx, operator, repository, digest.Digest(dependent))
}

// DeleteTag removes one tag and leaves its artifact; problem.NotFound when there
// is no such tag.
func (r *Registry) DeleteTag(ctx context.Context, operator, repository, tag string) error {
	if err := r.writable(); err != nil {
		return err
	}
	return r.removeTag(ctx, operator, repository, tag, "")
}

// CreateTag adds a tag to an artifact. The errors are problem.BadRequest for a name
// that no tag can have, problem.NotFound when there is no such artifact and
// problem.Conflict when the repository has the tag already.
func (r *Registry) CreateTag(ctx context.Context, operator, repository, tag string, d digest.Digest) error {
	if err := r.writable(); err != nil {
		return err
	}
	if !validTag(tag) {
		return problem.New(problem.BadRequest, "invalid tag name %q", tag)
	}
	return r.change(ctx, func(ctx context.Context) error {
		defer r.locks.reference(repository, tag, d.String())()
		stored, err := r.index.GetRepository(ctx, repository)
		if err != nil {
			return err
		}
		there, err := r.tree().HasManifest(ctx, repository, d)
		if err != nil {
			return err
		}
		if !there {
			return problem.New(problem.NotFound, "artifact %s@%s not found", repository, d)
		}
		points, err := r.tree().ResolveTag(ctx, repository, tag)
		if err != nil {
			return err
		}
		if points != "" {
			return problem.New(problem.Conflict, "tag %s already exists under the repository %d", tag, stored.ID)
		}
		in, err := r.index.Begin(ctx, repository, tag, home.PushOperation)
		if err != nil {
			return err
		}
		if err := r.tree().putTag(ctx, repository, tag, d); err != nil {
			r.index.Abandon(in)
			return err
		}
		return r.index.RecordTag(ctx, in, r.tree(), repository, tag, d, operator, time.Now())
	})
}

// DeleteRepository removes a repository with everything in it, one delete_artifact
// event for each artifact; problem.NotFound when it is not there.
func (r *Registry) DeleteRepository(ctx context.Context, operator, repository string) error {
	if err := r.writable(); err != nil {
		return err
	}
	return r.change(ctx, func(ctx context.Context) error {
		defer r.locks.repository(repository)()
		if _, err := r.index.GetRepository(ctx, repository); err != nil {
			return err
		}
		in, err := r.index.Begin(ctx, repository, "", home.DeleteOperation)
		if err != nil {
			return err
		}
		if err := r.tree().removeRepository(ctx, repository); err != nil {
			r.index.Abandon(in)
			return err
		}
		digests, err := r.index.Digests(ctx, repository)
		if err != nil {
			r.index.Abandon(in)
			return err
		}
		removals := make([]home.Removal, len(digests))
		for i, d := range digests {
			removals[i] = home.Removal{Repository: repository, Digest: digest.Digest(d), Operator: operator, Time: time.Now()}
		}
		if err := r.index.RecordRemoval(ctx, in, r.tree(), removals...); err != nil {
			return err
		}
		return r.index.RemoveRepository(ctx, repository)
	})
}

// Manifest returns the content of a manifest; problem.NotFound when it is not there.
func (r *Registry) Manifest(ctx context.Context, repository string, d digest.Digest) (home.Manifest, []byte, error) {
	content, err := r.tree().manifest(ctx, repository, d)
	if err != nil {
		return home.Manifest{}, nil, err
	}
	if content == nil {
		return home.Manifest{}, nil, problem.New(problem.NotFound, "artifact %s@%s not found", repository, d)
	}
	m, err := home.ParseManifest("", content)
	if err != nil {
		return home.Manifest{}, nil, fmt.Errorf("read manifest %s@%s: %w", repository, d, err)
	}
	return m, content, nil
}

// Config returns the content of an artifact's config; problem.NotFound when it has
// none that can be shown.
func (r *Registry) Config(ctx context.Context, repository string, d digest.Digest) ([]byte, error) {
	m, _, err := r.Manifest(ctx, repository, d)
	if err != nil {
		return nil, err
	}
	if m.Config == nil || !m.WantsConfig() {
		return nil, problem.New(problem.NotFound, "artifact %s@%s has no config", repository, d)
	}
	config, err := r.tree().blob(ctx, repository, m.Config.Digest, m.Config.Size)
	if err == nil && config == nil {
		err = errors.New("the blob is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("read config of %s@%s: %w", repository, d, err)
	}
	return config, nil
}
