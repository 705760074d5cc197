package migration

import (
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// isJunk reports whether a file or folder of this name is left over by a file system,
// a store's gateway or an interrupted write, and by no registry's intention.
func isJunk(name string) bool {
	switch name {
	case "lost+found", ".snapshot", ".snapshots", "~snapshot", ".Trash-0", ".DS_Store", "Thumbs.db", "@eaDir":
		return true
	}
	return strings.HasPrefix(name, ".nfs") || strings.HasSuffix(name, ".tmp") || strings.HasSuffix(name, ".partial")
}

// stranger tells of a file that is not of the layout.
func (s *scan) stranger(o tree.Object) {
	d := Damage{Kind: ForeignFile, Path: o.Name, Detail: fmt.Sprintf("%d bytes", o.Size)}
	switch {
	case strings.HasSuffix(o.Name, "/"):
		d.Kind, d.Detail = DirectoryMarker, ""
	case junkPath(o.Name):
		d.Kind = Junk
		s.count(func(r *FsckReport) { r.Junk++ })
	default:
		s.count(func(r *FsckReport) { r.Foreign++ })
	}
	s.damaged(d)
}

func junkPath(name string) bool {
	for component := range strings.SplitSeq(name, "/") {
		if isJunk(component) {
			return true
		}
	}
	return false
}

// foreignPrefixes is how many strangers beside a registry are told of: a bucket that
// others use too may have any number.
const foreignPrefixes = 20

// strangersBeside tells of what stands beside the registry in its tree, on the way
// down to docker/registry/v2 and in there.
func (s *scan) strangersBeside(ctx context.Context) error {
	told := 0
	for folder := ""; folder != layout.Root; {
		own, _, _ := strings.Cut(layout.Root[len(folder):], "/")
		for name, err := range s.t.Folders(ctx, folder) {
			if err != nil {
				if end := ending(ctx, err); end != nil {
					return end
				}
				break // of no concern: the registry itself was looked at
			}
			if name == own || folder+name+"/" == ownFolder {
				continue
			}
			if told++; told > foreignPrefixes {
				return s.strangersInside(ctx)
			}
			s.foreignFolder(folder + name + "/")
		}
		folder += own + "/"
	}
	return s.strangersInside(ctx)
}

func (s *scan) foreignFolder(folder string) {
	kind := ForeignPrefix
	if isJunk(path.Base(folder)) {
		kind = Junk
		s.count(func(r *FsckReport) { r.Junk++ })
	}
	s.damaged(Damage{Kind: kind, Path: folder})
}

// strangersInside tells of files in docker/registry/v2 that are neither below blobs
// nor below repositories.
func (s *scan) strangersInside(ctx context.Context) error {
	for _, part := range []tree.ListOptions{
		{Until: layout.Blobs},
		{After: afterAll(layout.Blobs), Until: layout.Repositories},
		{After: afterAll(layout.Repositories)},
	} {
		part.Prefix = layout.Root
		err := s.list(ctx, part, func(o tree.Object) error {
			s.stranger(o)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
