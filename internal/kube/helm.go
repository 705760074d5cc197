package kube

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// helmRelease is what is read of the Secret in which Helm keeps a revision of a release.
type helmRelease struct {
	Name    string         `json:"name"`
	Version int            `json:"version"`
	Chart   helmChart      `json:"chart"`
	Config  map[string]any `json:"config"` // the values that the user gave
}

// helmLimit bounds what a release unpacks to. Kubernetes bounds a Secret to 1 MiB.
const helmLimit = 256 << 20

// helmReleases returns the deployed releases of Harbor's chart by their names.
func (c *Cluster) helmReleases(ctx context.Context) (map[string]helmRelease, error) {
	kept, err := c.list(ctx, secrets, metav1.ListOptions{LabelSelector: "owner=helm,status=deployed"})
	if err != nil {
		return nil, err
	}
	found := map[string]helmRelease{}
	for _, secret := range kept {
		release, err := readHelmRelease(secret)
		if err != nil {
			return nil, err
		}
		if release.Chart.Metadata.Name == "harbor" && release.Version >= found[release.Name].Version {
			found[release.Name] = release
		}
	}
	return found, nil
}

// readHelmRelease unpacks a release: base64 of gzip of JSON, in a Secret, which is base64 again.
func readHelmRelease(secret unstructured.Unstructured) (release helmRelease, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read Helm's release in the Secret %s: %w", secret.GetName(), err)
		}
	}()
	packed := []byte(textAt(secret.Object, "data", "release"))
	for range 2 {
		if packed, err = base64.StdEncoding.AppendDecode(nil, packed); err != nil {
			return release, err
		}
	}
	if bytes.HasPrefix(packed, []byte{0x1f, 0x8b}) { // very old versions of Helm did not pack
		unpacked, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return release, err
		}
		if packed, err = io.ReadAll(io.LimitReader(unpacked, helmLimit)); err != nil {
			return release, err
		}
	}
	return release, json.Unmarshal(packed, &release)
}
