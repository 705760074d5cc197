package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lighterage/lighterage/internal/layout"
)

// Change is what happened to a volume after it was made.
type Change struct {
	Pushed, Retagged, Untagged, Deleted int      // images, tags, tags, images with their tags
	Files                               []File   // all that are in the volume now
	Tags                                []string // paths of the links of the tags that were pushed or changed

	volume *Volume
	beside string // a folder beside the volume, for what went
	added  []string
	moved  []string
}

// MostChanges is how many changes there is room for in a volume.
func (v *Volume) MostChanges() int { return v.Profile.Repositories * (v.Profile.Images - 1) }

// Change changes a volume count times as a registry does that is used: of five
// changes two push an image with a new tag, two make a tag stand for another image,
// and one deletes a tag or an image. Nothing leaves the file system, so that Undo can
// bring it back.
func (v *Volume) Change(ctx context.Context, count int) (*Change, error) {
	if count > v.MostChanges() {
		return nil, fmt.Errorf("%d changes of a volume that has room for %d", count, v.MostChanges())
	}
	c := &Change{volume: v, beside: v.Root + ".changed"}
	if err := os.Mkdir(c.beside, 0o755); err != nil {
		return nil, err
	}
	w := &writer{root: v.Root}
	for i := range count {
		if err := c.one(ctx, w, i); err != nil {
			return nil, errors.Join(fmt.Errorf("change %s: %w", v.Root, err), c.Undo())
		}
	}
	c.Files = c.now(w.files)
	return c, nil
}

// one makes the i-th change, in a repository and of a tag that no other change has.
// A repository's last image stays, and is what tags move to.
func (c *Change) one(ctx context.Context, w *writer, i int) error {
	v := c.volume
	r, image := i%v.Profile.Repositories, i/v.Profile.Repositories
	name := repositoryName(r)
	switch i % 5 {
	case 0, 1:
		c.Pushed++
		return c.push(ctx, w, name, i)
	case 2, 3:
		c.Retagged++
		tag := layout.File{Kind: layout.TagLink, Repository: name, Tag: tagName(image)}.Path()
		if err := c.away(tag); err != nil {
			return err
		}
		c.Tags = append(c.Tags, tag)
		return c.note(w, func() error { return w.tag(name, tagName(image), v.digests[r][v.Profile.Images-1]) })
	default:
		if i%10 == 4 {
			c.Untagged++
		} else {
			c.Deleted++
			d := v.digests[r][image]
			if err := c.away(layout.File{Kind: layout.RevisionLink, Repository: name, Algorithm: "sha256", Hex: d.Encoded()}.Path()); err != nil {
				return err
			}
		}
		return c.away(layout.TagsFolder(name) + tagName(image))
	}
}

func (c *Change) push(ctx context.Context, w *writer, repository string, i int) error {
	tag := fmt.Sprintf("v2.%d.0", i)
	c.Tags = append(c.Tags, layout.File{Kind: layout.TagLink, Repository: repository, Tag: tag}.Path())
	return c.note(w, func() error {
		smallest := Range{c.volume.Profile.Layer.From, c.volume.Profile.Layer.From}
		d, err := c.volume.image(ctx, w, repository, fmt.Sprintf("pushed %d", i), nil, smallest)
		if err != nil {
			return err
		}
		return w.tag(repository, tag, d)
	})
}

// note remembers what write adds.
func (c *Change) note(w *writer, write func() error) error {
	before := len(w.files)
	err := write()
	for _, f := range w.files[before:] {
		c.added = append(c.added, f.Path)
	}
	return err
}

// away moves a file or a folder out of the volume.
func (c *Change) away(path string) error {
	if err := os.Rename(c.inside(path), c.outside(len(c.moved))); err != nil {
		return err
	}
	c.moved = append(c.moved, path)
	return nil
}

func (c *Change) inside(path string) string {
	return filepath.Join(c.volume.Root, filepath.FromSlash(path))
}

func (c *Change) outside(i int) string { return filepath.Join(c.beside, fmt.Sprint(i)) }

// now is what is in the volume after files were added.
func (c *Change) now(added []File) []File {
	gone := map[string]bool{}
	for _, path := range c.moved {
		gone[path] = true
	}
	all := slices.DeleteFunc(slices.Clone(c.volume.Files), func(f File) bool {
		if gone[f.Path] {
			return true
		}
		if layout.Parse(f.Path).Tag == "" {
			return false
		}
		folder, _, _ := strings.Cut(f.Path, "/current/")
		folder, _, _ = strings.Cut(folder, "/index/")
		return gone[folder]
	})
	return append(all, added...)
}

// Undo makes the volume what it was.
func (c *Change) Undo() error {
	var failed error
	for _, path := range c.added {
		local := c.inside(path)
		if err := os.Remove(local); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
		for folder := filepath.Dir(local); folder != c.volume.Root; folder = filepath.Dir(folder) {
			if os.Remove(folder) != nil { // something else is in it
				break
			}
		}
	}
	for i, path := range slices.Backward(c.moved) {
		err := os.MkdirAll(filepath.Dir(c.inside(path)), 0o755)
		if err == nil {
			err = os.Rename(c.outside(i), c.inside(path))
		}
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		return fmt.Errorf("undo changes of %s: %w", c.volume.Root, failed)
	}
	c.added, c.moved = nil, nil
	return os.Remove(c.beside)
}
