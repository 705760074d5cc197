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
	"net/http"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
)

// trialText is what the trials' small object holds.
const trialText = "Lighterage tries out what a registry needs of this store."

// canary is the base name of the object that is made first and removed last: by it
// the folder of trials that were killed is found.
const canary = "canary"

// store puts an object as the registry's PutContent does: with a MD5 beside the digest
// that the request is signed with.
func (t *s3Trial) store(ctx context.Context, base string, content []byte, change func(o *minio.PutObjectOptions)) (info minio.UploadInfo, header http.Header, err error) {
	fresh := !slices.Contains(t.made, t.folder+base)
	name := t.name(base)
	sum, payload := md5.Sum(content), sha256.Sum256(content) //nolint:gosec // as above
	o := t.putOptions()
	if change != nil {
		change(&o)
	}
	err = t.do(ctx, "s3:PutObject", func(ctx context.Context, call *s3Call) error {
		call.open = opens(content)
		var err error
		info, err = t.v.core.PutObject(ctx, t.v.config.Bucket, t.v.key(name), comesLater{}, int64(len(content)),
			base64.StdEncoding.EncodeToString(sum[:]), hex.EncodeToString(payload[:]), o)
		header = call.header
		return err
	})
	if fresh && (isDenied(err) || refused(err)) {
		t.made = t.made[:len(t.made)-1] // nothing was made
	}
	return info, header, err
}

// putOptions are what the registry's driver says of an object: it names a storage class
// where none is set, too.
func (t *s3Trial) putOptions() minio.PutObjectOptions {
	o := t.v.putOptions()
	if t.v.config.StorageClass == "" {
		o.StorageClass = "STANDARD"
	}
	return o
}

// put stores the small object with all that the registry says of it. When the store
// refuses that, it finds out which word it is, and goes on without it.
func (t *s3Trial) put(ctx context.Context) {
	t.removeLeftOvers(ctx)
	_, header, err := t.store(ctx, canary, []byte(trialText), nil)
	if err == nil {
		t.works(TrialPut, "an object can be stored")
		t.features(nil, header)
		return
	}
	asked := t.v.config
	if !refused(err) && !isDenied(err) {
		t.fails(TrialPut, err)
		return
	}
	t.v = t.without(asked, true, true, true)
	if _, _, plain := t.store(ctx, canary, []byte(trialText), nil); plain != nil {
		t.v = t.without(asked, false, false, false)
		t.fails(TrialPut, err)
		return
	}
	broken := map[TrialKind]error{}
	for kind, leave := range map[TrialKind][3]bool{
		TrialACL: {false, true, true}, TrialClass: {true, false, true}, TrialEncryption: {true, true, false},
	} {
		t.v = t.without(asked, leave[0], leave[1], leave[2])
		if _, _, failed := t.store(ctx, canary, []byte(trialText), nil); failed != nil {
			broken[kind] = featurePermission(kind, failed)
		}
	}
	t.v = t.without(asked, broken[TrialACL] != nil, broken[TrialClass] != nil, broken[TrialEncryption] != nil)
	if _, header, again := t.store(ctx, canary, []byte(trialText), nil); again == nil && len(broken) > 0 {
		t.works(TrialPut, "an object can be stored")
		t.features(broken, header)
		return
	}
	t.fails(TrialPut, err)
}

// without is the store used without saying some things of objects.
func (t *s3Trial) without(c S3Config, acl, class, encryption bool) *S3 {
	if acl {
		c.ACL = "none"
	}
	if class {
		c.StorageClass = "NONE"
	}
	if encryption {
		c.Encrypt, c.EncryptKey = false, ""
	}
	v := t.view(c)
	v.core = t.v.core
	return v
}

// featurePermission names the permission that saying this of an object takes.
func featurePermission(kind TrialKind, err error) error {
	denied, ok := errors.AsType[*deniedError](err)
	if !ok {
		return err
	}
	switch kind {
	case TrialACL:
		return &deniedError{"s3:PutObjectAcl", denied.err}
	case TrialEncryption:
		return &deniedError{"kms:GenerateDataKey and kms:Decrypt", denied.err}
	default:
		return err
	}
}

