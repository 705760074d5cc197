package tree

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
)

// Read implements Tree. An answer that breaks off is asked for again from where it
// broke, and goes on only with the same version of the object.
func (s *S3) Read(ctx context.Context, name string, offset, size int64) (io.ReadCloser, error) {
	if err := s.checkUse(ctx, name); err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fmt.Errorf("read %s from offset %d", name, offset)
	}
	if size == 0 {
		_, err := s.Stat(ctx, name)
		return io.NopCloser(strings.NewReader("")), err
	}
	r := &s3Reader{ctx: ctx, s: s, name: name, at: offset, end: -1}
	if size > 0 {
		r.end = offset + size
	}
	err := r.open()
	if S3Code(err) == "InvalidRange" {
		return io.NopCloser(strings.NewReader("")), nil // the object ends before the offset
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// s3Reader reads an object, or a part of it.
type s3Reader struct {
	ctx     context.Context
	s       *S3
	name    string
	etag    string // of the version that is read
	at, end int64  // where the next byte is, and where the part ends; end is -1 before the first answer
	body    io.ReadCloser
	broken  int // how often it broke since a byte has come
}

// open asks for the bytes from r.at to r.end.
func (r *s3Reader) open() error {
	return r.s.try(r.ctx, "read", r.name, func(ctx context.Context, call *s3Call) error {
		call.lane = s3Read
		var o minio.GetObjectOptions
		if r.end >= 0 {
			o.Set("Range", fmt.Sprintf("bytes=%d-%d", r.at, r.end-1))
		} else if r.at > 0 {
			o.Set("Range", fmt.Sprintf("bytes=%d-", r.at))
		}
		if r.etag != "" {
			if err := o.SetMatchETag(r.etag); err != nil {
				return err
			}
		}
		body, info, header, err := r.s.core.GetObject(ctx, r.s.config.Bucket, r.s.key(r.name), o)
		if err != nil {
			return err
		}
		if err := r.accept(info, header); err != nil {
			_ = body.Close()
			return &finalError{err}
		}
		r.body = body
		return nil
	})
}

// accept looks whether the answer is what was asked for.
func (r *s3Reader) accept(info minio.ObjectInfo, header http.Header) error {
	switch {
	case info.Size < 0:
		return fmt.Errorf("the store does not say how much it sends")
	case r.etag != "" && info.ETag != r.etag:
		return fmt.Errorf("the object was replaced meanwhile: %w", io.ErrUnexpectedEOF)
	}
	if got := header.Get("Content-Range"); got != "" {
		var first, last int64
		if _, err := fmt.Sscanf(got, "bytes %d-%d", &first, &last); err != nil || first != r.at || last-first+1 != info.Size {
			return fmt.Errorf("the store sends %d bytes as %q, asked for bytes from %d on", info.Size, got, r.at)
		}
	} else if r.at > 0 || r.end >= 0 && info.Size > r.end {
		return fmt.Errorf("the store sends the whole object, asked for bytes from %d on", r.at)
	}
	end := r.at + info.Size
	if r.etag != "" && end != r.end || r.end >= 0 && end > r.end {
		return fmt.Errorf("the store sends %d bytes, asked for %d", info.Size, r.end-r.at)
	}
	r.etag, r.end = info.ETag, end
	return nil
}

const s3MostBroken = 5

// Read implements io.Reader.
func (r *s3Reader) Read(p []byte) (int, error) {
	for {
		if r.ctx.Err() != nil {
			return 0, context.Cause(r.ctx)
		}
		if r.at == r.end {
			return 0, io.EOF
		}
		n, err := r.body.Read(p[:min(int64(len(p)), r.end-r.at)])
		r.at += int64(n)
		if n > 0 {
			r.broken = 0
			return n, nil
		}
		if err == nil {
			continue
		}
		if r.ctx.Err() != nil {
			return 0, context.Cause(r.ctx)
		}
		if err := r.mend(err); err != nil {
			return 0, err
		}
	}
}

// mend asks for the rest after the answer broke off.
func (r *s3Reader) mend(broke error) error {
	_ = r.body.Close()
	r.body = http.NoBody
	if r.broken++; r.broken > s3MostBroken || r.etag == "" {
		return fmt.Errorf("read %s: it breaks off after %d bytes: %v: %w", r.name, r.at, broke, io.ErrUnexpectedEOF) //nolint:errorlint // the kind matters
	}
	if err := r.s.wait(r.ctx, r.s.backoff(r.broken)); err != nil {
		return err
	}
	err := r.open()
	if code := S3Code(err); code == minio.PreconditionFailed || IsNotExist(err) {
		return fmt.Errorf("read %s: it was replaced or removed meanwhile: %w", r.name, io.ErrUnexpectedEOF)
	}
	return err
}

// Close implements io.Closer.
func (r *s3Reader) Close() error {
	if r.body == nil {
		return nil
	}
	return r.body.Close()
}
