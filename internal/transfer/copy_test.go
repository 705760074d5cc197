package transfer_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

func TestCopyBringsEveryKindOfArtifactToEveryRegistry(t *testing.T) {
	t.Parallel()
	kinds := []struct {
		name string
		make func(t testing.TB) *testserver.Artifact
	}{
		{"OCI image", func(t testing.TB) *testserver.Artifact { return testserver.Image(t, 1, 3, 2000) }},
		{"image with a large layer", func(t testing.TB) *testserver.Artifact { return testserver.Image(t, 2, 1, 2<<20) }},
		{"docker image", func(t testing.TB) *testserver.Artifact { return testserver.DockerImage(t, 3) }},
		{"index with attestation", func(t testing.TB) *testserver.Artifact { return testserver.Index(t, 4) }},
		{"docker manifest list", func(t testing.TB) *testserver.Artifact { return testserver.ManifestList(t, 5) }},
		{"nested index", func(t testing.TB) *testserver.Artifact { return testserver.NestedIndex(t, 6) }},
		{"index with a child twice", func(t testing.TB) *testserver.Artifact {
			image := testserver.Image(t, 7, 1, 500)
			return testserver.IndexOf(t, image, image)
		}},
		{"empty layers", func(t testing.TB) *testserver.Artifact { return testserver.EmptyLayerImage(t) }},
		{"zstd", func(t testing.TB) *testserver.Artifact { return testserver.ZstdImage(t, 8) }},
		{"unknown artifact type", func(t testing.TB) *testserver.Artifact { return testserver.UnknownArtifact(t, 9) }},
	}
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, testserver.Distribution(t, testserver.WithMemory()), d.start(t, testserver.WithMemory()))
			for _, kind := range kinds {
				a := kind.make(t)
				repository := "library/" + string(digest.FromString(kind.name).Encoded()[:8])
				testserver.Push(t, b.src, repository, "v1", a)
				result := b.copy(repository, "v1")
				if result.Outcome != transfer.Copied || result.Digest != a.Digest {
					t.Errorf("%s: %+v", kind.name, result)
				}
				b.whole(repository, "v1", a)
				if got := b.copy(repository, "v1"); got.Outcome != transfer.Unchanged || got.Digest != a.Digest {
					t.Errorf("%s: second copy: %+v", kind.name, got)
				}
			}
		})
	}
}

func TestTagThatStandsForSomethingElseIsKeptWithoutOverride(t *testing.T) {
	t.Parallel()
	b := cold(t)
	theirs, ours := testserver.Image(t, 1, 1, 500), testserver.Image(t, 2, 1, 500)
	testserver.Push(t, b.dst, "library/app", "v1", theirs)
	testserver.Push(t, b.src, "library/app", "v1", ours)
	r := b.request("library/app", "v1")
	r.Override = false
	b.quiet()
	got := b.do(r)
	if got.Outcome != transfer.Kept || got.Digest != ours.Digest || got.Previous != theirs.Digest || got.Placed != nil {
		t.Errorf("%+v", got)
	}
	wantCounts(t, "destination", b.dst.Requests(), map[string]int{"HEAD manifest": 1})
	b.whole("library/app", "v1", theirs)

	r.Override = true
	if got := b.do(r); got.Outcome != transfer.Copied || got.Previous != theirs.Digest {
		t.Errorf("with override: %+v", got)
	}
	b.whole("library/app", "v1", ours)
}

func TestCopyByDigestSetsNoTag(t *testing.T) {
	t.Parallel()
	b := cold(t)
	a := testserver.Index(t, 1)
	testserver.Push(t, b.src, "library/app", "v1", a)
	r := b.request("library/app", a.Digest.String())
	r.TargetReference = ""
	got := b.do(r)
	if got.Outcome != transfer.Copied || len(got.Placed) != 1 || got.Placed[0] != (transfer.Placed{Reference: a.Digest.String(), Digest: a.Digest}) {
		t.Errorf("%+v", got)
	}
	b.whole("library/app", a.Digest.String(), a)
	if tags := testserver.Tags(t, b.dst, "library/app"); len(tags) != 0 {
		t.Errorf("tags %v", tags)
	}
	if got := b.do(r); got.Outcome != transfer.Unchanged {
		t.Errorf("second copy: %+v", got)
	}
}

func TestWhatThePlanSawIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	b := cold(t)
	a := testserver.Image(t, 1, 1, 500)
	testserver.Push(t, b.src, "library/app", "v1", a)
	state, err := b.engine.Inspect(t.Context(), "library/app", "v1")
	if err != nil || !state.Absent() {
		t.Fatalf("%q, %v", state, err)
	}
	b.quiet()
	r := b.request("library/app", "v1")
	r.Target, r.SourceDigest = state, a.Digest
	b.do(r)
	wantCounts(t, "destination", b.dst.Requests().Of("HEAD manifest"), nil)
	if state, err = b.engine.Inspect(t.Context(), "library/app", "v1"); err != nil || state.Digest() != a.Digest {
		t.Errorf("%q, %v", state, err)
	}
}

func TestForeignLayersStayWhereTheyLive(t *testing.T) {
	t.Parallel()
	src := testserver.Distribution(t, testserver.WithForeignLayers())
	b := newBench(t, src, testserver.Distribution(t, testserver.WithForeignLayers()))
	a := testserver.ForeignLayerImage(t, 1)
	testserver.Push(t, src, "library/windows", "v1", a)
	b.copy("library/windows", "v1")
	b.whole("library/windows", "v1", a)
	wantText(t, b.log.String(), "lives outside of registries (https://layers.example/")
}