// features tells of each thing that is said of an object whether the store takes it.
func (t *s3Trial) features(broken map[TrialKind]error, header http.Header) {
	c := t.s.config
	said := map[TrialKind]string{TrialACL: c.ACL, TrialClass: c.StorageClass, TrialEncryption: ""}
	switch {
	case c.ACL == "":
		said[TrialACL] = "private"
	case c.ACL == "none":
		said[TrialACL] = ""
	}
	switch c.StorageClass {
	case "":
		said[TrialClass] = "STANDARD"
	case "NONE":
		said[TrialClass] = ""
	}
	if c.Encrypt {
		said[TrialEncryption] = "SSE-S3"
		if c.EncryptKey != "" {
			said[TrialEncryption] = "SSE-KMS with the key " + c.EncryptKey
		}
	}
	for _, kind := range []TrialKind{TrialACL, TrialClass, TrialEncryption} {
		switch {
		case broken[kind] != nil && kind == TrialEncryption && c.EncryptKey != "":
			t.failsFor(kind, ReasonKMS, broken[kind])
		case broken[kind] != nil:
			t.fails(kind, broken[kind])
		case said[kind] == "":
			t.works(kind, "not asked for")
		case kind == TrialEncryption && header.Get("X-Amz-Server-Side-Encryption") == "":
			t.differs(kind, ReasonIgnored, "asked for, and the store does not say that it does it")
		default:
			t.works(kind, "%s is accepted", said[kind])
		}
	}
}

// fetch reads an object as the registry's Reader does: from an offset to the end.
func (t *s3Trial) fetch(ctx context.Context, base string, offset int64) (content []byte, header http.Header, err error) {
	err = t.do(ctx, "s3:GetObject", func(ctx context.Context, call *s3Call) error {
		call.lane = s3Read
		var o minio.GetObjectOptions
		o.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		body, _, got, err := t.v.core.GetObject(ctx, t.v.config.Bucket, t.v.key(t.folder+base), o)
		if err != nil {
			return err
		}
		defer func() { _ = body.Close() }()
		header = got
		content, err = io.ReadAll(body)
		return err
	})
	return content, header, err
}

// get reads the small object back, and a part of it.
func (t *s3Trial) get(ctx context.Context) {
	content, _, err := t.fetch(ctx, canary, 0)
	switch {
	case err != nil:
		t.fails(TrialGet, err)
		return
	case string(content) != trialText:
		t.failsFor(TrialGet, ReasonBytes, finding("other bytes come back than were stored: %d instead of %d, %q", len(content), len(trialText), content[:min(40, len(content))]))
		return
	}
	t.works(TrialGet, "the same bytes come back")
	const offset = 11
	content, header, err := t.fetch(ctx, canary, offset)
	switch {
	case err != nil:
		t.fails(TrialRange, err)
	case string(content) != trialText[offset:] || !strings.HasPrefix(header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)):
		t.failsFor(TrialRange, ReasonBytes, finding("asked for the bytes from %d on, the store sends %d bytes and says %q", offset, len(content), header.Get("Content-Range")))
	default:
		t.works(TrialRange, "a part of an object can be read")
	}
}

// look asks about an object that is there and one that is not.
func (t *s3Trial) look(ctx context.Context) {
	head := func(name string) (info minio.ObjectInfo, header http.Header, err error) {
		err = t.do(ctx, "s3:GetObject", func(ctx context.Context, call *s3Call) error {
			call.lane = s3Read
			info, err = t.v.core.StatObject(ctx, t.v.config.Bucket, t.v.key(name), minio.StatObjectOptions{})
			header = call.header
			return err
		})
		return info, header, err
	}
	if t.results[TrialPut] == TrialWorks && !t.isBroken(TrialPut) {
		info, header, err := head(t.folder + canary)
		if err != nil || info.Size != int64(len(trialText)) {
			if err == nil {
				err = fmt.Errorf("the store says %d bytes of an object of %d", info.Size, len(trialText))
			}
			t.fails(TrialHead, err)
			return
		}
		if mode := header.Get("X-Amz-Object-Lock-Mode"); mode != "" && t.results[TrialLock] != TrialFails {
			t.failsFor(TrialLock, ReasonRetention, finding("what is stored cannot be deleted for some time (%s)", mode))
		}
	}
	_, _, err := head(t.folder + "nothing-here")
	switch {
	case IsNotExist(err):
		t.works(TrialHead, "what is there is found, and what is not is told with 404")
	case isDenied(err):
		denied, _ := errors.AsType[*deniedError](err)
		t.failsFor(TrialHead, ReasonForbidden, &deniedError{"s3:ListBucket", denied.err})
	case err == nil:
		t.fails(TrialHead, finding("the store tells of an object that is not there"))
	default:
		t.fails(TrialHead, err)
	}
}

