package migration

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
)

// How far FindRoot looks. A volume's subPath has few levels, and a folder that holds
// a registry deeper, or beside tens of thousands of others, was not meant.
const (
	rootLevels  = 4
	rootFolders = 20_000
)

// FindRoot finds the folder that holds docker/registry/v2: path itself, one that path
// lies in, or one up to four levels below path, where a volume's subPath may be. Exactly
// one must be there. When several are, others names them all, and the error says so too.
func FindRoot(ctx context.Context, path string) (root string, others []string, err error) {
	path = filepath.Clean(path)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil, problem.New(problem.NotFound, "%s: there is no such folder. Is the volume mounted?", path)
	case err != nil:
		return "", nil, fmt.Errorf("look for a registry: %w", err)
	case !info.IsDir():
		return "", nil, problem.New(problem.BadRequest, "%s is not a folder", path)
	}
	if root, ok := rootAbove(path); ok {
		return root, nil, nil
	}
	s := rootSearch{most: rootFolders}
	if err := s.search(ctx, path); err != nil {
		return "", nil, err
	}
	switch len(s.found) {
	case 1:
		return s.found[0], nil, nil
	case 0:
		return "", nil, problem.New(problem.NotFound, "%s holds no registry: there is no %s in it or up to %d levels below. %s",
			path, strings.TrimSuffix(layout.Root, "/"), rootLevels, s.seen(path))
	default:
		return "", s.found, problem.New(problem.Conflict, "%s holds %d registries, and which one is meant is not clear: name one of %s",
			path, len(s.found), strings.Join(s.found, ", "))
	}
}

// rootAbove finds the root that path is, or that path lies in: a user may well name
// the folder docker/registry/v2 itself.
func rootAbove(path string) (string, bool) {
	if isRoot(path) {
		return path, true
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", false
	}
	for inside := filepath.FromSlash(strings.TrimSuffix(layout.Root, "/")); inside != "."; inside = filepath.Dir(inside) {
		if root, ok := strings.CutSuffix(absolute, string(filepath.Separator)+inside); ok && root != "" && isRoot(root) {
			return root, true
		}
	}
	return "", false
}

func isRoot(folder string) bool {
	info, err := os.Stat(filepath.Join(folder, filepath.FromSlash(layout.Root)))
	return err == nil && info.IsDir()
}

// rootSearch is one search below a folder, level by level.
type rootSearch struct {
	most       int // folders that are looked at
	found      []string
	first      []string // what is directly in the folder, for the message when nothing is found
	unreadable []string
	folders    int
}

func (s *rootSearch) search(ctx context.Context, top string) error {
	level := []string{top}
	for depth := range rootLevels {
		var next []string
		for _, folder := range level {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			below, err := s.look(folder)
			if err != nil {
				return err
			}
			if depth == 0 {
				s.first = below
			}
			for _, name := range below {
				if child := filepath.Join(folder, name); isRoot(child) {
					s.found = append(s.found, child)
				} else {
					next = append(next, child)
				}
			}
		}
		level = next
	}
	return nil
}

// look returns the folders in a folder in which a registry could be. Symbolic links
// are not followed: they may lead anywhere, and in circles.
func (s *rootSearch) look(folder string) ([]string, error) {
	if s.folders++; s.folders > s.most {
		return nil, problem.New(problem.BadRequest, "no single registry was found in the first %d folders looked at: name the folder that holds %s",
			s.most, strings.TrimSuffix(layout.Root, "/"))
	}
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.unreadable = append(s.unreadable, folder)
	}
	var below []string
	for _, entry := range entries {
		if entry.IsDir() && !isJunk(entry.Name()) {
			below = append(below, entry.Name())
		}
	}
	return below, nil
}

// seen says what was found instead of a registry.
func (s *rootSearch) seen(top string) string {
	if len(s.unreadable) > 0 {
		return fmt.Sprintf("%d folders could not be read, %s among them: run as the registry's user", len(s.unreadable), s.unreadable[0])
	}
	if len(s.first) == 0 {
		return "It has no folders at all. Is the volume mounted?"
	}
	return "It has " + nameSome(s.first)
}

// nameSome lists names for a message, not more than can be read.
func nameSome(names []string) string {
	const most = 10
	quoted := make([]string, 0, most)
	for _, name := range names[:min(len(names), most)] {
		quoted = append(quoted, printable(name))
	}
	text := strings.Join(quoted, ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}
