package registry_test

import (
	"slices"
	"testing"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestImagesAreToldFromOtherArtifacts(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t, ts.WithSparseIndexes())
	image := ts.Image(t, 70, 1, 10)
	things := map[string]struct {
		artifact *ts.Artifact
		kind     string
	}{
		"image":      {image, rule.ResourceImage},
		"docker":     {ts.DockerImage(t, 71), rule.ResourceImage},
		"zstd":       {ts.ZstdImage(t, 72), rule.ResourceImage},
		"index":      {ts.Index(t, 73, "linux/amd64", "linux/arm64"), rule.ResourceImage},
		"list":       {ts.ManifestList(t, 74, "linux/amd64"), rule.ResourceImage},
		"nested":     {ts.NestedIndex(t, 75), rule.ResourceImage},
		"unknown":    {ts.UnknownArtifact(t, 76), rule.ResourceArtifact},
		"referrer":   {ts.Referrer(t, image, "application/x.sbom", 77), rule.ResourceArtifact},
		"no-types":   {ts.IndexOf(t, ts.Image(t, 78, 1, 10)), rule.ResourceImage},
		"of-unknown": {ts.IndexOf(t, ts.UnknownArtifact(t, 79)), rule.ResourceArtifact},
	}
	for tag, thing := range things {
		ts.Push(t, r, "app", tag, thing.artifact)
	}
	all, failures := listed(t, plain(t, r), matcher(t, rule.Filter{Type: rule.FilterResource, Value: rule.ResourceImage}))
	if len(failures) != 0 {
		t.Fatal(failures)
	}
	got := map[string]string{}
	for _, a := range all["app"] {
		got[a.Tags[0]] = a.Type
		if thing, ok := things[a.Tags[0]]; ok && a.Digest != thing.artifact.Digest.String() {
			t.Errorf("%s has the digest %s", a.Tags[0], a.Digest)
		}
	}
	for tag, thing := range things {
		if got[tag] != thing.kind {
			t.Errorf("%s is %q, want %q", tag, got[tag], thing.kind)
		}
	}
}

// A rule that asks for types is told Harbor's words, and by which media types an
// artifact is known.
func TestKindsOfArtifactsAreHarborsWords(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t, ts.WithSparseIndexes())
	const imageConfig, dockerConfig, thing = "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json", "application/vnd.example.thing.v1"
	image := ts.Image(t, 80, 1, 10)
	things := map[string]struct {
		artifact  *ts.Artifact
		kind, has string
	}{
		"image":      {image, "image", imageConfig},
		"docker":     {ts.DockerImage(t, 81), "image", dockerConfig},
		"index":      {ts.Index(t, 83, "linux/amd64", "linux/arm64"), "image", "application/vnd.oci.image.index.v1+json"},
		"list":       {ts.ManifestList(t, 84, "linux/amd64"), "image", registry.MediaTypeDockerManifestList},
		"nested":     {ts.NestedIndex(t, 85), "image", "application/vnd.oci.image.index.v1+json"},
		"thing":      {ts.UnknownArtifact(t, 86), "unknown", thing},
		"referrer":   {ts.Referrer(t, image, "application/vnd.goharbor.harbor.sbom.v1", 87), "sbom", "application/vnd.goharbor.harbor.sbom.v1"},
		"no-types":   {ts.IndexOf(t, ts.Image(t, 88, 1, 10)), "image", "application/vnd.oci.image.index.v1+json"},
		"of-unknown": {ts.IndexOf(t, ts.UnknownArtifact(t, 89)), "unknown", "application/vnd.oci.image.index.v1+json"},
	}
	for tag, thing := range things {
		ts.Push(t, r, "app", tag, thing.artifact)
	}
	m, err := rule.Compile(rule.Rule{Extras: rule.Extras{Select: rule.Selection{ArtifactTypes: []string{"IMAGE", "SBOM", thing}}}})
	if err != nil {
		t.Fatal(err)
	}
	all, failures := listed(t, plain(t, r), m)
	if len(failures) != 0 {
		t.Fatal(failures)
	}
	told := map[string]registry.Artifact{}
	for _, a := range all["app"] {
		told[a.Tags[0]] = a
	}
	for tag, thing := range things {
		if a := told[tag]; a.Type != thing.kind || !slices.Contains(a.Types, thing.has) || a.Digest != thing.artifact.Digest.String() {
			t.Errorf("%s: %+v, want %s with %s", tag, a, thing.kind, thing.has)
		}
	}
}
