package migration

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// removeBatch is how many objects are removed with one request.
const removeBatch = 1000

// prune removes what a copy has put into the destination and the source has no
// longer. The pass before has marked everything that the source has.
func (c *copier) prune(ctx context.Context) error {
	half := map[string]bool{}
	for _, name := range c.j.halfRemoved() {
		half[name] = true
	}
	var names, unsure []string
	err := c.j.unseen(ctx, func(name string) {
		switch {
		case !c.mayRemove(name):
		case half[name]:
			unsure = append(unsure, name)
		default:
			names = append(names, name)
		}
	})
	if err != nil {
		return err
	}
	left, intents, err := c.j.leftovers(ctx)
	if err != nil {
		return err
	}
	if err := c.notTooMany(len(names)); err != nil {
		return err
	}
	if err := c.confirmGone(ctx, names); err != nil {
		return err
	}
	behind, err := c.leftBehind(ctx, append(unsure, left...))
	if err != nil {
		return err
	}
	if err := c.removeAll(ctx, append(names, behind...)); err != nil {
		return err
	}
	if c.o.DryRun || c.o.Repositories != nil {
		return nil
	}
	return c.j.dropIntents(ctx, intents)
}

// mayRemove reports whether a name is of what is copied. Of selected repositories no
// blob is removed: others may need it.
func (c *copier) mayRemove(name string) bool {
	f := layout.Parse(name)
	return c.o.Repositories == nil || f.Kind != layout.Blob && c.o.Repositories(f.Repository)
}

// confirmGone asks the source for each object that is going to be removed: one that a
// listing left out although it is there, or may be there, is not gone.
func (c *copier) confirmGone(ctx context.Context, names []string) error {
	return c.each(ctx, names, func(ctx context.Context, name string) error {
		_, err := c.src.Stat(ctx, name)
		switch {
		case tree.IsNotExist(err):
			return nil
		case err != nil:
			return fmt.Errorf("make sure that %s has gone from the source, nothing was removed: %w", name, err)
		default:
			return problem.New(problem.Conflict, "%s is in the source, and was not when the source was listed: nothing was removed. Is the registry read-only, and the volume's server well?", name)
		}
	})
}

// leftBehind returns those of the names that have gone from the source and are in the
// destination: what a killed copy has put, or has not come to remove.
func (c *copier) leftBehind(ctx context.Context, names []string) ([]string, error) {
	var left []string
	var mu sync.Mutex
	err := c.each(ctx, names, func(ctx context.Context, name string) error {
		if !c.mayRemove(name) {
			return nil
		}
		if _, err := c.src.Stat(ctx, name); !tree.IsNotExist(err) {
			return err
		}
		if _, err := c.dst.Stat(ctx, name); err != nil {
			if tree.IsNotExist(err) {
				return nil
			}
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		left = append(left, name)
		return nil
	})
	return left, err
}

// each calls do with all names, with many at a time.
func (c *copier) each(ctx context.Context, names []string, do func(ctx context.Context, name string) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(c.o.Concurrency)
	for _, name := range names {
		g.Go(func() error { return do(ctx, name) })
	}
	return g.Wait()
}

// notTooMany refuses to remove so much that the source is more likely the wrong one.
func (c *copier) notTooMany(count int) error {
	limit := c.o.MaxRemove
	if limit <= 0 {
		limit = min(max(1000, c.j.Len()/10), max(c.j.Len()/2, 10))
	}
	if count <= limit {
		return nil
	}
	return problem.New(problem.Conflict,
		"%d of the %d objects that were copied earlier have gone from the source: that is more than %d, so nothing was removed from the destination. Is it the right source? If so, allow as many",
		count, c.j.Len(), limit)
}

// removeAll removes objects: tags, their history first, before manifests, manifests
// before layers and layers before blobs, so that what is left at each moment is whole.
func (c *copier) removeAll(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if err := c.notTooMany(len(names)); err != nil {
		return err
	}
	if c.o.DryRun {
		c.p.removed.Add(int64(len(names)))
		return nil
	}
	var ranked [5][]string
	for _, name := range names {
		rank := pruneRank(layout.Parse(name).Kind)
		ranked[rank] = append(ranked[rank], name)
	}
	for _, names := range ranked {
		for part := range slices.Chunk(names, removeBatch) {
			if err := c.remove(ctx, part); err != nil {
				return err
			}
		}
	}
	return c.j.flush(ctx)
}

func (c *copier) remove(ctx context.Context, names []string) error {
	if err := c.j.willRemove(ctx, names); err != nil {
		return errors.Join(errJournal, err)
	}
	if err := c.dst.Remove(ctx, names); err != nil {
		return fmt.Errorf("remove what has gone from the source: %w", err)
	}
	if err := c.j.removed(ctx, names); err != nil {
		return errors.Join(errJournal, err)
	}
	c.p.removed.Add(int64(len(names)))
	return nil
}

func pruneRank(kind layout.Kind) int {
	switch kind {
	case layout.TagHistory:
		return 0
	case layout.TagLink:
		return 1
	case layout.RevisionLink:
		return 2
	case layout.LayerLink:
		return 3
	default:
		return 4
	}
}