func TestForeignLayersAreCopiedWhereTheDestinationInsists(t *testing.T) {
	t.Parallel()
	src := olareg(t)
	dst := testserver.Distribution(t, testserver.WithForeignLayers())
	b := newBench(t, src, dst)
	plain := testserver.DockerImage(t, 1)
	testserver.Push(t, src, "library/windows", "plain", plain)
	m := manifestWith(t, &testserver.Artifact{MediaType: plain.MediaType, Manifest: plain.Manifest}, func(m map[string]any) {
		layer := m["layers"].([]any)[0].(map[string]any)
		layer["mediaType"] = testserver.DockerForeignLayer
		layer["urls"] = []string{"https://layers.example/x"}
	})
	putManifest(t, b.source, "library/windows", "v1", m)
	insists := testserver.Error(http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry: "+plain.Blobs[1].Digest.String())
	dst.Faults.Add(testserver.Fault{Class: "PUT manifest", Times: 1, Do: insists})
	got := b.copy("library/windows", "v1")
	if got.Digest != m.Digest {
		t.Errorf("%+v", got)
	}
	if there, _, err := client(t, dst).BlobExists(t.Context(), "library/windows", plain.Blobs[1].Digest); err != nil || !there {
		t.Errorf("the layer is there: %v, %v", there, err)
	}
}

func TestBlobsThatTheDestinationLostAreSentAgain(t *testing.T) {
	t.Parallel()
	b := cold(t)
	a := testserver.Index(t, 1)
	testserver.Push(t, b.src, "library/app", "v1", a)
	testserver.Push(t, b.src, "library/app", "v2", testserver.IndexOf(t, a.Children...))
	b.copy("library/app", "v1")
	// The engine believes that everything is there; somebody deletes it.
	c := client(t, b.dst)
	for _, child := range a.Children {
		if err := c.DeleteManifest(t.Context(), "library/app", child.Digest); err != nil {
			t.Fatal(err)
		}
		for _, blob := range child.Blobs {
			deleteBlob(t, b.dst, "library/app", blob.Digest)
		}
	}
	wanted := testserver.IndexOf(t, a.Children[0], a.Children[1])
	testserver.Push(t, b.src, "library/app", "v3", wanted)
	b.copy("library/app", "v3")
	b.whole("library/app", "v3", wanted)
}

func TestDestinationThatAlwaysLacksSomethingEndsTheCopy(t *testing.T) {
	t.Parallel()
	b := cold(t)
	a := testserver.Image(t, 1, 2, 500)
	testserver.Push(t, b.src, "library/app", "v1", a)
	b.dst.Faults.Add(testserver.Fault{Class: "PUT manifest", Do: testserver.Error(http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN", "blob unknown")})
	err := b.fail(b.request("library/app", "v1"))
	wantText(t, err.Error(), "store manifest sha256:", "MANIFEST_BLOB_UNKNOWN")
	if n := b.dst.Requests().Count("PUT manifest"); n != 3 {
		t.Errorf("the manifest was put %d times", n)
	}
}

// Not every registry looks whether an index has its children: that its tag has gone
// must be enough to look for them.
func TestWhatWasDeletedAtTheDestinationIsBroughtAnew(t *testing.T) {
	t.Parallel()
	ways := map[string]func(*transfer.Request, *testserver.Artifact){
		"asked by the copy": func(*transfer.Request, *testserver.Artifact) {},
		"seen by the plan": func(r *transfer.Request, a *testserver.Artifact) {
			r.Target, r.SourceDigest = transfer.Absent, a.Digest
		},
		"by digest, seen by the plan": func(r *transfer.Request, a *testserver.Artifact) {
			r.SourceReference, r.TargetReference, r.Target = a.Digest.String(), "", transfer.Absent
		},
	}
	for _, d := range destinations {
		for way, change := range ways {
			t.Run(d.name+" "+way, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, testserver.Distribution(t, testserver.WithMemory()), d.start(t, testserver.WithMemory()))
				a := testserver.Index(t, 1)
				testserver.Push(t, b.src, "library/app", "v1", a)
				b.copy("library/app", "v1")
				c := client(t, b.dst)
				for _, m := range a.All() {
					if err := c.DeleteManifest(t.Context(), "library/app", m.Digest); err != nil {
						t.Fatal(err)
					}
				}
				r := b.request("library/app", "v1")
				change(&r, a)
				b.do(r)
				b.whole("library/app", a.Digest.String(), a)
			})
		}
	}
}

// deleteBlob takes a blob from a repository.
func deleteBlob(t testing.TB, r *testserver.Registry, repository string, d digest.Digest) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, r.URL+"/v2/"+repository+"/blobs/"+d.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := r.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted && answer.StatusCode != http.StatusNotFound {
		t.Fatalf("delete blob: %s", answer.Status)
	}
}

func TestProgressGrowsAndEndsExact(t *testing.T) {
	t.Parallel()
	b := cold(t)
	a := testserver.Index(t, 1)
	shared := testserver.IndexOf(t, a.Children[0], testserver.Image(t, 9, 2, 400<<10))
	testserver.Push(t, b.src, "library/app", "v1", a)
	testserver.Push(t, b.src, "library/app", "v2", shared)
	b.copy("library/app", "v1")
	var all []transfer.Progress
	r := b.request("library/app", "v2")
	r.Progress = func(p transfer.Progress) { all = append(all, p) }
	start := time.Now()
	got := b.do(r)
	if most := int(time.Since(start)/(100*time.Millisecond)) + 2; len(all) == 0 || len(all) > most {
		t.Fatalf("%d reports in %s", len(all), time.Since(start))
	}
	var before transfer.Progress
	for _, p := range all {
		if p.BytesTotal < before.BytesTotal || p.BytesSent < before.BytesSent || p.BytesPresent < before.BytesPresent || p.BlobsDone < before.BlobsDone {
			t.Errorf("%+v after %+v", p, before)
		}
		before = p
	}
	last := all[len(all)-1]
	if last.Blobs != last.BlobsDone || last.BytesSent+last.BytesMounted+last.BytesPresent != last.BytesTotal {
		t.Errorf("at the end: %+v", last)
	}
	if got.BytesSent != shared.Children[1].BlobBytes() || got.BytesSent != last.BytesSent {
		t.Errorf("%d bytes sent, want %d; told %d", got.BytesSent, shared.Children[1].BlobBytes(), last.BytesSent)
	}
}

func TestContentInsideItsDescriptorIsNotFetched(t *testing.T) {
	t.Parallel()
	b := cold(t)
	content := []byte(`{"inline":true}`)
	config := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromBytes(content), Size: int64(len(content)), Data: content}
	m := rawManifest(t, ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{},
	})
	src := newBench(t, scripted(t, m), b.dst)
	src.copy("library/app", "v1")
	wantCounts(t, "source", src.src.Requests(), map[string]int{"GET manifest": 1})
	if there, size, err := client(t, b.dst).BlobExists(t.Context(), "library/app", config.Digest); err != nil || !there || size != config.Size {
		t.Errorf("%v, %d, %v", there, size, err)
	}
}

func TestIndexEntriesOfUnknownTypesAreBlobsOrManifests(t *testing.T) {
	t.Parallel()
	b := newBench(t, testserver.Distribution(t, testserver.WithSparseIndexes()), testserver.Distribution(t, testserver.WithSparseIndexes()))
	image := testserver.Image(t, 1, 1, 500)
	testserver.Push(t, b.src, "library/app", "image", image)
	entry := ocispec.Descriptor{MediaType: "application/vnd.example.unheard-of", Digest: image.Digest, Size: int64(len(image.Manifest))}
	layer := ocispec.Descriptor{MediaType: image.Blobs[1].MediaType, Digest: image.Blobs[1].Digest, Size: image.Blobs[1].Size}
	index := rawManifest(t, ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{entry, layer},
	})
	putManifest(t, b.source, "library/app", "v1", index)
	b.copy("library/app", "v1")
	c := client(t, b.dst)
	if m, err := c.Manifest(t.Context(), "library/app", "v1"); err != nil || m.Digest != index.Digest {
		t.Errorf("%s, %v", m.Digest, err)
	}
	b.whole("library/app", image.Digest.String(), image)
}

