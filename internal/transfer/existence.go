package transfer

import (
	"maps"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
)

// kind keeps manifests and blobs apart: a registry may hold the same bytes as one
// and not as the other.
type kind uint8

const (
	aBlob kind = iota
	aManifest
	aTag
)

type place struct {
	kind       kind
	repository string
	digest     digest.Digest // of aTag: the tag itself
}

// existence remembers what the destination was seen to hold. It is a cache of
// bounded size and of answers that grow old: garbage collection and other clients
// change a registry behind our back, so nothing in it is a promise.
//
// It keeps two generations of answers; when the younger is full the older is
// dropped. What is used moves to the younger one and so stays.
type existence struct {
	validity time.Duration
	capacity int // entries of one generation
	now      func() time.Time

	mu         sync.Mutex
	young, old map[place]time.Time
	// homes is one repository that holds a blob, to mount it from. It is a hint and
	// does not expire: a mount that fails costs nothing.
	youngHomes, oldHomes map[digest.Digest]string
	names                map[string]string // interned repository names of the young generation
	// doubted is since when a repository is asked anew: what was learned before is not
	// believed any more.
	doubted map[string]time.Time
}

func newExistence(validity time.Duration, capacity int) *existence {
	return &existence{
		validity: validity, capacity: max(capacity/2, 1), now: time.Now,
		young: map[place]time.Time{}, youngHomes: map[digest.Digest]string{}, names: map[string]string{},
		doubted: map[string]time.Time{},
	}
}

// holds reports whether the destination was seen to hold it not long ago.
func (x *existence) holds(k kind, repository string, d digest.Digest) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	key := place{k, repository, d}
	seen, ok := x.young[key]
	if !ok {
		if seen, ok = x.old[key]; !ok {
			return false
		}
		x.keep(key, seen)
	}
	if doubted, ok := x.doubted[repository]; x.now().Sub(seen) > x.validity || ok && !seen.After(doubted) {
		delete(x.young, key)
		delete(x.old, key)
		return false
	}
	return true
}

// remember notes that the destination holds it.
func (x *existence) remember(k kind, repository string, d digest.Digest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.keep(place{k, repository, d}, x.now())
	if k == aBlob {
		x.youngHomes[d] = x.intern(repository)
		x.turn()
	}
}

// rememberTag notes that a reference stands for something, if it is a tag.
func (x *existence) rememberTag(repository, reference string) {
	if tag := digest.Digest(reference); tag.Validate() != nil {
		x.remember(aTag, repository, tag)
	}
}

// forget drops what proved wrong or doubtful.
func (x *existence) forget(k kind, repository string, d digest.Digest) {
	x.mu.Lock()
	defer x.mu.Unlock()
	key := place{k, repository, d}
	delete(x.young, key)
	delete(x.old, key)
	if k == aBlob {
		if x.youngHomes[d] == repository {
			delete(x.youngHomes, d)
		}
		if x.oldHomes[d] == repository {
			delete(x.oldHomes, d)
		}
	}
}

// missing notes that a tag or a manifest is not there. If it was, somebody deletes in
// this repository, and more than that may be gone: not every registry looks whether
// an index has its children.
func (x *existence) missing(repository, reference string) {
	k := aTag
	if digest.Digest(reference).Validate() == nil {
		k = aManifest
	}
	if x.holds(k, repository, digest.Digest(reference)) {
		x.mu.Lock()
		defer x.mu.Unlock()
		x.doubted[repository] = x.now()
	}
}

// home returns a repository other than the given one that is likely to hold the
// blob, "" if none is known.
func (x *existence) home(d digest.Digest, except string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if name := x.youngHomes[d]; name != "" && name != except {
		return name
	}
	if name := x.oldHomes[d]; name != "" && name != except {
		return name
	}
	return ""
}

func (x *existence) keep(key place, seen time.Time) {
	key.repository = x.intern(key.repository)
	x.young[key] = seen
	x.turn()
}

func (x *existence) intern(name string) string {
	if known, ok := x.names[name]; ok {
		return known
	}
	x.names[name] = name
	return name
}

func (x *existence) turn() {
	if len(x.young) < x.capacity && len(x.youngHomes) < x.capacity {
		return
	}
	x.old, x.young = x.young, map[place]time.Time{}
	x.oldHomes, x.youngHomes = x.youngHomes, map[digest.Digest]string{}
	x.names = map[string]string{}
	maps.DeleteFunc(x.doubted, func(_ string, since time.Time) bool { return x.now().Sub(since) > x.validity })
}
