package oci

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func d(text string) string { return digest.FromString(text).String() }

// refs writes what a manifest refers to, for comparison.
func refs(m Manifest) (all []string) {
	for _, b := range m.Blobs {
		text := string(b.Role) + " " + string(b.Digest)
		if b.Foreign {
			text += " foreign"
		}
		if b.Size == UnknownSize {
			text += " of unknown size"
		}
		all = append(all, text)
	}
	for _, c := range m.Children {
		all = append(all, "child "+string(c.Digest))
	}
	if m.Subject != nil {
		all = append(all, "subject "+string(m.Subject.Digest))
	}
	return all
}

func TestParseFindsWhatEachFormatRefersTo(t *testing.T) {
	t.Parallel()
	long := digest.SHA512.FromString("x").String()
	cases := []struct {
		name, content string
		want          []string
	}{
		{
			"image with a layer twice",
			`{"schemaVersion":2,"config":{"mediaType":"c","digest":"` + d("c") + `","size":1},
			  "layers":[{"digest":"` + d("l") + `","size":1},{"digest":"` + d("l") + `","size":1},{"digest":"` + d("m") + `","size":0}]}`,
			[]string{"config " + d("c"), "layer " + d("l"), "layer " + d("m")},
		},
		{
			"foreign layers, and one that only looks so",
			`{"layers":[
			  {"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"` + d("1") + `","size":1,"urls":["https://x"]},
			  {"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd","digest":"` + d("2") + `","size":1,"urls":["https://x"]},
			  {"mediaType":"application/vnd.oci.image.layer.nondistributable.v1.tar","digest":"` + d("3") + `","size":1},
			  {"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + d("4") + `","size":1,"urls":["https://x"]}]}`,
			[]string{"layer " + d("1") + " foreign", "layer " + d("2") + " foreign", "layer " + d("3"), "layer " + d("4")},
		},
		{
			"index with a child twice",
			`{"manifests":[{"mediaType":"` + ocispec.MediaTypeImageManifest + `","digest":"` + d("a") + `","size":1},
			  {"mediaType":"` + ocispec.MediaTypeImageIndex + `","digest":"` + d("b") + `","size":1},
			  {"mediaType":"` + ocispec.MediaTypeImageManifest + `","digest":"` + d("a") + `","size":1}]}`,
			[]string{"child " + d("a"), "child " + d("b")},
		},
		{
			"build cache: an index of layers",
			`{"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[
			  {"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"` + d("l") + `","size":1},
			  {"mediaType":"application/vnd.buildkit.cacheconfig.v0","digest":"` + d("c") + `","size":1}]}`,
			[]string{"entry " + d("l"), "entry " + d("c")},
		},
		{
			"index that lists a manifest once more as something else",
			`{"manifests":[{"mediaType":"","digest":"` + d("a") + `","size":1},{"mediaType":"x/y","digest":"` + d("a") + `","size":1}]}`,
			[]string{"child " + d("a")},
		},
		{
			"a manifest of a type not met before",
			`{"manifests":[{"mediaType":"application/vnd.example.manifest.v9+json","digest":"` + d("a") + `","size":1}]}`,
			[]string{"child " + d("a")},
		},
		{
			"artifact manifest with a subject",
			`{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[{"digest":"` + d("b") + `","size":1}],
			  "subject":{"digest":"` + d("s") + `","size":1}}`,
			[]string{"blob " + d("b"), "subject " + d("s")},
		},
		{
			"docker schema 1",
			`{"schemaVersion":1,"name":"library/app","tag":"v1","fsLayers":[{"blobSum":"` + d("1") + `"},{"blobSum":"` + d("2") + `"},{"blobSum":"` + d("1") + `"}]}`,
			[]string{"layer " + d("1") + " of unknown size", "layer " + d("2") + " of unknown size"},
		},
		{"another algorithm", `{"layers":[{"digest":"` + long + `","size":1}]}`, []string{"layer " + long}},
		{"nothing known", `{"hello":"world"}`, nil},
	}
	for _, c := range cases {
		m, err := Parse([]byte(c.content))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.want, refs(m)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestParseRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	one := func(fields string) string { return `{"layers":[{` + fields + `}]}` }
	for content, want := range map[string]string{
		``:                                      "unexpected end",
		`[]`:                                    "cannot unmarshal",
		`{"layers":5}`:                          "cannot unmarshal",
		one(`"digest":"sha256:short","size":1`): `layer has the invalid digest "sha256:short"`,
		one(`"digest":"` + strings.ToUpper(d("a")) + `","size":1`):                           "invalid digest",
		one(`"digest":"md5:d41d8cd98f00b204e9800998ecf8427e","size":1`):                      "invalid digest",
		one(`"digest":"` + d("a") + `","size":-1`):                                           "negative size -1",
		one(`"digest":"` + d("a") + `","size":17592186044417`):                               "claims 17592186044417 bytes",
		one(`"digest":"` + d("a") + `","size":1e99`):                                         "cannot unmarshal",
		`{"config":{"digest":"../../etc/passwd","size":1}}`:                                  "config has the invalid digest",
		`{"manifests":[{"digest":"","size":1}]}`:                                             "manifest has the invalid digest",
		`{"manifests":[{"mediaType":"x/y","digest":"","size":1}]}`:                           "entry has the invalid digest",
		`{"subject":{"digest":"x","size":1}}`:                                                "subject has the invalid digest",
		`{"fsLayers":[{"blobSum":"tarsum.v1+sha256:` + strings.Repeat("0", 64) + `"}]}`:      "layer has the invalid digest",
		`{"layers":[{"digest":"x","size":1}],"manifests":[{"digest":"` + d("a") + `x"}]}`:    `layer has the invalid digest "x"`,
		strings.Repeat(`{"layers":[`, 20_000) + strings.Repeat(`]}`, 20_000):                 "exceeded max depth",
		`{"blobs":[{"digest":"` + strings.Repeat("sha256:", 10_000) + `","size":1,"urls":1}`: "unexpected end",
	} {
		_, err := Parse([]byte(content))
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: %v, want %q", content, err, want)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%.100s: an error of %d bytes", content, len(err.Error()))
		}
	}
}

