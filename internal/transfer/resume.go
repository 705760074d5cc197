package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/lighterage/lighterage/internal/registry"
)

// stream is the upload of one blob that is too large to be held. It sends the blob
// in one request; when that breaks it asks the destination how much has arrived and
// goes on from there, in the same session for as long as that exists. Blobs with a
// checkpoint are sent in parts from the beginning, so that what has arrived is
// known even after a restart, and so are those of which chunks were asked for.
type stream struct {
	e        *Engine
	b        blob
	size     int64
	patience *patience

	session  *registry.Upload
	fresh    bool  // nothing was sent to the session yet
	offset   int64 // where the session goes on
	verify   bool  // hash the source's bytes: the destination did not like them
	whole    bool  // no parts: the destination refuses them
	request  int64 // bytes of the request that was made last
	reported int64 // bytes told to the blob's progress
	handed   bool  // all bytes were handed over at least once; an answer may be lost
	minPart  int64 // the least bytes of a part that the destination takes, but for the last
	keep     *checkpoint
}

// run returns when the blob is at the destination or cannot be brought there.
func (s *stream) run(ctx context.Context) error {
	s.keep = s.e.checkpoint(s.b, s.size)
	if s.session != nil {
		s.minPart = s.session.MinChunk()
	}
	if found, minPart := s.keep.load(ctx, s.e.target); found != nil {
		s.e.abandon(ctx, s.session)
		s.session, s.fresh, s.minPart = found, false, minPart
	}
	for {
		err := s.attempt(ctx)
		if err == nil {
			s.keep.drop(ctx)
			s.report(s.size)
			return nil
		}
		if err := s.judge(ctx, err); err != nil {
			return err
		}
		if cause := s.patience.pause(ctx, err); cause != nil {
			return s.stop(ctx, cause, true)
		}
	}
}

// attempt tries once to bring the rest of the blob to the destination.
func (s *stream) attempt(ctx context.Context) error {
	if s.session != nil && !s.fresh {
		if err := s.locate(ctx); err != nil {
			return err
		}
	}
	if s.session == nil && s.handed {
		if there, _, err := s.e.target.BlobExists(ctx, s.b.repository, s.b.desc.Digest); err == nil && there {
			return nil
		}
	}
	if err := s.e.enterStream(ctx); err != nil {
		return err
	}
	defer s.e.leaveStream()
	if s.session == nil {
		s.offset = 0
	}
	source := s.e.readSource(ctx, s.b, s.size, s.offset, s.verify || s.e.o.VerifySource)
	defer source.Close()
	if err := s.open(ctx, source); err != nil {
		return err
	}
	if s.offset > 0 {
		s.b.remark("%s %s: the upload goes on at byte %d of %d", s.b.role, short(s.b.desc.Digest), s.offset, s.size)
	}
	s.patience.reached(s.offset)
	s.handed = false
	err := s.transmit(ctx, &meter{r: source, s: s, at: s.offset})
	s.handed = source.offset == s.size
	if failed := source.failure(); failed != nil {
		return failed
	}
	if err != nil && refusesDigest(err) && source.verified() {
		return fault(Destination, fmt.Errorf("the destination refuses bytes whose digest is right: %w", err), "upload %s %s", s.b.role, short(s.b.desc.Digest))
	}
	return err
}

// open makes both ends ready, at the same time.
func (s *stream) open(ctx context.Context, source *sourceReader) error {
	if s.session != nil {
		return source.open()
	}
	var sourceErr error
	var wg sync.WaitGroup
	wg.Go(func() { sourceErr = source.open() })
	session, err := s.e.target.StartUpload(ctx, s.b.repository)
	wg.Wait()
	if err == nil {
		s.session, s.fresh, s.minPart = session, true, session.MinChunk()
	}
	if sourceErr != nil {
		return sourceErr
	}
	return err
}

// transmit sends what body gives, which begins at s.offset, and completes the upload.
func (s *stream) transmit(ctx context.Context, body io.Reader) error {
	d := s.b.desc.Digest
	s.fresh = false
	inParts := s.wantsParts() && !s.e.refusesParts.Load()
	switch {
	case s.offset == s.size: // only the end is missing
	case inParts:
		for s.offset < s.size {
			n := min(max(s.part(), s.minPart), s.size-s.offset)
			s.request = n
			if err := s.session.Patch(ctx, io.LimitReader(body, n), s.offset, n); err != nil {
				return err
			}
			s.offset += n
			s.patience.reached(s.offset)
			s.keep.save(ctx, s.session, s.offset, s.minPart)
		}
	case s.offset == 0:
		s.request = s.size
		return s.session.Put(ctx, body, s.size, d)
	default:
		s.request = s.size - s.offset
		if err := s.session.Patch(ctx, body, s.offset, s.size-s.offset); err != nil {
			return err
		}
		s.offset = s.size
	}
	// An empty read lets a verifying source compare the digest before the commit.
	if _, err := body.Read(nil); err != nil && err != io.EOF {
		return err
	}
	return s.session.Commit(ctx, d)
}

// askedChunk is the size of the parts of those who asked for chunks. It is Harbor's.
const askedChunk = 10 << 20

// part is the size of a part.
func (s *stream) part() int64 {
	part := s.e.o.ChunkSize
	if s.b.byChunk {
		part = min(part, askedChunk)
	}
	if largest := s.e.largest.Load(); largest > 0 {
		part = min(part, largest)
	}
	return part
}

