package home

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/problem"
)

const (
	hexA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hexB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
	dA   = digest.Digest("sha256:" + hexA)
	dB   = digest.Digest("sha256:" + hexB)
)

// manifestText writes an image manifest; more are further fields.
func manifestText(mediaType, configType string, more ...string) string {
	text := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":10},"layers":[{"mediaType":"l","digest":%q,"size":100}]`,
		mediaType, configType, dA, dB)
	return text + strings.Join(append([]string{""}, more...), ",") + "}"
}

func indexText(mediaType string, more ...string) string {
	text := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":"m","digest":%q,"size":1}]`, mediaType, dA)
	return text + strings.Join(append([]string{""}, more...), ",") + "}"
}

const (
	helmConfig    = "application/vnd.cncf.helm.config.v1+json"
	cnabBundle    = "application/vnd.cnab.manifest.v1"
	modelManifest = "application/vnd.cncf.model.manifest.v1+json"
)

func TestTypesOfArtifactsAreHarbors(t *testing.T) {
	t.Parallel()
	oci, docker := ocispec.MediaTypeImageManifest, MediaTypeDockerManifest
	for _, test := range []struct {
		name, text               string
		kind, media, artifactTyp string
	}{
		{"docker image", manifestText(docker, mediaTypeDockerConfig), "IMAGE", mediaTypeDockerConfig, mediaTypeDockerConfig},
		{"OCI image", manifestText(oci, ocispec.MediaTypeImageConfig), "IMAGE", ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageConfig},
		{"manifest list", indexText(MediaTypeDockerManifestList), "IMAGE", MediaTypeDockerManifestList, ""},
		{"index", indexText(ocispec.MediaTypeImageIndex), "IMAGE", ocispec.MediaTypeImageIndex, ""},
		{"helm chart", manifestText(oci, helmConfig), "CHART", helmConfig, helmConfig},
		{"CNAB bundle", indexText(ocispec.MediaTypeImageIndex, `"annotations":{"org.opencontainers.artifactType":"application/vnd.cnab.manifest.v1"}`), "CNAB", cnabBundle, ""},
		{"WASM module", manifestText(oci, mediaTypeWASM), "WASM", mediaTypeWASM, mediaTypeWASM},
		{"SBOM", manifestText(oci, "c", `"artifactType":"application/vnd.goharbor.harbor.sbom.v1"`), "SBOM", "c", mediaTypeHarborSBOM},
		{"model", manifestText(oci, "c", `"artifactType":"application/vnd.cncf.model.manifest.v1+json"`), "CNAI", "c", modelManifest},
		{"named by its config", manifestText(oci, "application/vnd.caicloud.model.config.v1alpha1+json"), "MODEL",
			"application/vnd.caicloud.model.config.v1alpha1+json", "application/vnd.caicloud.model.config.v1alpha1+json"},
		{"something", manifestText(oci, "application/vnd.oci.empty.v1+json", `"artifactType":"application/x"`), "UNKNOWN", "application/vnd.oci.empty.v1+json", "application/x"},
		{"index with a type", indexText(ocispec.MediaTypeImageIndex, `"artifactType":"application/x"`), "UNKNOWN", ocispec.MediaTypeImageIndex, "application/x"},
	} {
		m, err := ParseManifest("", []byte(test.text))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if m.Type != test.kind || m.ConfigType != test.media || m.ArtifactType != test.artifactTyp {
			t.Errorf("%s: type %s, media type %s, artifact type %s", test.name, m.Type, m.ConfigType, m.ArtifactType)
		}
		if m.Config != nil && m.Size != int64(len(test.text))+110 || m.ContentSize != int64(len(test.text)) {
			t.Errorf("%s: size %d of %d", test.name, m.Size, m.ContentSize)
		}
	}
}

func TestTypesOfAccessoriesAreHarbors(t *testing.T) {
	t.Parallel()
	subject := fmt.Sprintf(`"subject":{"mediaType":"m","digest":%q,"size":1}`, dB)
	oci := ocispec.MediaTypeImageManifest
	cosign := strings.Replace(manifestText(oci, ocispec.MediaTypeImageConfig), `"mediaType":"l"`, `"mediaType":"application/vnd.dev.cosign.simplesigning.v1+json"`, 1)
	for _, test := range []struct {
		name, text string
		tag        string
		of         digest.Digest
		kind       string
	}{
		{"image", manifestText(oci, ocispec.MediaTypeImageConfig), "v1", "", ""},
		{"anything with a subject", manifestText(oci, "c", subject), "", dB, "subject.accessory"},
		{"image with a subject", manifestText(oci, ocispec.MediaTypeImageConfig, subject), "", dB, "subject.accessory"},
		{"index with a subject", indexText(ocispec.MediaTypeImageIndex, subject), "", dB, "subject.accessory"},
		{"notation", manifestText(oci, mediaTypeNotation, subject), "", dB, "signature.notation"},
		{"cosign", manifestText(oci, mediaTypeCosignConfig, subject), "", dB, "signature.cosign"},
		{"cosign bundle", manifestText(oci, "c", subject, `"artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json"`), "", dB, "signature.cosign"},
		{"SBOM", manifestText(oci, "c", subject, `"artifactType":"application/vnd.goharbor.harbor.sbom.v1"`), "", dB, "sbom.harbor"},
		{"nydus", strings.Replace(manifestText(oci, ocispec.MediaTypeImageConfig, subject), `"size":100`, `"size":100,"annotations":{"containerd.io/snapshot/nydus-bootstrap":"true"}`, 1), "", dB, "accelerator.nydus"},
		{"cosign by tag", cosign, "sha256-" + hexA + ".sig", dA, "signature.cosign"},
		{"cosign by another tag", cosign, "v1", "", ""},
		{"image under a cosign tag", manifestText(oci, "c"), "sha256-" + hexA + ".sig", "", ""},
	} {
		m, err := ParseManifest("", []byte(test.text))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if of, kind := m.accessory([]string{test.tag}); of != test.of || kind != test.kind {
			t.Errorf("%s: %s of %s", test.name, kind, of)
		}
	}
}

