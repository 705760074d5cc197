//go:build unix

package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const openFolder = unix.O_RDONLY | unix.O_DIRECTORY

// full is the path of a name outside the tree, for messages.
func (d *Directory) full(name string) string { return filepath.Join(d.path, name) }

// splitName takes the folder, without a slash at its end, off a name.
func splitName(name string) (folder, base string) {
	at := strings.LastIndexByte(name, '/')
	if at < 0 {
		return "", name
	}
	return name[:at], name[at+1:]
}

// below opens what is called name in the tree, or the tree's own folder if name is "".
func (d *Directory) below(name string, flags int) (*os.File, error) {
	var fd int
	var err error
	if ended := d.control.Control(func(root uintptr) { fd, err = d.openBelow(int(root), name, flags) }); ended != nil {
		return nil, &fs.PathError{Op: "open", Path: d.full(name), Err: fs.ErrClosed}
	}
	return d.file(fd, name, err)
}

// inside opens what is called base in a folder; name is what it is called in the tree.
func (d *Directory) inside(folder *os.File, base, name string, flags int) (*os.File, error) {
	fd, err := d.openBelow(int(folder.Fd()), base, flags)
	return d.file(fd, name, err)
}

func (d *Directory) file(fd int, name string, err error) (*os.File, error) {
	path := d.full(name)
	if err == unix.ELOOP {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fmt.Errorf("%w: a symbolic link is not followed", ErrNotRegular)}
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

// openBelow opens a clean path below an open folder, or the folder again if the path
// is "". A symbolic link on the way is ELOOP.
func (d *Directory) openBelow(folder int, path string, flags int) (int, error) {
	if path == "" {
		return openAt(folder, ".", flags)
	}
	for attempt := 0; ; attempt++ {
		fd, err := -1, error(nil)
		switch {
		case strings.IndexByte(path, '/') < 0:
			fd, err = openAt(folder, path, flags)
		case d.direct:
			if fd, err = openat2(folder, path, flags); err == unix.ENOTDIR {
				fd, err = openStepwise(folder, path, flags) // which tells a link from a file
			}
		default:
			fd, err = openStepwise(folder, path, flags)
		}
		// A stale handle of NFS is found anew when the path is looked up again.
		if err != unix.ESTALE || attempt == 3 {
			return fd, err
		}
	}
}

// openStepwise opens each folder of a path in the one before it.
func openStepwise(folder int, path string, flags int) (int, error) {
	current := folder
	for {
		component, rest, more := strings.Cut(path, "/")
		if !more {
			fd, err := openAt(current, component, flags)
			if current != folder {
				_ = unix.Close(current)
			}
			return fd, err
		}
		next, err := openAt(current, component, searchFolder)
		if current != folder {
			_ = unix.Close(current)
		}
		if err != nil {
			return -1, err
		}
		current, path = next, rest
	}
}

// openAt opens one component of a path.
func openAt(folder int, name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(folder, name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ENOTDIR || err == unix.EMLINK:
			// Systems differ in what they call a symbolic link that is not followed.
			var stat unix.Stat_t
			if unix.Fstatat(folder, name, &stat, unix.AT_SYMLINK_NOFOLLOW) == nil && uint32(stat.Mode)&unix.S_IFMT == unix.S_IFLNK {
				err = unix.ELOOP
			}
		}
		return fd, err
	}
}

func statAt(folder *os.File, base string) (unix.Stat_t, error) {
	var stat unix.Stat_t
	for {
		err := unix.Fstatat(int(folder.Fd()), base, &stat, unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return stat, &fs.PathError{Op: "stat", Path: filepath.Join(folder.Name(), base), Err: err}
		}
		return stat, nil
	}
}

// missing makes an error about a path that leads through a file one about a path
// that is not there. In a store it would be no other.
func missing(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok && e.Err == unix.ENOTDIR {
		return &fs.PathError{Op: e.Op, Path: e.Path, Err: fs.ErrNotExist}
	}
	return err
}

// isVanished reports whether err is that something went away after it was seen.
func isVanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist)
}

// hopeless marks an error of a write as fatal when the next one will not do better:
// the disk is full or read-only, or writing is not permitted.
func hopeless(err error) error {
	for _, fatal := range []error{unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EACCES, unix.EPERM} {
		if errors.Is(err, fatal) {
			return &fatalError{err}
		}
	}
	return err
}

// syncFolder waits until what was made, renamed or removed in a folder is on disk.
func syncFolder(folder *os.File) error {
	err := folder.Sync()
	// Some file systems over a network cannot, and need not.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}
