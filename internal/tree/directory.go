//go:build unix

package tree

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// Directory is a tree in a folder of a file system. What its methods for reading do
// changes nothing in it. Nothing outside the folder can be reached: symbolic links
// below it are never followed, also not one that takes the place of a folder while
// it is in use. It holds no caches, so others may write to the folder too.
//
// Every method names files as they are called below the folder. Names that begin
// with ".lighterage-" are unfinished files: they cannot be used, and are in no listing.
type Directory struct {
	path    string
	root    *os.File
	control syscall.RawConn // of root
	direct  bool            // openat2 works, see below
	options DirectoryOptions

	// shape is held for reading from when a folder is made or found until there is a file
	// in it, and for writing while empty folders are removed.
	shape   sync.RWMutex
	making  making  // folders that are being made
	cleaned cleaned // folders that had no left-overs when they were looked at
}

// DirectoryOptions say what is made in a directory, and how.
type DirectoryOptions struct {
	// Create makes the folder, and those above it, if it is not there.
	Create bool
	// FileMode and FolderMode are the permissions of new files and folders, whatever
	// the process's umask. 0 is 0644 and 0755.
	FileMode, FolderMode fs.FileMode
	// Owner is whom new files and folders are given to. If it is nil that is the owner of
	// the tree's folder where the process is root, and the process's user otherwise.
	Owner *Owner
}

// Owner is a user and a group. Harbor's registry runs as 10000:10000.
type Owner struct{ UID, GID int }

var _ Tree = (*Directory)(nil)

// OpenDirectory opens the folder at path as a tree. Close it after use.
func OpenDirectory(path string, o DirectoryOptions) (*Directory, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", path, err)
	}
	if o.FileMode == 0 {
		o.FileMode = 0o644
	}
	if o.FolderMode == 0 {
		o.FolderMode = 0o755
	}
	if o.Create {
		if err := createRoot(absolute, o); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenFile(absolute, unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	d := &Directory{path: absolute, root: root, options: o}
	if err := d.prepare(); err != nil {
		_ = root.Close()
		return nil, fmt.Errorf("open directory %s: %w", path, err)
	}
	return d, nil
}

func (d *Directory) prepare() error {
	info, err := d.root.Stat()
	if err != nil {
		return err
	}
	if d.options.Owner == nil && os.Geteuid() == 0 {
		stat := info.Sys().(*syscall.Stat_t)
		d.options.Owner = &Owner{UID: int(stat.Uid), GID: int(stat.Gid)}
	}
	if d.control, err = d.root.SyscallConn(); err != nil {
		return err
	}
	return d.control.Control(func(fd uintptr) { d.direct = hasOpenat2(int(fd)) })
}

// createRoot makes the folder of a tree, and leaves one that is there as it is.
func createRoot(path string, o DirectoryOptions) error {
	if err := os.MkdirAll(filepath.Dir(path), o.FolderMode); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		if _, notThere := os.Stat(path); notThere == nil {
			return nil
		}
		return err
	}
	if o.Owner != nil {
		if err := os.Lchown(path, o.Owner.UID, o.Owner.GID); err != nil {
			return err
		}
	}
	return os.Chmod(path, o.FolderMode)
}

// Close ends the use of the tree. Readers that are open stay good.
func (d *Directory) Close() error { return d.root.Close() }

// String is the absolute path of the folder.
func (d *Directory) String() string { return d.path }

// Local implements Tree.
func (d *Directory) Local() bool { return true }

// Stat implements Tree. The error is ErrNotRegular for what is neither a file nor a
// folder.
func (d *Directory) Stat(ctx context.Context, name string) (Object, error) {
	if err := d.checkUse(ctx, name); err != nil {
		return Object{}, err
	}
	folder, base := splitName(name)
	parent, err := d.below(folder, searchFolder)
	if err != nil {
		return Object{}, missing(err)
	}
	defer func() { _ = parent.Close() }()
	stat, err := statAt(parent, base)
	if err != nil {
		return Object{}, err
	}
	if err := d.checkFile(name, kind(&stat)); err != nil {
		return Object{}, err
	}
	return object(name, &stat), nil
}

// Read implements Tree. What is read is the file that had the name when it was
// opened, up to the size that it had then. The error is ErrNotRegular for what is
// neither a file nor a folder.
func (d *Directory) Read(ctx context.Context, name string, offset, size int64) (io.ReadCloser, error) {
	if err := d.checkUse(ctx, name); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fmt.Errorf("read %s from offset %d", name, offset)
	}
	// Not to wait for whoever writes to a named pipe.
	file, err := d.below(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY)
	if err != nil {
		return nil, missing(err)
	}
	r, err := d.reader(ctx, name, file, offset, size)
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return r, nil
}

func (d *Directory) reader(ctx context.Context, name string, file *os.File, offset, size int64) (*fileReader, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := d.checkFile(name, info.Mode()); err != nil {
		return nil, err
	}
	left := max(0, info.Size()-offset)
	if size >= 0 {
		left = min(left, size)
	}
	if offset > 0 && left > 0 {
		if _, err := file.Seek(offset, io.SeekStart); err != nil {
			return nil, err
		}
	}
	return &fileReader{ctx: ctx, file: file, left: left}, nil
}

// Prove implements Tree. A directory knows nothing of what it holds but the size.
func (d *Directory) Prove(ctx context.Context, o Object, want digest.Digest, content []byte) (Proof, error) {
	if ctx.Err() != nil {
		return Unproven, context.Cause(ctx)
	}
	if content != nil && o.Size >= 0 && o.Size != int64(len(content)) {
		return Unproven, fmt.Errorf("%s has %d bytes, not %d: %w %s", o.Name, o.Size, len(content), ErrDigest, want)
	}
	return Unproven, nil
}

// checkUse returns an error for names that cannot be used and for a context that has
// ended.
func (d *Directory) checkUse(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if _, base := splitName(name); isTemporary(base) {
		return fmt.Errorf("%q: %w: it is that of an unfinished file", name, ErrName)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// checkFile returns an error for what is not a file. A folder is not there: in a
// store it would not be either.
func (d *Directory) checkFile(name string, mode fs.FileMode) error {
	switch {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return &fs.PathError{Op: "open", Path: d.full(name), Err: fs.ErrNotExist}
	default:
		return &fs.PathError{Op: "open", Path: d.full(name), Err: ErrNotRegular}
	}
}

// kind is whether stat is of a file, of a folder, or of something else.
func kind(stat *unix.Stat_t) fs.FileMode {
	switch uint32(stat.Mode) & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFDIR:
		return fs.ModeDir
	default:
		return fs.ModeIrregular
	}
}

func object(name string, stat *unix.Stat_t) Object {
	modified := time.Unix(stat.Mtim.Unix())
	etag := strconv.FormatInt(stat.Size, 10) + "-" + strconv.FormatInt(modified.UnixNano(), 10)
	return Object{Name: name, Size: stat.Size, Modified: modified, ETag: etag}
}

// fileReader reads the rest of a file, and tells an end that comes too early.
type fileReader struct {
	ctx  context.Context
	file *os.File
	left int64 // bytes
}

func (r *fileReader) Read(b []byte) (int, error) {
	if r.ctx.Err() != nil {
		return 0, context.Cause(r.ctx)
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.file.Read(b[:min(int64(len(b)), r.left)])
	r.left -= int64(n)
	if err == io.EOF && r.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (r *fileReader) Close() error { return r.file.Close() }
