package tree

import (
	"context"
	"crypto/md5" //nolint:gosec // what ETags are made of
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"
	"github.com/opencontainers/go-digest"
)

// Put implements Tree. An object of up to SingleLimit bytes is one request; its
// content is neither hashed nor held here if the store verifies it. Otherwise content
// is hashed before anything of it counts: small content before it is sent, large
// content part by part before the parts are put together.
func (s *S3) Put(ctx context.Context, name string, c Content) (Receipt, error) {
	if err := s.checkUse(ctx, name); err != nil {
		return Receipt{}, err
	}
	if c.Size < 0 {
		return Receipt{}, fmt.Errorf("put %s: a size of %d bytes", name, c.Size)
	}
	if err := c.Digest.Validate(); err != nil {
		return Receipt{}, fmt.Errorf("put %s: digest %q: %w", name, c.Digest, err)
	}
	traits, err := s.traits(ctx)
	if err != nil {
		return Receipt{}, err
	}
	switch verified := traits.VerifiesPayload && c.Digest.Algorithm() == digest.SHA256; {
	case verified && c.Size > 0 && c.Size <= s.config.SingleLimit:
		return s.putVerified(ctx, name, c, traits)
	case c.Size <= min(s.config.PartSize, s.config.SingleLimit):
		return s.putHashed(ctx, name, c, traits)
	default:
		return s.putParts(ctx, name, c, traits)
	}
}

// putVerified sends content as it comes: the store verifies it.
func (s *S3) putVerified(ctx context.Context, name string, c Content, traits *s3Traits) (Receipt, error) {
	sum := c.Digest.Encoded()
	checksum := ""
	if s.config.Checksums && traits.KeepsChecksums {
		binary, err := hex.DecodeString(sum)
		if err != nil {
			return Receipt{}, fmt.Errorf("put %s: digest %q: %w", name, c.Digest, err)
		}
		checksum = base64.StdEncoding.EncodeToString(binary)
	}
	receipt := Receipt{Proof: Accepted}
	sourceIsRight := false
	err := s.try(ctx, "put", name, func(ctx context.Context, call *s3Call) error {
		call.open = func(ctx context.Context) (io.ReadCloser, error) { return c.Open(ctx, 0, c.Size) }
		info, err := s.send(ctx, name, c.Size, "", sum, checksum)
		receipt.ETag = info.ETag
		if !isMismatch(err, traits.refusal) || call.source != nil {
			return err
		}
		// Either the source holds other bytes, or they changed on the way here.
		if !sourceIsRight {
			if wrong := hashContent(ctx, c); wrong != nil {
				return &finalError{wrong}
			}
			sourceIsRight = true
		}
		return &damagedError{err.Error()}
	})
	if err != nil {
		return Receipt{}, err
	}
	return receipt, nil
}

// send puts an object with one request. The body comes from the attempt's call.
func (s *S3) send(ctx context.Context, name string, size int64, md5Base64, sha256Hex, checksum string) (minio.UploadInfo, error) {
	o := s.putOptions()
	if checksum != "" {
		o.UserMetadata["X-Amz-Checksum-Sha256"] = checksum
	}
	return s.core.PutObject(ctx, s.config.Bucket, s.key(name), comesLater{}, size, md5Base64, sha256Hex, o)
}

// putOptions are what is said of each object, as the registry's driver says it.
func (s *S3) putOptions() minio.PutObjectOptions {
	o := minio.PutObjectOptions{
		ContentType:          "application/octet-stream",
		UserMetadata:         map[string]string{},
		DisableContentSha256: true, // the payload hash is ours: no chunked encoding
	}
	if class := s.config.StorageClass; class != "NONE" {
		o.StorageClass = class
	}
	switch s.config.ACL {
	case "none":
	case "":
		o.UserMetadata["X-Amz-Acl"] = "private"
	default:
		o.UserMetadata["X-Amz-Acl"] = s.config.ACL
	}
	if s.config.Encrypt {
		o.ServerSideEncryption = s.encryption()
	}
	return o
}

func (s *S3) encryption() encrypt.ServerSide {
	if s.config.EncryptKey == "" {
		return encrypt.NewSSE()
	}
	key, err := encrypt.NewSSEKMS(s.config.EncryptKey, nil)
	if err != nil {
		panic(err) // only a context of encryption can be wrong
	}
	return key
}

