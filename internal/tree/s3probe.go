package tree

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // what ETags are made of
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/minio/minio-go/v7"
)

// Traits are what a store was seen to do.
type Traits struct {
	// VerifiesPayload: it hashes what it is sent and refuses what does not have the
	// digest that the request was signed with.
	VerifiesPayload bool
	// ETagIsMD5: the ETag of an object that was put with one request is its MD5.
	ETagIsMD5 bool
	// KeepsChecksums: it takes a SHA-256 that is sent as a checksum, keeps it, and tells
	// it when asked about the object. Where it is not so the header is never sent: some
	// stores refuse it.
	KeepsChecksums bool
}

// s3Traits are Traits, and the store's word for a payload that it refused.
type s3Traits struct {
	Traits
	refusal string
}

// s3Probe is what has been found out, and whose turn it is to find out.
type s3Probe struct {
	turn  chan struct{}
	known atomic.Pointer[s3Traits]
}

// Traits tells what the store does. It is tried out once for an S3, with two objects
// below ".lighterage/" that are removed again.
func (s *S3) Traits(ctx context.Context) (Traits, error) {
	t, err := s.traits(ctx)
	if err != nil {
		return Traits{}, err
	}
	return t.Traits, nil
}

func (s *S3) traits(ctx context.Context) (*s3Traits, error) {
	if t := s.probe.known.Load(); t != nil {
		return t, nil
	}
	select {
	case s.probe.turn <- struct{}{}:
		defer func() { <-s.probe.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if t := s.probe.known.Load(); t != nil {
		return t, nil
	}
	t, err := s.tryOut(ctx)
	if err == nil {
		s.probe.known.Store(t)
	}
	return t, err
}

// tryOut puts an object with right digests, and one with a wrong one.
func (s *S3) tryOut(ctx context.Context) (*s3Traits, error) {
	content := []byte("lighterage tries out what this store does: " + rand.Text())
	name := ".lighterage/probe-" + rand.Text()
	wrong := name + "-wrong"
	defer func() {
		ctx, cancel := afterwards(ctx)
		defer cancel()
		_ = s.Remove(ctx, []string{name, wrong}) // who may not delete has them in the next listing
	}()
	t := &s3Traits{}
	sum, right := md5.Sum(content), sha256.Sum256(content) //nolint:gosec // as above
	checksum := base64.StdEncoding.EncodeToString(right[:])
	for _, checksum := range []string{checksum, ""} {
		info, header, err := s.putProbe(ctx, name, content, right, checksum)
		if refused(err) && checksum != "" && (!IsFatal(err) || S3Code(err) == minio.NotImplemented) {
			continue // maybe for the checksum
		}
		if err != nil {
			return nil, err
		}
		t.ETagIsMD5 = info.ETag == hex.EncodeToString(sum[:]) && !encryptedByKey(header)
		t.KeepsChecksums = checksum != ""
		break
	}
	if t.KeepsChecksums {
		info, err := s.head(ctx, name, true)
		if IsFatal(err) || ctx.Err() != nil {
			return nil, err
		}
		t.KeepsChecksums = err == nil && info.ChecksumSHA256 == checksum
	}
	_, _, err := s.putProbe(ctx, wrong, content, sha256.Sum256([]byte("other bytes")), "")
	switch {
	case refused(err):
		t.VerifiesPayload, t.refusal = true, S3Code(err)
	case err != nil && S3Code(err) == "":
		return nil, err
	}
	return t, nil
}

func (s *S3) putProbe(ctx context.Context, name string, content []byte, sum [sha256.Size]byte, checksum string) (info minio.UploadInfo, header http.Header, err error) {
	err = s.try(ctx, "put", name, func(ctx context.Context, call *s3Call) error {
		call.open = opens(content)
		info, err = s.send(ctx, name, int64(len(content)), "", hex.EncodeToString(sum[:]), checksum)
		header = call.header
		return err
	})
	return info, header, err
}

// refused reports whether a store did not want a request, and not just now.
func refused(err error) bool {
	e, ok := errors.AsType[*s3Error](err)
	return ok && (e.status >= 400 && e.status < 500 || e.status == http.StatusNotImplemented)
}

// encryptedByKey reports whether an object's ETag is no MD5 although it looks so.
func encryptedByKey(header http.Header) bool {
	return header.Get("X-Amz-Server-Side-Encryption") == "aws:kms" || header.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") != ""
}

// opens returns what opens content that is in memory, for the transport.
func opens(content []byte) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
}
