package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
)

// workload says what is copied.
type workload struct {
	repositories, tags, layers, own, layerSize int
}

func (w workload) String() string {
	images := w.repositories * w.tags
	distinct := images*w.own + w.bases()*(w.layers-w.own)
	return fmt.Sprintf("%d images in %d repositories, %d layers each (%d shared), %d KiB a layer; %.0f MiB of distinct blobs",
		images, w.repositories, w.layers, w.layers-w.own, w.layerSize>>10, float64(distinct)*float64(w.layerSize)/(1<<20))
}

// bases is how many different sets of shared layers there are: one for every five
// repositories, as teams share base images.
func (w workload) bases() int { return (w.repositories + 4) / 5 }

func (w workload) repository(i int) string { return fmt.Sprintf("library/app-%03d", i) }

// push fills a registry and returns the digest of every repository:tag.
func (w workload) push(ctx context.Context, s *server) (map[string]string, error) {
	tags := map[string]string{}
	for r := range w.repositories {
		for t := range w.tags {
			digest, err := w.pushImage(ctx, s, r, t)
			if err != nil {
				return nil, err
			}
			tags[fmt.Sprintf("%s:v%d", w.repository(r), t)] = digest
		}
	}
	return tags, nil
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Size      int    `json:"size"`
	Digest    string `json:"digest"`
}

func (w workload) pushImage(ctx context.Context, s *server, r, t int) (string, error) {
	var layers []descriptor
	for l := range w.layers {
		seed := fmt.Sprintf("base %d layer %d", r/5, l)
		if l >= w.layers-w.own {
			seed = fmt.Sprintf("own %d %d layer %d", r, t, l)
		}
		content, err := layer(seed, w.layerSize)
		if err != nil {
			return "", err
		}
		d := descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar+gzip", Size: len(content)}
		if d.Digest, err = pushBlob(ctx, s, w.repository(r), content); err != nil {
			return "", err
		}
		layers = append(layers, d)
	}
	config := []byte(fmt.Sprintf(`{"architecture":"amd64","os":"linux","config":{"Labels":{"image":"%d-%d"}},"rootfs":{"type":"layers","diff_ids":[]}}`, r, t))
	d, err := pushBlob(ctx, s, w.repository(r), config)
	if err != nil {
		return "", err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ociManifest,
		"config": descriptor{"application/vnd.oci.image.config.v1+json", len(config), d}, "layers": layers,
	})
	if err != nil {
		return "", err
	}
	address := fmt.Sprintf("http://%s/v2/%s/manifests/v%d", s.direct, w.repository(r), t)
	if _, err := request(ctx, http.MethodPut, address, ociManifest, manifest, http.StatusCreated); err != nil {
		return "", err
	}
	return digestOf(manifest), nil
}

const ociManifest = "application/vnd.oci.image.manifest.v1+json"

func pushBlob(ctx context.Context, s *server, repository string, content []byte) (string, error) {
	d := digestOf(content)
	base := fmt.Sprintf("http://%s/v2/%s/blobs/", s.direct, repository)
	if response, err := request(ctx, http.MethodHead, base+d, "", nil, 0); err != nil || response.StatusCode == http.StatusOK {
		return d, err
	}
	response, err := request(ctx, http.MethodPost, base+"uploads/", "", nil, http.StatusAccepted)
	if err != nil {
		return "", err
	}
	location, err := url.Parse(response.Header.Get("Location"))
	if err != nil {
		return "", err
	}
	query := location.Query()
	query.Set("digest", d)
	location.RawQuery = query.Encode()
	_, err = request(ctx, http.MethodPut, location.String(), "application/octet-stream", content, http.StatusCreated)
	return d, err
}

// verify checks that every tag stands at the destination with its digest.
func verify(ctx context.Context, s *server, tags map[string]string) error {
	for name, digest := range tags {
		repository, tag, _ := strings.Cut(name, ":")
		response, err := request(ctx, http.MethodHead, fmt.Sprintf("http://%s/v2/%s/manifests/%s", s.direct, repository, tag), "", nil, http.StatusOK)
		if err != nil {
			return err
		}
		if got := response.Header.Get("Docker-Content-Digest"); got != digest {
			return fmt.Errorf("%s is %s, want %s", name, got, digest)
		}
	}
	return nil
}

// request makes a request; status 0 accepts every answer.
func request(ctx context.Context, method, address, contentType string, body []byte, status int) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", ociManifest)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if status != 0 && response.StatusCode != status {
		return nil, fmt.Errorf("%s %s: %s: %s", method, address, response.Status, text)
	}
	return response, nil
}

func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// layer makes a gzip stream whose content follows from the seed. It must be a real
// one: skopeo recompresses what is not.
func layer(seed string, size int) ([]byte, error) {
	noise := make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(seed))).Read(noise) // never fails
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(noise); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}
