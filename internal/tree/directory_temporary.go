//go:build unix

package tree

import (
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// temporaryPrefix begins the names of unfinished files. To the layout they are
// foreign, and a registry does not look at them.
const temporaryPrefix = ".lighterage-"

func isTemporary(base string) bool { return strings.HasPrefix(base, temporaryPrefix) }

// temporary is an unfinished file. It is locked as long as its process lives and works
// on it, so that others can tell it from one that was left over.
type temporary struct {
	d         *Directory
	path      string   // of the folder in the tree
	made      int      // how many folders of path were made for it
	folder    *os.File // open
	file      *os.File // open
	name      string
	published bool
}

// newTemporary makes an unfinished file in a folder, and the folder if need be.
func (d *Directory) newTemporary(path string) (*temporary, error) {
	made := 0
	for attempt := 0; ; attempt++ {
		t, more, err := d.tryTemporary(path)
		made += more
		if err == nil {
			t.made = made
			return t, nil
		}
		// Another process may have removed a folder that was empty for a moment.
		if attempt == 100 || !errors.Is(err, fs.ErrNotExist) {
			_, _ = d.removeEmpty(path, made) // what stays does no harm
			return nil, err
		}
	}
}

func (d *Directory) tryTemporary(path string) (t *temporary, made int, err error) {
	d.shape.RLock()
	defer d.shape.RUnlock()
	folder, made, err := d.makeFolder(path)
	if err != nil {
		return nil, made, err
	}
	if made == 0 && d.cleaned.first(path) {
		err = removeLeftOvers(folder)
	}
	t = &temporary{d: d, path: path, folder: folder}
	if err == nil {
		err = t.create()
	}
	if err != nil {
		_ = folder.Close()
		return nil, made, err
	}
	return t, made, nil
}

func (t *temporary) create() error {
	for {
		t.name = temporaryPrefix + rand.Text()
		path := filepath.Join(t.folder.Name(), t.name)
		fd, err := unix.Openat(int(t.folder.Fd()), t.name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == unix.EINTR || err == unix.EEXIST {
			continue
		}
		if err != nil {
			return &fs.PathError{Op: "create", Path: path, Err: err}
		}
		t.file = os.NewFile(uintptr(fd), path)
		if locked, known := lock(t.file); (locked || !known) && exists(t.file) {
			return nil
		}
		// Somebody who removes left-overs came before the lock.
		_ = t.file.Close()
	}
}

// discard ends the work on the file. If it did not get its name, it goes, and so do
// the folders that were made for it.
func (t *temporary) discard() {
	if !t.published {
		_ = unix.Unlinkat(int(t.folder.Fd()), t.name, 0)
	}
	_ = t.file.Close()
	_ = t.folder.Close()
	if !t.published {
		_, _ = t.d.removeEmpty(t.path, t.made)
	}
}

// removeLeftOvers removes the unfinished files in a folder that nobody works on.
func removeLeftOvers(folder *os.File) error {
	// Its own position in the folder, whoever else has it open.
	fd, err := openAt(int(folder.Fd()), ".", openFolder)
	if err != nil {
		return &fs.PathError{Op: "open", Path: folder.Name(), Err: err}
	}
	again := os.NewFile(uintptr(fd), folder.Name())
	defer func() { _ = again.Close() }()
	for {
		names, err := again.Readdirnames(1024)
		for _, name := range names {
			if isTemporary(name) {
				removeLeftOver(folder, name)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// removeLeftOver keeps a file that it cannot judge: it does no harm.
func removeLeftOver(folder *os.File, name string) {
	fd, err := openAt(int(folder.Fd()), name, unix.O_RDWR|unix.O_NONBLOCK)
	if err != nil {
		return
	}
	file := os.NewFile(uintptr(fd), name)
	if locked, known := lock(file); locked && known {
		_ = unix.Unlinkat(int(folder.Fd()), name, 0)
	}
	_ = file.Close()
}

// lock locks a file without waiting. known is false where files cannot be locked.
func lock(file *os.File) (locked, known bool) {
	for {
		switch err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case nil:
			return true, true
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return false, true
		default:
			return false, false
		}
	}
}

func exists(file *os.File) bool {
	var stat unix.Stat_t
	return unix.Fstat(int(file.Fd()), &stat) == nil && stat.Nlink > 0
}

// cleaned remembers folders, not too many. It spares a look into the same folder for
// every file that is put into it.
type cleaned struct {
	mu      sync.Mutex
	folders map[string]bool
}

// first reports whether folder is seen for the first time, or after a long time.
func (c *cleaned) first(folder string) bool {
	const limit = 1000
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.folders[folder] {
		return false
	}
	if c.folders == nil || len(c.folders) == limit {
		c.folders = make(map[string]bool)
	}
	c.folders[folder] = true
	return true
}
