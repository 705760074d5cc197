package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of manifests beside the OCI ones.
const (
	MediaTypeDockerManifest     = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeDockerSchema1      = "application/vnd.docker.distribution.manifest.v1+json"
	MediaTypeDockerSchema1JWS   = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	MediaTypeOCIArtifact        = "application/vnd.oci.artifact.manifest.v1+json" // withdrawn, but in use
)

// acceptManifests names every manifest type we carry. Schema 1 comes last, since old
// registries rewrite a manifest into it for those who do not prefer others; "*/*" lets
// types that nobody has thought of through unchanged.
var acceptManifests = strings.Join([]string{
	ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest,
	MediaTypeDockerManifestList, MediaTypeDockerManifest, MediaTypeOCIArtifact,
	MediaTypeDockerSchema1JWS + ";q=0.5", MediaTypeDockerSchema1 + ";q=0.5", "*/*;q=0.1",
}, ", ")

// Manifest is a manifest or index as it is stored: Content hashes to Digest. Of signed
// schema 1 (MediaTypeDockerSchema1JWS) it is what was signed that does.
type Manifest struct {
	MediaType string
	Digest    digest.Digest
	Content   []byte
}

// PutResult is what a registry says about a manifest it has taken.
type PutResult struct {
	Digest digest.Digest
	// SubjectAccepted: the registry keeps referrers itself (OCI-Subject header). When a
	// manifest with a subject comes back without it, the fallback tag is the client's job.
	SubjectAccepted bool
}

// Resolve asks what a tag or digest stands for, by HEAD. A registry that answers HEAD
// without a digest is asked for the content, which is then hashed: two missing headers
// must never look like two equal digests. IsNotFound when there is no such manifest.
func (c *Client) Resolve(ctx context.Context, repo, reference string) (ocispec.Descriptor, error) {
	r, want, err := c.manifestRequest(http.MethodHead, repo, reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	a, err := c.do(ctx, r)
	if e, ok := errors.AsType[*Error](err); ok && (e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented) {
		return c.resolveByContent(ctx, repo, reference)
	}
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	d := digest.Digest(a.header.Get("Docker-Content-Digest"))
	if d.Validate() != nil || a.length < 0 {
		return c.resolveByContent(ctx, repo, reference)
	}
	if want != "" && d != want {
		return ocispec.Descriptor{}, mismatch(r, want, d)
	}
	mediaType := baseMediaType(a.header)
	if genericType(mediaType) {
		return c.resolveByContent(ctx, repo, reference)
	}
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: a.length}, nil
}

func (c *Client) resolveByContent(ctx context.Context, repo, reference string) (ocispec.Descriptor, error) {
	m, err := c.Manifest(ctx, repo, reference)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Content))}, nil
}

// Manifest fetches a manifest or index by tag or digest, at most 4 MiB. Its content is
// hashed and must be what was asked for, or by tag what the registry says it is:
// otherwise the error is ErrDigestMismatch and names both.
func (c *Client) Manifest(ctx context.Context, repo, reference string) (Manifest, error) {
	r, want, err := c.manifestRequest(http.MethodGet, repo, reference)
	if err != nil {
		return Manifest{}, err
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return Manifest{}, err
	}
	if want == "" {
		if said := digest.Digest(a.header.Get("Docker-Content-Digest")); said.Validate() == nil {
			want = said
		}
	}
	algorithm := digest.Canonical
	if want != "" {
		algorithm = want.Algorithm()
	}
	mediaType := baseMediaType(a.header)
	if genericType(mediaType) {
		if sniffed := sniffMediaType(a.body); sniffed != "" {
			mediaType = sniffed
		}
	}
	got := algorithm.FromBytes(digested(mediaType, a.body))
	if want != "" && got != want {
		return Manifest{}, mismatch(r, want, got)
	}
	return Manifest{MediaType: mediaType, Digest: got, Content: a.body}, nil
}

func (c *Client) manifestRequest(method, repo, reference string) (*request, digest.Digest, error) {
	if err := checkRepository(repo); err != nil {
		return nil, "", err
	}
	d, err := checkReference(reference)
	if err != nil {
		return nil, "", err
	}
	return &request{
		method: method, url: c.endpoint("v2", repo, "manifests", reference),
		header: http.Header{"Accept": {acceptManifests}}, limit: maxManifestBody,
		want: []int{http.StatusOK}, scopes: []scope{repositoryScope(repo, "pull")},
	}, d, nil
}

func mismatch(r *request, want, got digest.Digest) error {
	return fmt.Errorf("%s %s%s: %w: expected %s, the content is %s", r.method, r.url.Host, r.url.Path, ErrDigestMismatch, want, got)
}

