package migration

import (
	"crypto/rand"
	"crypto/sha256"
	"math/bits"
	"sync"
)

// keyLength makes a chance hit among a thousand million names less likely than one
// in 10^11, and a set of names small.
const keyLength = 12 // bytes

// key stands for a name, or for a name with other things known of it. It is the
// beginning of a SHA-256 of them and of a salt that is new in each process: names
// are chosen by whoever may push, and nobody can choose two with one key.
type key [keyLength]byte

// keyer makes keys.
type keyer struct{ salt [16]byte }

func newKeyer() keyer {
	var k keyer
	_, _ = rand.Read(k.salt[:]) // never fails (Go 1.24)
	return k
}

func (k *keyer) of(parts ...string) key {
	var space [512]byte
	text := append(space[:0], k.salt[:]...)
	for _, part := range parts {
		text = append(text, part...)
		text = append(text, 0) // names have none
	}
	sum := sha256.Sum256(text)
	return key(sum[:keyLength])
}

// keySet is a set of keys that takes about 15 bytes for each. It may be used from
// many goroutines at a time.
type keySet struct{ shards [256]keyTable }

// has reports whether k is in the set.
func (s *keySet) has(k key) bool {
	t := &s.shards[k[0]]
	t.mu.Lock()
	defer t.mu.Unlock()
	_, found := t.find(k)
	return found
}

// add puts k into the set and reports whether it is new there.
func (s *keySet) add(k key) bool {
	t := &s.shards[k[0]]
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.add(k)
}

// remove takes k out of the set.
func (s *keySet) remove(k key) {
	t := &s.shards[k[0]]
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, found := t.find(k); found {
		t.removeAt(at)
	}
}

// mark notes that k was seen, if it is in the set.
func (s *keySet) mark(k key) {
	t := &s.shards[k[0]]
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, found := t.find(k); found {
		t.setMark(at, true)
	}
}

// marked reports whether k is in the set and was seen.
func (s *keySet) marked(k key) bool {
	t := &s.shards[k[0]]
	t.mu.Lock()
	defer t.mu.Unlock()
	at, found := t.find(k)
	return found && t.isMarked(at)
}

// unmarkAll forgets what was seen.
func (s *keySet) unmarkAll() {
	for i := range s.shards {
		t := &s.shards[i]
		t.mu.Lock()
		clear(t.marks)
		t.mu.Unlock()
	}
}

// allMarked reports whether each key was seen.
func (s *keySet) allMarked() bool {
	for i := range s.shards {
		t := &s.shards[i]
		t.mu.Lock()
		seen := 0
		for _, eight := range t.marks {
			seen += bits.OnesCount8(eight)
		}
		all := seen == t.used
		t.mu.Unlock()
		if !all {
			return false
		}
	}
	return true
}

// len is the number of keys.
func (s *keySet) len() int {
	n := 0
	for i := range s.shards {
		t := &s.shards[i]
		t.mu.Lock()
		n += t.used
		t.mu.Unlock()
	}
	return n
}

// keyTable is one shard: open addressing with linear probing over an array of keys,
// kept full to nine tenths and grown by a fifth, so that little of it is empty.
// The zero key means an empty slot; a real one is as likely as 2^-96.
type keyTable struct {
	mu    sync.Mutex
	slots []key
	marks []byte // a bit for each slot
	used  int
}

var emptyKey key

// find returns the slot that k is in, or the one where it belongs.
func (t *keyTable) find(k key) (at int, found bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	for at = t.home(k); ; at = t.next(at) {
		switch t.slots[at] {
		case k:
			return at, true
		case emptyKey:
			return at, false
		}
	}
}

// home is where the search for k begins. The first byte chose the shard.
func (t *keyTable) home(k key) int {
	hash := uint64(k[1])<<24 | uint64(k[2])<<16 | uint64(k[3])<<8 | uint64(k[4])
	return int(hash * uint64(len(t.slots)) >> 32)
}

func (t *keyTable) next(at int) int {
	if at++; at == len(t.slots) {
		return 0
	}
	return at
}

func (t *keyTable) add(k key) bool {
	at, found := t.find(k)
	if found {
		return false
	}
	if t.used+1 > len(t.slots)*9/10 {
		t.grow()
		at, _ = t.find(k)
	}
	t.slots[at] = k
	t.used++
	return true
}

func (t *keyTable) grow() {
	slots, marks := t.slots, t.marks
	size := max(16, len(slots)*6/5)
	t.slots, t.marks = make([]key, size), make([]byte, (size+7)/8)
	for from, k := range slots {
		if k == emptyKey {
			continue
		}
		at, _ := t.find(k)
		t.slots[at] = k
		t.setMark(at, marks[from/8]&(1<<(from%8)) != 0)
	}
}

func (t *keyTable) isMarked(at int) bool { return t.marks[at/8]&(1<<(at%8)) != 0 }

func (t *keyTable) setMark(at int, on bool) {
	t.marks[at/8] &^= 1 << (at % 8)
	if on {
		t.marks[at/8] |= 1 << (at % 8)
	}
}

// removeAt empties a slot and moves up what was pushed past it, so that every search
// still ends where it should.
func (t *keyTable) removeAt(hole int) {
	t.used--
	for at := t.next(hole); t.slots[at] != emptyKey; at = t.next(at) {
		home := t.home(t.slots[at])
		// The key may move into the hole unless its home lies between hole and at.
		between := hole < home && home <= at
		if at < hole {
			between = hole < home || home <= at
		}
		if !between {
			t.slots[hole] = t.slots[at]
			t.setMark(hole, t.isMarked(at))
			hole = at
		}
	}
	t.slots[hole] = emptyKey
	t.setMark(hole, false)
}
