package migration

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
)

// id stands for a digest in 32 bytes: the SHA-256 itself, or the SHA-256 of the text
// of a digest of another algorithm.
type id [sha256.Size]byte

// idOf returns the id of a digest that is valid.
func idOf(d digest.Digest) id {
	var i id
	if d.Algorithm() == digest.SHA256 {
		_, _ = hex.Decode(i[:], []byte(d.Encoded())) // valid, so it fits
		return i
	}
	return sha256.Sum256([]byte(d))
}

// sha256 is the digest of an id that was made of a SHA-256.
func (i id) sha256() digest.Digest { return digest.NewDigestFromBytes(digest.SHA256, i[:]) }

var emptyID = idOf(digest.FromBytes(nil))

// blobState is what is known of a blob: its size in bytes and flags.
type blobState uint64

// The flags. The size takes the bits below them.
const (
	blobNeeded   blobState = 1 << (63 - iota) // a manifest of some repository needs it, or it is one
	blobManifest                              // it is the manifest of a revision
	blobHashed                                // its content has its digest
	blobWrong                                 // its content has another digest
	blobSizeMask = blobWrong - 1
)

func (s blobState) size() int64 { return int64(s & blobSizeMask) }

// blobEntry is a blob in the table. The beginning of the digest tells blobs apart: to
// make two with the same one takes 2^64 attempts.
type blobEntry struct {
	key   [16]byte
	state uint64 // a blobState; atomic once the table is sealed
}

func (e *blobEntry) load() blobState     { return blobState(atomic.LoadUint64(&e.state)) }
func (e *blobEntry) mark(flag blobState) { atomic.OrUint64(&e.state, uint64(flag)) }

// blobTable is what is known of all blobs of a tree, in 24 bytes for each. It is
// filled, sealed, and then looked up from many goroutines.
type blobTable struct {
	shards [256]struct {
		mu      sync.Mutex
		entries []blobEntry
	}
}

func (t *blobTable) add(i id, state blobState) {
	shard := &t.shards[i[0]]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.entries = append(shard.entries, blobEntry{key: [16]byte(i[:16]), state: uint64(state)})
}

// seal ends the filling.
func (t *blobTable) seal() {
	for i := range t.shards {
		slices.SortFunc(t.shards[i].entries, func(a, b blobEntry) int { return bytes.Compare(a.key[:], b.key[:]) })
	}
}

// find returns the entry of a blob, nil if there is none, and where in its shard it is.
func (t *blobTable) find(i id) (*blobEntry, int) {
	entries := t.shards[i[0]].entries
	at, found := sort.Find(len(entries), func(n int) int { return bytes.Compare(i[:16], entries[n].key[:]) })
	if !found {
		return nil, 0
	}
	return &entries[at], at
}

// all calls each with every entry and its place.
func (t *blobTable) all(each func(shard, at int, s blobState)) {
	for shard := range t.shards {
		entries := t.shards[shard].entries
		for at := range entries {
			each(shard, at, entries[at].load())
		}
	}
}
