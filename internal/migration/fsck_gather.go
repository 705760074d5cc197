package migration

import (
	"bytes"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// repository is what is known of one repository while it is looked at.
type repository struct {
	name string
	mu   sync.Mutex
	// layers and revisions are the links, in the order of their ids once all are known.
	layers, revisions []repositoryLink
	tags              []repositoryTag
	aliases           map[digest.Digest]digest.Digest // where links of other algorithms than SHA-256 lead
	digests           map[id]digest.Digest            // what the ids of such algorithms stand for
	uploads           map[string]bool
	uploadBytes       int64
	big               bool // it holds scan.bigRepository
}

type repositoryLink struct {
	id     id
	needed bool // a manifest of the repository needs it
}

type repositoryTag struct {
	name   string
	target digest.Digest
}

func (r *repository) addLink(f layout.File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := idOf(f.Digest())
	if f.Algorithm != digest.SHA256.String() && f.Kind != layout.TagHistory {
		if r.digests == nil {
			r.digests = map[id]digest.Digest{}
		}
		r.digests[i] = f.Digest()
	}
	switch f.Kind {
	case layout.LayerLink:
		r.layers = append(r.layers, repositoryLink{id: i})
	case layout.RevisionLink:
		r.revisions = append(r.revisions, repositoryLink{id: i})
	}
}

func (r *repository) addTag(name string, target digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tags = append(r.tags, repositoryTag{name, target})
}

func (r *repository) addAlias(from, to digest.Digest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.aliases == nil {
		r.aliases = map[digest.Digest]digest.Digest{}
	}
	r.aliases[from] = to
}

func (r *repository) upload(f layout.File, o tree.Object) {
	upload, _, _ := strings.Cut(f.Rest, "/")
	if r.uploads == nil {
		r.uploads = map[string]bool{}
	}
	r.uploads[upload] = true
	r.uploadBytes += max(0, o.Size)
}

func sortLinks(links []repositoryLink) []repositoryLink {
	slices.SortFunc(links, func(a, b repositoryLink) int { return bytes.Compare(a.id[:], b.id[:]) })
	return slices.CompactFunc(links, func(a, b repositoryLink) bool { return a.id == b.id })
}

func findLink(links []repositoryLink, i id) (int, bool) {
	return sort.Find(len(links), func(n int) int { return bytes.Compare(i[:], links[n].id[:]) })
}

// digest is what an id in the repository stands for.
func (r *repository) digest(i id) digest.Digest {
	if d, ok := r.digests[i]; ok {
		return d
	}
	return i.sha256()
}

// blob is the digest of the blob that a digest in the repository leads to.
func (r *repository) blob(d digest.Digest) digest.Digest {
	if to, ok := r.aliases[d]; ok {
		return to
	}
	return d
}
