package migration

import (
	"context"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// bigRepository is how many files make a repository so big that it is the only big
// one in memory, see scan.big.
const bigRepository = 50_000

// repositoriesAtOnce is how many repositories are gathered at a time.
const repositoriesAtOnce = 8

// repositories looks at all repositories.
func (s *scan) repositories(ctx context.Context) error {
	parts, err := s.repositoryParts(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(repositoriesAtOnce)
	for _, part := range parts {
		g.Go(func() error {
			walk := &repositoryWalk{s: s, ctx: ctx}
			err := s.list(ctx, part, walk.see)
			if err == nil {
				err = walk.finish()
			}
			walk.release()
			return err
		})
	}
	return g.Wait()
}

// repositoryParts divides all repositories into listings that can go on at the same
// time. No repository is in two of them: the bounds are names of repositories, or of
// what they begin with.
func (s *scan) repositoryParts(ctx context.Context) ([]tree.ListOptions, error) {
	bounds, err := s.repositoryFolders(ctx, "")
	if err != nil {
		return nil, err
	}
	if len(bounds) < 2*repositoriesAtOnce { // as Harbor's few projects of many repositories
		for _, folder := range bounds {
			below, err := s.repositoryFolders(ctx, folder+"/")
			if err != nil {
				return nil, err
			}
			bounds = append(bounds, below...)
		}
	}
	slices.Sort(bounds)
	const most = 8 * repositoriesAtOnce
	step := max(1, len(bounds)/most)
	var chosen []string
	for i := 0; i < len(bounds); i += step {
		chosen = append(chosen, layout.Repositories+bounds[i]+"/")
	}
	slices.Sort(chosen)
	return split(tree.ListOptions{Prefix: layout.Repositories, Uploads: true}, chosen), nil
}

// repositoryFolders returns the parts of repositories' names in a folder. One that
// cannot be read has none: listing it will tell.
func (s *scan) repositoryFolders(ctx context.Context, folder string) ([]string, error) {
	var names []string
	for name, err := range s.t.Folders(ctx, layout.Repositories+folder) {
		if err != nil {
			return names, ending(ctx, err)
		}
		if layout.ValidRepository(folder + name) {
			names = append(names, folder+name)
		}
	}
	return names, nil
}

// repositoryWalk gathers repositories from a listing, in which the files of each one
// come together.
type repositoryWalk struct {
	s   *scan
	ctx context.Context
	r   *repository
	g   *errgroup.Group // reads links of r
	gtx context.Context
	// tag is the link of a tag whose target may follow from the history that comes next
	// in the listing.
	tag     *tree.Object
	tagFile layout.File
	files   int
}

func (w *repositoryWalk) see(o tree.Object) error {
	f := layout.Parse(o.Name)
	if f.Kind == layout.Foreign {
		w.s.stranger(o)
		return nil
	}
	if w.r == nil || w.r.name != f.Repository {
		if err := w.finish(); err != nil {
			return err
		}
		w.begin(f.Repository)
	}
	if w.files++; w.files == w.s.big {
		w.s.bigRepository.Lock()
		w.r.big = true
	}
	switch f.Kind {
	case layout.Upload:
		w.r.upload(f, o)
		return nil
	case layout.TagLink:
		if err := w.readTag(); err != nil {
			return err
		}
		w.s.p.Tags.Add(1)
		w.tag, w.tagFile = &o, f
		return nil
	case layout.TagHistory:
		if w.tagFile.Tag != f.Tag { // the current link comes first
			if err := w.readTag(); err != nil {
				return err
			}
			w.tagFile = layout.File{Kind: layout.TagLink, Repository: f.Repository, Tag: f.Tag}
			w.tag = &tree.Object{Name: w.tagFile.Path(), Size: -1}
		}
		if content, known := f.LinkContent(); known && w.tag != nil && w.s.etagProves(*w.tag, content) {
			w.r.addTag(f.Tag, f.Digest())
			w.s.countLink(*w.tag)
			w.tag = nil
		}
	}
	return w.link(f, o)
}

func (w *repositoryWalk) begin(name string) {
	w.r, w.files = &repository{name: name}, 0
	w.g, w.gtx = errgroup.WithContext(w.ctx)
	w.tag, w.tagFile = nil, layout.File{}
}

// finish looks at what has been gathered.
func (w *repositoryWalk) finish() error {
	if w.r == nil {
		return nil
	}
	err := w.readTag()
	if reading := w.g.Wait(); err == nil {
		err = reading
	}
	if err == nil {
		err = w.s.repository(w.ctx, w.r)
	}
	w.release()
	return err
}

// release forgets the repository.
func (w *repositoryWalk) release() {
	if w.r == nil {
		return
	}
	_ = w.g.Wait()
	if w.r.big {
		w.s.bigRepository.Unlock()
	}
	w.r = nil
}

// readTag reads the link of the tag whose history has been seen, unless its target is
// known.
func (w *repositoryWalk) readTag() error {
	if w.tag == nil {
		return nil
	}
	f, o := w.tagFile, *w.tag
	w.tag = nil
	s, r, ctx := w.s, w.r, w.gtx
	return s.do(ctx, w.g, func() error {
		target, err := s.readLink(ctx, f, o)
		if target != "" {
			s.countLink(o)
			r.addTag(f.Tag, target)
		}
		return err
	})
}

// link adds a link to the repository, and reads it unless its content is known.
func (w *repositoryWalk) link(f layout.File, o tree.Object) error {
	s, r, ctx := w.s, w.r, w.gtx
	s.countLink(o)
	r.addLink(f)
	content, known := f.LinkContent()
	if known && s.etagProves(o, content) {
		return nil
	}
	return s.do(ctx, w.g, func() error {
		target, err := s.readLink(ctx, f, o)
		if err != nil || known || target == "" || f.Kind == layout.TagHistory {
			return err
		}
		return s.alias(ctx, r, f, target)
	})
}

func (s *scan) countLink(o tree.Object) {
	s.p.Links.Add(1)
	s.p.linkBytes.Add(max(0, o.Size))
}
