package transfer

import (
	"context"
	"sync"
	"time"
)

// mounting is what has been learned about cross-repository mounts at the
// destination. The protocol lets a registry answer every mount with a new upload
// session (202), and some always do.
type mounting struct {
	now func() time.Time

	mu       sync.Mutex
	works    bool      // a mount of any kind has been answered 201
	refusals int       // in a row, of blobs that we knew to be there
	offUntil time.Time // not asked before this
	itself   verdict
	misses   int           // lookups that a mount from the repository itself would have saved
	decided  chan struct{} // closed when itself is yes or no
	waitTill time.Time     // nobody waits for that after this
}

// verdict is the answer to a question that is asked once.
type verdict uint8

const (
	unasked verdict = iota
	asking
	yes
	no
)

const (
	// refusalsOfStranger in a row, and a registry that has never mounted is not
	// asked again for a long time; one that has mounted is given more chances.
	refusalsOfStranger = 3
	refusalsOfFriend   = 24
	mountHoliday       = time.Hour
	// worthAsking lookups must have been answered "not there" before a request is
	// spent on finding out how to do without them: a single image never pays it.
	worthAsking = 12
	// Lookups are held back for the answer, which comes after the first blob has
	// arrived, for as long as that may take: so many times a lookup, but not too long
	// in all, since that blob may be a large one.
	lookupsToWait = 10
	leastToWait   = 500 * time.Millisecond
	mostToWait    = 3 * time.Second
)

func newMounting() *mounting { return &mounting{now: time.Now, decided: make(chan struct{})} }

// proven: this registry mounts. Asking it needs no lookup before.
func (m *mounting) proven() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.works && !m.now().Before(m.offUntil)
}

// hopeless: this registry does not mount.
func (m *mounting) hopeless() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now().Before(m.offUntil)
}

func (m *mounting) accepted() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.works, m.refusals, m.offUntil = true, 0, time.Time{}
}

func (m *mounting) refused() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refusals++
	limit := refusalsOfStranger
	if m.works {
		limit = refusalsOfFriend
	}
	if m.refusals >= limit {
		m.works, m.refusals, m.offUntil = false, 0, m.now().Add(mountHoliday)
	}
}

// fromItself: a blob that a repository holds can be "mounted" from that repository
// with 201, and a missing one is answered with an upload session: one request in
// the place of a lookup and the opening of a session.
func (m *mounting) fromItself() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.itself == yes
}

// missed notes a lookup that was answered "not there", and how long that took.
func (m *mounting) missed(took time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.misses++
	if m.misses == worthAsking {
		m.waitTill = m.now().Add(min(max(lookupsToWait*took, leastToWait), mostToWait))
	}
}

// await gives the question that ask will ask a moment to be answered, before a
// lookup is spent. It never waits when few lookups were in vain so far.
func (m *mounting) await(ctx context.Context) {
	m.mu.Lock()
	wait := time.Duration(0)
	if m.misses >= worthAsking && m.itself != yes && m.itself != no && !m.now().Before(m.offUntil) {
		wait = m.waitTill.Sub(m.now())
	}
	m.mu.Unlock()
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-m.decided:
	case <-timer.C:
	case <-ctx.Done(): // the request that follows will say so
	}
}

// ask reports whether the caller should find out now about mounts from the
// repository itself, and answer with learned or unanswered. Only one caller is ever told to.
func (m *mounting) ask() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.itself != unasked || m.misses < worthAsking || m.now().Before(m.offUntil) {
		return false
	}
	m.itself = asking
	return true
}

// unanswered lets somebody else ask.
func (m *mounting) unanswered() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.itself = unasked
}

func (m *mounting) learned(works bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.decided)
	m.itself = no
	if works {
		m.itself, m.works = yes, true
	}
}
