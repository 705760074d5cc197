package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Upload is an open upload session (distribution-spec, "Pushing blobs"). It is used by
// one goroutine at a time and ends with Put, Commit or Cancel; one that is left open is
// cleaned up by the registry after some days.
type Upload struct {
	client   *Client
	repo     string
	location *url.URL
	minChunk int64
}

// Mount asks to take a blob over from another repository of the same registry. When the
// registry does (201), mounted is true. When it will not or cannot (202), up is the
// session it has opened instead, to be used or cancelled.
func (c *Client) Mount(ctx context.Context, repo string, d digest.Digest, from string) (mounted bool, up *Upload, err error) {
	if err := checkDigest(d); err != nil {
		return false, nil, err
	}
	if err := checkRepository(from); err != nil {
		return false, nil, err
	}
	query := "mount=" + url.QueryEscape(d.String()) + "&from=" + url.QueryEscape(from)
	return c.open(ctx, repo, query, repositoryScope(from, "pull"))
}

// StartUpload opens an upload session.
func (c *Client) StartUpload(ctx context.Context, repo string) (*Upload, error) {
	_, up, err := c.open(ctx, repo, "")
	return up, err
}

func (c *Client) open(ctx context.Context, repo, query string, more ...scope) (mounted bool, up *Upload, err error) {
	if err := checkRepository(repo); err != nil {
		return false, nil, err
	}
	r := &request{
		method: http.MethodPost, url: c.endpoint("v2", repo, "blobs", "uploads", ""),
		limit: maxErrorBody, want: []int{http.StatusAccepted},
		scopes: append([]scope{repositoryScope(repo, "pull", "push")}, more...),
	}
	if query != "" {
		r.url.RawQuery = query
		r.want = append(r.want, http.StatusCreated)
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return false, nil, err
	}
	if a.status == http.StatusCreated {
		return true, nil, nil
	}
	up = &Upload{client: c, repo: repo, location: r.url}
	if err := up.moved(a); err != nil {
		return false, nil, err
	}
	if n, err := strconv.ParseInt(a.header.Get("OCI-Chunk-Min-Length"), 10, 64); err == nil && n > 0 {
		up.minChunk = n
	}
	return false, up, nil
}

// MinChunk returns the least bytes the registry wants in a Patch other than the last, 0 for any.
func (u *Upload) MinChunk() int64 { return u.minChunk }

// Put sends the whole blob in one request and ends the session: the registry verifies
// the digest. size -1 means unknown. It is never repeated here, nor is it after a
// failure of body, which is a *BodyError.
func (u *Upload) Put(ctx context.Context, body io.Reader, size int64, d digest.Digest) error {
	if u.client.patches && size != 0 {
		if err := u.Patch(ctx, body, 0, size); err != nil {
			return err
		}
		return u.Commit(ctx, d)
	}
	r, err := u.closing(d)
	if err != nil {
		return err
	}
	u.carry(r, body, size)
	if size == 0 {
		r.stream = nil
	}
	a, err := u.client.do(ctx, r)
	return u.ended(a, err, d)
}

// Patch sends a part that begins at offset, where the registry stands. size -1 sends
// body to its end. After a failure the registry may have kept some of it: ask Status.
// ErrRange: the registry stands elsewhere. ErrUploadLost: start anew.
func (u *Upload) Patch(ctx context.Context, body io.Reader, offset, size int64) error {
	if size == 0 {
		return nil
	}
	r := u.request(http.MethodPatch)
	r.patience = partPatience
	r.want = []int{http.StatusAccepted, http.StatusNoContent, http.StatusCreated, http.StatusOK}
	u.carry(r, body, size)
	if size > 0 {
		r.header.Set("Content-Range", fmt.Sprintf("%d-%d", offset, offset+size-1))
	}
	a, err := u.client.do(ctx, r)
	if err != nil {
		return u.failed(a, err)
	}
	if err := u.moved(a); err != nil {
		return err
	}
	if a.sent < size {
		return fmt.Errorf("%s: the registry answered after %d of %d bytes: %w", u.name("PATCH"), a.sent, size, ErrRange)
	}
	// Only a clear statement that bytes are missing counts; a registry may speak of the
	// part instead of the whole.
	if end, ok := parseRange(a.header.Get("Range")); ok && size > 0 && end > 0 && end+1 != size && end+1 < offset+size {
		return fmt.Errorf("%s: the registry has bytes up to %d, sent up to %d: %w", u.name("PATCH"), end, offset+size-1, ErrRange)
	}
	return nil
}

// Status asks how many bytes the registry has. "0-0" is what registries answer both
// for one byte and for none: that is ErrOffsetUnknown, as is no answer.
func (u *Upload) Status(ctx context.Context) (offset int64, err error) {
	r := u.request(http.MethodGet)
	r.want = []int{http.StatusNoContent, http.StatusOK, http.StatusAccepted}
	a, err := u.client.do(ctx, r)
	if err != nil {
		err = u.failed(a, err)
		if e, ok := errors.AsType[*Error](err); ok && (e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented) {
			e.cause = ErrOffsetUnknown
		}
		return 0, err
	}
	if a.header.Get("Location") != "" {
		if err := u.moved(a); err != nil {
			return 0, err
		}
	}
	end, ok := parseRange(a.header.Get("Range"))
	if !ok || end == 0 {
		return 0, fmt.Errorf("%s: Range %q: %w", u.name("GET"), oneLine(a.header.Get("Range")), ErrOffsetUnknown)
	}
	return end + 1, nil
}

