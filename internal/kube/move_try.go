package kube

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
)

// Pull is an image whose every byte was read through Harbor and hashed.
type Pull struct {
	Repository string `json:"repository"`
	Digest     string `json:"digest"`
	Blobs      int    `json:"blobs"`
	Bytes      int64  `json:"bytes"`
	// InBucket: it was also found in the bucket itself, whole.
	InBucket bool `json:"in_bucket,omitempty"`
}

const (
	pulls         = 3         // images that are pulled
	mostPullBytes = 256 << 20 // of an image; larger ones are not chosen
)

// pullOld pulls images that were in Harbor before, past every cache: their layers are
// read and hashed.
func (m *mover) pullOld(ctx context.Context) error {
	client, err := m.harbor.registry()
	if err != nil {
		return err
	}
	defer client.Close()
	m.state.Pulled = nil
	images, err := m.harbor.someImages(ctx, pulls)
	if err != nil {
		return fmt.Errorf("look for images to pull: %w", err)
	}
	if len(images) == 0 {
		m.o.Note("Harbor has no image that could be pulled")
	}
	for _, image := range images {
		pulled, err := pull(ctx, client, image)
		if err != nil {
			return fmt.Errorf("pull %s@%s, which was in Harbor before: %w", image.repository, image.digest, err)
		}
		m.state.Pulled = append(m.state.Pulled, pulled)
	}
	return nil
}

// registry is the way of docker to this Harbor.
func (h *harborAPI) registry() (*registry.Client, error) {
	client, err := registry.NewClient(registry.Endpoint{
		Provider: registry.ProviderHarbor, URL: h.address, Insecure: h.insecure, CACertificate: h.authority,
		Credential: registry.Credential{AccessKey: h.user, AccessSecret: h.password},
	}, registry.Options{})
	if err != nil {
		return nil, fmt.Errorf("speak to Harbor at %s: %w", h.address, err)
	}
	return client, nil
}

// image is an artifact as Harbor lists it.
type image struct{ repository, digest string }

type listedArtifact struct {
	Digest string `json:"digest"`
	Size   int64  `json:"size"` // of all that it needs, in bytes
}

// someImages returns a few artifacts of different repositories: of those that were
// pushed to last, and that are not large.
func (h *harborAPI) someImages(ctx context.Context, most int) ([]image, error) {
	var repositories []struct {
		Name string `json:"name"`
	}
	if err := h.get(ctx, "/repositories?page=1&page_size=50&sort=-update_time", &repositories); err != nil {
		return nil, err
	}
	var found []image
	for _, r := range repositories {
		project, rest, nested := strings.Cut(r.Name, "/")
		if !nested {
			continue
		}
		var artifacts []listedArtifact
		if err := h.get(ctx, "/projects/"+project+"/repositories/"+escapeRepository(rest)+"/artifacts?page=1&page_size=10", &artifacts); err != nil {
			if problem.Is(err, problem.NotFound) {
				continue
			}
			return nil, err
		}
		if i := slices.IndexFunc(artifacts, func(a listedArtifact) bool { return a.Size <= mostPullBytes }); i >= 0 {
			found = append(found, image{r.Name, artifacts[i].Digest})
		}
		if len(found) == most {
			break
		}
	}
	return found, nil
}

// escapeRepository writes a repository's name for a path of Harbor's API, where its
// slashes are escaped twice.
func escapeRepository(name string) string { return strings.ReplaceAll(name, "/", "%252F") }

// pull reads an image, of an index the first that it lists, and hashes all of it.
func pull(ctx context.Context, client *registry.Client, of image) (Pull, error) {
	p := Pull{Repository: of.repository, Digest: of.digest}
	reference := of.digest
	for range 4 { // an index in an index is odd, and more than that is no image
		m, err := client.Manifest(ctx, of.repository, reference)
		if err != nil {
			return p, err
		}
		p.Bytes += int64(len(m.Content))
		parsed, err := oci.Parse(m.Content)
		if err != nil {
			return p, err
		}
		for _, b := range parsed.Blobs {
			if len(b.URLs) > 0 { // not in this registry
				continue
			}
			size, err := hash(ctx, client, of.repository, b.Digest, b.Size)
			if err != nil {
				return p, fmt.Errorf("blob %s: %w", b.Digest, err)
			}
			p.Blobs, p.Bytes = p.Blobs+1, p.Bytes+size
		}
		if len(parsed.Children) == 0 {
			return p, nil
		}
		reference = parsed.Children[0].Digest.String()
	}
	return p, nil
}

func hash(ctx context.Context, client *registry.Client, repository string, d digest.Digest, size int64) (int64, error) {
	body, err := client.Blob(ctx, repository, d, 0, size)
	if err != nil {
		return 0, err
	}
	defer func() { _ = body.Close() }()
	verifier := d.Verifier()
	n, err := io.Copy(verifier, body)
	if err != nil {
		return n, err
	}
	if !verifier.Verified() {
		return n, problem.New(problem.Precondition, "what Harbor gives is not what its digest says")
	}
	return n, nil
}