// wantsParts reports whether the blob is to be sent in parts from its beginning.
func (s *stream) wantsParts() bool {
	return !s.whole && (s.keep != nil || (s.b.byChunk || s.e.largest.Load() > 0) && s.size > s.part())
}

// leastPart is the smallest part that is tried where requests are too large. Bytes.
const leastPart = 256 << 10

// shrink has smaller requests made after one that was too large (413), of all blobs:
// what bounds them is in front of the whole destination. It reports false when smaller
// ones make no sense. To send the blob in one piece would be a larger request still.
func (s *stream) shrink() bool {
	next := min(askedChunk, s.request/4)
	if s.whole || s.e.refusesParts.Load() || next < max(leastPart, s.minPart) {
		return false
	}
	for {
		largest := s.e.largest.Load()
		if largest > 0 && largest <= next {
			return true // another blob has found that out
		}
		if s.e.largest.CompareAndSwap(largest, next) {
			return true
		}
	}
}

func tooLarge(err error) bool { return status(err) == http.StatusRequestEntityTooLarge }

// locate asks the session how much it has. A session that is gone or does not know
// is given up.
func (s *stream) locate(ctx context.Context) error {
	offset, err := s.session.Status(ctx)
	switch {
	case err == nil && offset <= s.size:
		s.offset = offset
		if offset > 0 && (s.verify || s.e.o.VerifySource) {
			s.restart(ctx) // only what is read from its beginning can be hashed
		}
		return nil
	case err == nil, errors.Is(err, registry.ErrOffsetUnknown):
		s.restart(ctx)
		return nil
	case errors.Is(err, registry.ErrUploadLost), registry.IsNotFound(err), !registry.IsTemporary(err) && ctx.Err() == nil:
		s.session = nil
		s.keep.drop(ctx)
		return nil
	}
	return err
}

// restart gives the session up for a new one.
func (s *stream) restart(ctx context.Context) {
	s.e.abandon(ctx, s.session)
	s.session, s.offset = nil, 0
	s.keep.drop(ctx)
}

// judge decides after a failed attempt: nil to try again, or the error to end with.
func (s *stream) judge(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return s.stop(ctx, context.Cause(ctx), true)
	}
	if e, ok := errors.AsType[*Error](err); ok { // the verdict of the source's reader, or ours
		switch {
		case errors.Is(err, errDamaged) && !s.verify:
			s.verify = true // it was hashed already; once more, to be sure
			s.restart(ctx)
			return nil
		case !e.Retryable || s.patience.exhausted() || tooLong(err):
			return s.stop(ctx, err, e.Retryable)
		}
		s.b.remark("%s %s: the source broke off: %v", s.b.role, short(s.b.desc.Digest), e.Err)
		return nil
	}
	switch {
	case tooLarge(err) && !s.patience.exhausted() && s.shrink():
		s.b.remark("%s %s: the destination takes no request of %d bytes, so smaller ones are made: %v", s.b.role, short(s.b.desc.Digest), s.request, err)
		return nil
	case tooLarge(err):
		err = fmt.Errorf("the destination, or a proxy in front of it, takes no request of %d bytes: raise its limit for the size of requests: %w", s.request, err)
		return s.stop(ctx, s.e.destination(ctx, err, s.b), false)
	case !s.handed && refusesPart(err) && (s.offset > 0 || s.wantsParts()) && !s.patience.exhausted():
		// In one piece, then; and so with all blobs if the destination put it clearly.
		s.whole = true
		s.b.remark("%s %s: the destination takes no parts, so it is sent in one piece: %v", s.b.role, short(s.b.desc.Digest), err)
		if status(err) != http.StatusBadRequest {
			s.e.refusesParts.Store(true)
		}
		s.restart(ctx)
		return nil
	case s.handed && doubtsBytes(err) && !s.verify:
		// Who is wrong? The next attempt hashes what the source sends.
		s.b.remark("%s %s: the destination refuses the bytes; sending them again with verification", s.b.role, short(s.b.desc.Digest))
		s.verify = true
		s.restart(ctx)
		return nil
	case errors.Is(err, registry.ErrUploadLost):
		s.session, s.offset = nil, 0
		s.keep.drop(ctx)
	}
	if !mayContinue(err) || s.patience.exhausted() || tooLong(err) {
		return s.stop(ctx, s.e.destination(ctx, err, s.b), mayPass(err))
	}
	s.b.remark("%s %s: the upload broke off: %v", s.b.role, short(s.b.desc.Digest), err)
	return nil
}

// stop ends the upload with err. If it may be gone on with later and is on record, the
// session is left open for that.
func (s *stream) stop(ctx context.Context, err error, later bool) error {
	if !s.keep.onRecord() || !later {
		s.e.abandon(ctx, s.session)
		s.keep.drop(ctx)
	}
	return err
}

// report tells the blob's progress that the upload has come to offset. Bytes that
// are sent again are not counted again.
func (s *stream) report(offset int64) {
	if n := offset - s.reported; n > 0 {
		s.reported = offset
		s.b.progress(n)
	}
}

// meter counts what is read from the source towards the destination.
type meter struct {
	r  *sourceReader
	s  *stream
	at int64
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if n > 0 {
		m.at += int64(n)
		m.s.report(m.at)
	}
	return n, err
}
