package migration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// found is what fsck says of v, without the notes for blobs that nothing needs.
func (v *volume) found(t *testing.T, o FsckOptions) (FsckReport, []string) {
	t.Helper()
	v.age()
	r, all := fsck(t, v.open(), o)
	return r, slices.DeleteFunc(all, func(line string) bool { return strings.HasPrefix(line, "note orphan-blob") })
}

func manifestText(t testing.TB, config string, layers ...ocispec.Descriptor) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": layers, "annotations": map[string]string{"about": config}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestManifestsThatMakeNoSenseAreReported(t *testing.T) {
	t.Parallel()
	layer := digest.FromString("x").String()
	for name, content := range map[string]string{
		"nothing":            "",
		"null":               "null",
		"a list":             "[]",
		"deep nesting":       strings.Repeat(`{"layers":[`, 20_000) + strings.Repeat(`]}`, 20_000),
		"a negative size":    `{"layers":[{"digest":"` + layer + `","size":-5}]}`,
		"an endless size":    `{"layers":[{"digest":"` + layer + `","size":9223372036854775807}]}`,
		"a path as a digest": `{"config":{"digest":"sha256:../../../../etc/passwd","size":1}}`,
		"a short digest":     `{"layers":[{"digest":"sha256:00","size":1}]}`,
		"more than 8 MiB":    `{"a":"` + strings.Repeat("x", 9<<20) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			v.image("library/app", "v1", "good")
			bad := manifestIn(v, "library/bad", "v1", content)
			want := []string{"broken unparsable-manifest library/bad:v1 " + rest(blobName(bad))}
			if content == "null" { // a manifest that refers to nothing, as any JSON of unknown fields
				want = nil
			}
			r, all := v.found(t, FsckOptions{})
			differ(t, want, all)
			if r.Incomplete || r.Clean != (want == nil) || r.Tags != 2 || r.BrokenRevisions != int64(len(want)) {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestAManifestOfMegabytesIsLookedAt(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	var layers []ocispec.Descriptor
	for i := range 20_000 {
		layers = append(layers, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString(fmt.Sprint(i)), Size: 5})
	}
	v.write(blobName(layers[0].Digest), "0") // not even the size is right
	v.write(linkName(layout.LayerLink, "library/big", "", layers[0].Digest), layers[0].Digest.String())
	text := manifestText(t, strings.Repeat("x", 1<<20), layers...)
	if len(text) < 3<<20 || len(text) > maxManifest {
		t.Fatalf("%d bytes", len(text))
	}
	manifestIn(v, "library/big", "v1", text)
	r, _ := v.found(t, FsckOptions{})
	if r.Damage[MissingBlob] != 19_999 || r.Damage[SizeMismatch] != 1 || r.BrokenRevisions != 1 || r.Broken != 20_000 {
		t.Errorf("%+v", r)
	}
}

func TestDamageFarBelowATagNamesTheTag(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	missing := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString("missing"), Size: 7}
	text := manifestText(t, "", missing)
	d := manifestIn(v, "library/deep", "", text)
	for range 300 {
		text = `{"manifests":[{"mediaType":"` + ocispec.MediaTypeImageIndex + `","digest":"` + d.String() + `","size":` + fmt.Sprint(len(text)) + `}]}`
		d = manifestIn(v, "library/deep", "", text)
	}
	v.tag("library/deep", "top", d)
	v.tag("library/deep", "same", d)
	var lines []string
	v.age()
	_, err := Fsck(t.Context(), v.open(), FsckOptions{OnDamage: func(d Damage) { lines = append(lines, d.String()) }})
	if err != nil || len(lines) != 1 || !strings.Contains(lines[0], "library/deep:same@") || !strings.Contains(lines[0], "it concerns 1 more tags") {
		t.Errorf("%v: %q", err, lines)
	}
}

// An index whose child is, by a link that lies, the index itself.
func TestACycleEnds(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	lie := digest.SHA512.FromString("what it is not")
	text := `{"manifests":[{"digest":"` + lie.String() + `","size":1}]}`
	text = strings.Replace(text, `"size":1`, fmt.Sprintf(`"size":%d`, len(text)+2), 1)
	d := manifestIn(v, "library/round", "v1", text)
	v.write(linkName(layout.RevisionLink, "library/round", "", lie), d.String())
	r, all := v.found(t, FsckOptions{})
	differ(t, []string{"broken digest-mismatch library/round:v1 " + rest(blobName(d))}, all)
	if r.Clean || r.Incomplete {
		t.Errorf("%+v", r)
	}
	r, all = v.found(t, FsckOptions{Deep: true})
	differ(t, []string{
		"broken digest-mismatch library/round:v1 " + rest(blobName(d)),
		"broken wrong-link library/round " + rest(linkName(layout.RevisionLink, "library/round", "", lie)),
	}, all)
	if r.Clean || r.Incomplete {
		t.Errorf("%+v", r)
	}
}