// overwrite changes an object as a registry changes a tag.
func (t *s3Trial) overwrite(ctx context.Context) {
	const base = "tag/current/link"
	last := ""
	for _, letter := range []string{"a", "b", "c"} {
		last = "sha256:" + strings.Repeat(letter, 64)
		if _, _, err := t.store(ctx, base, []byte(last), nil); err != nil {
			t.fails(TrialOverwrite, err)
			return
		}
		content, _, err := t.fetch(ctx, base, 0)
		switch {
		case err != nil:
			t.fails(TrialOverwrite, err)
			return
		case string(content) != last:
			t.failsFor(TrialOverwrite, ReasonStale, finding("after an object was overwritten other bytes were read than it has got"))
			return
		}
	}
	t.works(TrialOverwrite, "the new content is read at once")
}

// payload tells whether the store hashes what it is sent.
func (t *s3Trial) payload(ctx context.Context) {
	name := t.name("wrong")
	wrong := sha256.Sum256([]byte("other bytes"))
	err := t.do(ctx, "s3:PutObject", func(ctx context.Context, call *s3Call) error {
		call.open = opens([]byte(trialText))
		_, err := t.v.send(ctx, name, int64(len(trialText)), "", hex.EncodeToString(wrong[:]), "")
		return err
	})
	switch {
	case err == nil:
		t.differs(TrialPayload, ReasonIgnored, "wrong bytes were accepted: the store does not compare them with the digest")
	case refused(err):
		t.works(TrialPayload, "wrong bytes are refused (%s)", S3Code(err))
	default:
		t.unknown(TrialPayload, err)
	}
}

// checksums tells what the store says of the bytes that it holds.
func (t *s3Trial) checksums(ctx context.Context) {
	content := []byte(trialText)
	payload, sum := sha256.Sum256(content), md5.Sum(content) //nolint:gosec // as above
	checksum := base64.StdEncoding.EncodeToString(payload[:])
	info, header, err := t.store(ctx, "checksum", content, func(o *minio.PutObjectOptions) {
		o.UserMetadata["X-Amz-Checksum-Sha256"] = checksum
	})
	refuses := refused(err)
	if refuses {
		info, header, err = t.store(ctx, "checksum", content, nil)
	}
	if err != nil {
		t.unknown(TrialChecksums, err)
		return
	}
	etag := info.ETag == hex.EncodeToString(sum[:]) && !encryptedByKey(header)
	kept := false
	if !refuses {
		err = t.do(ctx, "s3:GetObject", func(ctx context.Context, call *s3Call) error {
			call.lane = s3Read
			info, err := t.v.core.StatObject(ctx, t.v.config.Bucket, t.v.key(t.folder+"checksum"), minio.StatObjectOptions{Checksum: true})
			kept = info.ChecksumSHA256 == checksum
			return err
		})
	}
	switch {
	case kept && etag:
		t.works(TrialChecksums, "SHA-256 is kept and told, and the ETag is the MD5")
	case kept:
		t.works(TrialChecksums, "SHA-256 is kept and told; the ETag is no MD5")
	case etag:
		t.works(TrialChecksums, "the ETag is the MD5; no SHA-256 is told")
	case err != nil:
		t.unknown(TrialChecksums, err)
	default:
		t.differs(TrialChecksums, "", "neither SHA-256 nor MD5 is told")
	}
}

// createOnly tells whether an object can be stored only if there is none.
func (t *s3Trial) createOnly(ctx context.Context) {
	_, _, err := t.store(ctx, canary, []byte(trialText), func(o *minio.PutObjectOptions) { o.SetMatchETagExcept("*") })
	switch {
	case err == nil:
		t.tell(Trial{Kind: TrialCreateOnly, Reason: ReasonIgnored}.saying("not known: an object that was there was overwritten"))
	case S3Code(err) == minio.PreconditionFailed:
		t.works(TrialCreateOnly, "an object that is there is not overwritten")
	case isUnsupported(err):
		t.tell(Trial{Kind: TrialCreateOnly, Reason: ReasonUnsupported}.saying("not known"))
	default:
		t.unknown(TrialCreateOnly, err)
	}
}

// firstDifference is where two contents differ, -1 if they are the same.
func firstDifference(got, want []byte) int {
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			return i
		}
	}
	if len(got) == len(want) {
		return -1
	}
	return min(len(got), len(want))
}