// Commit ends the session after its last Patch: the registry verifies the digest. When
// the answer to an earlier try was lost, the blob itself tells that it had passed.
func (u *Upload) Commit(ctx context.Context, d digest.Digest) error {
	r, err := u.closing(d)
	if err != nil {
		return err
	}
	a, err := u.client.do(ctx, r)
	err = u.ended(a, err, d)
	if errors.Is(err, ErrUploadLost) {
		if exists, _, headErr := u.client.BlobExists(ctx, u.repo, d); headErr == nil && exists {
			return nil
		}
	}
	return err
}

// Cancel gives the session up. One that is gone already is no error, nor is a registry
// that does not know how: it cleans up by itself.
func (u *Upload) Cancel(ctx context.Context) error {
	r := u.request(http.MethodDelete)
	r.want = []int{
		http.StatusNoContent, http.StatusOK, http.StatusAccepted, http.StatusMethodNotAllowed, http.StatusNotImplemented,
	}
	a, err := u.client.do(ctx, r)
	if err = u.failed(a, err); errors.Is(err, ErrUploadLost) {
		return nil
	}
	return err
}

func (u *Upload) request(method string) *request {
	return &request{
		method: method, url: u.location, header: http.Header{}, limit: maxErrorBody,
		scopes: []scope{repositoryScope(u.repo, "pull", "push")},
	}
}

// closing is the PUT that names the digest. The location's own query is kept byte for
// byte: it is the session's state.
func (u *Upload) closing(d digest.Digest) (*request, error) {
	if err := checkDigest(d); err != nil {
		return nil, err
	}
	r := u.request(http.MethodPut)
	to := *u.location
	if to.RawQuery != "" {
		to.RawQuery += "&"
	}
	to.RawQuery += "digest=" + url.QueryEscape(d.String())
	r.url, r.patience = &to, commitPatience
	r.want = []int{http.StatusCreated, http.StatusNoContent, http.StatusOK, http.StatusAccepted}
	return r, nil
}

func (u *Upload) carry(r *request, body io.Reader, size int64) {
	r.stream, r.size, r.lane = body, size, upload
	r.header.Set("Content-Type", "application/octet-stream")
}

// ended judges the answer to the closing PUT.
func (u *Upload) ended(a *answer, err error, d digest.Digest) error {
	if err != nil {
		err = u.failed(a, err)
		if e, ok := errors.AsType[*Error](err); ok && e.cause == nil && e.has("DIGEST_INVALID") {
			e.cause = ErrDigestMismatch
		}
		return err
	}
	if a.status == http.StatusAccepted {
		return fmt.Errorf("%s: the registry keeps the session open instead of storing %s", u.name("PUT"), d)
	}
	if said := digest.Digest(a.header.Get("Docker-Content-Digest")); said.Validate() == nil && said.Algorithm() == d.Algorithm() && said != d {
		return fmt.Errorf("%s: %w: sent %s, the registry stored %s", u.name("PUT"), ErrDigestMismatch, d, said)
	}
	return nil
}

// failed marks the errors a copy can act on.
func (u *Upload) failed(a *answer, err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	switch {
	case e.Status == http.StatusNotFound, e.Status == http.StatusGone, e.has("BLOB_UPLOAD_UNKNOWN") && e.Status < 500:
		e.cause = ErrUploadLost
	case e.Status == http.StatusRequestedRangeNotSatisfiable:
		e.cause = ErrRange
		if a != nil && a.header.Get("Location") != "" {
			if moveErr := u.moved(a); moveErr != nil {
				return moveErr
			}
		}
	}
	return err
}

// name says what an upload request did, without the session's state.
func (u *Upload) name(method string) string {
	return method + " " + u.location.Host + u.location.Path
}

// moved takes the session's next URL from an answer. Locations may be relative, and
// behind a proxy that ends TLS they often say http for what we reach by https.
func (u *Upload) moved(a *answer) error {
	text := a.header.Get("Location")
	if text == "" {
		return fmt.Errorf("%s: the registry names no upload location", u.name(a.request.method))
	}
	to, err := a.request.url.Parse(text)
	if err != nil || to.Host == "" || to.Scheme != "http" && to.Scheme != "https" {
		return fmt.Errorf("%s: the registry names an upload location that cannot be used: %q", u.name(a.request.method), oneLine(text))
	}
	base := u.client.place()
	if base.Scheme == "https" && to.Scheme == "http" && strings.EqualFold(to.Hostname(), base.Hostname()) {
		to.Scheme = "https"
		if to.Port() == "80" || to.Port() == "" {
			to.Host = base.Host
		}
	}
	to.Fragment = ""
	u.location = to
	return nil
}

// parseRange reads the Range header of an upload session: "0-1023", by some registries
// with "bytes=" in front. It returns the last byte's position.
func parseRange(s string) (end int64, ok bool) {
	s = strings.TrimSpace(s)
	s = strings.TrimPrefix(strings.TrimPrefix(s, "bytes="), "bytes ")
	from, to, dash := strings.Cut(s, "-")
	if !dash || strings.TrimSpace(from) != "0" {
		return 0, false
	}
	to = strings.TrimSpace(to)
	if to == "" || to[0] < '0' || to[0] > '9' {
		return 0, false
	}
	end, err := strconv.ParseInt(to, 10, 64)
	return end, err == nil
}
