package migration

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/lighterage/lighterage/internal/tree"
)

// Progress counts what a copy or a check has done so far. It may be read at any time
// from any goroutine.
type Progress struct {
	pass                         atomic.Int64
	found, known, copied, bytes  atomic.Int64
	moving                       atomic.Int64 // bytes that were read of objects that are on their way
	removed, repaired, postponed atomic.Int64
	failed                       atomic.Int64
	expected, expectedBytes      atomic.Int64
	proofs                       [tree.ReadBack + 1]atomic.Int64
}

// Counts are the figures of a Progress at one moment.
type Counts struct {
	Pass      int64 `json:"pass"`      // the look at the source that is going on, from 1
	Found     int64 `json:"found"`     // objects of the source, in this pass
	Known     int64 `json:"known"`     // of them, those that need no copying
	Copied    int64 `json:"copied"`    // objects, in all passes
	Bytes     int64 `json:"bytes"`     // sent so far, in all passes
	Removed   int64 `json:"removed"`   // objects
	Failed    int64 `json:"failed"`    // objects
	Postponed int64 `json:"postponed"` // objects
	// Expected and ExpectedBytes are what there is to be copied in all, 0 until that is
	// known, see Survey.
	Expected      int64 `json:"expected,omitempty"`
	ExpectedBytes int64 `json:"expected_bytes,omitempty"`
}

// Counts reads the figures.
func (p *Progress) Counts() Counts {
	return Counts{
		Pass: p.pass.Load(), Found: p.found.Load(), Known: p.known.Load(), Copied: p.copied.Load(), Bytes: p.bytes.Load() + p.moving.Load(),
		Removed: p.removed.Load(), Failed: p.failed.Load(), Postponed: p.postponed.Load(),
		Expected: p.expected.Load(), ExpectedBytes: p.expectedBytes.Load(),
	}
}

// Proofs is of how many of the objects that were copied it is known how that their bytes
// are right.
func (p *Progress) Proofs() map[string]int64 {
	proofs := map[string]int64{}
	for proof := range p.proofs {
		if n := p.proofs[proof].Load(); n > 0 {
			proofs[tree.Proof(proof).String()] = n
		}
	}
	return proofs
}

// beginPass begins to count the source's objects anew.
func (p *Progress) beginPass(n int) {
	p.pass.Store(int64(n))
	p.found.Store(0)
	p.known.Store(0)
	p.postponed.Store(0)
	p.failed.Store(0)
}

// stored counts an object of so many bytes that the destination took.
func (p *Progress) stored(size int64, r tree.Receipt) {
	p.copied.Add(1)
	p.bytes.Add(size)
	p.proofs[r.Proof].Add(1)
}

// countWhileReading is how large content must be for its bytes to be counted while
// they are read, and not when all are.
const countWhileReading = 8 << 20

// moves is content whose bytes count as moving while they are read. done is called
// when it has been stored or not.
func (p *Progress) moves(content tree.Content) (counted tree.Content, done func()) {
	if content.Size < countWhileReading {
		return content, func() {}
	}
	var moved atomic.Int64
	open := content.Open
	content.Open = func(ctx context.Context, offset, size int64) (io.ReadCloser, error) {
		body, err := open(ctx, offset, size)
		if err != nil {
			return nil, err
		}
		return &countingBody{body, &moved, &p.moving}, nil
	}
	return content, func() { p.moving.Add(-moved.Load()) }
}

// countingBody counts the bytes that are read.
type countingBody struct {
	io.ReadCloser
	own, all *atomic.Int64
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.own.Add(int64(n))
	b.all.Add(int64(n))
	return n, err
}
