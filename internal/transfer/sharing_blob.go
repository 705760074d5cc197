package transfer

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/registry"
)

// feedKey is a blob of the source. Its repository does not matter: the same digest is
// the same bytes. Manifests that differ about its size do not share.
type feedKey struct {
	source *registry.Client
	digest digest.Digest
	size   int64
}

// open opens a blob at offset, together with the other destinations where that goes. It
// is for what is read now, as registry.Client.Blob is: after a failure, open again.
func (s *Share) open(ctx context.Context, b blob, size, offset int64) (io.ReadCloser, error) {
	for s != nil {
		r, opens := s.board(ctx, b, size, offset)
		if r == nil {
			break
		}
		if opens {
			return r.f.connect(ctx, b, r)
		}
		select {
		case <-r.f.opened:
		case <-ctx.Done():
			r.Close()
			return nil, context.Cause(ctx)
		}
		if !r.f.refused {
			return r, nil
		}
		r.Close() // the next one may have more luck, or gets an error of its own
	}
	return b.source.Blob(ctx, b.sourceRepository, b.desc.Digest, offset, size)
}

// board takes a place at a feed under way, or at a new one that the caller opens. nil:
// it reads by itself, because nobody else is expected or all others have gone on.
func (s *Share) board(ctx context.Context, b blob, size, offset int64) (r *feedReader, opens bool) {
	g := s.g
	g.mu.Lock()
	defer g.mu.Unlock()
	if s.left || s.source != b.source {
		return nil, false
	}
	key := feedKey{b.source, b.desc.Digest, size}
	p := s.party(b.via)
	s.asked[key.digest] = true // from now on it is not expected, but here
	defer g.tidyAll()
	for _, f := range g.feeds[key] {
		if f.offers(s.to, offset) {
			return f.join(ctx, s.to, p, offset), false
		}
	}
	lost := g.lostAt(key, s.to, offset)
	if len(lost) == 0 && (offset > 0 || len(g.expected(p, key.digest, s.to)) == 0) {
		return nil, false
	}
	window := min(size-offset, windowSize)
	if !g.reserve(window) {
		return nil, false
	}
	f := &feed{
		g: g, key: key, start: offset, base: offset, end: offset, began: time.Now(), buf: make([]byte, window), lost: lost,
		parties: map[party]bool{}, readers: map[*feedReader]bool{}, served: map[*Engine]bool{},
		opened: make(chan struct{}), ended: make(chan struct{}), more: make(chan struct{}), moved: make(chan struct{}, 1),
	}
	if g.feeds == nil {
		g.feeds = map[feedKey][]*feed{}
	}
	g.feeds[key] = append(g.feeds[key], f)
	return f.join(ctx, s.to, p, offset), true
}

// lostAt returns the destinations that lost the source at the same byte as the caller
// did, and will come again.
func (g *Sharing) lostAt(key feedKey, e *Engine, offset int64) map[*Engine]bool {
	for _, f := range g.feeds[key] {
		if f.failed() && f.end == offset && f.lost[e] {
			others := f.lost
			delete(others, e)
			f.lost = nil
			return others
		}
	}
	return nil
}

// awaited are the destinations that have not come to a feed yet, and still find all
// that they need when they come now.
func (g *Sharing) awaited(f *feed) []*Engine {
	if f.base != f.start {
		return nil
	}
	var all []*Engine
	add := func(e *Engine) {
		if !f.served[e] && !slices.Contains(all, e) {
			all = append(all, e)
		}
	}
	if f.start == 0 {
		for p := range f.parties {
			for _, e := range g.expected(p, f.key.digest, nil) {
				add(e)
			}
		}
	}
	for e := range f.lost {
		add(e)
	}
	return all
}

// tidy ends a feed that nobody reads from, unless its content waits for somebody.
func (g *Sharing) tidy(f *feed) {
	f.stir()
	switch {
	case len(f.readers) > 0:
	case f.over && f.err == io.EOF && f.sound && len(g.awaited(f)) > 0:
	case f.failed() && len(f.lost) > 0: // they come for one another, not for the bytes
		g.memory -= int64(len(f.buf))
		f.buf = nil
	default:
		g.unlist(f)
	}
}

// unlist forgets a feed.
func (g *Sharing) unlist(f *feed) {
	feeds := g.feeds[f.key]
	i := slices.Index(feeds, f)
	if i < 0 {
		return
	}
	g.memory -= int64(len(f.buf))
	f.lost = nil // nobody finds it any more
	if feeds = slices.Delete(feeds, i, i+1); len(feeds) == 0 {
		delete(g.feeds, f.key)
	} else {
		g.feeds[f.key] = feeds
	}
	if f.cancel != nil {
		f.cancel()
	}
}