// pushNew pushes an image into a project of its own, pulls it, finds it in the bucket,
// and deletes it again.
func (m *mover) pushNew(ctx context.Context) (err error) {
	if m.state.WasReadOnly {
		m.o.Note("no image was pushed for trial, since Harbor is read-only")
		return nil
	}
	if m.o.SkipPush {
		m.o.Note("no image is pushed for trial")
		return nil
	}
	client, err := m.harbor.registry()
	if err != nil {
		return err
	}
	defer client.Close()
	project := "lighterage-" + m.state.ID
	if err := m.harbor.call(ctx, http.MethodPost, "/projects", map[string]any{"project_name": project, "metadata": map[string]string{"public": "false"}}, nil); err != nil && !problem.Is(err, problem.Conflict) {
		return fmt.Errorf("make the project %s for a trial: %w", project, err)
	}
	defer func() {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if gone := m.harbor.removeProject(after, project); gone != nil {
			err = errors.Join(err, fmt.Errorf("delete the project %s of the trial: %w", project, gone))
		}
	}()
	pushed, err := pushTrial(ctx, client, project+"/trial")
	if err != nil {
		return fmt.Errorf("push an image for trial to %s: %w", project, err)
	}
	result, err := pull(ctx, client, pushed)
	if err != nil {
		return fmt.Errorf("pull the image that was pushed for trial: %w", err)
	}
	manifest := m.release.findJob(m.state.Target, pushed.repository+"@"+pushed.digest)
	out, err := m.runJob(ctx, manifest, FindStep, 1)
	if err != nil {
		return err
	}
	if out.Failed {
		return fmt.Errorf("the image that was pushed for trial is not in the bucket: %w", m.failed(ctx, out, FindStep, string(FindStep)))
	}
	result.InBucket = true
	m.state.Pushed = &result
	return nil
}

// removeProject removes a project of a trial and what is in it.
func (h *harborAPI) removeProject(ctx context.Context, project string) error {
	if err := h.call(ctx, http.MethodDelete, "/projects/"+project+"/repositories/trial", nil, nil); err != nil && !problem.Is(err, problem.NotFound) {
		return err
	}
	if err := h.call(ctx, http.MethodDelete, "/projects/"+project, nil, nil); err != nil && !problem.Is(err, problem.NotFound) {
		return err
	}
	return nil
}

// pushTrial pushes an image that no registry has: of bytes of chance.
func pushTrial(ctx context.Context, client *registry.Client, repository string) (image, error) {
	layer := []byte(rand.Text())
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["` + digest.FromBytes(layer).String() + `"]}}`)
	content, err := json.Marshal(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: descriptor(ocispec.MediaTypeImageConfig, config), Layers: []ocispec.Descriptor{descriptor(ocispec.MediaTypeImageLayer, layer)},
	})
	if err != nil {
		return image{}, err
	}
	for _, blob := range [][]byte{config, layer} {
		up, err := client.StartUpload(ctx, repository)
		if err == nil {
			err = up.Put(ctx, bytes.NewReader(blob), int64(len(blob)), digest.FromBytes(blob))
		}
		if err != nil {
			return image{}, err
		}
	}
	m := registry.Manifest{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(content), Content: content}
	if _, err := client.PutManifest(ctx, repository, "trial", m); err != nil {
		return image{}, err
	}
	return image{repository, m.Digest.String()}, nil
}

func descriptor(mediaType string, content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// flush has the registry forget what it cached of blobs: of what was on its way when
// Harbor became read-only it may know a blob that only the volume has.
func (m *mover) flush(ctx context.Context) error {
	if m.release.Redis.Address == "" || m.o.SkipFlush {
		m.o.Note("no cache of blobs is flushed")
		return nil
	}
	out, err := m.job(ctx, FlushStep, 1)
	if err != nil {
		return err
	}
	m.state.Flush = out.Reports["flush"]
	if out.Failed {
		return m.failed(ctx, out, FlushStep, "flush")
	}
	return nil
}

// tryFlush finds out before the window whether the cache is reached.
func (m *mover) tryFlush(ctx context.Context) error {
	if m.release.Redis.Address == "" || m.o.SkipFlush {
		return nil
	}
	out, err := m.job(ctx, FlushTrialStep, 1)
	if err != nil {
		return err
	}
	if out.Failed {
		return fmt.Errorf("the registry's cache at %s is not reached from a pod of this namespace; let it be (a NetworkPolicy?), or leave it out with --skip-flush: %w",
			m.release.Redis.Address, m.failed(ctx, out, FlushTrialStep, "flush"))
	}
	return nil
}
