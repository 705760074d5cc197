package tree

import (
	"cmp"
	"context"
	"crypto/md5" //nolint:gosec // what ETags are made of
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/minio/minio-go/v7"
)

// What the registry's driver does by default.
const (
	driverChunk    = 10 * mebibyte // of an upload
	driverCopyPart = 32 * mebibyte // of a copy, which is one request up to this size
	largeTrial     = 33 * mebibyte
)

// Base names of uploads. Some stores list uploads only under a whole key, so that
// those of trials that were killed are found by these names.
const (
	largeBase  = "large"
	unevenBase = "uneven"
	movedBase  = "moved"
	abortBase  = "aborted"
)

var trialUploads = []string{largeBase, unevenBase, movedBase, abortBase}

// s3TrialUpload is a multipart upload.
type s3TrialUpload struct {
	t     *s3Trial
	name  string
	id    string
	parts []minio.CompletePart
}

func (t *s3Trial) begin(ctx context.Context, base string) (*s3TrialUpload, error) {
	u := &s3TrialUpload{t: t, name: t.folder + base}
	t.uploads = append(t.uploads, u) // it may be there also if the answer is lost
	err := t.do(ctx, "s3:PutObject", func(ctx context.Context, _ *s3Call) error {
		var err error
		u.id, err = t.v.core.NewMultipartUpload(ctx, t.v.config.Bucket, t.v.key(u.name), t.putOptions())
		if err == nil && u.id == "" {
			err = errors.New("the store has begun an upload without a name")
		}
		return err
	})
	if err != nil {
		if isDenied(err) || refused(err) {
			u.ended()
		}
		return nil, fmt.Errorf("begin: %w", err)
	}
	return u, nil
}

