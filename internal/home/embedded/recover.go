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

// Recover settles the intents that nobody works on any more: it looks what became
// of their references in the storage and records that, with events. New calls it,
// and so does the registry every few seconds.
func (r *Registry) Recover(ctx context.Context) error {
	if r.Frozen() { // it waits: to settle is to change
		return nil
	}
	intents, err := r.index.LeftOver(ctx, silence)
	if err != nil {
		return err
	}
	var errs []error
	for _, in := range intents {
		err := r.change(ctx, func(ctx context.Context) error { return r.settle(ctx, in) })
		if problem.Is(err, problem.NotFound) { // of a project that is gone by now
			err = r.index.Abort(ctx, in)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("settle unfinished %s of %s:%s: %w", in.Operation, in.Repository, in.Reference, err))
		}
	}
	return errors.Join(errs...)
}

func (r *Registry) settle(ctx context.Context, in home.Intent) error {
	defer r.locks.repository(in.Repository)()
	if in.Reference == "" {
		if err := r.settleRepository(ctx, in.Repository); err != nil {
			return err
		}
		return r.index.Abort(ctx, in)
	}
	tags, d := readReference(in.Reference)
	if d != "" {
		if err := r.settleManifest(ctx, in.Repository, d, tags); err != nil {
			return err
		}
	}
	for _, tag := range tags {
		if err := r.settleTag(ctx, in.Repository, tag); err != nil {
			return err
		}
	}
	return r.index.Abort(ctx, in)
}

// settleManifest makes the index agree with the storage on one manifest and on
// those tags that a push wanted to point at it.
func (r *Registry) settleManifest(ctx context.Context, repository string, d digest.Digest, tags []string) error {
	there, err := r.tree().HasManifest(ctx, repository, d)
	if err != nil {
		return err
	}
	known, err := r.known(ctx, repository, d)
	if err != nil {
		return err
	}
	if !there {
		return r.settleGone(ctx, repository, d, tags, known)
	}
	var pointing []string
	for _, tag := range tags {
		points, err := r.tree().ResolveTag(ctx, repository, tag)
		if err != nil {
			return err
		}
		if points == d {
			pointing = append(pointing, tag)
		}
	}
	if known {
		return nil // what became of the tags is settled one by one
	}
	return r.recordFound(ctx, repository, d, pointing)
}

// settleGone ends the removal of a manifest: tags that still point at it go too.
func (r *Registry) settleGone(ctx context.Context, repository string, d digest.Digest, tags []string, known bool) error {
	for _, tag := range tags {
		points, err := r.tree().ResolveTag(ctx, repository, tag)
		if err == nil && points == d {
			err = r.tree().removeTag(ctx, repository, tag)
		}
		if err != nil {
			return err
		}
	}
	if !known {
		return nil
	}
	if _, err := r.removeTagsOf(ctx, repository, d); err != nil {
		return err
	}
	return r.index.RecordRemoval(ctx, home.Intent{}, r.tree(), home.Removal{Repository: repository, Digest: d, Time: time.Now()})
}

// settleTag makes the index agree with the storage on one tag. A tag that points
// at nothing is what a removal left behind.
func (r *Registry) settleTag(ctx context.Context, repository, tag string) error {
	points, err := r.tree().ResolveTag(ctx, repository, tag)
	if err != nil {
		return err
	}
	if points != "" {
		there, err := r.tree().HasManifest(ctx, repository, points)
		if err != nil {
			return err
		}
		if !there {
			if err := r.tree().removeTag(ctx, repository, tag); err != nil {
				return err
			}
			points = ""
		}
	}
	recorded, err := r.index.Tagged(ctx, repository, tag)
	if err != nil {
		return err
	}
	switch {
	case points.String() == recorded:
		return nil
	case points == "":
		return r.index.RecordRemoval(ctx, home.Intent{}, r.tree(), home.Removal{
			Repository: repository, Digest: digest.Digest(recorded), Tag: tag, Time: time.Now(),
		})
	default:
		return r.recordFound(ctx, repository, points, []string{tag})
	}
}

// recordFound records a push of which only the storage knows.
func (r *Registry) recordFound(ctx context.Context, repository string, d digest.Digest, tags []string) error {
	p, err := r.inspect(ctx, repository, d)
	if p == nil || err != nil {
		return err
	}
	p.Tags, p.Time = tags, time.Now()
	return r.index.RecordPush(ctx, home.Intent{}, r.tree(), *p)
}

// settleRepository finishes the removal of a whole repository as far as it came.
func (r *Registry) settleRepository(ctx context.Context, repository string) error {
	if err := r.forgetMissing(ctx, repository, false); err != nil {
		return err
	}
	return r.index.RemoveRepository(ctx, repository)
}