// comesLater stands for a body that the transport opens when its turn has come.
type comesLater struct{}

func (comesLater) Read([]byte) (int, error) {
	return 0, errors.New("the body of a request was read before the request was sent")
}

// putHashed reads small content, hashes it, and sends it if it is right.
func (s *S3) putHashed(ctx context.Context, name string, c Content, traits *s3Traits) (Receipt, error) {
	if err := s.memory.Acquire(ctx, c.Size); err != nil {
		return Receipt{}, s.failed("put", name, context.Cause(ctx))
	}
	defer s.memory.Release(c.Size)
	content := make([]byte, c.Size)
	if err := readContent(ctx, c, 0, content); err != nil {
		return Receipt{}, s.failed("put", name, err)
	}
	if err := verify(c.Digest, content); err != nil {
		return Receipt{}, s.failed("put", name, err)
	}
	payload := sha256.Sum256(content)
	sum := md5.Sum(content) //nolint:gosec // as above
	etag := hex.EncodeToString(sum[:])
	md5Base64, checksum := "", ""
	if !traits.VerifiesPayload {
		md5Base64 = base64.StdEncoding.EncodeToString(sum[:])
	}
	if s.config.Checksums && traits.KeepsChecksums {
		checksum = base64.StdEncoding.EncodeToString(payload[:])
	}
	receipt := Receipt{}
	err := s.try(ctx, "put", name, func(ctx context.Context, call *s3Call) error {
		call.open = opens(content)
		info, err := s.send(ctx, name, c.Size, md5Base64, hex.EncodeToString(payload[:]), checksum)
		if isMismatch(err, traits.refusal) {
			return &damagedError{err.Error()}
		}
		if err != nil {
			return err
		}
		receipt.ETag = info.ETag
		switch {
		case traits.VerifiesPayload:
			receipt.Proof = Accepted
		case info.ETag == etag:
			receipt.Proof = ETag
		case traits.ETagIsMD5 && isMD5(info.ETag) && !encryptedByKey(call.header):
			return &damagedError{fmt.Sprintf("the store's MD5 of it is %s and should be %s", info.ETag, etag)}
		default:
			receipt.Proof = Hashed
		}
		return nil
	})
	if isErr[*damagedError](err) && !traits.VerifiesPayload {
		s.undo(ctx, name)
	}
	if err != nil {
		return Receipt{}, err
	}
	return receipt, nil
}

// undo removes an object that the store took and that is wrong.
func (s *S3) undo(ctx context.Context, name string) {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	_ = s.removeOne(ctx, name)
}

// isMD5 reports whether an ETag has the form of an MD5.
func isMD5(etag string) bool {
	return len(etag) == 2*md5.Size && strings.Trim(etag, "0123456789abcdef") == ""
}

// readContent fills buffer with content from offset on.
func readContent(ctx context.Context, c Content, offset int64, buffer []byte) error {
	body, err := c.Open(ctx, offset, int64(len(buffer)))
	if err != nil {
		return unreadable(ctx, err)
	}
	_, err = io.ReadFull(body, buffer)
	if closing := body.Close(); err == nil {
		err = closing
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = errShort
	}
	return unreadable(ctx, err)
}

func unreadable(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	default:
		return fmt.Errorf("its content cannot be read: %w", err)
	}
}

// hashContent reads content and returns ErrDigest if it is wrong.
func hashContent(ctx context.Context, c Content) error {
	body, err := c.Open(ctx, 0, c.Size)
	if err != nil {
		return unreadable(ctx, err)
	}
	hash := c.Digest.Algorithm().Hash()
	n, err := io.Copy(hash, body)
	if closing := body.Close(); err == nil {
		err = closing
	}
	if err == nil && n < c.Size {
		err = errShort
	}
	if err != nil {
		return unreadable(ctx, err)
	}
	return same(c.Digest, digest.NewDigest(c.Digest.Algorithm(), hash))
}

// verify returns ErrDigest if content does not hash to d.
func verify(d digest.Digest, content []byte) error {
	return same(d, d.Algorithm().FromBytes(content))
}

func same(want, got digest.Digest) error {
	if got != want {
		return fmt.Errorf("%w: it is %s and should be %s", ErrDigest, got, want)
	}
	return nil
}
