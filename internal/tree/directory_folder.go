//go:build unix

package tree

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// unfinishedFolder is the mode of a folder that was made and has no owner yet. No
// registry has such folders. When its process is killed the next Put finishes it.
const unfinishedFolder = unix.S_ISVTX | 0o700

// makeFolder opens a folder, which is made if it is not there, as are those above it.
// It returns how many were made. All of them are on disk when it returns. The
// error is fs.ErrNotExist if somebody removes one meanwhile.
func (d *Directory) makeFolder(path string) (folder *os.File, made int, err error) {
	defer func() {
		if err != nil && folder != nil {
			_ = folder.Close()
		}
	}()
	folder, err = d.below(path, openFolder)
	if err == nil {
		d.making.wait(path)
		err = d.finishFolder(folder)
	}
	if err == nil || path == "" || !errors.Is(err, fs.ErrNotExist) {
		return folder, 0, err
	}
	above, base := splitName(path)
	parent, made, err := d.makeFolder(above)
	if err != nil {
		return nil, made, err
	}
	defer func() { _ = parent.Close() }()
	finished := d.making.begin(path)
	defer finished()
	switch err := unix.Mkdirat(int(parent.Fd()), base, unfinishedFolder); err {
	case nil:
		made++
	case unix.EEXIST: // somebody else was quicker
	default:
		return nil, made, &fs.PathError{Op: "mkdir", Path: d.full(path), Err: err}
	}
	folder, err = d.inside(parent, base, path, openFolder)
	if err == nil {
		err = d.finishFolder(folder)
	}
	if err == nil {
		err = syncFolder(parent)
	}
	return folder, made, err
}

// finishFolder gives an open folder its owner and mode if it has none yet.
func (d *Directory) finishFolder(folder *os.File) error {
	var stat unix.Stat_t
	if err := unix.Fstat(int(folder.Fd()), &stat); err != nil {
		return &fs.PathError{Op: "stat", Path: folder.Name(), Err: err}
	}
	if uint32(stat.Mode)&(0o7777&^unix.S_ISGID) != unfinishedFolder { // the group's bit is inherited
		return nil
	}
	return d.own(folder, d.options.FolderMode)
}

// own gives a new file or folder its owner and its mode.
func (d *Directory) own(file *os.File, mode fs.FileMode) error {
	if o := d.options.Owner; o != nil {
		if err := file.Chown(o.UID, o.GID); err != nil {
			return err
		}
	}
	return file.Chmod(mode)
}

// removeEmpty removes a folder if it is empty, then the one above it, and so on, at
// most limit of them. It returns the folder it came to: the first one that stays.
func (d *Directory) removeEmpty(path string, limit int) (stays string, err error) {
	d.shape.Lock()
	defer d.shape.Unlock()
	for limit > 0 && path != "" {
		above, base := splitName(path)
		switch err := d.removeFolder(above, base); {
		case err == nil:
			limit--
		case isVanished(err): // or was never made
		case errors.Is(err, unix.ENOTEMPTY), errors.Is(err, unix.EEXIST), errors.Is(err, unix.EBUSY):
			return path, nil // busy is where another file system begins
		default:
			return path, err
		}
		path = above
	}
	return path, nil
}

func (d *Directory) removeFolder(above, base string) error {
	parent, err := d.below(above, searchFolder)
	if err != nil {
		return err
	}
	defer func() { _ = parent.Close() }()
	if err := unix.Unlinkat(int(parent.Fd()), base, unix.AT_REMOVEDIR); err != nil {
		return &fs.PathError{Op: "rmdir", Path: filepath.Join(parent.Name(), base), Err: err}
	}
	return nil
}

func ignore(err, harmless error) error {
	if errors.Is(err, harmless) {
		return nil
	}
	return err
}

// making is the set of folders that are being made. Who finds one there waits until
// it is on disk.
type making struct {
	mu      sync.Mutex
	folders map[string]chan struct{}
}

// begin waits until nobody else is making the folder, and returns what to call when
// it is made.
func (m *making) begin(path string) (finished func()) {
	for {
		m.mu.Lock()
		other, busy := m.folders[path]
		if !busy {
			if m.folders == nil {
				m.folders = make(map[string]chan struct{})
			}
			done := make(chan struct{})
			m.folders[path] = done
			m.mu.Unlock()
			return func() {
				m.mu.Lock()
				delete(m.folders, path)
				m.mu.Unlock()
				close(done)
			}
		}
		m.mu.Unlock()
		<-other
	}
}

// wait waits for a folder and those above it.
func (m *making) wait(path string) {
	for path != "" {
		m.mu.Lock()
		other, busy := m.folders[path]
		none := len(m.folders) == 0
		m.mu.Unlock()
		if none {
			return
		}
		if busy {
			<-other
			continue
		}
		path, _ = splitName(path)
	}
}

// depth is how many folders a path goes through, with the last.
func depth(path string) int {
	if path == "" {
		return 0
	}
	return strings.Count(path, "/") + 1
}
