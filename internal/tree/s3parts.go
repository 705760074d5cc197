package tree

import (
	"context"
	"crypto/md5" //nolint:gosec // what ETags are made of
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// errUploadLost is that the store does not know an upload any more.
var errUploadLost = errors.New("the store has forgotten the upload")

// putParts sends large content in parts of one size, many at a time. Each is read
// once, and signed with a hash of its own; the content is hashed in order while its
// parts come, and the object is made only if it is right.
func (s *S3) putParts(ctx context.Context, name string, c Content, traits *s3Traits) (Receipt, error) {
	for again := range 3 {
		receipt, err := s.upload(ctx, name, c, traits)
		if err == nil {
			return receipt, nil
		}
		if !errors.Is(err, errUploadLost) || again == 2 {
			return Receipt{}, err
		}
	}
	panic("unreachable")
}

// partSize is the size of all parts but the last: some stores want them equal.
func (s *S3) partSize(size int64) int64 {
	least := (size + mostParts - 1) / mostParts
	return max(s.config.PartSize, (least+mebibyte-1)/mebibyte*mebibyte)
}

func (s *S3) upload(ctx context.Context, name string, c Content, traits *s3Traits) (Receipt, error) {
	u := &s3Upload{s: s, name: name, content: c, traits: traits, size: s.partSize(c.Size)}
	if err := u.begin(ctx); err != nil {
		return Receipt{}, err
	}
	err := u.send(ctx)
	if err == nil {
		err = same(c.Digest, digest.NewDigest(c.Digest.Algorithm(), u.hash))
	}
	etag := ""
	if err == nil {
		etag, err = u.complete(ctx)
	}
	if err != nil {
		u.abort(ctx)
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return Receipt{}, s.failed("put", name, err)
	}
	return Receipt{Proof: u.proof(), ETag: etag}, nil
}

// s3Upload is content on its way in parts.
type s3Upload struct {
	s       *S3
	name    string
	content Content
	traits  *s3Traits
	id      string
	size    int64 // of a part
	parts   []minio.CompletePart
	sums    [][md5.Size]byte // of the parts, where the store does not verify them
	hash    hash.Hash        // of the content, as far as its parts have come
}

func (u *s3Upload) begin(ctx context.Context) error {
	count := (u.content.Size + u.size - 1) / u.size
	u.parts, u.sums = make([]minio.CompletePart, count), make([][md5.Size]byte, count)
	u.hash = u.content.Digest.Algorithm().Hash()
	return u.s.try(ctx, "begin to put", u.name, func(ctx context.Context, _ *s3Call) error {
		var err error
		u.id, err = u.s.core.NewMultipartUpload(ctx, u.s.config.Bucket, u.s.key(u.name), u.s.putOptions())
		if err == nil && u.id == "" {
			err = errors.New("the store has begun an upload without a name")
		}
		return err
	})
}

// send sends all parts. It waits for memory in the order of the parts, so that a part
// which waits for its turn to be hashed never holds what an earlier one needs.
func (u *s3Upload) send(ctx context.Context) error {
	group, all := errgroup.WithContext(ctx)
	turn := make(chan struct{})
	close(turn)
	for i := range u.parts {
		size := min(u.size, u.content.Size-int64(i)*u.size)
		held := min(size, u.s.config.Memory)
		if u.s.memory.Acquire(all, held) != nil {
			break // the group knows why, or the caller's context does
		}
		mine, next := turn, make(chan struct{})
		turn = next
		group.Go(func() error {
			defer u.s.memory.Release(held)
			buffer := u.s.buffer(size)
			defer u.s.release(buffer)
			return u.sendPart(all, i, (*buffer)[:size], mine, next)
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// buffer returns room for size bytes.
func (s *S3) buffer(size int64) *[]byte {
	if size > s.config.PartSize {
		b := make([]byte, size)
		return &b
	}
	return s.parts.Get().(*[]byte)
}

func (s *S3) release(buffer *[]byte) {
	if int64(len(*buffer)) == s.config.PartSize {
		s.parts.Put(buffer)
	}
}

// sendPart reads, hashes and sends one part. Its turn to be hashed has come when mine
// is closed; it closes next.
func (u *s3Upload) sendPart(ctx context.Context, i int, buffer []byte, mine <-chan struct{}, next chan<- struct{}) error {
	if err := readContent(ctx, u.content, int64(i)*u.size, buffer); err != nil {
		return err
	}
	payload := sha256.Sum256(buffer)
	o := minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(payload[:]), DisableContentSha256: true}
	if !u.traits.VerifiesPayload {
		u.sums[i] = md5.Sum(buffer) //nolint:gosec // as above
		o.Md5Base64 = base64.StdEncoding.EncodeToString(u.sums[i][:])
	}
	select {
	case <-mine:
		_, _ = u.hash.Write(buffer) // never fails
		close(next)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return u.s.try(ctx, fmt.Sprintf("put part %d of", i+1), u.name, func(ctx context.Context, call *s3Call) error {
		call.open = opens(buffer)
		part, err := u.s.core.PutObjectPart(ctx, u.s.config.Bucket, u.s.key(u.name), u.id, i+1, comesLater{}, int64(len(buffer)), o)
		if isMismatch(err, u.traits.refusal) {
			return &damagedError{err.Error()}
		}
		if minio.ToErrorResponse(err).Code == "NoSuchUpload" {
			return &finalError{errUploadLost}
		}
		if err != nil {
			return err
		}
		if part.ETag == "" {
			return errors.New("the store gives no ETag for a part")
		}
		if want := hex.EncodeToString(u.sums[i][:]); u.traits.ETagIsMD5 && !u.traits.VerifiesPayload &&
			isMD5(part.ETag) && part.ETag != want && !encryptedByKey(call.header) {
			return &damagedError{fmt.Sprintf("the store's MD5 of it is %s and should be %s", part.ETag, want)}
		}
		u.parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: part.ETag}
		return nil
	})
}

// complete makes the object and returns its ETag.
func (u *s3Upload) complete(ctx context.Context) (string, error) {
	var info minio.UploadInfo
	err := u.s.try(ctx, "put together", u.name, func(ctx context.Context, call *s3Call) error {
		call.slow = true
		var err error
		info, err = u.s.core.CompleteMultipartUpload(ctx, u.s.config.Bucket, u.s.key(u.name), u.id, u.parts, minio.PutObjectOptions{})
		return err
	})
	if S3Code(err) == "NoSuchUpload" {
		// It may have been completed by an attempt whose answer was lost.
		now, looking := u.s.Stat(ctx, u.name)
		if looking == nil && now.Size == u.content.Size && now.ETag == u.etag() {
			return now.ETag, nil
		}
		return "", errUploadLost
	}
	return info.ETag, err
}

// etag is the object's ETag as S3 makes it of those of the parts, "" if they are not
// of that form.
func (u *s3Upload) etag() string {
	all := md5.New() //nolint:gosec // as above
	for _, part := range u.parts {
		sum, err := hex.DecodeString(part.ETag)
		if err != nil || !isMD5(part.ETag) {
			return ""
		}
		_, _ = all.Write(sum) // never fails
	}
	return fmt.Sprintf("%x-%d", all.Sum(nil), len(u.parts))
}

// proof is that of the parts: what they are put together from is right.
func (u *s3Upload) proof() Proof {
	if u.traits.VerifiesPayload {
		return Accepted
	}
	for i, part := range u.parts {
		if part.ETag != hex.EncodeToString(u.sums[i][:]) {
			return Hashed
		}
	}
	return ETag
}

// abort makes the store forget the upload. It does so until the store has: a part that
// was under way may come to an end there after the first time, and be kept.
func (u *s3Upload) abort(ctx context.Context) {
	ctx, cancel := afterwards(ctx)
	defer cancel()
	for range 4 {
		err := u.s.try(ctx, "abort to put", u.name, func(ctx context.Context, _ *s3Call) error {
			return u.s.core.AbortMultipartUpload(ctx, u.s.config.Bucket, u.s.key(u.name), u.id)
		})
		if err != nil { // NoSuchUpload, as a rule
			return
		}
		if u.s.wait(ctx, max(u.s.config.Backoff, 50*time.Millisecond)) != nil {
			return
		}
	}
}
