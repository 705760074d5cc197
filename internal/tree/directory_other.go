//go:build !unix

package tree

import (
	"errors"
	"fmt"
	"io/fs"
)

// Directory is a tree in a folder of a file system. There is none on this system.
type Directory struct{ Tree }

// DirectoryOptions say what is made in a directory, and how.
type DirectoryOptions struct {
	Create               bool
	FileMode, FolderMode fs.FileMode
	Owner                *Owner
}

// Owner is a user and a group.
type Owner struct{ UID, GID int }

// OpenDirectory returns errors.ErrUnsupported: what a directory promises needs calls
// that only Unix systems have.
func OpenDirectory(path string, _ DirectoryOptions) (*Directory, error) {
	return nil, fmt.Errorf("open directory %s: %w on this system", path, errors.ErrUnsupported)
}

// Close does nothing.
func (d *Directory) Close() error { return nil }
