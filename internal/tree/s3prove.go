package tree

import (
	"context"
	"crypto/md5" //nolint:gosec // what ETags are made of
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Prove implements Tree. The MD5 of known content is compared with the ETag from the
// listing, without a request; otherwise the store is asked for the SHA-256 that it
// keeps, which it does for objects that were put with one, see S3Config.Checksums.
func (s *S3) Prove(ctx context.Context, o Object, want digest.Digest, content []byte) (Proof, error) {
	if err := s.checkUse(ctx, o.Name); err != nil {
		return Unproven, err
	}
	if err := want.Validate(); err != nil {
		return Unproven, fmt.Errorf("prove %s: digest %q: %w", o.Name, want, err)
	}
	if o.Size == 0 {
		content = []byte{}
	}
	if content != nil {
		if o.Size >= 0 && o.Size != int64(len(content)) {
			return Unproven, fmt.Errorf("%s has %d bytes, not %d: %w", o.Name, o.Size, len(content), ErrDigest)
		}
		if err := verify(want, content); err != nil {
			return Unproven, s.failed("prove", o.Name, err)
		}
		if sum := md5.Sum(content); o.ETag == hex.EncodeToString(sum[:]) { //nolint:gosec // as above
			return ETag, nil
		}
	}
	if want.Algorithm() != digest.SHA256 {
		return Unproven, nil
	}
	return s.proveByChecksum(ctx, o, want)
}

// proveByChecksum says nothing of an object that has changed since it was listed.
func (s *S3) proveByChecksum(ctx context.Context, o Object, want digest.Digest) (Proof, error) {
	info, err := s.head(ctx, o.Name, true)
	if err != nil {
		return Unproven, err
	}
	// The checksum of an object that was put in parts is one of their checksums.
	composed := strings.Contains(info.ChecksumSHA256, "-") || info.ChecksumMode == "COMPOSITE"
	if info.ChecksumSHA256 == "" || composed || o.ETag != "" && info.ETag != o.ETag {
		return Unproven, nil
	}
	sum, err := base64.StdEncoding.DecodeString(info.ChecksumSHA256)
	if err != nil {
		return Unproven, nil //nolint:nilerr // it is no checksum
	}
	if err := same(want, digest.NewDigestFromBytes(digest.SHA256, sum)); err != nil {
		return Unproven, s.failed("prove", o.Name, err)
	}
	return Checksum, nil
}

var _ Tree = (*S3)(nil)
