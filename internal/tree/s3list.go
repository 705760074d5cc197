package tree

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/lighterage/lighterage/internal/layout"
)

// List implements Tree. Keys that end with a slash, the markers of folders that some
// tools leave behind, are listed like other objects, and the marker of the root as "":
// a registry takes them for tags without a name. Nothing else here accepts such a
// name, but Remove.
func (s *S3) List(ctx context.Context, o ListOptions) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if err := checkFolder(o.Prefix); err != nil {
			yield(Object{}, err)
			return
		}
		if o.Until != "" && o.Until <= o.Prefix {
			return
		}
		after := ""
		if o.After >= o.Prefix && o.After != "" {
			if !strings.HasPrefix(o.After, o.Prefix) {
				return // behind all names of the folder
			}
			after = s.key(o.After)
		}
		err := s.walk(ctx, s.key(o.Prefix), after, func(found Object) bool {
			found.Name = found.Name[len(s.prefix):]
			switch {
			case o.Until != "" && found.Name >= o.Until:
				return false
			case !o.Uploads && strings.Contains(found.Name, "/_uploads/") && layout.Parse(found.Name).Kind == layout.Upload:
				return true
			default:
				return yield(found, nil)
			}
		})
		if err != nil {
			yield(Object{}, err)
		}
	}
}

// errOrder is that a store does not list as S3 stores do.
var errOrder = errors.New("the store does not list keys in the order of their bytes, or not from where it was told to")

// walk calls each with all keys that begin with prefix and come after another, in
// order, until it returns false.
func (s *S3) walk(ctx context.Context, prefix, after string, each func(Object) bool) error {
	const what = "list"
	folder := strings.TrimPrefix(prefix, s.prefix)
	last := after
	for q := (s3Query{prefix: prefix, after: after}); ; {
		page, err := s.page(ctx, what, folder, q)
		if err != nil {
			return err
		}
		for _, o := range page.objects {
			if !strings.HasPrefix(o.Name, prefix) {
				continue // not ours, whatever the store says
			}
			if o.Name <= last && last != "" {
				return s.failed(what, folder, fmt.Errorf("%w: %q after %q", errOrder, o.Name, last))
			}
			last = o.Name
			if !each(o) {
				return nil
			}
			if ctx.Err() != nil {
				return s.failed(what, folder, context.Cause(ctx))
			}
		}
		if !page.truncated {
			return nil
		}
		if q, err = q.next(page); err != nil {
			return s.failed(what, folder, err)
		}
	}
}

// next asks for the page behind another.
func (q s3Query) next(page s3Page) (s3Query, error) {
	if page.token == "" || page.token == q.token {
		return q, errors.New("the store says that there is more, and not how to get at it")
	}
	q.token = page.token
	return q, nil
}

// Folders implements Tree. The names are held in memory, since the order of keys is
// another one: "a-b/" comes before "a/".
func (s *S3) Folders(ctx context.Context, folder string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := checkFolder(folder); err != nil {
			yield("", err)
			return
		}
		names, err := s.folders(ctx, s.key(folder))
		if err != nil {
			yield("", err)
			return
		}
		for _, name := range names {
			if ctx.Err() != nil {
				yield("", context.Cause(ctx))
				return
			}
			if !yield(name, nil) {
				return
			}
		}
	}
}

func (s *S3) folders(ctx context.Context, prefix string) ([]string, error) {
	const what = "list the folders in"
	folder := strings.TrimPrefix(prefix, s.prefix)
	var names []string
	for q := (s3Query{prefix: prefix, delimiter: "/"}); ; {
		page, err := s.page(ctx, what, folder, q)
		if err != nil {
			return nil, err
		}
		for _, p := range page.prefixes {
			rest, inside := strings.CutPrefix(p, prefix)
			if name := strings.TrimSuffix(rest, "/"); inside && name != "" {
				names = append(names, name)
			}
		}
		if !page.truncated {
			slices.Sort(names)
			return slices.Compact(names), nil
		}
		if q, err = q.next(page); err != nil {
			return nil, s.failed(what, folder, err)
		}
	}
}

// Stat implements Tree.
func (s *S3) Stat(ctx context.Context, name string) (Object, error) {
	if err := s.checkUse(ctx, name); err != nil {
		return Object{}, err
	}
	info, err := s.head(ctx, name, false)
	if err != nil {
		return Object{}, err
	}
	return Object{Name: name, Size: info.Size, Modified: info.LastModified, ETag: info.ETag}, nil
}

// head asks for what the store knows of an object.
func (s *S3) head(ctx context.Context, name string, checksums bool) (minio.ObjectInfo, error) {
	var info minio.ObjectInfo
	err := s.try(ctx, "look at", name, func(ctx context.Context, call *s3Call) error {
		call.lane = s3Read
		var err error
		info, err = s.core.StatObject(ctx, s.config.Bucket, s.key(name), minio.StatObjectOptions{Checksum: checksums})
		return err
	})
	return info, err
}
