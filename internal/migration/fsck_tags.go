package migration

import (
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// tags looks whether every tag leads to a manifest of the repository.
func (a *artifacts) tags(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, tag := range a.r.tags {
		if _, ok := findLink(a.r.revisions, idOf(tag.target)); ok {
			a.addTag(tag)
		} else if err := a.s.do(gctx, g, func() error { return a.tag(gctx, tag) }); err != nil {
			break // the group has the reason, or the context has
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

func (a *artifacts) addTag(tag repositoryTag) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tagged[idOf(tag.target)] = append(a.tagged[idOf(tag.target)], tag.name)
}

// tag looks whether a tag leads to a manifest of the repository.
func (a *artifacts) tag(ctx context.Context, tag repositoryTag) error {
	f := layout.File{Kind: layout.TagLink, Repository: a.r.name, Tag: tag.name}
	for attempt := range settleAttempts {
		there, err := a.hasManifest(ctx, tag.target)
		if err != nil {
			d := Damage{Path: linkPath(layout.RevisionLink, a.r.name, tag.target), Repository: a.r.name, Tag: tag.name, Digest: tag.target}
			return a.s.unreadable(ctx, d, err)
		}
		if there {
			a.addTag(tag)
			return nil
		}
		// Was it deleted while we looked, or set to something newer?
		now, err := a.s.readLink(ctx, f, tree.Object{Name: f.Path(), Size: -1})
		if err != nil || now == "" {
			return err
		}
		if now == tag.target {
			again, err := a.s.untagging(ctx, attempt)
			if err != nil {
				return err
			}
			if again {
				continue
			}
			a.s.damaged(Damage{Kind: DanglingTag, Path: f.Path(), Repository: a.r.name, Tag: tag.name, Digest: tag.target})
			return nil
		}
		tag.target = now
	}
	return nil // it changes faster than we look: somebody is using it
}

// A registry that deletes a manifest removes its tags after it, so a tag without one
// may be about to go, and is looked at once and again. A registry at work has few of
// these at a time: after so many pauses what leads nowhere does so for good.
const (
	untaggingLooks  = 2
	untaggingPauses = 100
)

// untagging waits for a tag that leads nowhere to go, and reports whether it is worth
// another look.
func (s *scan) untagging(ctx context.Context, attempt int) (again bool, err error) {
	if attempt >= untaggingLooks || s.pauses.Add(1) > untaggingPauses {
		return false, nil
	}
	select {
	case <-time.After(settlePause << attempt):
		return true, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// damageHeld is how much damage of a repository is held back until all its indexes
// have been read, to name the tags that it concerns. What comes after is told at once.
const damageHeld = 10_000

// found is damage of one manifest.
func (a *artifacts) found(damage []Damage) {
	a.mu.Lock()
	defer a.mu.Unlock()
	broken := false
	for _, d := range damage {
		broken = broken || d.Severity() == Broken
	}
	a.s.count(func(r *FsckReport) {
		if broken {
			r.BrokenRevisions++
		}
		for _, d := range damage {
			r.Incomplete = r.Incomplete || d.Kind == Unreadable
		}
	})
	if len(a.damage) < damageHeld {
		a.damage = append(a.damage, damage...)
		return
	}
	for _, d := range damage {
		a.s.damaged(a.named(d))
	}
}

// tell tells of the damage that was held back, in the order of the manifests.
func (a *artifacts) tell() {
	slices.SortStableFunc(a.damage, func(x, y Damage) int {
		return slices.Compare([]string{string(x.Manifest), x.Path}, []string{string(y.Manifest), y.Path})
	})
	for _, d := range a.damage {
		a.s.damaged(a.named(d))
	}
	a.damage = nil
}

// named names the tags that damage to a manifest concerns: those that stand for it,
// or for an index that lists it.
func (a *artifacts) named(d Damage) Damage {
	seen := map[id]bool{idOf(d.Manifest): true}
	var tags []string
	for next := []id{idOf(d.Manifest)}; len(next) > 0; next = next[1:] {
		tags = append(tags, a.tagged[next[0]]...)
		for _, parent := range a.parents[next[0]] {
			if !seen[parent] {
				seen[parent] = true
				next = append(next, parent)
			}
		}
	}
	if len(tags) == 0 {
		return d
	}
	slices.Sort(tags)
	d.Tag = tags[0]
	if more := len(tags) - 1; more > 0 {
		d.Detail += fmt.Sprintf("%sit concerns %d more tags", separator(d.Detail), more)
	}
	return d
}

func separator(before string) string {
	if before == "" {
		return ""
	}
	return "; "
}