func TestBlobsWhoseSizeNobodyTellsAreCopied(t *testing.T) {
	t.Parallel()
	image := testserver.ImageOn(t, testserver.Image(t, 1, 1, 1000), 2, 1, megabyte)
	var layers []string
	for _, b := range image.Blobs[1:] {
		layers = append(layers, `{"blobSum":"`+b.Digest.String()+`"}`)
	}
	content := []byte(`{"schemaVersion":1,"name":"library/app","tag":"v1","fsLayers":[` + strings.Join(layers, ",") + `]}`)
	src := scripted(t, registry.Manifest{MediaType: registry.MediaTypeDockerSchema1, Digest: digest.FromBytes(content), Content: content})
	testserver.Push(t, src, "library/app", "image", image)
	src.Faults.Add(testserver.Fault{Class: "HEAD blob", Do: testserver.Status(http.StatusTemporaryRedirect, "Location", "http://127.0.0.1:1/storage?signature=x")})
	b := newBench(t, src, testserver.Distribution(t, testserver.WithMemory()))
	b.dst.Faults.Add(testserver.Fault{Class: "PUT manifest", Do: testserver.Status(http.StatusCreated)}) // schema 1 is out of date
	got := b.copy("library/app", "v1")
	c, sum := client(t, b.dst), int64(0)
	for _, layer := range image.Blobs[1:] {
		sum += layer.Size
		if there, size, err := c.BlobExists(t.Context(), "library/app", layer.Digest); err != nil || !there || size != layer.Size {
			t.Errorf("%v, %d of %d bytes, %v", there, size, layer.Size, err)
		}
	}
	if got.BytesSent != sum {
		t.Errorf("%d bytes sent, want %d", got.BytesSent, sum)
	}
}

func TestBlobThatIsOnlySaidToBeThereIsSentWhoeverElseBelievesIt(t *testing.T) {
	t.Parallel()
	b := cold(t)
	base := testserver.Image(t, 1, 1, 1000)
	first, second := testserver.ImageOn(t, base, 2, 1, 1000), testserver.ImageOn(t, base, 3, 1, 1000)
	testserver.Push(t, b.src, "library/app", "v1", first)
	testserver.Push(t, b.src, "library/app", "v2", second)
	lost := base.Blobs[1]
	says := testserver.Status(http.StatusOK, "Content-Length", fmt.Sprint(lost.Size))
	head := testserver.Fault{Class: "HEAD blob", Path: lost.Digest.String(), Do: says}
	looking, storing := testserver.NewHold(), testserver.NewHold()
	defer looking.Release()
	defer storing.Release()
	// The first copy has looked twice when it is held back; the third look is the second's.
	b.dst.Faults.Add(testserver.Fault{Class: "HEAD blob", Path: lost.Digest.String(), Skip: 2, Times: 1, Do: looking.Before()})
	b.dst.Faults.Add(testserver.Fault{Class: "PUT manifest", Path: "v1$", Skip: 1, Times: 1, Do: storing.Before()})
	b.dst.Faults.Add(head)
	copies := map[string]chan error{"v1": make(chan error, 1), "v2": make(chan error, 1)}
	begin := func(tag string) {
		go func() {
			_, err := b.engine.Copy(b.context(), b.request("library/app", tag))
			copies[tag] <- err
		}()
	}
	begin("v1")
	testserver.Eventually(t, "the first copy has looked again", func() bool { return storing.Waiting() == 1 })
	begin("v2")
	testserver.Eventually(t, "the second copy looks again", func() bool { return looking.Waiting() == 1 })
	storing.Release()
	testserver.Eventually(t, "the first copy is refused once more", func() bool {
		n := 0
		for _, r := range b.dst.Requests().Of("PUT manifest") {
			if strings.HasSuffix(r.Path, "v1") && r.Status >= 400 {
				n++
			}
		}
		return n == 2
	})
	looking.Release()
	for tag, done := range copies {
		if err := <-done; err != nil {
			t.Errorf("%s: %v", tag, err)
		}
	}
	b.whole("library/app", "v1", first)
	b.whole("library/app", "v2", second)
}
