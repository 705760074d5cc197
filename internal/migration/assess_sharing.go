package migration

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// sharing finds out which blobs are needed by one repository only, in 4 bytes for
// each blob.
type sharing struct {
	blobs *blobTable
	once  sync.Once
	// users are, in the places of the table of blobs, the number of the repository that
	// needs a blob, counted from 1, or several.
	users [256][]atomic.Uint32

	mu           sync.Mutex
	repositories []RepositorySize // number n is at n-1
}

const several = math.MaxUint32

// add accounts for a repository that has been looked at. Several may be added at a time.
func (s *sharing) add(r *repository) {
	s.once.Do(func() { // the table is complete now
		for i := range s.users {
			s.users[i] = make([]atomic.Uint32, len(s.blobs.shards[i].entries))
		}
	})
	s.mu.Lock()
	s.repositories = append(s.repositories, RepositorySize{Repository: r.name, Tags: int64(len(r.tags)), Revisions: int64(len(r.revisions))})
	number := uint32(len(s.repositories))
	s.mu.Unlock()

	var bytes int64
	for _, link := range r.revisions {
		bytes += s.use(r, link.id, number)
	}
	for _, link := range r.layers {
		if _, counted := findLink(r.revisions, link.id); link.needed && !counted {
			bytes += s.use(r, link.id, number)
		}
	}
	s.mu.Lock()
	s.repositories[number-1].Bytes = bytes
	s.mu.Unlock()
}

// use notes that a repository needs a blob, and returns its size.
func (s *sharing) use(r *repository, i id, number uint32) int64 {
	blob := idOf(r.blob(r.digest(i)))
	entry, at := s.blobs.find(blob)
	if entry == nil {
		return 0
	}
	user := &s.users[blob[0]][at]
	if !user.CompareAndSwap(0, number) && user.Load() != number {
		user.Store(several)
	}
	return entry.load().size()
}

// report puts what was found into a report.
func (s *sharing) report(r *AssessReport) {
	for shard := range s.users {
		for at := range s.users[shard] {
			number := s.users[shard][at].Load()
			size := s.blobs.shards[shard].entries[at].load().size()
			if number != 0 {
				r.NeededBytes += size
			}
			if number != 0 && number != several {
				s.repositories[number-1].OwnBytes += size
			}
		}
	}
	for i := range s.repositories {
		one := &s.repositories[i]
		one.SharedBytes = one.Bytes - one.OwnBytes
		r.SeparateBytes += one.Bytes
	}
	r.Biggest = biggest(s.repositories, func(one RepositorySize) int64 { return one.OwnBytes })
	r.BiggestSharing = biggest(s.repositories, func(one RepositorySize) int64 { return one.SharedBytes })
}

// biggest returns the repositories with most bytes of a kind, the biggest first, and
// none that has no such bytes.
func biggest(all []RepositorySize, bytes func(RepositorySize) int64) []RepositorySize {
	all = slices.DeleteFunc(slices.Clone(all), func(one RepositorySize) bool { return bytes(one) == 0 })
	slices.SortFunc(all, func(a, b RepositorySize) int {
		return cmp.Or(cmp.Compare(bytes(b), bytes(a)), cmp.Compare(a.Repository, b.Repository))
	})
	return slices.Clone(all[:min(len(all), biggestRepositories)])
}
