package migration

import (
	"context"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/tree"
)

// Limits on manifests. Registries take 4 MiB at most.
const (
	maxManifest = 8 << 20   // bytes
	bigManifest = 256 << 10 // bytes; of such ones one at a time is held in memory
)

// artifacts looks at the manifests of one repository.
type artifacts struct {
	s      *scan
	r      *repository
	tagged map[id][]string // the tags that stand for a manifest

	mu      sync.Mutex
	more    []digest.Digest // manifests that are linked as layers, as distribution 2.1 did
	queued  map[id]bool     // those that are or were in more
	parents map[id][]id     // indexes that list a manifest
	damage  []Damage        // to be told when parents are known
}

// look looks at all manifests of the repository.
func (a *artifacts) look(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	for _, link := range a.r.revisions {
		err := a.s.do(gctx, g, func() error { return a.manifest(gctx, a.r.digest(link.id)) })
		if err != nil {
			break // the group has the reason, or the context has
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for len(a.more) > 0 {
		d := a.more[0]
		a.more = a.more[1:]
		if err := a.manifest(ctx, d); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// manifest looks at one manifest and at what it needs.
func (a *artifacts) manifest(ctx context.Context, d digest.Digest) error {
	m, bad, err := a.read(ctx, d)
	if err != nil {
		return err
	}
	damage := []Damage{bad}
	switch bad.Kind {
	case "":
		if damage, err = a.needs(ctx, d, m); err != nil {
			return err
		}
	case Unreadable:
	default:
		a.s.loseTrack()
	}
	if len(damage) == 0 {
		return nil
	}
	// A deletion removes the link first, and what it leads to later.
	there, err := a.stillThere(ctx, d)
	if err != nil || !there {
		return err
	}
	a.found(damage)
	return nil
}

func (a *artifacts) stillThere(ctx context.Context, d digest.Digest) (bool, error) {
	for _, kind := range []layout.Kind{layout.RevisionLink, layout.LayerLink} {
		there, err := a.s.exists(ctx, linkPath(kind, a.r.name, d))
		if there || err != nil {
			return true, ending(ctx, err)
		}
	}
	return false, nil
}

// read reads a manifest and makes sure that it has its digest. When something is
// wrong with it the damage has a kind.
func (a *artifacts) read(ctx context.Context, d digest.Digest) (m oci.Manifest, bad Damage, err error) {
	s, blob := a.s, a.r.blob(d)
	bad = Damage{Path: blobPath(blob), Repository: a.r.name, Digest: d, Manifest: d}
	entry, _ := s.blobs.find(idOf(blob))
	if entry != nil {
		entry.mark(blobNeeded | blobManifest)
		if size := entry.load().size(); size > bigManifest {
			s.bigManifest.Lock()
			defer s.bigManifest.Unlock()
		}
	}
	for attempt := 1; ; attempt++ {
		content, err := tree.ReadAll(ctx, s.t, bad.Path, maxManifest)
		s.p.HashedBytes.Add(int64(len(content)))
		switch {
		case tree.IsNotExist(err):
			bad.Kind, bad.Detail = MissingBlob, "it is the manifest itself"
			return m, bad, nil
		case err != nil && len(content) > maxManifest:
			bad.Kind, bad.Detail = UnparsableManifest, fmt.Sprintf("it has more than %d bytes, and no manifest has", maxManifest)
			return m, bad, nil
		case err != nil:
			bad.Kind, bad.Detail = Unreadable, err.Error()
			return m, bad, ending(ctx, err)
		}
		if blob.Algorithm().FromBytes(content) == blob && (d == blob || d.Algorithm().FromBytes(content) == d) {
			if entry != nil {
				entry.mark(blobHashed)
			}
			if m, err = oci.Parse(content); err != nil {
				bad.Kind, bad.Detail = UnparsableManifest, err.Error()
			}
			return m, bad, nil
		}
		again, err := s.settling(ctx, bad.Path, attempt)
		if err != nil {
			return m, bad, err
		}
		if again {
			continue
		}
		if bad.Kind = DigestMismatch; len(content) == 0 {
			bad.Kind = EmptyBlob
		}
		return m, bad, nil
	}
}

// needs looks at everything that a manifest refers to.
func (a *artifacts) needs(ctx context.Context, d digest.Digest, m oci.Manifest) ([]Damage, error) {
	var all []Damage
	add := func(bad Damage, err error) error {
		if bad.Kind != "" {
			bad.Repository, bad.Manifest = a.r.name, d
			all = append(all, bad)
		}
		return err
	}
	for _, b := range m.Blobs {
		if err := add(a.blob(ctx, b)); err != nil {
			return nil, err
		}
	}
	for _, child := range m.Children {
		a.mu.Lock()
		if a.parents == nil {
			a.parents = map[id][]id{}
		}
		a.parents[idOf(child.Digest)] = append(a.parents[idOf(child.Digest)], idOf(d))
		a.mu.Unlock()
		if err := add(a.child(ctx, child)); err != nil {
			return nil, err
		}
	}
	if m.Subject != nil {
		if err := add(a.subject(ctx, *m.Subject)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// blob looks at a blob that a manifest needs.
func (a *artifacts) blob(ctx context.Context, b oci.Blob) (bad Damage, err error) {
	blob := a.r.blob(b.Digest)
	entry, _ := a.s.blobs.find(idOf(blob))
	if entry != nil {
		entry.mark(blobNeeded)
	}
	linked, err := a.linked(ctx, b)
	if b.Foreign {
		return Damage{}, nil // it need not be here; the looks were to note that it is needed if it is
	}
	if err != nil {
		path := linkPath(layout.LayerLink, a.r.name, b.Digest)
		return a.unreadable(ctx, Damage{Path: path, Digest: b.Digest}, err)
	}
	missingLink := Damage{Kind: MissingLayerLink, Path: linkPath(layout.LayerLink, a.r.name, b.Digest), Digest: b.Digest, Detail: "it is its " + string(b.Role)}
	if !linked && blob.Algorithm() != digest.SHA256 {
		return missingLink, nil // where the blob is would be in the link
	}
	bad, err = a.content(ctx, blob, b.Size, entry)
	if bad.Kind != "" {
		bad.Digest = b.Digest
		if bad.Kind == Unreadable {
			return a.unreadable(ctx, bad, err)
		}
		bad.Detail = "it is its " + string(b.Role) + separator(bad.Detail) + bad.Detail
		return bad, nil
	}
	if err == nil && !linked {
		return missingLink, nil
	}
	return Damage{}, err
}

// linked reports whether the repository may serve a blob, and notes that it needs it.
func (a *artifacts) linked(ctx context.Context, b oci.Blob) (bool, error) {
	if at, ok := findLink(a.r.layers, idOf(b.Digest)); ok {
		a.mu.Lock()
		a.r.layers[at].needed = true
		a.mu.Unlock()
		return true, nil
	}
	if _, ok := findLink(a.r.revisions, idOf(b.Digest)); ok && b.Role == oci.Entry {
		return true, nil
	}
	if b.Foreign {
		return false, nil
	}
	return a.s.exists(ctx, linkPath(layout.LayerLink, a.r.name, b.Digest))
}

// content looks whether a blob is there, with the right size and, as far as that was
// looked at, the right bytes. entry is nil when the listing did not have it.
func (a *artifacts) content(ctx context.Context, blob digest.Digest, size int64, entry *blobEntry) (Damage, error) {
	bad := Damage{Path: blobPath(blob)}
	var has int64
	if entry != nil {
		has = entry.load().size()
	}
	empty := digest.FromBytes(nil) == blob
	if entry == nil || has == 0 && !empty {
		o, err := a.s.t.Stat(ctx, bad.Path) // it may have come meanwhile
		switch {
		case tree.IsNotExist(err):
			bad.Kind = MissingBlob
			return bad, nil
		case err != nil:
			bad.Kind = Unreadable
			return bad, err
		}
		has = o.Size
	}
	switch {
	case has == 0 && !empty:
		bad.Kind = EmptyBlob
	case entry != nil && entry.load()&blobWrong != 0:
		bad.Kind = DigestMismatch
	case size != oci.UnknownSize && size != has:
		bad.Kind, bad.Detail = SizeMismatch, fmt.Sprintf("it has %d bytes, and should have %d", has, size)
		if entry != nil && entry.load()&blobHashed != 0 {
			bad.Detail += "; its digest is right, so the manifest is wrong"
		}
	}
	return bad, nil
}

// child looks at a manifest that an index lists. What that one needs is looked at when
// its turn comes among the repository's manifests.
func (a *artifacts) child(ctx context.Context, c ocispec.Descriptor) (Damage, error) {
	blob := a.r.blob(c.Digest)
	entry, _ := a.s.blobs.find(idOf(blob))
	if entry != nil {
		entry.mark(blobNeeded)
	}
	path := linkPath(layout.RevisionLink, a.r.name, c.Digest)
	there, err := a.hasManifest(ctx, c.Digest)
	switch {
	case err != nil:
		return a.unreadable(ctx, Damage{Path: path, Digest: c.Digest}, err)
	case !there:
		bad := Damage{Kind: MissingChild, Path: path, Digest: c.Digest}
		if entry != nil {
			bad.Detail = "its blob is there, but the repository does not link to it"
		}
		return bad, nil
	case entry != nil && entry.load().size() != c.Size && entry.load().size() != 0:
		return Damage{Kind: SizeMismatch, Path: blobPath(blob), Digest: c.Digest, Detail: fmt.Sprintf("it has %d bytes, and should have %d", entry.load().size(), c.Size)}, nil
	}
	return Damage{}, nil
}

func (a *artifacts) subject(ctx context.Context, d ocispec.Descriptor) (Damage, error) {
	path := linkPath(layout.RevisionLink, a.r.name, d.Digest)
	there, err := a.hasManifest(ctx, d.Digest)
	switch {
	case err != nil:
		return a.unreadable(ctx, Damage{Path: path, Digest: d.Digest}, err)
	case !there:
		return Damage{Kind: MissingSubject, Path: path, Digest: d.Digest}, nil
	}
	return Damage{}, nil
}

// unreadable is the damage of what could not be looked at, unless the scan ends.
func (a *artifacts) unreadable(ctx context.Context, d Damage, err error) (Damage, error) {
	d.Kind = Unreadable
	d.Detail = err.Error()
	return d, ending(ctx, err)
}

// hasManifest reports whether the repository has a manifest, and has it looked at if
// it is not among the revisions.
func (a *artifacts) hasManifest(ctx context.Context, d digest.Digest) (bool, error) {
	if _, ok := findLink(a.r.revisions, idOf(d)); ok {
		return true, nil
	}
	_, there := findLink(a.r.layers, idOf(d))
	if !there {
		var err error
		there, err = a.s.exists(ctx, linkPath(layout.RevisionLink, a.r.name, d))
		if err != nil {
			return false, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if there && !a.queued[idOf(d)] {
		a.queued[idOf(d)] = true
		a.more = append(a.more, d)
	}
	return there, nil
}
