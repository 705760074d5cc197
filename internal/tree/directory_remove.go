//go:build unix

package tree

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Remove implements Tree. It returns when the removals are on disk. What is neither a
// file nor a folder is not removed: ErrNotRegular.
func (d *Directory) Remove(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := d.checkUse(ctx, name); err != nil {
			return fmt.Errorf("remove: %w", err)
		}
	}
	changed := map[string]bool{}
	for _, name := range names {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		folder, err := d.remove(name)
		if err != nil {
			return fmt.Errorf("remove %s: %w", name, hopeless(err))
		}
		changed[folder] = true
	}
	for folder := range changed {
		if err := d.sync(folder); err != nil {
			return fmt.Errorf("remove: %w", hopeless(err))
		}
	}
	return nil
}

// remove removes a file, and the folders that are empty without it. It returns the
// folder that stays.
func (d *Directory) remove(name string) (stays string, err error) {
	path, base := splitName(name)
	folder, err := d.below(path, openFolder)
	if err = missing(err); isVanished(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = folder.Close() }()
	stat, err := statAt(folder, base)
	if err == nil {
		err = d.checkFile(name, kind(&stat))
	}
	if err == nil {
		if err := unix.Unlinkat(int(folder.Fd()), base, 0); err != nil && err != unix.ENOENT {
			return "", &fs.PathError{Op: "remove", Path: filepath.Join(folder.Name(), base), Err: err}
		}
	} else if !isVanished(err) {
		return "", err
	}
	// Empty folders also go when another Remove was broken off before it came to them.
	stays, err = d.removeEmpty(path, depth(path))
	if err != nil || stays != path || !d.cleaned.first(path) {
		return stays, err
	}
	if err := removeLeftOvers(folder); err != nil {
		return "", err
	}
	return d.removeEmpty(path, depth(path))
}

func (d *Directory) sync(path string) error {
	folder, err := d.below(path, openFolder)
	if err != nil {
		return ignore(err, fs.ErrNotExist)
	}
	defer func() { _ = folder.Close() }()
	return syncFolder(folder)
}
