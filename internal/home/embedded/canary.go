package embedded

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// canaryRepository is where an image is pushed to try out a storage. It is in no
// project, so that no client can see it.
const canaryRepository = "lighterage-canary"

// Canary is an image that was pushed to try out the storage.
type Canary struct {
	Repository, Tag string
	Digest          digest.Digest
	Objects         []string // that must be in the storage now, as names of package layout
	Bytes           int64

	blobs []digest.Digest
}

// PushCanary pushes a small image through the registry's own handlers and pulls it again,
// also while the registry is frozen or read-only. No index, event or rule knows of it.
func (r *Registry) PushCanary(ctx context.Context) (Canary, error) {
	c := Canary{Repository: canaryRepository, Tag: "canary"}
	r.removeCanaries(ctx)
	contents := [][]byte{[]byte(`{"architecture":"amd64","os":"linux","canary":"` + rand.Text() + `"}`), []byte(rand.Text())}
	descriptors := make([]ocispec.Descriptor, len(contents))
	for i, content := range contents {
		d := digest.FromBytes(content)
		descriptors[i] = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: d, Size: int64(len(content))}
		if err := r.pushCanaryBlob(ctx, d, content); err != nil {
			return c, err
		}
		c.blobs = append(c.blobs, d)
		c.Bytes += int64(len(content))
		c.Objects = append(c.Objects, blobData(d)[1:], layerLink(c.Repository, d)[1:])
	}
	descriptors[0].MediaType = ocispec.MediaTypeImageConfig
	manifest, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: descriptors[0], Layers: descriptors[1:],
	})
	if err != nil {
		return c, err
	}
	c.Digest = digest.FromBytes(manifest)
	c.blobs = append(c.blobs, c.Digest)
	c.Bytes += int64(len(manifest))
	c.Objects = append(c.Objects, blobData(c.Digest)[1:], revisionLink(c.Repository, c.Digest)[1:], tagLink(c.Repository, c.Tag)[1:])
	if _, err := r.ask(ctx, http.MethodPut, "/v2/"+c.Repository+"/manifests/"+c.Tag, manifest, ocispec.MediaTypeImageManifest, http.StatusCreated); err != nil {
		return c, err
	}
	for i, at := range []string{"/manifests/" + c.Tag, "/blobs/" + descriptors[0].Digest.String(), "/blobs/" + descriptors[1].Digest.String()} {
		want := append([][]byte{manifest}, contents...)[i]
		got, err := r.ask(ctx, http.MethodGet, "/v2/"+c.Repository+at, nil, "", http.StatusOK)
		if err != nil {
			return c, err
		}
		if !bytes.Equal(got.body.Bytes(), want) {
			return c, fmt.Errorf("the registry gave other content than was pushed at %s", at)
		}
	}
	return c, nil
}

func (r *Registry) pushCanaryBlob(ctx context.Context, d digest.Digest, content []byte) error {
	started, err := r.ask(ctx, http.MethodPost, "/v2/"+canaryRepository+"/blobs/uploads/", nil, "", http.StatusAccepted)
	if err != nil {
		return err
	}
	location, err := url.Parse(started.Header().Get("Location"))
	if err != nil {
		return fmt.Errorf("push a canary: location of the upload: %w", err)
	}
	query := location.Query()
	query.Set("digest", d.String())
	_, err = r.ask(ctx, http.MethodPut, location.Path+"?"+query.Encode(), content, "application/octet-stream", http.StatusCreated)
	return err
}

// ask has the library answer a request of our own.
func (r *Registry) ask(ctx context.Context, method, address string, body []byte, contentType string, want int) (*keptAnswer, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://registry"+address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	req.Header.Set("Accept", ocispec.MediaTypeImageManifest)
	req.RequestURI = req.URL.RequestURI()
	req.RemoteAddr = "in-process"
	answer := &keptAnswer{header: http.Header{}, status: http.StatusOK}
	b, done := r.use()
	defer done()
	b.app.ServeHTTP(answer, req)
	if answer.status != want {
		return nil, fmt.Errorf("try out the storage: %s %s: the registry answered %d: %s", method, req.URL.Path, answer.status, bytes.TrimSpace(answer.body.Bytes()))
	}
	return answer, nil
}

// DeleteCanary deletes what PushCanary has pushed, the manifest through the registry's
// own handlers, and leaves nothing of it.
func (r *Registry) DeleteCanary(ctx context.Context, c Canary) error {
	_, err := r.ask(ctx, http.MethodDelete, "/v2/"+c.Repository+"/manifests/"+c.Digest.String(), nil, "", http.StatusAccepted)
	if err != nil {
		return err
	}
	t := r.tree()
	for _, d := range c.blobs {
		if err := t.driver.Delete(ctx, path.Dir(blobData(d))); err != nil && !isPathNotFound(err) {
			return fmt.Errorf("delete what was pushed to try out the storage: %w", err)
		}
	}
	if err := t.removeRepository(ctx, c.Repository); err != nil && !isPathNotFound(err) {
		return fmt.Errorf("delete what was pushed to try out the storage: %w", err)
	}
	return nil
}

// removeCanaries clears away what a process before has left.
func (r *Registry) removeCanaries(ctx context.Context) {
	if err := r.tree().removeRepository(ctx, canaryRepository); err != nil && !isPathNotFound(err) {
		r.log.Warn("clear away what was pushed to try out the storage", "error", err)
	}
}
