package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/lighterage/lighterage/internal/registry"
)

// smallBlob is the size in bytes up to which a blob is held in memory: then the
// source is done with before the destination is written to, and its bytes are
// hashed at no cost that matters.
const smallBlob = 256 << 10

// longestPause is the longest Retry-After that a running copy waits for. A longer
// one ends the copy with a retryable error: a queue can wait better.
const longestPause = 5 * time.Minute

func tooLong(err error) bool { return registry.RetryAfter(err) > longestPause }

// send moves a blob's bytes to the destination and returns how many they are.
// session is an open upload session or nil; it belongs to send.
func (e *Engine) send(ctx context.Context, b blob, session *registry.Upload) (int64, error) {
	size := b.desc.Size
	if size < 0 && b.content == nil {
		var err error
		if size, err = b.source.BlobSize(ctx, b.sourceRepository, b.desc.Digest); err != nil {
			e.abandon(ctx, session)
			if registry.IsNotFound(err) {
				return 0, fault(Source, fmt.Errorf("the source does not have it: %w", err), "read %s %s", b.role, short(b.desc.Digest))
			}
			return 0, failure(Source, err, "ask for the size of %s %s", b.role, short(b.desc.Digest))
		}
	}
	leave, err := b.bandwidth.Enter(ctx)
	if err != nil {
		e.abandon(ctx, session)
		return 0, err
	}
	defer leave()
	if b.content != nil || size <= smallBlob {
		return size, e.sendWhole(ctx, b, size, session)
	}
	s := &stream{e: e, b: b, size: size, session: session, fresh: session != nil, patience: e.patience()}
	return size, s.run(ctx)
}

// sendWhole sends a blob that fits into memory.
func (e *Engine) sendWhole(ctx context.Context, b blob, size int64, session *registry.Upload) error {
	if err := e.enterStream(ctx); err != nil {
		e.abandon(ctx, session)
		return err
	}
	defer e.leaveStream()

	content := b.content
	var err error // of the last step at the destination
	var opened chan error
	if content == nil {
		// The session is opened while the source is being read: both are needed.
		if session == nil {
			opened = make(chan error, 1)
			go func() {
				var openErr error
				session, openErr = e.target.StartUpload(ctx, b.repository)
				opened <- openErr
			}()
		}
		var readErr error
		content, readErr = e.fetch(ctx, b, size)
		if opened != nil {
			err = <-opened
		}
		if readErr != nil {
			e.abandon(ctx, session)
			return readErr
		}
	}

	p := e.patience()
	mistrusted := false
	counted := b.content == nil // when it was read
	for {
		if err == nil && session == nil {
			session, err = e.target.StartUpload(ctx, b.repository)
		}
		if err == nil && !counted {
			if cause := b.bandwidth.Wait(ctx, len(content)); cause != nil {
				e.abandon(ctx, session)
				return cause
			}
		}
		if err == nil {
			counted = false // sent once more, it counts once more
			err = session.Put(ctx, bytes.NewReader(content), int64(len(content)), b.desc.Digest)
		}
		if err == nil {
			b.progress(int64(len(content)))
			return nil
		}
		e.abandon(ctx, session)
		session = nil
		doubted := doubtsBytes(err)
		switch {
		case doubted && mistrusted && refusesDigest(err):
			return fault(Destination, fmt.Errorf("the destination refuses bytes whose digest is right: %w", err), "upload %s %s", b.role, short(b.desc.Digest))
		case ctx.Err() != nil, doubted && mistrusted, !doubted && !mayContinue(err), p.exhausted(), tooLong(err):
			return e.destination(ctx, err, b)
		}
		mistrusted = mistrusted || doubted // they may have been spoiled on their way
		if cause := p.pause(ctx, err); cause != nil {
			return cause
		}
		// The answer may have been lost on its way, and the blob be there.
		var there bool
		if there, _, err = e.target.BlobExists(ctx, b.repository, b.desc.Digest); err == nil && there {
			b.progress(int64(len(content)))
			return nil
		}
	}
}

// fetch reads a small blob into memory. Bytes that are not what the digest says are
// read once more before the source is blamed.
func (e *Engine) fetch(ctx context.Context, b blob, size int64) ([]byte, error) {
	p := e.patience()
	for again := false; ; {
		r := e.readSource(ctx, b, size, 0, true)
		content := make([]byte, size)
		err := r.open()
		if err == nil {
			_, err = io.ReadFull(r, content)
		}
		if err == nil && size == 0 {
			_, err = r.Read(make([]byte, 1)) // to the end, where the digest is compared
		}
		r.Close()
		if err == nil || err == io.EOF {
			return content, nil
		}
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, errDamaged) && !again:
			again = true
		case !IsRetryable(err) || p.exhausted() || tooLong(err):
			return nil, err
		default:
			if cause := p.pause(ctx, err); cause != nil {
				return nil, cause
			}
		}
	}
}

// destination says what an upload failed with at the destination.
func (e *Engine) destination(ctx context.Context, err error, b blob) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return failure(Destination, err, "upload %s %s", b.role, short(b.desc.Digest))
}

func (b blob) progress(n int64) {
	if b.sent != nil && n > 0 {
		b.sent(n)
	}
}

func (b blob) remark(format string, args ...any) {
	if b.note != nil {
		b.note(fmt.Sprintf(format, args...))
	}
}

// refusesDigest reports whether the destination says that the bytes it received are
// not what their digest says.
func refusesDigest(err error) bool { return hasCode(err, "DIGEST_INVALID") }

// doubtsBytes reports whether the destination says that, or may mean it: some
// registries have no other word than "bad request" for it.
func doubtsBytes(err error) bool { return refusesDigest(err) || status(err) == http.StatusBadRequest }

// mayContinue reports whether an upload that failed with err can be gone on with or
// begun again at once.
func mayContinue(err error) bool {
	return registry.IsTemporary(err) || errors.Is(err, registry.ErrUploadLost) ||
		errors.Is(err, registry.ErrRange) || errors.Is(err, registry.ErrOffsetUnknown)
}

// refusesPart reports whether the destination does not take a blob in parts.
func refusesPart(err error) bool {
	if errors.Is(err, registry.ErrUnsupported) {
		return true
	}
	e, ok := errors.AsType[*registry.Error](err)
	if !ok {
		return false
	}
	switch e.Status {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusLengthRequired,
		http.StatusUnsupportedMediaType, http.StatusNotImplemented:
		return !mayContinue(err)
	}
	return false
}

func (e *Engine) enterStream(ctx context.Context) error {
	select {
	case e.streams <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (e *Engine) leaveStream() { <-e.streams }
