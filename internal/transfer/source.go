package transfer

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/registry"
)

// errDamaged: the source's bytes are not what their digest says.
var errDamaged = errors.New("source blob is damaged")

const (
	// reconnects in a row without a byte, and the upload that is being fed ends. It
	// is gone on with later, see stream.
	reconnects = 3
	// reconnectTime bounds one of them.
	reconnectTime = 30 * time.Second
)

// sourceReader reads a blob from an offset to its end. When the connection to the
// source breaks it goes on where it stopped with a new one, without its reader
// noticing, so that an upload that is fed from it survives.
//
// Open it before the upload begins, so that no upload stands open for a source that
// has no room for us. A connection that is needed again while an upload waits for it
// gets only so much time: uploads that wait for a download slot, and downloads that
// wait for an upload slot, must not wait for each other for ever.
type sourceReader struct {
	ctx      context.Context
	b        blob
	size     int64
	offset   int64 // of the next byte
	body     io.ReadCloser
	cancel   context.CancelFunc // of the body's request
	patience *patience
	digester hash.Hash // nil: not hashed
	alone    bool      // it goes on without the other destinations
	err      error     // why it cannot go on; io.EOF at the end
}

// readSource returns a reader of the blob's bytes from offset. With verify, which
// needs offset 0, reading the last byte fails when they are not what the digest says.
func (e *Engine) readSource(ctx context.Context, b blob, size, offset int64, verify bool) *sourceReader {
	r := &sourceReader{ctx: ctx, b: b, size: size, offset: offset, patience: e.patience()}
	r.patience.attempts = min(r.patience.attempts, reconnects)
	r.patience.reached(offset)
	if verify && offset == 0 {
		r.digester = b.desc.Digest.Algorithm().Hash()
	}
	return r
}

// open connects to the source, for as long as its client is patient.
func (r *sourceReader) open() error {
	if r.offset == r.size {
		return nil
	}
	if err := r.connect(0); err != nil {
		r.err = r.explain(err)
	}
	return r.err
}

// Read implements io.Reader. It blocks while the source is being reached again.
func (r *sourceReader) Read(p []byte) (int, error) {
	for r.err == nil {
		if r.offset == r.size {
			r.finish()
			break
		}
		if len(p) == 0 {
			return 0, nil
		}
		if r.body == nil {
			if err := r.connect(reconnectTime); err != nil {
				r.suffer(err)
				continue
			}
			r.b.remark("%s %s: reading from the source goes on at byte %d", r.b.role, short(r.b.desc.Digest), r.offset)
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.size-r.offset, int64(r.b.bandwidth.AtOnce()))])
		if limited := r.b.bandwidth.Wait(r.ctx, n); limited != nil {
			r.err = limited
			break
		}
		if n > 0 && r.digester != nil {
			r.digester.Write(p[:n])
		}
		r.offset += int64(n)
		r.patience.reached(r.offset)
		if r.offset == r.size && (err == nil || err == io.EOF) {
			r.finish()
			if r.err != io.EOF {
				return 0, r.err // the last bytes of damaged content are held back
			}
			return n, nil
		}
		if err != nil {
			r.drop()
			if r.alone = r.alone || errors.Is(err, errLeftBehind); !errors.Is(err, errLeftBehind) {
				r.suffer(err)
			}
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, r.err
}

// connect opens the source at the offset. A limit of 0 is none.
func (r *sourceReader) connect(limit time.Duration) error {
	ctx, cancel := context.WithCancel(r.ctx)
	if limit > 0 {
		// Only opening has a time limit; the body that follows may take for ever.
		defer time.AfterFunc(limit, cancel).Stop()
	}
	share := r.b.share
	if r.alone {
		share = nil
	}
	body, err := share.open(ctx, r.b, r.size, r.offset)
	if err != nil {
		late := ctx.Err() != nil && r.ctx.Err() == nil
		cancel()
		if late {
			return fmt.Errorf("connect to the source again: %w", context.DeadlineExceeded)
		}
		return err
	}
	r.body, r.cancel = body, cancel
	return nil
}

// suffer waits before the next try, or gives up.
func (r *sourceReader) suffer(err error) {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	passing := registry.IsTemporary(err) || errors.Is(err, context.DeadlineExceeded)
	if r.ctx.Err() != nil || !passing || r.patience.exhausted() || tooLong(err) {
		r.err = r.explain(err)
		return
	}
	if cause := r.patience.pause(r.ctx, err); cause != nil {
		r.err = cause
	}
}

func (r *sourceReader) explain(err error) error {
	if r.ctx.Err() != nil {
		return context.Cause(r.ctx)
	}
	if registry.IsNotFound(err) {
		return fault(Source, fmt.Errorf("the source does not have it: %w", err), "read %s %s of %s",
			r.b.role, short(r.b.desc.Digest), r.b.sourceRepository)
	}
	return failure(Source, err, "read %s %s", r.b.role, short(r.b.desc.Digest))
}

// finish is called when all bytes were read.
func (r *sourceReader) finish() {
	if r.body != nil {
		// To the end, so that the connection can be used again and a body that is longer
		// than it should be is noticed.
		if n, err := r.body.Read(make([]byte, 1)); n > 0 || err != nil && err != io.EOF && !registry.IsTemporary(err) {
			r.err = fault(Source, fmt.Errorf("it is longer than the %d bytes that its manifest says", r.size), "read %s %s", r.b.role, short(r.b.desc.Digest))
			r.drop()
			return
		}
	}
	r.drop()
	r.err = io.EOF
	if r.digester == nil {
		return
	}
	if got := digest.NewDigest(r.b.desc.Digest.Algorithm(), r.digester); got != r.b.desc.Digest {
		r.err = fault(Source, fmt.Errorf("%w: its bytes have the digest %s", errDamaged, got), "read %s %s", r.b.role, short(r.b.desc.Digest))
	}
}

func (r *sourceReader) drop() {
	if r.body != nil {
		r.body.Close() // what was read is kept; how the connection ends does not matter
		r.cancel()
		r.body = nil
	}
}

// Close releases the connection. The reader must not be in use.
func (r *sourceReader) Close() { r.drop() }

// failure returns why the source could not be read to its end, nil if it was not
// the source that failed.
func (r *sourceReader) failure() error {
	if r.err == io.EOF {
		return nil
	}
	return r.err
}

// verified reports whether all bytes were read and hashed to the right digest.
func (r *sourceReader) verified() bool { return r.digester != nil && r.err == io.EOF }