// PutManifest stores a manifest under a tag or its digest. Everything it refers to must
// be there already. The bytes are sent as they are.
func (c *Client) PutManifest(ctx context.Context, repo, reference string, m Manifest) (PutResult, error) {
	r, want, err := c.manifestRequest(http.MethodPut, repo, reference)
	if err != nil {
		return PutResult{}, err
	}
	if want != "" && want != m.Digest {
		return PutResult{}, mismatch(r, want, m.Digest)
	}
	if err := checkDigest(m.Digest); err != nil {
		return PutResult{}, err
	}
	r.header = http.Header{"Content-Type": {m.MediaType}}
	r.body, r.limit = m.Content, maxErrorBody
	r.want = []int{http.StatusCreated, http.StatusOK, http.StatusAccepted, http.StatusNoContent}
	r.scopes = []scope{repositoryScope(repo, "pull", "push")}
	a, err := c.do(ctx, r)
	if err != nil {
		return PutResult{}, err
	}
	if said := digest.Digest(a.header.Get("Docker-Content-Digest")); said.Validate() == nil && said.Algorithm() == m.Digest.Algorithm() && said != m.Digest {
		return PutResult{}, mismatch(r, m.Digest, said)
	}
	return PutResult{Digest: m.Digest, SubjectAccepted: a.header.Get("OCI-Subject") != ""}, nil
}

// DeleteManifest deletes a manifest and with it every tag that points at it.
// ErrUnsupported when the registry has deletion switched off.
func (c *Client) DeleteManifest(ctx context.Context, repo string, d digest.Digest) error {
	if err := checkDigest(d); err != nil {
		return err
	}
	return c.delete(ctx, repo, d.String())
}

// DeleteTag removes a tag and leaves its manifest and other tags alone, where the
// registry can (distribution-spec 1.1, "Deleting tags"). ErrUnsupported where it cannot.
func (c *Client) DeleteTag(ctx context.Context, repo, tag string) error {
	if err := checkTag(tag); err != nil {
		return err
	}
	err := c.delete(ctx, repo, tag)
	if IsNotFound(err) {
		// Some registries take the tag for a digest and do not find that. Only when the
		// tag really is gone is this the answer to the question asked.
		if _, resolveErr := c.Resolve(ctx, repo, tag); resolveErr == nil {
			return fmt.Errorf("delete tag %s:%s: %w", repo, tag, ErrUnsupported)
		}
	}
	return err
}

func (c *Client) delete(ctx context.Context, repo, reference string) error {
	r, d, err := c.manifestRequest(http.MethodDelete, repo, reference)
	if err != nil {
		return err
	}
	r.limit = maxErrorBody
	r.want = []int{http.StatusAccepted, http.StatusOK, http.StatusNoContent}
	r.scopes = []scope{repositoryScope(repo, "delete")}
	_, err = c.do(ctx, r)
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	refused := e.Status == http.StatusMethodNotAllowed || e.Status == http.StatusNotImplemented || e.has("UNSUPPORTED")
	if d == "" { // a tag where only a digest is understood
		refused = refused || e.Status == http.StatusBadRequest
	}
	if refused {
		e.cause = ErrUnsupported
	}
	return err
}

func baseMediaType(h http.Header) string {
	value := h.Get("Content-Type")
	mt, _, err := mime.ParseMediaType(value)
	if err != nil {
		mt, _, _ = strings.Cut(value, ";")
		mt = strings.ToLower(strings.TrimSpace(mt))
	}
	return mt
}

// genericType says whether a Content-Type tells nothing about a manifest.
func genericType(mt string) bool {
	switch mt {
	case "", "application/octet-stream", "application/json", "text/plain", "text/json", "binary/octet-stream":
		return true
	}
	return false
}

// sniffMediaType finds a manifest's type in the manifest: its mediaType field, else its
// shape. "" when it is nothing known.
func sniffMediaType(content []byte) string {
	var m struct {
		MediaType     string          `json:"mediaType"`
		SchemaVersion json.RawMessage `json:"schemaVersion"`
		Manifests     json.RawMessage `json:"manifests"`
		Config        json.RawMessage `json:"config"`
		Layers        json.RawMessage `json:"layers"`
		FSLayers      json.RawMessage `json:"fsLayers"`
		Signatures    json.RawMessage `json:"signatures"`
	}
	if json.Unmarshal(content, &m) != nil {
		return ""
	}
	if mt, _, err := mime.ParseMediaType(m.MediaType); err == nil && strings.Contains(mt, "/") {
		return mt
	}
	version, _ := strconv.Atoi(string(m.SchemaVersion))
	switch {
	case version == 1 && m.Signatures != nil:
		return MediaTypeDockerSchema1JWS
	case version == 1 && m.FSLayers != nil:
		return MediaTypeDockerSchema1
	case m.Manifests != nil:
		return ocispec.MediaTypeImageIndex
	case m.Config != nil || m.Layers != nil:
		return ocispec.MediaTypeImageManifest
	}
	return ""
}
