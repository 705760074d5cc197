package transfer

import (
	"sync"
	"time"
)

// Progress is how far a Copy has come. The numbers never fall; totals grow while
// the manifests of the artifact are being read. Accessories are included.
type Progress struct {
	BytesTotal   int64 // of all distinct blobs found so far
	BytesSent    int64 // sent to the destination
	BytesMounted int64 // linked from another repository of the destination
	BytesPresent int64 // there already, or brought by another Copy at the same time
	Blobs        int   // distinct blobs found so far
	BlobsDone    int
}

// progressInterval is the least time between two reports of one Copy.
const progressInterval = 100 * time.Millisecond

// tracker adds up a Copy's progress and reports it. Reports are in order and end
// with the last one that close makes: work that outlives the Copy, because another
// Copy needs it too, reports to nobody.
type tracker struct {
	mu     sync.Mutex
	now    Progress
	report func(Progress)
	last   time.Time
	closed bool
}

// found adds a blob to the totals.
func (t *tracker) found(size int64) {
	t.update(func(p *Progress) { p.Blobs++; p.BytesTotal += size })
}

// grew corrects the size of a blob that its manifest does not tell.
func (t *tracker) grew(size int64) {
	t.update(func(p *Progress) { p.BytesTotal += size })
}

// sent adds bytes that left for the destination.
func (t *tracker) sent(n int64) {
	t.update(func(p *Progress) { p.BytesSent += n })
}

// done ends a blob. For a blob that was not sent, size is added where it belongs.
func (t *tracker) done(how fate, size int64) {
	t.update(func(p *Progress) {
		p.BlobsDone++
		switch how {
		case fateMounted:
			p.BytesMounted += size
		case fatePresent, fateSkipped:
			p.BytesPresent += size
		}
	})
}

func (t *tracker) update(change func(*Progress)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	change(&t.now)
	if t.report == nil {
		return
	}
	if now := time.Now(); now.Sub(t.last) >= progressInterval {
		t.last = now
		t.report(t.now)
	}
}

// close makes the last report and returns it.
func (t *tracker) close() Progress {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		if t.report != nil {
			t.report(t.now)
		}
	}
	return t.now
}