// Distribution keeps a blob under its SHA-256 digest, whatever the client called it,
// and the link under the other name leads there.
func TestOtherAlgorithmsAreFollowed(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	r := ts.Distribution(t, ts.WithRoot(v.root))
	layer := "a layer under another name"
	long, short := digest.SHA512.FromString(layer), digest.FromString(layer)
	upload(t, r, "library/long", long, layer)
	text := manifestText(t, "", ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: long, Size: int64(len(layer))})
	d := manifestIn(v, "library/long", "v1", text)
	r.Stop()
	link := linkName(layout.LayerLink, "library/long", "", long)
	if v.read(link) != short.String() {
		t.Fatalf("the link holds %s", v.read(link))
	}
	for _, deep := range []bool{false, true} {
		report, all := v.found(t, FsckOptions{Deep: deep})
		differ(t, nil, all)
		if !report.Clean || report.Unneeded != 0 {
			t.Errorf("deep %t: %+v", deep, report)
		}
	}

	v.write(link, "")
	_, all := v.found(t, FsckOptions{})
	if !slices.Contains(all, "broken empty-link library/long "+rest(link)) {
		t.Errorf("an empty link of another algorithm does not follow from its path: %q", all)
	}
	v.write(link, v.blob("another layer with other bytes").String())
	_, all = v.found(t, FsckOptions{Deep: true})
	differ(t, []string{
		"broken size-mismatch library/long:v1 " + rest(blobName(digest.FromString("another layer with other bytes"))),
		"broken wrong-link library/long " + rest(link),
	}, all)
	v.remove(link)
	_, all = v.found(t, FsckOptions{})
	differ(t, []string{"broken missing-layer-link library/long:v1 " + rest(link)}, all)
	_ = d
}

// upload uploads a blob in one request.
func upload(t testing.TB, r *ts.Registry, repository string, d digest.Digest, content string) {
	t.Helper()
	begun, err := r.Client().Post(r.URL+"/v2/"+repository+"/blobs/uploads/", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = begun.Body.Close()
	to, err := begun.Location()
	if err != nil {
		t.Fatal(err)
	}
	query := to.Query()
	query.Set("digest", d.String())
	to.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, (&url.URL{Scheme: to.Scheme, Host: to.Host, Path: to.Path, RawQuery: to.RawQuery}).String(), strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/octet-stream")
	done, err := r.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = done.Body.Close()
	if done.StatusCode != http.StatusCreated {
		t.Fatalf("upload %s: %s", d, done.Status)
	}
}

// What is not an image or index of today is looked at by what it shares with them.
func TestUnusualManifestsAreClean(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	image := v.image("library/app", "v1", "one")
	layer, cache := v.blob("layer of schema 1"), v.blob("build cache")
	for _, d := range []digest.Digest{layer, cache} {
		v.write(linkName(layout.LayerLink, "library/app", "", d), d.String())
	}
	size := func(d digest.Digest) int { return len(v.read(blobName(d))) }
	manifestIn(v, "library/app", "schema1", `{"schemaVersion":1,"fsLayers":[{"blobSum":"`+layer.String()+`"},{"blobSum":"`+layer.String()+`"}]}`)
	manifestIn(v, "library/app", "cache", fmt.Sprintf(`{"manifests":[{"mediaType":"application/vnd.buildkit.cacheconfig.v0","digest":%q,"size":%d}]}`, cache, size(cache)))
	manifestIn(v, "library/app", "odd", fmt.Sprintf(`{"manifests":[{"mediaType":"application/vnd.example","digest":%q,"size":%d}]}`, image, size(image)))
	manifestIn(v, "library/app", "artifact", fmt.Sprintf(`{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[{"digest":%q,"size":%d}],"subject":{"digest":%q,"size":1}}`, cache, size(cache), image))
	r, all := v.found(t, FsckOptions{})
	differ(t, nil, all)
	if !r.Clean || r.Unneeded != 0 || r.Revisions != 5 {
		t.Errorf("%+v", r)
	}
}

// Distribution 2.1 linked manifests as layers, and 2.8 still serves them.
func TestAManifestThatIsLinkedAsALayerIsLookedAt(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	missing := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString("missing"), Size: 7}
	d := manifestIn(v, "library/old", "v1", manifestText(t, "", missing))
	v.remove(linkName(layout.RevisionLink, "library/old", "", d))
	v.write(linkName(layout.LayerLink, "library/old", "", d), d.String())
	_, all := v.found(t, FsckOptions{})
	differ(t, []string{"broken missing-blob library/old:v1 " + rest(blobName(missing.Digest))}, all)
}

func TestManyDamagesOfOneRepositoryAreAllTold(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	const manifests, layers = 30, 500 // more than damageHeld
	for i := range manifests {
		var lost []ocispec.Descriptor
		for j := range layers {
			lost = append(lost, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: digest.FromString(fmt.Sprint(i, j)), Size: 1})
		}
		manifestIn(v, "library/lost", fmt.Sprint("v", i), manifestText(t, "", lost...))
	}
	r, all := v.found(t, FsckOptions{})
	if r.Broken != manifests*layers || len(all) != manifests*layers || r.BrokenRevisions != manifests {
		t.Errorf("%+v", r)
	}
	for _, line := range all {
		if !strings.HasPrefix(line, "broken missing-blob library/lost:v") {
			t.Fatalf("%s", line)
		}
	}
}
