package migration

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// copiedAtOnce is how many repositories are copied at the same time: the names
// of each one's tags and manifests are in memory meanwhile.
const copiedAtOnce = 32

// repositories copies the links and tags of all selected repositories.
func (c *copier) repositories(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(min(c.o.Concurrency, copiedAtOnce))
	err := eachRepository(ctx, c.src, func(name string) error {
		if c.o.Repositories == nil || c.o.Repositories(name) {
			g.Go(func() error { return c.repository(ctx, name) })
		}
		return context.Cause(ctx)
	})
	if first := g.Wait(); first != nil {
		return first
	}
	return err
}

// repository copies one repository. What depends on other things is looked for
// before them and copied after them: a tag that is found has its manifest among the
// revisions that are found later, and a manifest its layers among the links that are
// found after it, also while the registry goes on writing.
func (c *copier) repository(ctx context.Context, name string) error {
	tags, err := c.tags(ctx, name)
	if err != nil {
		return err
	}
	revisions, err := c.links(ctx, layout.RevisionsFolder(name))
	if err != nil {
		return err
	}
	if err := c.intend(ctx, revisions, tags); err != nil {
		return err
	}
	layers := c.batch(ctx)
	for o, err := range c.src.List(ctx, c.listing(layout.LayersFolder(name))) {
		if err != nil {
			return errors.Join(err, layers.wait())
		}
		f := layout.Parse(o.Name)
		if f.Kind != layout.LayerLink || !c.wanted(o.Name) {
			continue
		}
		if !layers.intend(o.Name, func(ctx context.Context) error { return c.link(ctx, foundLink{f, o}) }, c.lacking(f)...) {
			break
		}
	}
	if err := layers.wait(); err != nil {
		return err
	}
	if layers.failed.Load() > 0 {
		c.p.postponed.Add(int64(len(revisions) + len(tags.history) + len(tags.current)))
		return nil // nothing is copied before what it needs
	}
	manifests := c.batch(ctx)
	for _, l := range revisions {
		if !c.doLink(manifests, l) {
			break
		}
	}
	if err := manifests.wait(); err != nil {
		return err
	}
	if manifests.failed.Load() > 0 {
		c.p.postponed.Add(int64(len(tags.history) + len(tags.current)))
		return nil
	}
	return c.putTags(ctx, tags)
}

// foundLink is a link as the source listed it.
type foundLink struct {
	file   layout.File
	object tree.Object
}

func (c *copier) doLink(b *batch, l foundLink) bool {
	return b.do(l.object.Name, func(ctx context.Context) error { return c.link(ctx, l) })
}

// lacking is the blob that a link leads to, if it has to be put for the link's sake.
func (c *copier) lacking(link layout.File) []string {
	if blob := layout.BlobPath(link.Algorithm, link.Hex); !c.j.has(blob) {
		return []string{blob}
	}
	return nil
}

// intend notes what is going to be put after a repository's layers.
func (c *copier) intend(ctx context.Context, revisions []foundLink, t tags) error {
	if c.o.DryRun {
		return nil
	}
	var names []string
	for _, l := range revisions {
		names = append(append(names, l.object.Name), c.lacking(l.file)...)
	}
	for _, l := range t.history {
		names = append(names, l.object.Name)
	}
	for _, tag := range t.current {
		names = append(names, tag.file.Path())
	}
	if err := c.j.intend(ctx, names); err != nil {
		return errors.Join(errJournal, err)
	}
	return nil
}

func (c *copier) listing(prefix string) tree.ListOptions {
	return tree.ListOptions{Prefix: prefix, Implied: true, Present: c.exact}
}

// links returns the links below folder that the destination lacks.
func (c *copier) links(ctx context.Context, folder string) ([]foundLink, error) {
	var lacking []foundLink
	for o, err := range c.src.List(ctx, c.listing(folder)) {
		if err != nil {
			return nil, err
		}
		if f := layout.Parse(o.Name); f.IsLink() && c.wanted(o.Name) {
			lacking = append(lacking, foundLink{f, o})
		}
	}
	return lacking, nil
}

// tags is what a repository's tags are to become at the destination.
type tags struct {
	history []foundLink
	current []currentTag
}

type currentTag struct {
	file   layout.File
	target digest.Digest
}

