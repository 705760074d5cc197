package pace

import (
	"context"
	"io"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

// Bandwidth is a number of bytes per second that many streams share, in the order in
// which they ask. A nil Bandwidth is no limit.
//
// Bytes are counted when they have been read, however few they are, so that small
// bodies are not let through for nothing and large ones are not charged what they do
// not use.
type Bandwidth struct {
	streams *semaphore.Weighted
	*flow
}

// flow is what all lanes of a limit share.
type flow struct {
	mu   sync.Mutex
	rate int64     // bytes per second, 0: no limit
	next time.Time // when all bytes so far have had their time
}

// share is the part of a second whose bytes one stream takes at a time: small
// enough not to show, large enough not to wake up all the time.
const share = 50

// credit is how much of the time that went unused may be made up for: streams on a busy
// machine wake up late, and over seconds it does not show.
const credit = time.Second / 10

// Bounds on the streams that use a limit at the same time, and the bytes per second that
// one of them should have: what many would share leaves each of them next to nothing,
// and they take the place of those that are not limited.
const (
	fewestStreams = 8
	mostStreams   = 48
	streamRate    = 128 << 10
)

// NewBandwidth returns a limit in bytes per second; without a positive number, none.
func NewBandwidth(bytesPerSecond int64) *Bandwidth {
	if bytesPerSecond <= 0 {
		return nil
	}
	return NewAdjustable(bytesPerSecond)
}

// NewAdjustable returns a limit in bytes per second that SetRate can change. It is
// never nil; without a positive number it lets everything through for the time being.
func NewAdjustable(bytesPerSecond int64) *Bandwidth {
	return &Bandwidth{semaphore.NewWeighted(mostStreams), &flow{rate: max(bytesPerSecond, 0)}}
}

// Lane returns the same limit with places for streams of its own, so that those of a
// lane that hardly move do not keep out the streams of another.
func (b *Bandwidth) Lane() *Bandwidth {
	if b == nil {
		return nil
	}
	return &Bandwidth{semaphore.NewWeighted(mostStreams), b.flow}
}

// SetRate changes the limit, for streams under way too; without a positive number
// there is none any more. Bytes that wait for their turn already have been given it
// at the old rate: a fiftieth of a second for each stream.
func (b *Bandwidth) SetRate(bytesPerSecond int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rate = max(bytesPerSecond, 0)
}

// Rate returns the bytes per second, 0 when there is no limit.
func (b *Bandwidth) Rate() int64 {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rate
}

// AtOnce returns how many bytes may come at once. A reader that takes no more at a
// time makes them flow evenly.
func (b *Bandwidth) AtOnce() int {
	if rate := b.Rate(); rate > 0 {
		return int(max(rate/share, 1))
	}
	return math.MaxInt
}

// Enter waits until one more stream may use the limit: 8 at a time, and up to 48 when
// each of them has 128 KiB per second. leave must be called when the stream has ended.
// It fails when ctx ends, with the cause.
func (b *Bandwidth) Enter(ctx context.Context) (leave func(), err error) {
	rate := b.Rate()
	if rate == 0 {
		return func() {}, nil
	}
	weight := mostStreams / min(max(rate/streamRate, fewestStreams), mostStreams)
	if err := b.streams.Acquire(ctx, weight); err != nil {
		return nil, context.Cause(ctx)
	}
	return func() { b.streams.Release(weight) }, nil
}

// Wait takes n bytes from what may move, and waits until they may. It fails when ctx
// ends, with the cause.
func (b *Bandwidth) Wait(ctx context.Context, n int) error { return Limits{b}.Wait(ctx, n) }

// sleep waits, or fails with the cause when ctx ends.
func sleep(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// reserve gives n bytes the next free time and returns how long it is until then.
func (b *Bandwidth) reserve(n int) time.Duration {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rate == 0 {
		return 0
	}
	now := time.Now()
	if b.next.IsZero() {
		b.next = now
	}
	if rested := now.Add(-credit); b.next.Before(rested) {
		b.next = rested
	}
	b.next = b.next.Add(time.Duration(float64(n) / float64(b.rate) * float64(time.Second)))
	return b.next.Sub(now)
}

// Reader returns r within the limit: r itself when there is none. A Read ends when
// its bytes may have moved, or with the cause when ctx ends.
func (b *Bandwidth) Reader(ctx context.Context, r io.Reader) io.Reader {
	if b == nil {
		return r
	}
	return &limitedReader{b: b, ctx: ctx, r: r}
}

type limitedReader struct {
	b   *Bandwidth
	ctx context.Context
	r   io.Reader
}

// Read reads no more at a time than comes at once, so that the bytes flow evenly.
func (l *limitedReader) Read(p []byte) (int, error) {
	n, err := l.r.Read(p[:min(len(p), l.b.AtOnce())])
	if waiting := l.b.Wait(l.ctx, n); waiting != nil {
		return n, waiting
	}
	return n, err
}
