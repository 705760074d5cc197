package transfer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

// manifestWith returns the artifact's manifest with a change.
func manifestWith(t testing.TB, a *testserver.Artifact, change func(map[string]any)) registry.Manifest {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.Manifest, &m); err != nil {
		t.Fatal(err)
	}
	change(m)
	return rawManifest(t, a.MediaType, m)
}

func rawManifest(t testing.TB, mediaType string, m any) registry.Manifest {
	t.Helper()
	content, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return registry.Manifest{MediaType: mediaType, Digest: digest.FromBytes(content), Content: content}
}

func putManifest(t testing.TB, c *registry.Client, repository, reference string, m registry.Manifest) {
	t.Helper()
	if reference == "" {
		reference = m.Digest.String()
	}
	if _, err := c.PutManifest(t.Context(), repository, reference, m); err != nil {
		t.Fatal(err)
	}
}

// serve answers with a manifest instead of asking the registry.
func serve(m registry.Manifest) testserver.Action {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", m.MediaType)
			w.Header().Set("Docker-Content-Digest", m.Digest.String())
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(m.Content))
		})
	}
}

// scripted answers manifest requests of a source from memory: with what no honest
// registry would hold.
func scripted(t testing.TB, manifests ...registry.Manifest) *testserver.Registry {
	t.Helper()
	r := olareg(t)
	for i, m := range manifests {
		path := "/manifests/" + m.Digest.String() + "$"
		if i == 0 {
			path = "/manifests/(v1|" + m.Digest.String() + ")$"
		}
		r.Faults.Add(testserver.Fault{Path: path, Do: serve(m)})
	}
	return r
}

func TestHostileManifestsAreRefusedWithAReason(t *testing.T) {
	t.Parallel()
	layer := func(d string, size any) map[string]any {
		return map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": []any{
			map[string]any{"mediaType": ocispec.MediaTypeImageLayer, "digest": d, "size": size},
		}}
	}
	valid := digest.FromString("x").String()
	cases := []struct {
		name     string
		manifest any
		reason   string
	}{
		{"negative size", layer(valid, -5), "negative size -5"},
		{"absurd size", layer(valid, int64(1)<<62), "claims 4611686018427387904 bytes"},
		{"no digest", layer("", 5), "invalid digest"},
		{"digest that is a path", layer("sha256:../../../etc/passwd", 5), "invalid digest"},
		{"not a manifest", []int{1, 2, 3}, "malformed manifest"},
		{"size that is a text", layer(valid, "many"), "malformed manifest"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			src := scripted(t, rawManifest(t, ocispec.MediaTypeImageManifest, c.manifest))
			b := newBench(t, src, testserver.Distribution(t, testserver.WithMemory()))
			err := b.fail(b.request("library/app", "v1"))
			wantText(t, err.Error(), c.reason, "read manifest library/app@sha256:")
			if e := failureOf(t, err); e.Side != transfer.Source || e.Retryable {
				t.Errorf("%+v", e)
			}
			if n := b.dst.Requests().Count("PUT manifest", "PUT upload"); n != 0 {
				t.Errorf("%d writes at the destination", n)
			}
		})
	}
}

func TestIndexesNestedTooDeepAreRefused(t *testing.T) {
	t.Parallel()
	inner := rawManifest(t, ocispec.MediaTypeImageIndex, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex})
	all := []registry.Manifest{inner}
	for range 30 {
		inner = rawManifest(t, ocispec.MediaTypeImageIndex, ocispec.Index{
			MediaType: ocispec.MediaTypeImageIndex,
			Manifests: []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageIndex, Digest: inner.Digest, Size: int64(len(inner.Content))}},
		})
		all = append([]registry.Manifest{inner}, all...)
	}
	b := newBench(t, scripted(t, all...), testserver.Distribution(t, testserver.WithMemory()))
	err := b.fail(b.request("library/app", "v1"))
	wantText(t, err.Error(), "nested more than 16 deep")
	if n := b.dst.Requests().Count("PUT manifest"); n != 0 {
		t.Errorf("%d manifests were put", n)
	}
}

func TestIndexWithTooManyBlobsIsRefused(t *testing.T) {
	t.Parallel()
	// Each manifest is small enough to be fetched; together they claim too much.
	var children []ocispec.Descriptor
	var all []registry.Manifest
	for i := range 8 {
		layers := make([]string, 30_000)
		for j := range layers {
			layers[j] = fmt.Sprintf(`{"digest":"sha256:%032x%032x","size":1}`, i, j)
		}
		content := []byte(`{"schemaVersion":2,"layers":[` + strings.Join(layers, ",") + `]}`)
		m := registry.Manifest{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(content), Content: content}
		all = append(all, m)
		children = append(children, ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(content))})
	}
	index := rawManifest(t, ocispec.MediaTypeImageIndex, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: children})
	b := newBench(t, scripted(t, append([]registry.Manifest{index}, all...)...), testserver.Distribution(t, testserver.WithMemory()))
	hold := testserver.NewHold()
	defer hold.Release()
	b.dst.Faults.Add(testserver.Fault{Class: "HEAD blob", Do: hold.Before()})
	err := b.fail(b.request("library/app", "v1"))
	wantText(t, err.Error(), "more than 200000 blobs")
}

func TestChildOfAnotherSizeThanItsIndexSaysIsRefused(t *testing.T) {
	t.Parallel()
	child := rawManifest(t, ocispec.MediaTypeImageManifest, map[string]any{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "layers": []any{}})
	index := rawManifest(t, ocispec.MediaTypeImageIndex, ocispec.Index{
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: []ocispec.Descriptor{{MediaType: child.MediaType, Digest: child.Digest, Size: 9}},
	})
	b := newBench(t, scripted(t, index, child), testserver.Distribution(t, testserver.WithMemory()))
	err := b.fail(b.request("library/app", "v1"))
	wantText(t, err.Error(), "the index that lists it says 9")
}

func TestManifestsThatAreTooMuchTogetherAreRefused(t *testing.T) {
	t.Parallel()
	// Each is small enough to be fetched; an index is held until its children are there.
	padding := strings.Repeat("x", 3900<<10)
	var all []registry.Manifest
	var children []ocispec.Descriptor
	for i := range 20 {
		m := rawManifest(t, ocispec.MediaTypeImageIndex, map[string]any{
			"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []any{},
			"annotations": map[string]string{"padding": padding, "number": fmt.Sprint(i)},
		})
		all = append(all, m)
		children = append(children, ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Content))})
	}
	index := rawManifest(t, ocispec.MediaTypeImageIndex, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: children})
	b := newBench(t, scripted(t, append([]registry.Manifest{index}, all...)...), olareg(t))
	err := b.fail(b.request("library/app", "v1"))
	wantText(t, err.Error(), "manifests have more than 64.0 MiB in all")
	if e := failureOf(t, err); e.Side != transfer.Source || e.Retryable {
		t.Errorf("%+v", e)
	}
}