// send sends the next part.
func (u *s3TrialUpload) send(ctx context.Context, content []byte) error {
	sum, payload := md5.Sum(content), sha256.Sum256(content) //nolint:gosec // as above
	number := len(u.parts) + 1
	err := u.t.do(ctx, "s3:PutObject", func(ctx context.Context, call *s3Call) error {
		call.open = opens(content)
		part, err := u.t.v.core.PutObjectPart(ctx, u.t.v.config.Bucket, u.t.v.key(u.name), u.id, number, comesLater{}, int64(len(content)),
			minio.PutObjectPartOptions{Md5Base64: base64.StdEncoding.EncodeToString(sum[:]), Sha256Hex: hex.EncodeToString(payload[:]), DisableContentSha256: true})
		if err == nil {
			u.parts = append(u.parts, minio.CompletePart{PartNumber: number, ETag: part.ETag})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("part %d of %d bytes: %w", number, len(content), err)
	}
	return nil
}

func (u *s3TrialUpload) complete(ctx context.Context) error {
	name := u.name[len(u.t.folder):]
	u.t.name(name) // it may be there also if the answer is lost
	err := u.t.do(ctx, "s3:PutObject", func(ctx context.Context, call *s3Call) error {
		call.slow = true
		_, err := u.t.v.core.CompleteMultipartUpload(ctx, u.t.v.config.Bucket, u.t.v.key(u.name), u.id, u.parts, minio.PutObjectOptions{})
		return err
	})
	if S3Code(err) == "NoSuchUpload" {
		// It may have been completed by an attempt whose answer was lost.
		if _, _, reading := u.t.fetch(ctx, name, 0); reading == nil {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("put together: %w", err)
	}
	u.ended()
	return nil
}

// abort gives the upload up, or what there is to its key if its name is not known.
func (u *s3TrialUpload) abort(ctx context.Context) error {
	if u.id != "" {
		return u.abortOne(ctx)
	}
	ids, err := u.t.findUploads(ctx, u.name)
	for _, u.id = range ids {
		err = cmp.Or(err, u.abortOne(ctx))
	}
	return err
}

func (u *s3TrialUpload) abortOne(ctx context.Context) error {
	err := u.t.do(ctx, "s3:AbortMultipartUpload", func(ctx context.Context, _ *s3Call) error {
		return u.t.v.core.AbortMultipartUpload(ctx, u.t.v.config.Bucket, u.t.v.key(u.name), u.id)
	})
	if err == nil || S3Code(err) == "NoSuchUpload" {
		u.ended()
		return nil
	}
	return err
}

func (u *s3TrialUpload) ended() {
	u.t.uploads = slices.DeleteFunc(u.t.uploads, func(other *s3TrialUpload) bool { return other == u })
}

// multipart stores an object as the registry stores a layer that is pushed: in parts of
// 10 MiB, the last of which takes what is left. In the middle it looks for the upload
// and its parts as the registry does for each chunk of a push.
func (t *s3Trial) multipart(ctx context.Context) {
	u, err := t.begin(ctx, largeBase)
	if err != nil {
		t.fails(TrialMultipart, err)
		return
	}
	for offset, size := 0, driverChunk; offset < largeTrial && err == nil; offset += size {
		if offset == 2*driverChunk {
			size = largeTrial - offset
			t.listUpload(ctx, u)
		}
		err = u.send(ctx, t.bytes(offset, size))
	}
	if err == nil {
		err = u.complete(ctx)
	}
	if err == nil {
		err = t.verifyLarge(ctx, largeBase)
	}
	if err != nil {
		t.fails(TrialMultipart, err)
		return
	}
	t.works(TrialMultipart, "33 MiB in parts of 10 MiB")
}

// listUpload looks for an upload of two parts.
func (t *s3Trial) listUpload(ctx context.Context, u *s3TrialUpload) {
	var parts minio.ListObjectPartsResult
	err := t.do(ctx, "s3:ListMultipartUploadParts", func(ctx context.Context, _ *s3Call) error {
		var err error
		parts, err = t.v.core.ListObjectParts(ctx, t.v.config.Bucket, t.v.key(u.name), u.id, 0, s3Batch)
		return err
	})
	switch {
	case err != nil:
		t.fails(TrialListParts, err)
	case len(parts.ObjectParts) != len(u.parts):
		t.fails(TrialListParts, finding("%d parts are listed of %d", len(parts.ObjectParts), len(u.parts)))
	default:
		t.works(TrialListParts, "the parts of an upload are listed")
	}
	ids, err := t.findUploads(ctx, u.name)
	switch {
	case err != nil:
		t.fails(TrialListUploads, err)
	case !slices.Contains(ids, u.id):
		t.fails(TrialListUploads, finding("an upload that goes on is not listed"))
	default:
		t.works(TrialListUploads, "an upload that goes on is found")
	}
}

// findUploads returns the names of uploads to a key.
func (t *s3Trial) findUploads(ctx context.Context, name string) (ids []string, err error) {
	err = t.do(ctx, "s3:ListBucketMultipartUploads", func(ctx context.Context, _ *s3Call) error {
		ids = nil
		list, err := t.v.core.ListMultipartUploads(ctx, t.v.config.Bucket, t.v.key(name), "", "", "", s3Batch)
		for _, upload := range list.Uploads {
			if upload.Key == t.v.key(name) {
				ids = append(ids, upload.UploadID)
			}
		}
		return err
	})
	return ids, err
}

// verifyLarge reads the end of an object, where its parts meet. Whether objects may be
// read at all is another trial.
func (t *s3Trial) verifyLarge(ctx context.Context, base string) error {
	const offset = largeTrial - 2*mebibyte
	content, _, err := t.fetch(ctx, base, offset)
	if isDenied(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read it back: %w", err)
	}
	if at := firstDifference(content, t.bytes(offset, largeTrial-offset)); at >= 0 {
		return fmt.Errorf("other bytes come back than were stored, from byte %d on", offset+at)
	}
	return nil
}

// uneven stores parts of different sizes, as a registry does when a client pushes a
// layer in chunks.
func (t *s3Trial) uneven(ctx context.Context) {
	u, err := t.begin(ctx, unevenBase)
	for _, size := range []int{leastPart + 1<<16, leastPart, 1 << 16} {
		if err == nil {
			err = u.send(ctx, t.bytes(0, size))
		}
	}
	if err == nil {
		err = u.complete(ctx)
	}
	switch {
	case err == nil:
		t.works(TrialUneven, "parts may be of different sizes")
	case refused(err) && !isDenied(err):
		t.tell(Trial{Kind: TrialUneven, Result: TrialDiffers, Reason: ReasonRefused, Err: err, Found: err.Error()})
	default:
		t.fails(TrialUneven, err)
	}
}

// copyParts moves a large object as the registry does at the end of each push.
func (t *s3Trial) copyParts(ctx context.Context) {
	u, err := t.begin(ctx, movedBase)
	for offset := int64(0); offset < largeTrial && err == nil; offset += driverCopyPart {
		err = u.copy(ctx, t.folder+largeBase, offset, min(driverCopyPart, largeTrial-offset))
	}
	if err == nil {
		err = u.complete(ctx)
	}
	if err == nil {
		err = t.verifyLarge(ctx, movedBase)
	}
	if err != nil {
		t.fails(TrialCopyParts, err)
		return
	}
	t.works(TrialCopyParts, "33 MiB in parts of 32 MiB, inside the store")
}

func (u *s3TrialUpload) copy(ctx context.Context, from string, offset, size int64) error {
	number := len(u.parts) + 1
	err := u.t.do(ctx, "s3:GetObject and s3:PutObject", func(ctx context.Context, call *s3Call) error {
		call.slow = true
		v := u.t.v
		part, err := v.core.CopyObjectPart(ctx, v.config.Bucket, v.key(from), v.config.Bucket, v.key(u.name), u.id, number, offset, size, nil)
		if err == nil {
			u.parts = append(u.parts, part)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("copy part %d: %w", number, err)
	}
	return nil
}

// copy moves a small object as the registry does.
func (t *s3Trial) copy(ctx context.Context) {
	name := t.name("copied")
	headers := map[string]string{}
	for key, values := range t.putOptions().Header() {
		headers[key] = values[0]
	}
	err := t.do(ctx, "s3:GetObject and s3:PutObject", func(ctx context.Context, _ *s3Call) error {
		v := t.v
		_, err := v.core.CopyObject(ctx, v.config.Bucket, v.key(t.folder+canary), v.config.Bucket, v.key(name), headers, minio.CopySrcOptions{}, minio.PutObjectOptions{})
		return err
	})
	if err == nil {
		var content []byte
		content, _, err = t.fetch(ctx, "copied", 0)
		switch {
		case isDenied(err):
			err = nil
		case err == nil && string(content) != trialText:
			err = errors.New("other bytes come back than were copied")
		}
	}
	if err != nil {
		t.fails(TrialCopy, err)
		return
	}
	t.works(TrialCopy, "a small object, inside the store")
}

// abort begins an upload and ends it without an object.
func (t *s3Trial) abort(ctx context.Context) {
	u, err := t.begin(ctx, abortBase)
	if err == nil {
		err = u.send(ctx, []byte(trialText))
	}
	if err != nil {
		t.tell(Trial{Kind: TrialAbort, Result: TrialSkipped, Needs: TrialMultipart, Err: err}.saying("not tried"))
		return
	}
	if err := u.abort(ctx); err != nil {
		t.fails(TrialAbort, err)
		return
	}
	t.works(TrialAbort, "an upload can be given up")
}
