package registry

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// watch ends a request in which nothing has moved for too long. It has no opinion on
// how long the whole may take.
type watch struct {
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	what  string
	limit time.Duration
	ended bool
}

// newWatch returns a context for the request and the watch over it. end must be called.
func newWatch(ctx context.Context) (context.Context, *watch) {
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watch{cancel: cancel}
	w.timer = time.AfterFunc(time.Hour, w.expire)
	w.timer.Stop()
	return ctx, w
}

// expect starts the clock anew: within limit something must happen.
func (w *watch) expect(what string, limit time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return
	}
	w.what, w.limit = what, limit
	w.timer.Reset(limit)
}

// rest stops the clock: what happens now is not the host's doing.
func (w *watch) rest() { w.timer.Stop() }

func (w *watch) expire() {
	w.mu.Lock()
	err := &StallError{What: w.what, For: w.limit}
	w.mu.Unlock()
	w.cancel(err)
}

// end stops the clock for good and releases the context.
func (w *watch) end() {
	w.mu.Lock()
	w.ended = true
	w.timer.Stop()
	w.mu.Unlock()
	w.cancel(nil)
}

// stalled returns err, or the StallError that caused it.
func stalled(ctx context.Context, err error) error {
	if stall, ok := errors.AsType[*StallError](context.Cause(ctx)); ok && err != nil && !errors.Is(err, io.EOF) {
		return stall
	}
	return err
}

// inbound is an answer's body under watch. It holds the request's slot until Close.
type inbound struct {
	ctx   context.Context
	body  io.ReadCloser
	watch *watch
	slot  *slot
	stall time.Duration
	moved int64
}

func (b *inbound) Read(p []byte) (int, error) {
	b.watch.expect("download", b.stall)
	n, err := b.body.Read(p)
	b.watch.rest()
	b.moved += int64(n)
	return n, stalled(b.ctx, err)
}

func (b *inbound) Close() error {
	b.watch.end() // first: it unblocks a Read, and spares reading on to keep the connection
	err := b.body.Close()
	b.slot.done(b.moved)
	return err
}

// outbound is a streaming request body under watch. The clock runs while the host
// takes bytes, not while the source finds them.
type outbound struct {
	body     io.Reader
	size     int64 // -1: unknown
	watch    *watch
	stall    time.Duration
	patience time.Duration // for the answer, once all is sent

	mu       sync.Mutex // held while body is read
	detached bool
	moved    int64
	err      error // the body's own failure
}

func (b *outbound) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.detached {
		return 0, errDetached
	}
	b.watch.rest()
	n, err := b.body.Read(p)
	b.moved += int64(n)
	if errors.Is(err, io.EOF) && b.moved < b.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !errors.Is(err, io.EOF) {
		b.err = &BodyError{Err: err}
		return n, b.err
	}
	if err != nil || b.moved == b.size {
		b.watch.expect("answer", b.patience)
	} else {
		b.watch.expect("upload", b.stall)
	}
	return n, err
}

// Close is called by the transport; the body is its owner's to close.
func (b *outbound) Close() error { return nil }

var errDetached = errors.New("the request is over")

// detach makes sure that the transport, which may go on for a moment after the answer,
// reads no more from a body that is its owner's again. It returns the body's failure.
func (b *outbound) detach() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.detached = true
	return b.err
}
