package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// feed is one connection to the source that several uploads of a blob read from, each
// at its own pace, within a window of bytes that is held. The slowest sets the pace for
// the others as long as that costs them little (Sharing.Patience); then it falls out and goes
// on by itself. So no wait of one destination for another is long, and none is for ever.
//
// Everything below is guarded by the Sharing's lock, but for what is set at the beginning.
type feed struct {
	g      *Sharing
	key    feedKey
	start  int64
	began  time.Time
	cancel context.CancelFunc // of the connection; nil before there is one
	buf    []byte             // the byte at offset o is buf[o % len(buf)]

	base, end int64 // the bytes from base to end are held
	err       error // why there are no more: io.EOF, or what the source failed with
	over      bool  // nothing will be added
	sound     bool  // all bytes are held, and have the right digest

	parties   map[party]bool // whose blob it is
	readers   map[*feedReader]bool
	served    map[*Engine]bool // who has read from it: whoever comes again doubts its bytes
	lost      map[*Engine]bool // who lost the source at start, or at the end of a feed that failed
	absentFor time.Duration    // how long the readers had to wait for those that have not come

	opened  chan struct{} // closed when the connection was opened, or refused
	refused bool          // valid then
	ended   chan struct{} // closed when the connection is closed
	more    chan struct{} // closed when readers should look again
	moved   chan struct{} // has an element when the pump should look again
}

// feedReader is one upload's place at a feed.
type feedReader struct {
	ctx    context.Context
	f      *feed
	to     *Engine
	pos    int64
	hungry bool          // it waits for bytes
	held   time.Duration // how long others had to wait for it
	err    error         // why it may read no more
}

// errLeftBehind says that the other destinations could not wait. It is no failure of
// the source: who gets it reads on by itself.
var errLeftBehind = errors.New("the other destinations are faster")

var errFeedClosed = errors.New("the reader is closed")

// mouthful is how many bytes are read from the source at a time, at most.
const mouthful = 128 << 10

func (f *feed) failed() bool { return f.over && f.err != io.EOF }

// kept reports whether only the content is left, for destinations that are to come.
func (f *feed) kept() bool { return f.over && len(f.readers) == 0 }

// offers reports whether a destination can read from offset on.
func (f *feed) offers(e *Engine, offset int64) bool {
	whole := !f.over || f.err == io.EOF && (f.sound || len(f.readers) > 0)
	return whole && !f.served[e] && f.base <= offset && offset <= f.end
}

// join takes a place at offset.
func (f *feed) join(ctx context.Context, e *Engine, p party, offset int64) *feedReader {
	r := &feedReader{ctx: ctx, f: f, to: e, pos: offset}
	f.readers[r] = true
	f.served[e] = true
	f.parties[p] = true
	delete(f.lost, e)
	f.stir()
	return r
}

// stir has the pump look again.
func (f *feed) stir() {
	select {
	case f.moved <- struct{}{}:
	default:
	}
}

// wake has the readers look again.
func (f *feed) wake() {
	close(f.more)
	f.more = make(chan struct{})
}

// connect opens the source for the reader that came first, and for all others. The
// connection belongs to all of them: it lasts until the last one has left.
func (f *feed) connect(ctx context.Context, b blob, first *feedReader) (io.ReadCloser, error) {
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	body, err := b.source.Blob(own, b.sourceRepository, f.key.digest, f.start, f.key.size)
	if !stop() && err == nil {
		_ = body.Close() // nobody has read from it
		err = context.Cause(ctx)
	}
	f.g.mu.Lock()
	if err != nil {
		cancel()
		f.refused = true
		f.finish(err)
		close(f.ended)
	} else {
		f.cancel = cancel
		go f.pump(body)
	}
	close(f.opened)
	f.g.mu.Unlock()
	if err != nil {
		first.Close()
		return nil, err
	}
	return first, nil
}

// pump moves bytes from the source into the window until it ends or nobody reads.
func (f *feed) pump(body io.ReadCloser) {
	defer close(f.ended)
	defer f.cancel()
	defer func() { _ = body.Close() }() // what was read is kept; how the connection ends does not matter
	var rest [1]byte
	for {
		room := f.room(rest[:])
		if room == nil {
			return
		}
		n, err := body.Read(room)
		if !f.add(n, err) {
			return
		}
	}
}

// room waits for a place to read into; after the last byte it is rest, in which nothing
// must arrive. It returns nil when nobody reads any more.
func (f *feed) room(rest []byte) []byte {
	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	for len(f.readers) > 0 {
		if f.end == f.key.size {
			return rest
		}
		absent := f.absent()
		low := f.end
		if len(absent) > 0 {
			low = f.start
		}
		for r := range f.readers {
			low = min(low, r.pos)
		}
		window := int64(len(f.buf))
		if free := window - (f.end - low); free > 0 {
			at := f.end % window
			n := min(free, window-at, mouthful)
			f.base = max(f.base, f.end+n-window)
			return f.buf[at : at+n]
		}
		f.pause(low, absent)
	}
	f.finish(errFeedClosed)
	return nil
}