// tags finds the tags of a repository that the destination lacks, or has for
// something else. What a tag stands for is read at once.
func (c *copier) tags(ctx context.Context, repository string) (tags, error) {
	var found tags
	var mu sync.Mutex
	reading := c.batch(ctx)
	for o, err := range c.src.List(ctx, c.listing(layout.TagsFolder(repository))) {
		if err != nil {
			return tags{}, errors.Join(err, reading.wait())
		}
		switch f := layout.Parse(o.Name); f.Kind {
		case layout.TagHistory:
			if c.wanted(o.Name) {
				found.history = append(found.history, foundLink{f, o})
			}
		case layout.TagLink:
			c.p.found.Add(1)
			if c.exact {
				c.j.known.mark(c.j.of(o.Name))
			}
			reading.do(o.Name, func(ctx context.Context) error {
				target, err := c.readLink(ctx, f)
				if err != nil {
					return err
				}
				if c.j.hasTag(o.Name, target.String()) {
					c.p.known.Add(1)
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				found.current = append(found.current, currentTag{f, target})
				return nil
			})
		}
	}
	return found, reading.wait()
}

// putTags copies tags whose manifests have been copied. A tag of which only the
// history is there is listed by a registry and cannot be pulled, so that comes last.
func (c *copier) putTags(ctx context.Context, t tags) error {
	if len(t.history) == 0 && len(t.current) == 0 {
		return nil
	}
	if !c.o.DryRun && len(t.current) > 0 {
		if err := c.j.beginTags(ctx); err != nil {
			return err
		}
	}
	current := c.batch(ctx)
	for _, tag := range t.current {
		more := current.do(tag.file.Path(), func(ctx context.Context) error { return c.tag(ctx, tag) })
		if !more {
			break
		}
	}
	if err := current.wait(); err != nil {
		return err
	}
	if current.failed.Load() > 0 {
		c.p.postponed.Add(int64(len(t.history)))
		return nil
	}
	history := c.batch(ctx)
	for _, l := range t.history {
		if !c.doLink(history, l) {
			break
		}
	}
	return history.wait()
}

// tag copies what a tag stands for, if its manifest is there to be pulled.
func (c *copier) tag(ctx context.Context, t currentTag) error {
	revision := layout.File{
		Kind: layout.RevisionLink, Repository: t.file.Repository,
		Algorithm: t.target.Algorithm().String(), Hex: t.target.Encoded(),
	}
	if !c.o.DryRun && !c.j.has(revision.Path()) {
		// Its manifest was deleted since, or is coming; or the tag leads nowhere, and has
		// for long: then it is copied as it is, and told of.
		_, err := c.src.Stat(ctx, revision.Path())
		switch {
		case err == nil:
			l := foundLink{revision, tree.Object{Name: revision.Path(), Size: -1}}
			if err := c.intend(ctx, []foundLink{l}, tags{}); err != nil {
				return err
			}
			if err := c.link(ctx, l); err != nil {
				return err
			}
		case !tree.IsNotExist(err):
			return c.sourceError(ctx, revision.Path(), revision, err)
		case !c.exact:
			return errPostponed
		default:
			c.damaged(Damage{Kind: DanglingTag, Path: t.file.Path(), Repository: t.file.Repository, Tag: t.file.Tag, Digest: t.target})
		}
	}
	name, content := t.file.Path(), t.target.String()
	return c.putLink(ctx, name, content, func(ctx context.Context, name string, _ int64, r tree.Receipt) error {
		return c.j.storedTag(ctx, name, content, r)
	})
}

// eachRepository calls each with the name of every repository of t, in no order.
func eachRepository(ctx context.Context, t tree.Tree, each func(name string) error) error {
	var walk func(folder string) error
	walk = func(folder string) error {
		is := false
		var below []string
		for name, err := range t.Folders(ctx, layout.Repositories+folder) {
			if err != nil {
				return err
			}
			if strings.HasPrefix(name, "_") {
				is = is || name == "_manifests" || name == "_layers"
				continue
			}
			below = append(below, name)
		}
		if name := strings.TrimSuffix(folder, "/"); is && layout.ValidRepository(name) {
			if err := each(name); err != nil {
				return err
			}
		}
		for _, name := range below {
			if err := walk(folder + name + "/"); err != nil {
				return err
			}
		}
		return nil
	}
	return walk("")
}