func TestExtraAttributesComeFromTheConfig(t *testing.T) {
	t.Parallel()
	image, err := ParseManifest("", []byte(manifestText(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig)))
	if err != nil {
		t.Fatal(err)
	}
	attrs := image.ExtraAttrs([]byte(`{"architecture":"amd64","os":"linux","created":"2026-01-01T00:00:00Z","config":{"Labels":{"maintainer":"me"}}}`))
	if attrs["architecture"] != "amd64" || attrs["os"] != "linux" || attrs["author"] != "me" || attrs["created"] == nil || attrs["config"] == nil || len(attrs) != 5 {
		t.Errorf("image: %v", attrs)
	}
	for _, bad := range []string{"", "{", `{"created":"yesterday"}`} {
		if got := image.ExtraAttrs([]byte(bad)); got != nil {
			t.Errorf("config %q: %v", bad, got)
		}
	}
	chart, err := ParseManifest("", []byte(manifestText(ocispec.MediaTypeImageManifest, helmConfig)))
	if err != nil {
		t.Fatal(err)
	}
	if got := chart.ExtraAttrs([]byte(`{"name":"nginx","version":"1"}`)); !reflect.DeepEqual(got, map[string]any{"name": "nginx", "version": "1"}) {
		t.Errorf("chart: %v", got)
	}
}

func TestBadManifestsAreRefused(t *testing.T) {
	t.Parallel()
	oci := ocispec.MediaTypeImageManifest
	for name, test := range map[string]struct{ said, text string }{
		"no JSON":                   {"", "{"},
		"no object":                 {"", "[]"},
		"schema version 1":          {"", `{"schemaVersion":1}`},
		"no config":                 {oci, `{"schemaVersion":2}`},
		"unknown type":              {"application/x", manifestText("application/x", "c")},
		"sent as something else":    {ocispec.MediaTypeImageIndex, manifestText(oci, "c")},
		"no media type":             {"a/b/c", manifestText(oci, "c")},
		"image and index at once":   {"", manifestText(oci, "c", `"manifests":[]`)},
		"index and image at once":   {"", indexText(ocispec.MediaTypeImageIndex, `"layers":[]`)},
		"bad digest":                {"", strings.Replace(manifestText(oci, "c"), hexA, "../../etc", 1)},
		"bad digest of a child":     {"", strings.Replace(indexText(ocispec.MediaTypeImageIndex), hexA, "x", 1)},
		"bad digest of the subject": {"", manifestText(oci, "c", `"subject":{"digest":"x"}`)},
		"negative size":             {"", strings.Replace(manifestText(oci, "c"), `"size":100`, `"size":-100`, 1)},
		"impossible size":           {"", strings.Replace(manifestText(oci, "c"), `"size":100`, `"size":9223372036854775807`, 1)},
		"NUL in a type":             {"", manifestText(oci, "c", `"artifactType":"a\u0000b"`)},
	} {
		if m, err := ParseManifest(test.said, []byte(test.text)); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add("", []byte(manifestText(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, `"subject":{"digest":"x"}`)))
	f.Add(MediaTypeDockerManifestList, []byte(indexText(MediaTypeDockerManifestList)))
	f.Fuzz(func(t *testing.T, mediaType string, raw []byte) {
		m, err := ParseManifest(mediaType, raw)
		if err != nil {
			if !problem.Is(err, problem.BadRequest) {
				t.Fatalf("%v is no BadRequest", err)
			}
			return
		}
		if m.Size < m.ContentSize || m.ContentSize != int64(len(raw)) || m.Type == "" || IsIndex(m.MediaType) == (m.Config != nil) {
			t.Fatalf("%+v", m)
		}
		for _, d := range append(m.Blobs(), m.Children...) {
			if d.Digest.Validate() != nil {
				t.Fatalf("digest %q", d.Digest)
			}
		}
		m.ExtraAttrs(raw)
		m.accessory([]string{"sha256-" + hexA + ".sig"})
	})
}

func TestProjectIsTheFirstPartOfAName(t *testing.T) {
	t.Parallel()
	if p, err := Project("library/deep/app"); p != "library" || err != nil {
		t.Errorf("%q %v", p, err)
	}
	for _, bad := range []string{"", "alpine", "/a", "a/"} {
		if _, err := Project(bad); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