// absent are the destinations that are waited for at the start.
func (f *feed) absent() []*Engine {
	var all []*Engine
	for _, e := range f.g.awaited(f) {
		if !f.g.isLate(e) {
			all = append(all, e)
		}
	}
	return all
}

// pause waits until there may be room. Who is at low, or absent, is to blame while
// somebody else goes hungry, and is left behind when that has lasted too long.
func (f *feed) pause(low int64, absent []*Engine) {
	hungry := false
	for r := range f.readers {
		hungry = hungry || r.hungry && r.pos == f.end
	}
	var deadline <-chan time.Time
	var slow []*feedReader
	if hungry {
		left := f.blame(low, absent)
		if left <= 0 {
			return
		}
		for r := range f.readers {
			if r.pos == low {
				slow = append(slow, r)
			}
		}
		timer := time.NewTimer(left)
		defer timer.Stop()
		deadline = timer.C
	}
	start := time.Now()
	f.g.mu.Unlock()
	select {
	case <-f.moved:
	case <-deadline:
	}
	f.g.mu.Lock()
	if !hungry {
		return
	}
	waited := time.Since(start)
	if len(absent) > 0 {
		f.absentFor += waited
	}
	for _, r := range slow {
		r.held += waited
	}
}

// blame leaves those behind whose time is up, and returns the time that the others
// still have, 0 when it left somebody behind.
func (f *feed) blame(low int64, absent []*Engine) time.Duration {
	patience := f.g.patience()
	allowed := max(patience, time.Since(f.began)/patienceShare)
	least := allowed
	if len(absent) > 0 {
		if least = patience - f.absentFor; least <= 0 {
			for _, e := range absent {
				f.g.tooLate(e)
			}
		}
	}
	for r := range f.readers {
		if r.pos != low {
			continue
		}
		left := allowed - r.held
		if f.g.isLate(r.to) {
			left = 0
		}
		if least = min(least, left); left <= 0 {
			f.g.tooLate(r.to)
			r.err = errLeftBehind
			delete(f.readers, r)
			f.wake()
		}
	}
	return max(least, 0)
}

// add takes what was read from the source. It returns false when that was the last.
func (f *feed) add(n int, err error) bool {
	if err == io.EOF {
		f.check(n)
	}
	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	switch {
	case f.end == f.key.size && n > 0:
		err = fmt.Errorf("more than the %d bytes of the blob", f.key.size)
	case err == io.EOF && f.end+int64(n) < f.key.size:
		f.end += int64(n)
		err = io.ErrUnexpectedEOF
	default:
		f.end += int64(n)
	}
	if err != nil {
		f.finish(err)
		f.g.tidy(f)
		return false
	}
	f.wake()
	return true
}

// check hashes content that may have to be kept for somebody who is to come, and of
// which n bytes were not added yet.
func (f *feed) check(n int) {
	f.g.mu.Lock()
	whole := f.base == 0 && f.start == 0 && f.end+int64(n) == f.key.size && f.key.size <= int64(len(f.buf)) && len(f.g.awaited(f)) > 0
	f.g.mu.Unlock()
	if !whole {
		return
	}
	// Nobody else writes into the window.
	sound := f.key.digest.Algorithm().FromBytes(f.buf[:f.key.size]) == f.key.digest
	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	f.sound = sound
}

// finish notes that nothing will be added. Of a source that failed, all who read are
// expected to come again.
func (f *feed) finish(err error) {
	f.err, f.over = err, true
	if err != io.EOF {
		if f.lost == nil {
			f.lost = map[*Engine]bool{}
		}
		for r := range f.readers {
			f.lost[r.to] = true
		}
	}
	f.wake()
}

// Read implements io.Reader.
func (r *feedReader) Read(p []byte) (int, error) {
	f := r.f
	f.g.mu.Lock()
	defer f.g.mu.Unlock()
	for {
		switch {
		case r.err != nil:
			return 0, r.err
		case len(p) == 0:
			return 0, nil
		case r.pos < f.end:
			window := int64(len(f.buf))
			at := r.pos % window
			n := copy(p, f.buf[at:min(at+f.end-r.pos, window)])
			r.pos += int64(n)
			f.stir()
			return n, nil
		case f.over:
			return 0, f.err
		}
		r.hungry = true
		f.stir()
		more := f.more
		f.g.mu.Unlock()
		select {
		case <-more:
		case <-r.ctx.Done():
		}
		f.g.mu.Lock()
		r.hungry = false
		if r.ctx.Err() != nil {
			return 0, context.Cause(r.ctx)
		}
	}
}

// Close gives the place up. The connection ends with the last one.
func (r *feedReader) Close() error {
	f := r.f
	f.g.mu.Lock()
	if r.err == nil {
		r.err = errFeedClosed
	}
	delete(f.readers, r)
	f.g.tidy(f)
	last := len(f.readers) == 0 && f.cancel != nil
	f.g.mu.Unlock()
	if last {
		<-f.ended // leave nothing running behind
	}
	return nil
}