func TestReferrerTellsItsType(t *testing.T) {
	t.Parallel()
	config := `"config":{"mediaType":"application/vnd.example.config","digest":"` + d("c") + `","size":1}`
	for content, want := range map[string]string{
		`{"artifactType":"application/x",` + config + `}`: "application/x",
		`{` + config + `}`: "application/vnd.example.config",
	} {
		if m, err := Parse([]byte(content)); err != nil || m.ArtifactType != want {
			t.Errorf("%s: %q, %v", content, m.ArtifactType, err)
		}
	}
}

func TestWhatCanListManifests(t *testing.T) {
	t.Parallel()
	for mediaType, nothing := range map[string]bool{
		ocispec.MediaTypeImageManifest: true, DockerManifest: true, DockerSchema1: true, DockerSchema1JWS: true, ArtifactManifest: true,
		ocispec.MediaTypeImageIndex: false, DockerManifestList: false, "": false, "application/vnd.example.thing.v1": false,
	} {
		if ListsNothing(mediaType) != nothing {
			t.Errorf("%q", mediaType)
		}
	}
}

// Whatever a manifest says, parsing it ends, and what it gives can be worked with.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"config":{"digest":"` + d("c") + `","size":1},"layers":[{"digest":"` + d("l") + `","size":-1}]}`))
	f.Add([]byte(`{"manifests":[{"mediaType":"","digest":"` + d("a") + `","size":1}],"subject":{"digest":"x"}}`))
	f.Add([]byte(`{"fsLayers":[{"blobSum":"` + d("1") + `"}],"blobs":[{"digest":"sha512:0"}]}`))
	f.Add([]byte(`{"layers":[{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar","urls":["x"],"digest":"` + d("f") + `","size":7}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := Parse(content)
		if err != nil {
			if !errors.Is(err, ErrMalformed) || refs(m) != nil {
				t.Fatalf("%v, with %v", err, refs(m))
			}
			return
		}
		seen := map[digest.Digest]bool{}
		check := func(desc ocispec.Descriptor, least int64) {
			if desc.Digest.Validate() != nil || desc.Size < least || desc.Size > MaxBlobSize || seen[desc.Digest] {
				t.Fatalf("%+v", desc)
			}
			if strings.ContainsAny(string(desc.Digest), "/.? ") {
				t.Fatalf("%q", desc.Digest)
			}
			seen[desc.Digest] = true
		}
		for _, b := range m.Blobs {
			check(b.Descriptor, UnknownSize)
			if b.Foreign && len(b.URLs) == 0 {
				t.Fatalf("foreign and nowhere: %+v", b)
			}
		}
		for _, c := range m.Children {
			check(c, 0)
		}
	})
}
