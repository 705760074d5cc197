package migration

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// mostRecent is how many objects may have changed since the last full check for a
// check of what changed: with more a full one costs no more.
const mostRecent = 200_000

// CheckRecent is Check for the minutes in which a registry is read-only. It looks at
// the whole source again, and in the destination at every object that was copied or
// removed since the last full check that found no difference; what that check found
// is taken to be there still, and the report says of how many objects and since when.
// The journal must be that of the copy. Without such a check the error is a
// problem.Precondition.
func CheckRecent(ctx context.Context, src, dst tree.Tree, j *Journal, o CheckOptions) (CheckReport, error) {
	c := newChecker(src, dst, j, o)
	began := time.Now()
	err := c.recent(ctx)
	c.r.Seconds = time.Since(began).Seconds()
	if err != nil {
		return c.r, fmt.Errorf("check what changed in %s against %s: %w", dst, src, err)
	}
	return c.r, nil
}

func (c *checker) recent(ctx context.Context) error {
	if err := checkSource(ctx, c.src); err != nil {
		return err
	}
	last, at, ok, err := c.j.sinceChecked(ctx, mostRecent)
	if err != nil {
		return err
	}
	if !ok || c.o.Repositories != nil {
		return problem.New(problem.Precondition, "there has been no full check without differences since the copies that matter: check everything first")
	}
	c.r.CheckedBefore = at
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := c.recentSource(ctx, cancel, last); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(last)) {
		if !c.start(ctx, func() error { return c.recentObject(ctx, name, last[name]) }, cancel) {
			break
		}
	}
	c.wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	c.correct(func() error { return c.j.flush(ctx) })
	return nil
}

// recentSource looks at everything in the source: whether the destination is known to
// have it, and nothing else.
func (c *checker) recentSource(ctx context.Context, end context.CancelCauseFunc, last map[string]record) error {
	parts, err := listingParts(ctx, c.src, c.j.Len())
	if err != nil {
		return err
	}
	c.j.known.unmarkAll()
	var listing sync.WaitGroup
	for _, part := range parts {
		part.Implied, part.Present = true, true
		listing.Go(func() {
			for o, err := range c.src.List(ctx, part) {
				if err != nil {
					end(err)
					return
				}
				c.recentName(ctx, end, o, last)
			}
		})
	}
	listing.Wait()
	c.wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return c.j.unseen(ctx, func(name string) {
		c.differ(Difference{Extra, name, "it has gone from the source, and is in the destination"})
		delete(last, name)
	})
}

func (c *checker) recentName(ctx context.Context, end context.CancelCauseFunc, o tree.Object, last map[string]record) {
	f := layout.Parse(o.Name)
	if f.Kind == layout.Foreign || f.Kind == layout.Upload {
		return
	}
	c.o.Progress.found.Add(1)
	k := c.j.of(o.Name)
	c.j.known.mark(k)
	_, changed := last[o.Name]
	switch {
	case !c.j.known.has(k):
		c.start(ctx, func() error { return c.missing(ctx, f, pair{name: o.Name, src: &o}) }, end)
	case f.Kind == layout.TagLink:
		c.start(ctx, func() error { return c.recentTag(ctx, f, o, changed) }, end)
	case !changed:
		c.sameAsBefore()
	}
}

// recentTag compares what a tag stands for with what is known of the destination.
func (c *checker) recentTag(ctx context.Context, f layout.File, o tree.Object, changed bool) error {
	_, content, err := c.wanted(ctx, f, &o)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case tree.IsFatal(err):
		return err
	case err != nil && !tree.IsNotExist(err):
		c.differ(Difference{NotReadable, o.Name, "in the source: " + err.Error()})
	case err == nil && !c.j.hasTag(o.Name, string(content)):
		c.wrong(ctx, Difference{Different, o.Name, c.explain(f, tree.Object{}, content)})
	case err == nil && !changed:
		c.sameAsBefore()
	}
	return nil
}

// recentObject asks the destination about an object that was copied or removed lately.
func (c *checker) recentObject(ctx context.Context, name string, r record) error {
	o, err := c.dst.Stat(ctx, name)
	removed := r.op == opRemoved || r.op == opRemoving
	switch {
	case tree.IsNotExist(err):
		if r.op == opStored || r.op == opTag {
			c.wrong(ctx, Difference{Missing, name, "it is not in the destination"})
		}
		return nil
	case err != nil && (ctx.Err() != nil || tree.IsFatal(err)):
		return err
	case err != nil:
		c.differ(Difference{NotReadable, name, "in the destination: " + err.Error()})
		return nil
	case removed:
		c.differ(Difference{Extra, name, "it was removed from the destination, and is there"})
		return nil
	case r.op == opForget:
		return nil // the source's side tells whether it is missed
	}
	if r.proof > tree.Sized && r.etag != "" && r.etag == o.ETag && r.size == o.Size {
		c.same(r.proof, o.Size)
		return nil
	}
	return c.examine(ctx, layout.Parse(name), pair{name: name, src: &tree.Object{Name: name, Size: -1}, dst: &o})
}

func (c *checker) sameAsBefore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.r.Objects++
	c.r.Same++
	c.r.Before++
}
