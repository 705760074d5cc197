package transfer

import (
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/registry"
)

// Sharing lets copies of the same artifacts to several destinations read each manifest
// and each blob from the source once: one connection feeds all uploads that want the
// blob, through a window of its bytes in memory, see feed. It belongs to what those
// copies have in common, such as a rule. The zero value is ready.
//
// It is an offer. A destination that comes too late, is too slow for the others, or
// finds no room in the memory reads for itself, and so does each of them when the
// source fails in a way that all saw. Nobody gets content on somebody else's word: each
// destination's upload is verified as if it had read alone.
type Sharing struct {
	// Patience is how long a destination may keep the others of a blob waiting: so long in
	// all, or a quarter of the time that the blob has taken, if that is more. 0: 500 ms.
	Patience time.Duration

	mu        sync.Mutex
	parties   map[party]map[*Share]bool
	feeds     map[feedKey][]*feed
	manifests map[party]*sharedManifest
	late      map[*Engine]time.Time // until when nobody waits for a destination
	memory    int64                 // bytes of all windows and manifests
}

// party is an artifact of the source, as it is named there, and those who copy it.
type party struct {
	source                *registry.Client
	repository, reference string
}

const (
	// windowSize is how far the fastest destination may be before the slowest. Bytes.
	windowSize = 1 << 20
	// sharedMemory bounds all windows of a Sharing.
	sharedMemory = 64 << 20
	// sharedFeeds bounds their number: each has its own cost beside its window.
	sharedFeeds     = 1024
	defaultPatience = 500 * time.Millisecond
	patienceShare   = 4 // a quarter
	// lateness is how long nobody waits for a destination that was waited for in vain.
	lateness = 30 * time.Second
)

// Share is one destination's part in a Sharing, for one repository of the source. A nil
// Share shares nothing.
type Share struct {
	g          *Sharing
	to         *Engine
	source     *registry.Client
	repository string
	since      time.Time

	// Guarded by g.mu:
	references map[string]bool // that are still to be copied
	asked      map[digest.Digest]bool
	left       bool
}

// Join says that a destination is about to copy references of a repository, so that
// the others know whom to expect. Leave must be called.
func (g *Sharing) Join(to *Engine, source *registry.Client, repository string, references []string) *Share {
	s := &Share{
		g: g, to: to, source: source, repository: repository, since: time.Now(),
		references: map[string]bool{}, asked: map[digest.Digest]bool{},
	}
	s.Expect(references)
	return s
}

// Expect says what is still to be copied, in place of what was said before.
func (s *Share) Expect(references []string) {
	if s == nil {
		return
	}
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	for reference := range s.references {
		s.forget(reference)
	}
	if s.left {
		return
	}
	if s.g.parties == nil {
		s.g.parties = map[party]map[*Share]bool{}
	}
	for _, reference := range references {
		p := s.party(reference)
		if s.g.parties[p] == nil {
			s.g.parties[p] = map[*Share]bool{}
		}
		s.g.parties[p][s] = true
		s.references[reference] = true
	}
	s.g.tidyAll()
}

// Leave ends the part: nobody expects the destination any more. What it is reading goes on.
func (s *Share) Leave() {
	if s == nil {
		return
	}
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.left = true
	for reference := range s.references {
		s.forget(reference)
	}
	s.g.tidyAll()
}

// done says that a reference was copied, or failed.
func (s *Share) done(reference string) {
	if s == nil {
		return
	}
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.forget(reference)
	s.g.tidyAll()
}

// pass says that the destination needs nothing of a blob any more.
func (s *Share) pass(d digest.Digest) {
	if s == nil {
		return
	}
	s.g.mu.Lock()
	defer s.g.mu.Unlock()
	s.asked[d] = true
	for key, feeds := range s.g.feeds {
		if key.digest != d {
			continue
		}
		for _, f := range feeds {
			delete(f.lost, s.to)
		}
	}
	s.g.tidyAll()
}

func (s *Share) party(reference string) party { return party{s.source, s.repository, reference} }

// forget takes the destination out of a party.
func (s *Share) forget(reference string) {
	delete(s.references, reference)
	p := s.party(reference)
	delete(s.g.parties[p], s)
	if len(s.g.parties[p]) == 0 {
		delete(s.g.parties, p)
		s.g.forgetManifests(p)
	}
}

// expected are the other destinations that will want a blob of an artifact.
func (g *Sharing) expected(p party, d digest.Digest, except *Engine) []*Engine {
	var all []*Engine
	for s := range g.parties[p] {
		if s.to != except && !s.asked[d] {
			all = append(all, s.to)
		}
	}
	return all
}

func (g *Sharing) patience() time.Duration {
	if g.Patience > 0 {
		return g.Patience
	}
	return defaultPatience
}

// isLate reports whether nobody waits for a destination just now.
func (g *Sharing) isLate(e *Engine) bool { return time.Now().Before(g.late[e]) }

// tooLate notes that a destination was waited for in vain.
func (g *Sharing) tooLate(e *Engine) {
	if g.isLate(e) {
		return
	}
	if g.late == nil {
		g.late = map[*Engine]time.Time{}
	}
	g.late[e] = time.Now().Add(lateness)
}

// reserve takes memory for a window, if need be from content that only waits for
// destinations to come.
func (g *Sharing) reserve(n int64) bool {
	for _, feeds := range g.feeds {
		for _, f := range append([]*feed(nil), feeds...) {
			if g.hasRoom(n) {
				break
			}
			if f.kept() {
				g.unlist(f)
			}
		}
	}
	if !g.hasRoom(n) {
		return false
	}
	g.memory += n
	return true
}

func (g *Sharing) hasRoom(n int64) bool {
	return g.memory+n <= sharedMemory && len(g.feeds) < sharedFeeds
}

// tidyAll drops what nobody waits for any more, and has those who wait look again.
func (g *Sharing) tidyAll() {
	for _, feeds := range g.feeds {
		for _, f := range append([]*feed(nil), feeds...) {
			g.tidy(f)
		}
	}
}
