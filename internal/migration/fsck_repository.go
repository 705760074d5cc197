package migration

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/layout"
)

// repository looks at what the manifests of a repository need, once all its links
// are known.
func (s *scan) repository(ctx context.Context, r *repository) error {
	s.uploadsLeft(r)
	if len(r.layers) == 0 && len(r.revisions) == 0 && len(r.tags) == 0 {
		return nil
	}
	s.p.Repositories.Add(1)
	s.p.Revisions.Add(int64(len(r.revisions)))
	if s.linksOnly {
		return nil
	}
	r.layers, r.revisions = sortLinks(r.layers), sortLinks(r.revisions)
	a := &artifacts{s: s, r: r, queued: map[id]bool{}, tagged: map[id][]string{}}
	if err := a.tags(ctx); err != nil {
		return err
	}
	if err := a.look(ctx); err != nil {
		return err
	}
	if err := s.danglingLayers(ctx, r); err != nil {
		return err
	}
	a.tell()
	if s.account != nil {
		s.account(r)
	}
	return nil
}

func linkPath(kind layout.Kind, repository string, d digest.Digest) string {
	return layout.File{Kind: kind, Repository: repository, Algorithm: d.Algorithm().String(), Hex: d.Encoded()}.Path()
}

func blobPath(d digest.Digest) string { return layout.BlobPath(d.Algorithm().String(), d.Encoded()) }

// danglingLayers tells of layer links that no manifest needs and whose blobs are gone.
func (s *scan) danglingLayers(ctx context.Context, r *repository) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, link := range r.layers {
		d := r.digest(link.id)
		blob := r.blob(d)
		if entry, _ := s.blobs.find(idOf(blob)); link.needed || entry != nil {
			continue
		}
		err := s.do(gctx, g, func() error {
			path := linkPath(layout.LayerLink, r.name, d)
			for _, name := range []string{blobPath(blob), path} {
				there, err := s.exists(gctx, name)
				if err != nil || there != (name == path) {
					return ending(gctx, err) // the blob came, or the link went
				}
			}
			s.damaged(Damage{Kind: DanglingLayerLink, Path: path, Repository: r.name, Digest: d})
			return nil
		})
		if err != nil {
			break // the group has the reason, or the context has
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// uploadsLeft tells of a repository's uploads.
func (s *scan) uploadsLeft(r *repository) {
	n := int64(len(r.uploads))
	if n == 0 {
		return
	}
	s.count(func(report *FsckReport) {
		report.Uploads += n
		report.UploadBytes += r.uploadBytes
	})
	s.damaged(Damage{
		Kind: Junk, Path: layout.Repositories + r.name + "/_uploads/", Repository: r.name,
		Detail: fmt.Sprintf("%d uploads of %d bytes that go on or were left", n, r.uploadBytes),
	})
}
