//go:build unix

package tree

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/lighterage/lighterage/internal/layout"
)

// List implements Tree. The names of one folder are in memory at a time, and of those
// above it. Where a folder implies a file, see ListOptions, what else is in it is not
// listed.
func (d *Directory) List(ctx context.Context, o ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := checkFolder(o.Prefix); err != nil {
			yield(Object{}, err)
			return
		}
		w := &walk{ctx: ctx, d: d, o: o, yield: yield}
		if w.ended() || !o.Uploads && inUploads(o.Prefix) {
			return
		}
		folder, err := d.below(strings.TrimSuffix(o.Prefix, "/"), openFolder)
		if err = missing(err); err != nil {
			if !isVanished(err) {
				w.failed(o.Prefix, err)
			}
			return
		}
		w.folder(folder, o.Prefix)
	}
}

// Folders implements Tree. A symbolic link, which somebody may have put in the place
// of a folder, is an error after all names; List tells of other things that are
// neither folders nor files.
func (d *Directory) Folders(ctx context.Context, folder string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		names, err := d.folders(ctx, folder)
		for _, name := range names {
			if ctx.Err() != nil {
				yield("", context.Cause(ctx))
				return
			}
			if !yield(name, nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

func (d *Directory) folders(ctx context.Context, folder string) ([]string, error) {
	if err := checkFolder(folder); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	file, err := d.below(strings.TrimSuffix(folder, "/"), openFolder)
	if err = missing(err); isVanished(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	entries, err := readFolder(file)
	if err != nil && !isVanished(err) {
		return nil, err
	}
	var names []string
	var linked error
	for _, e := range entries {
		switch {
		case e.kind.IsDir():
			names = append(names, e.name)
		case e.kind&fs.ModeSymlink != 0:
			linked = &fs.PathError{Op: "list", Path: d.full(folder + e.name), Err: fmt.Errorf("%w: a symbolic link is not followed", ErrNotRegular)}
		}
	}
	slices.Sort(names)
	return names, linked
}

// walk is a listing on its way through the folders. Its methods return false when it
// has to end.
type walk struct {
	ctx   context.Context
	d     *Directory
	o     ListOptions
	yield func(Object, error) bool
}

// folder lists what is in an open folder and closes it; path is its name and a slash.
func (w *walk) folder(file *os.File, path string) bool {
	defer func() { _ = file.Close() }()
	entries, err := readFolder(file)
	if err != nil && !isVanished(err) {
		return w.failed(path, err)
	}
	slices.SortFunc(entries, entry.compare)
	implied := ""
	if w.o.Implied {
		implied = layout.Implied(path)
	}
	for _, e := range entries {
		if w.ended() || !w.entry(file, path, e, implied) {
			return false
		}
	}
	return true
}

func (w *walk) entry(parent *os.File, path string, e entry, implied string) bool {
	switch {
	case e.kind.IsDir() && implied != "":
		return w.expected(parent, path, e.name, implied)
	case e.kind.IsDir():
		return w.sub(parent, path, e.name)
	case !w.selected(path + e.name):
		return true
	case !e.kind.IsRegular():
		name := path + e.name
		return w.failed(name, &fs.PathError{Op: "list", Path: w.d.full(name), Err: ErrNotRegular})
	case isTemporary(e.name):
		return true
	default:
		return w.file(parent, path+e.name, e.name)
	}
}

// expected lists the file that the layout expects in a folder, and looks into the
// folder only if it is not of the layout, or a tag, which has a history too.
func (w *walk) expected(parent *os.File, path, base, file string) bool {
	name := path + base + "/" + file
	kind := layout.Parse(name).Kind
	if kind == layout.Foreign {
		return w.sub(parent, path, base)
	}
	switch {
	case !w.selected(name):
	case !w.o.Present:
		if !w.yield(Object{Name: name, Size: -1}, nil) {
			return false
		}
	default:
		if !w.look(parent, name, base+"/"+file) {
			return false
		}
	}
	return kind != layout.TagLink || w.sub(parent, path, base+"/index")
}

// sub lists what is in the folder base of an open folder.
func (w *walk) sub(parent *os.File, path, base string) bool {
	folder := path + base + "/"
	// All that is in it is greater than its own name, and less than what comes after it.
	before := folder <= w.o.After && !strings.HasPrefix(w.o.After, folder)
	behind := w.o.Until != "" && folder >= w.o.Until
	if before || behind || !w.o.Uploads && strings.HasSuffix(folder, "/_uploads/") && inUploads(folder) {
		return true
	}
	file, err := w.d.inside(parent, base, folder, openFolder)
	if err != nil {
		return isVanished(err) || w.failed(folder, err)
	}
	return w.folder(file, folder)
}

func (w *walk) file(parent *os.File, name, base string) bool {
	if w.o.Implied && !w.o.Present {
		return w.yield(Object{Name: name, Size: -1}, nil)
	}
	return w.look(parent, name, base)
}

// look lists what is at path, seen from an open folder, if it is there. What leads
// through a file is not there.
func (w *walk) look(parent *os.File, name, path string) bool {
	stat, err := statAt(parent, path)
	if err = missing(err); err == nil {
		err = w.d.checkFile(name, kind(&stat))
	}
	if err != nil {
		return isVanished(err) || w.failed(name, err)
	}
	return w.yield(object(name, &stat), nil)
}

func (w *walk) selected(name string) bool {
	return name > w.o.After && (w.o.Until == "" || name < w.o.Until)
}

func (w *walk) ended() bool {
	if w.ctx.Err() == nil {
		return false
	}
	w.yield(Object{}, context.Cause(w.ctx))
	return true
}

func (w *walk) failed(path string, err error) bool {
	if w.o.OnError != nil && w.o.OnError(path, err) {
		return true
	}
	w.yield(Object{}, err)
	return false
}

// inUploads reports whether folder, with a slash at its end, is one of uploads.
func inUploads(folder string) bool { return layout.Parse(folder+"x").Kind == layout.Upload }

// entry is what a folder tells of something in it without a look at that.
type entry struct {
	name string
	kind fs.FileMode
}

// compare orders by the names that come out: those below a folder have a slash next.
func (e entry) compare(other entry) int {
	if len(e.name) == len(other.name) { // what follows does not matter
		return strings.Compare(e.name, other.name)
	}
	common := min(len(e.name), len(other.name))
	if c := strings.Compare(e.name[:common], other.name[:common]); c != 0 {
		return c
	}
	return cmp.Compare(e.at(common), other.at(common))
}

// at is a byte of the name, the slash after it if it is a folder's, or -1 at its end.
func (e entry) at(i int) int {
	switch {
	case i < len(e.name):
		return int(e.name[i])
	case e.kind.IsDir():
		return '/'
	default:
		return -1
	}
}

// readFolder returns what is in an open folder, in no order.
func readFolder(file *os.File) ([]entry, error) {
	var all []entry
	for {
		some, err := file.ReadDir(1024)
		all = slices.Grow(all, len(some))
		for _, e := range some {
			all = append(all, entry{e.Name(), e.Type()})
		}
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}
