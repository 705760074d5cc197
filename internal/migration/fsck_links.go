package migration

import (
	"context"
	"crypto/md5" // ETags are MD5; see etagProves
	"encoding/hex"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// alias notes where a link leads whose path has a digest of another algorithm.
func (s *scan) alias(ctx context.Context, r *repository, f layout.File, target digest.Digest) error {
	r.addAlias(f.Digest(), target)
	if !s.o.Deep {
		return nil
	}
	_, right, err := s.hash(ctx, layout.BlobPath(target.Algorithm().String(), target.Encoded()), f.Digest())
	switch {
	case tree.IsNotExist(err):
		return nil // what needs it will miss it
	case err != nil:
		return s.unreadable(ctx, Damage{Path: f.Path(), Repository: r.name, Digest: f.Digest()}, err)
	case !right:
		s.damaged(Damage{Kind: WrongLink, Path: f.Path(), Repository: r.name, Digest: f.Digest(), Detail: "what it leads to has another digest: " + target.String()})
	}
	return nil
}

// etagProves reports whether a store's ETag says that an object holds exactly
// content. An MD5 is enough for this: nobody can find another text of a digest with
// the same one.
func (s *scan) etagProves(o tree.Object, content string) bool {
	if s.o.Deep || len(o.ETag) != 2*md5.Size {
		return false
	}
	sum := md5.Sum([]byte(content))
	return strings.EqualFold(o.ETag, hex.EncodeToString(sum[:]))
}

// readLink returns where a link leads, and tells of the damage if there is none; "" is
// returned then, and when the link has gone.
func (s *scan) readLink(ctx context.Context, f layout.File, o tree.Object) (digest.Digest, error) {
	for attempt := 1; ; attempt++ {
		content, err := tree.ReadAll(ctx, s.t, o.Name, maxLink)
		if tree.IsNotExist(err) {
			return "", s.vanished(ctx, f)
		}
		if err != nil && len(content) <= maxLink { // a longer one is wrong, but was read
			d := Damage{Path: o.Name, Repository: f.Repository, Tag: f.Tag, Digest: f.Digest()}
			return "", s.unreadable(ctx, d, err)
		}
		target, wrong := f.Target(content)
		if wrong == nil {
			return target, nil
		}
		again, err := s.settling(ctx, o.Name, attempt)
		if err != nil {
			return "", err
		}
		if !again {
			return "", s.brokenLink(ctx, LinkDamage(f, wrong))
		}
	}
}

// vanished is for a link that was listed, or whose history was, and is not there: that
// is in order unless a tag's history is still there, and stays as it is. A registry
// writes the history of a tag before its current link, and may delete in either order.
func (s *scan) vanished(ctx context.Context, f layout.File) error {
	if f.Kind != layout.TagLink {
		return nil
	}
	var before []tree.Object
	for attempt := 0; ; attempt++ {
		history, err := s.tagHistory(ctx, f)
		if err != nil || len(history) == 0 {
			return ending(ctx, err)
		}
		there, err := s.exists(ctx, f.Path())
		if err != nil || there {
			return ending(ctx, err)
		}
		if attempt > 0 && !slices.Equal(before, history) {
			return nil // somebody is using it
		}
		again, err := s.untagging(ctx, attempt)
		if err != nil {
			return err
		}
		if !again {
			break
		}
		before = history
	}
	s.damaged(Damage{Kind: DanglingTag, Path: f.Path(), Repository: f.Repository, Tag: f.Tag, Detail: "the tag has a history, but no current link: a push or a deletion broke off"})
	return nil
}

// brokenLink tells of a link that is wrong, or has it repaired.
func (s *scan) brokenLink(ctx context.Context, d Damage) error {
	if f := layout.Parse(d.Path); f.Kind == layout.TagLink {
		target, _, err := s.tagFromHistory(ctx, f)
		if err := ending(ctx, err); err != nil {
			return err
		}
		d.Repairable = target != ""
	}
	if s.repair != nil && d.Repairable {
		return s.repair(ctx, d)
	}
	s.damaged(d)
	return nil
}
