package migration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// hashAtOnce is the most blobs that are read at a time: a disk or a link is busy with
// these, and more of them only compete.
const hashAtOnce = 16

// findBlobs fills the table of blobs.
func (s *scan) findBlobs(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	hashing := make(chan struct{}, min(hashAtOnce, s.o.Concurrency))
	for _, part := range blobParts(tree.ListOptions{}) {
		g.Go(func() error {
			return s.list(ctx, part, func(o tree.Object) error {
				f := layout.Parse(o.Name)
				if f.Kind != layout.Blob {
					s.stranger(o)
					return nil
				}
				if !s.o.Deep {
					s.foundBlob(f.Digest(), o.Size, 0)
					return nil
				}
				select {
				case hashing <- struct{}{}:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				g.Go(func() error {
					defer func() { <-hashing }()
					return s.hashBlob(ctx, f.Digest(), o)
				})
				return nil
			})
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	s.blobs.seal()
	return nil
}

func (s *scan) foundBlob(d digest.Digest, size int64, flags blobState) {
	s.p.Blobs.Add(1)
	s.p.Bytes.Add(size)
	s.blobs.add(idOf(d), blobState(size)|flags)
}

// hashBlob reads a blob and adds it to the table with what came out.
func (s *scan) hashBlob(ctx context.Context, d digest.Digest, o tree.Object) error {
	for attempt := 1; ; attempt++ {
		size, right, err := s.hash(ctx, o.Name, d)
		switch {
		case tree.IsNotExist(err):
			return nil
		case err != nil:
			s.foundBlob(d, o.Size, 0)
			return s.unreadable(ctx, Damage{Path: o.Name, Digest: d}, err)
		case right:
			s.foundBlob(d, size, blobHashed)
			return nil
		}
		again, err := s.settling(ctx, o.Name, attempt)
		if err != nil {
			return err
		}
		if !again {
			s.foundBlob(d, size, blobWrong)
			return nil
		}
	}
}

var hashBuffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// hash reads an object and reports whether it has the digest.
func (s *scan) hash(ctx context.Context, name string, d digest.Digest) (size int64, right bool, err error) {
	body, err := s.t.Read(ctx, name, 0, -1)
	if err != nil {
		return 0, false, err
	}
	buffer := hashBuffers.Get().(*[]byte)
	defer hashBuffers.Put(buffer)
	verifier := d.Verifier()
	size, err = io.CopyBuffer(onlyWriter{verifier}, body, *buffer)
	err = errors.Join(err, body.Close())
	s.p.HashedBytes.Add(size)
	return size, err == nil && verifier.Verified(), err
}

// onlyWriter keeps io.CopyBuffer from doing without the buffer.
type onlyWriter struct{ io.Writer }

// unneeded tells of the blobs that no manifest needs. When something could not be
// read nobody knows whether it needs them, and nothing is said.
func (s *scan) unneeded(ctx context.Context) error {
	if s.incomplete() {
		return nil
	}
	any := false
	s.blobs.all(func(_, _ int, b blobState) { any = any || b&blobNeeded == 0 })
	if !any {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, part := range blobParts(tree.ListOptions{}) { // the table has no whole digests
		g.Go(func() error {
			return s.list(ctx, part, func(o tree.Object) error {
				if f := layout.Parse(o.Name); f.Kind == layout.Blob && !o.Modified.After(s.began) {
					s.unneededBlob(f.Digest(), o)
				}
				return nil
			})
		})
	}
	return g.Wait()
}

func (s *scan) unneededBlob(d digest.Digest, o tree.Object) {
	entry, _ := s.blobs.find(idOf(d))
	if entry == nil || entry.load()&blobNeeded != 0 {
		return
	}
	damage := Damage{Kind: OrphanBlob, Path: o.Name, Digest: d, Unneeded: true, Detail: fmt.Sprintf("%d bytes", o.Size)}
	switch {
	case o.Size == 0 && idOf(d) != emptyID:
		damage.Kind, damage.Detail = EmptyBlob, ""
	case entry.load()&blobWrong != 0:
		damage.Kind = DigestMismatch
	case s.hasLostTrack():
		damage.Unneeded = false
		damage.Detail += "; one of the manifests that are damaged may need it"
	}
	s.count(func(r *FsckReport) {
		r.Unneeded++
		r.UnneededBytes += o.Size
	})
	s.damaged(damage)
}

// loseTrack notes that a manifest could not be understood.
func (s *scan) loseTrack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lostTrack = true
}

func (s *scan) hasLostTrack() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lostTrack
}
