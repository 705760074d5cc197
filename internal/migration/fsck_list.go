package migration

import (
	"context"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/tree"
)

// list calls each with every object that o selects and that can be listed. What
// cannot be listed is told of as damage. The error is for what ends the scan.
func (s *scan) list(ctx context.Context, o tree.ListOptions, each func(tree.Object) error) error {
	var end error
	o.OnError = func(path string, err error) bool {
		end = s.unlisted(ctx, path, err)
		return end == nil
	}
	for object, err := range s.t.List(ctx, o) {
		if end != nil {
			return end
		}
		if err != nil {
			return s.unlisted(ctx, o.Prefix, err)
		}
		if err := each(object); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// unlisted tells of a folder or file that could not be listed.
func (s *scan) unlisted(ctx context.Context, path string, err error) error {
	d := Damage{Path: path, Detail: err.Error()}
	if strings.Contains(path, "/_uploads/") || junkPath(path) { // there is no artifact in it
		if end := ending(ctx, err); end != nil {
			return end
		}
		d.Kind, d.Detail = Junk, "it could not be read: "+d.Detail
		s.damaged(d)
		return nil
	}
	if strings.HasSuffix(path, "/") {
		d.Detail = "what is in it was not looked at: " + d.Detail
	}
	return s.unreadable(ctx, d, err)
}

// afterAll is greater than every name below folder, which ends with a slash.
func afterAll(folder string) string { return folder[:len(folder)-1] + "0" }

// ending returns err if it ends the whole scan, and not only the look at one object.
func ending(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if tree.IsFatal(err) {
		return err
	}
	return nil
}

// unreadable tells that the file of d could not be read, unless that ends the scan.
func (s *scan) unreadable(ctx context.Context, d Damage, err error) error {
	if end := ending(ctx, err); end != nil {
		return end
	}
	s.count(func(r *FsckReport) { r.Incomplete = true })
	d.Kind = Unreadable
	if d.Detail == "" {
		d.Detail = err.Error()
	}
	s.damaged(d)
	return nil
}

// do runs work in g when a slot is free.
func (s *scan) do(ctx context.Context, g *errgroup.Group, work func() error) error {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	g.Go(func() error {
		defer func() { <-s.slots }()
		return work()
	})
	return nil
}

// exists reports whether an object is there now.
func (s *scan) exists(ctx context.Context, name string) (bool, error) {
	_, err := s.t.Stat(ctx, name)
	switch {
	case err == nil:
		return true, nil
	case tree.IsNotExist(err):
		return false, nil
	default:
		return false, err
	}
}

// settling reports whether a file with the wrong content may be in the middle of
// being written, and waits a moment then: distribution 2.8 writes manifests and links
// in place. In a store nobody can.
func (s *scan) settling(ctx context.Context, name string, attempt int) (bool, error) {
	if attempt >= settleAttempts || !s.t.Local() {
		return false, nil
	}
	o, err := s.t.Stat(ctx, name)
	if err != nil {
		return tree.IsNotExist(err), ending(ctx, err) // gone: another look will say so
	}
	if time.Since(o.Modified) > settleTime {
		return false, nil
	}
	select {
	case <-time.After(settlePause << (attempt - 1)):
		return true, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}
