package tree

import (
	"errors"
	"fmt"
	"strings"
)

// ErrName is that a text cannot be the name of an object: it is empty, absolute, ends
// with a slash, holds a zero byte or an empty component, or leads elsewhere by "." or
// "..". No tree looks such a name up.
var ErrName = errors.New("not the name of an object")

// checkName returns ErrName for what is no object's name.
func checkName(name string) error {
	if !cleanPath(name) {
		return fmt.Errorf("%q: %w", name, ErrName)
	}
	return nil
}

// checkFolder returns ErrName for what is neither "" nor a folder's name and a slash.
func checkFolder(folder string) error {
	path, slash := strings.CutSuffix(folder, "/")
	if folder != "" && (!slash || !cleanPath(path)) {
		return fmt.Errorf("folder %q: %w", folder, ErrName)
	}
	return nil
}

func cleanPath(path string) bool {
	if strings.IndexByte(path, 0) >= 0 {
		return false
	}
	for component := range strings.SplitSeq(path, "/") {
		if component == "" || component == "." || component == ".." {
			return false
		}
	}
	return true
}
