package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// BlobExists asks whether a repository has a blob. size is -1 when the registry does
// not tell, as when it would send a reader to its storage.
func (c *Client) BlobExists(ctx context.Context, repo string, d digest.Digest) (exists bool, size int64, err error) {
	r, err := c.blobRequest(http.MethodHead, repo, d)
	if err != nil {
		return false, 0, err
	}
	// Following a redirect costs a request, to a storage that may have been told to
	// expect GET only.
	r.stay = true
	r.want = blobIsThere
	a, err := c.do(ctx, r)
	if err == nil && a.status != http.StatusOK {
		if !movedRegistry(a) {
			return true, -1, nil
		}
		r.stay, r.want = false, []int{http.StatusOK}
		a, err = c.do(ctx, r)
	}
	if e, ok := errors.AsType[*Error](err); ok && IsNotFound(e) {
		return false, 0, nil
	}
	if err != nil {
		return false, 0, err
	}
	return true, a.length, nil
}

// BlobSize asks how many bytes a blob has. Where HEAD does not tell, as when a registry
// would send a reader to its storage, the blob is opened for its length, and read when
// that is not told either. IsNotFound when there is no such blob.
func (c *Client) BlobSize(ctx context.Context, repo string, d digest.Digest) (int64, error) {
	r, err := c.blobRequest(http.MethodHead, repo, d)
	if err != nil {
		return 0, err
	}
	r.stay = true
	r.want = blobIsThere
	a, err := c.do(ctx, r)
	if err != nil {
		return 0, err
	}
	if a.status == http.StatusOK && a.length >= 0 {
		return a.length, nil
	}
	body, err := c.Blob(ctx, repo, d, 0, -1)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	if b, ok := body.(*blobBody); ok && b.length >= 0 {
		return b.length, nil
	}
	return io.Copy(io.Discard, body)
}

// blobIsThere are the answers to HEAD that say so: a redirect to a storage does as well
// as a 200.
var blobIsThere = []int{http.StatusOK, http.StatusTemporaryRedirect, http.StatusFound, http.StatusSeeOther, http.StatusMovedPermanently, http.StatusPermanentRedirect}

// movedRegistry says whether a redirect leads to the same path of another registry,
// which says nothing about the blob.
func movedRegistry(a *answer) bool {
	to, err := a.request.url.Parse(a.header.Get("Location"))
	return err != nil || strings.Contains(to.Path, "/v2/") && strings.Contains(to.Path, "/blobs/") && to.RawQuery == ""
}

// Blob opens a blob at offset. size is the whole blob's, -1 if unknown; when known, a
// body that is shorter or longer is an error at the place where that shows, so a
// truncated stream never looks complete. The reader holds one of the host's download
// slots until it is closed. A failure while reading is not repeated: open again at the
// offset reached.
//
// A copy opens its source before it sends, so that downloads wait for uploads and never
// the other way round, in which two copies could wait for each other. Opening at an
// offset goes on with work that was admitted before and waits for no slot, since it is
// what an upload under way does when its source breaks.
func (c *Client) Blob(ctx context.Context, repo string, d digest.Digest, offset, size int64) (io.ReadCloser, error) {
	r, err := c.blobRequest(http.MethodGet, repo, d)
	if err != nil {
		return nil, err
	}
	if offset == size && size > 0 {
		return http.NoBody, nil
	}
	r.lane = download
	r.header = http.Header{"Accept": {"*/*"}, "Accept-Encoding": {"identity"}}
	r.want = []int{http.StatusOK}
	if offset > 0 {
		r.goesOn = true
		r.header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
		r.want = append(r.want, http.StatusPartialContent)
	}
	a, err := c.do(ctx, r)
	if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusRequestedRangeNotSatisfiable {
		e.cause = ErrRange
	}
	if err != nil {
		return nil, err
	}
	body := &blobBody{in: a.stream, what: "GET " + r.url.Host + r.url.Path, length: a.length, left: -1}
	if size >= 0 {
		body.left = size - offset
	}
	if err := body.begin(a, offset, size); err != nil {
		body.Close()
		return nil, fmt.Errorf("%s: %w", body.what, err)
	}
	return body, nil
}

func (c *Client) blobRequest(method, repo string, d digest.Digest) (*request, error) {
	if err := checkRepository(repo); err != nil {
		return nil, err
	}
	if err := checkDigest(d); err != nil {
		return nil, err
	}
	return &request{
		method: method, url: c.endpoint("v2", repo, "blobs", d.String()), header: http.Header{"Accept": {"*/*"}},
		limit: maxErrorBody, scopes: []scope{repositoryScope(repo, "pull")},
	}, nil
}

// blobBody is a blob's content from an offset on, with its end checked.
type blobBody struct {
	in     *inbound
	what   string
	length int64 // of the answer, -1: not told
	left   int64 // -1: unknown
}

// begin makes sure that the first byte read is the one at offset.
func (b *blobBody) begin(a *answer, offset, size int64) error {
	if a.status == http.StatusPartialContent {
		first, total, ok := parseContentRange(a.header.Get("Content-Range"))
		if !ok || first != offset {
			return fmt.Errorf("%w: asked for bytes from %d, got %q", ErrRange, offset, a.header.Get("Content-Range"))
		}
		if total >= 0 && size >= 0 && total != size {
			return fmt.Errorf("the blob has %d bytes, expected %d", total, size)
		}
		return nil
	}
	if a.length >= 0 && size >= 0 && a.length != size {
		return fmt.Errorf("the blob has %d bytes, expected %d", a.length, size)
	}
	if offset > 0 { // the range was ignored: read past what is not wanted
		if n, err := io.CopyN(io.Discard, b.in, offset); err != nil {
			return fmt.Errorf("skip to byte %d, at %d: %w", offset, n, err)
		}
	}
	return nil
}

func (b *blobBody) Read(p []byte) (int, error) {
	if b.left >= 0 && int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more than is due shows a body that is too long
	}
	n, err := b.in.Read(p)
	if b.left >= 0 {
		if int64(n) > b.left {
			n = int(b.left)
			b.left = 0
			return n, fmt.Errorf("%s: more bytes than the blob has", b.what)
		}
		b.left -= int64(n)
	}
	switch {
	case err == nil || errors.Is(err, io.EOF) && b.left <= 0:
		return n, err
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return n, fmt.Errorf("%s: %w", b.what, err)
}

func (b *blobBody) Close() error { return b.in.Close() }

// parseContentRange reads "bytes 10-19/20". total is -1 for "*".
func parseContentRange(s string) (first, total int64, ok bool) {
	s, found := strings.CutPrefix(strings.TrimSpace(s), "bytes ")
	span, whole, cut := strings.Cut(s, "/")
	from, to, dash := strings.Cut(span, "-")
	if !found || !cut || !dash {
		return 0, 0, false
	}
	first, err := strconv.ParseInt(strings.TrimSpace(from), 10, 64)
	last, err2 := strconv.ParseInt(strings.TrimSpace(to), 10, 64)
	if err != nil || err2 != nil || first < 0 || last < first {
		return 0, 0, false
	}
	if strings.TrimSpace(whole) == "*" {
		return first, -1, true
	}
	total, err = strconv.ParseInt(strings.TrimSpace(whole), 10, 64)
	if err != nil || total <= last {
		return 0, 0, false
	}
	return first, total, true
}
