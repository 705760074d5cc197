package transfer_test

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

func platforms(t testing.TB, names ...string) oci.Platforms {
	t.Helper()
	all, err := oci.ParsePlatforms(names)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// narrow copies repository:tag for some platforms.
func (b *bench) narrow(tag string, rewrite bool, names ...string) transfer.Result {
	b.t.Helper()
	r := b.request("library/app", tag)
	r.Platforms, r.Rewrite = platforms(b.t, names...), rewrite
	return b.do(r)
}

func (b *bench) has(a *testserver.Artifact) bool {
	b.t.Helper()
	_, ok := testserver.Digest(b.t, b.dst, "library/app", a.Digest.String())
	return ok
}

// listed are the digests that an index of the destination lists.
func (b *bench) listed(reference string) (all []digest.Digest) {
	b.t.Helper()
	m, err := client(b.t, b.dst).Manifest(b.t.Context(), "library/app", reference)
	if err != nil {
		b.t.Fatal(err)
	}
	entries, err := oci.Entries(m.Content)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, d := range entries {
		all = append(all, d.Digest)
	}
	return all
}

// sparse is a bench whose destination takes indexes of which something is missing.
func sparse(t testing.TB) *bench {
	t.Helper()
	return newBench(t, testserver.Distribution(t, testserver.WithMemory()), testserver.Distribution(t, testserver.WithMemory(), testserver.WithSparseIndexes()))
}

func TestOfAnIndexOnlyTheChosenPlatformsAreCopied(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		for _, rewrite := range []bool{false, true} {
			name := d.name + ", sparse"
			if rewrite {
				name = d.name + ", rewritten"
			} else if d.name == "distribution v2.8" {
				continue // it takes none, see below
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, testserver.Distribution(t, testserver.WithMemory()), d.start(t, testserver.WithMemory(), testserver.WithSparseIndexes()))
				for tag, index := range map[string]*testserver.Artifact{
					"oci":    testserver.Index(t, 1, "linux/amd64", "linux/arm64", "linux/arm/v7"),
					"docker": testserver.ManifestList(t, 2, "linux/amd64", "linux/arm64", "linux/arm/v7"),
				} {
					testserver.Push(t, b.src, "library/app", tag, index)
					got := b.narrow(tag, rewrite, "linux/amd64", "linux/arm/v7")
					if got.Outcome != transfer.Copied || got.Digest != index.Digest || (got.Stored != "") != rewrite {
						t.Fatalf("%s: %+v", tag, got)
					}
					want := []*testserver.Artifact{index.Children[0], index.Children[2]}
					want = append(want, index.Children[3:]...) // the attestation of the first
					for _, child := range want {
						b.whole("library/app", child.Digest.String(), child)
					}
					if b.has(index.Children[1]) {
						t.Errorf("%s: a platform was copied that was left out", tag)
					}
					stands := index.Digest
					if rewrite {
						stands = got.Stored
						pulled := testserver.Pull(t, b.dst, "library/app", tag)
						if len(pulled.Manifests) != 1+len(want) || pulled.MediaType != index.MediaType {
							t.Errorf("%s: %+v", tag, pulled)
						}
					}
					if at, _ := testserver.Digest(t, b.dst, "library/app", tag); at != stands || got.Placed[0] != (transfer.Placed{Reference: tag, Digest: stands}) {
						t.Errorf("%s is %s, want %s; placed %v", tag, at, stands, got.Placed)
					}
					b.quiet()
					if again := b.narrow(tag, rewrite, "linux/arm/v7", "linux/amd64"); again.Outcome != transfer.Unchanged || again.Stored != got.Stored {
						t.Errorf("%s: the second time: %+v", tag, again)
					}
					if n := len(b.dst.Requests()); n > 2 {
						t.Errorf("%s: the second time took %d requests:\n%s", tag, n, b.dst.Requests())
					}
				}
			})
		}
	}
}

func TestARegistryThatTakesNoSparseIndexIsSaidWhatToDo(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, testserver.Distribution(t, testserver.WithMemory()), d.start(t, testserver.WithMemory()))
			index := testserver.Index(t, 1)
			testserver.Push(t, b.src, "library/app", "v1", index)
			r := b.request("library/app", "v1")
			r.Platforms = platforms(t, "linux/amd64")
			err := b.fail(r)
			wantText(t, err.Error(), "platform_mode: rewrite", "validation.manifests.indexes.platforms: none")
			if transfer.IsRetryable(err) {
				t.Errorf("it is said that it may pass: %v", err)
			}
			if _, there := testserver.Digest(t, b.dst, "library/app", "v1"); there || b.has(index.Children[1]) {
				t.Error("the index, or what was left out of it, is at the destination")
			}
			if got := b.narrow("v1", true, "linux/amd64"); got.Outcome != transfer.Copied {
				t.Errorf("rewritten: %+v", got)
			}
		})
	}
}

func TestWhatOneCopyLeftOutAnotherBrings(t *testing.T) {
	t.Parallel()
	all := []string{"linux/amd64", "linux/arm64", "linux/arm/v7"}
	for _, c := range []struct {
		name string
		then func(b *bench, index *testserver.Artifact) // after amd64 was copied under v1
	}{
		{"everything, under the same tag", func(b *bench, index *testserver.Artifact) {
			b.copy("library/app", "v1")
			b.whole("library/app", "v1", index)
		}},
		{"everything, under another tag", func(b *bench, index *testserver.Artifact) {
			b.copy("library/app", "latest")
			b.whole("library/app", "latest", index)
		}},
		{"everything, by digest", func(b *bench, index *testserver.Artifact) {
			r := b.request("library/app", index.Digest.String())
			r.TargetReference = ""
			b.do(r)
			b.whole("library/app", index.Digest.String(), index)
		}},
		{"everything, as part of another index", func(b *bench, index *testserver.Artifact) {
			outer := testserver.IndexOf(b.t, index, testserver.Image(b.t, 99, 1, 100))
			testserver.Push(b.t, b.src, "library/app", "outer", outer)
			b.copy("library/app", "outer")
			b.whole("library/app", "outer", outer)
		}},
		{"more platforms", func(b *bench, index *testserver.Artifact) {
			if got := b.narrow("v1", false, "linux/amd64", "linux/arm64"); got.Outcome != transfer.Copied {
				b.t.Errorf("%+v", got)
			}
			b.whole("library/app", index.Children[1].Digest.String(), index.Children[1])
			if b.has(index.Children[2]) {
				b.t.Error("it brought all of them")
			}
		}},
		{"another platform, under another tag", func(b *bench, index *testserver.Artifact) {
			b.narrow("latest", false, "linux/arm64")
			b.whole("library/app", index.Children[1].Digest.String(), index.Children[1])
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := sparse(t)
			index := testserver.Index(t, 1, all...)
			testserver.Push(t, b.src, "library/app", "v1", index)
			testserver.Push(t, b.src, "library/app", "latest", index)
			b.narrow("v1", false, "linux/amd64")
			if b.has(index.Children[1]) || b.has(index.Children[2]) {
				t.Fatal("the first copy left nothing out")
			}
			c.then(b, index)
			// And the books agree: what is whole counts as whole.
			b.copy("library/app", "v1")
			b.whole("library/app", "v1", index)
			b.quiet()
			if got := b.copy("library/app", "v1"); got.Outcome != transfer.Unchanged {
				t.Errorf("at last: %+v", got)
			}
		})
	}
}

// Who copies all of an index must not be given the result of who leaves something out.
func TestSparseAndWholeCopiesAtTheSameTimeDoNotShareAnIndex(t *testing.T) {
	t.Parallel()
	b := sparse(t)
	inner := testserver.Index(t, 1)
	outer := testserver.IndexOf(t, inner, testserver.Image(t, 9, 1, 100))
	tags := []string{"a", "b", "c", "d", "e", "f"}
	for _, tag := range tags {
		testserver.Push(t, b.src, "library/app", tag, outer)
	}
	var wg sync.WaitGroup
	for i, tag := range tags {
		r := b.request("library/app", tag)
		if i%2 == 0 {
			r.Platforms = platforms(t, "linux/amd64")
		}
		wg.Go(func() {
			if _, err := b.engine.Copy(b.context(), r); err != nil {
				t.Errorf("%s: %v", tag, err)
			}
		})
	}
	wg.Wait()
	b.whole("library/app", "b", outer)
}

func TestIndexesWithinIndexesAreNarrowedToo(t *testing.T) {
	t.Parallel()
	for _, rewrite := range []bool{false, true} {
		b := sparse(t)
		nested := testserver.NestedIndex(t, 1) // of an index for amd64 and arm64, and an image for amd64
		inner, image := nested.Children[0], nested.Children[1]
		testserver.Push(t, b.src, "library/app", "v1", nested)
		got := b.narrow("v1", rewrite, "linux/arm64")
		b.whole("library/app", inner.Children[1].Digest.String(), inner.Children[1])
		for _, left := range []*testserver.Artifact{image, inner.Children[0], inner.Children[2]} {
			if b.has(left) {
				t.Errorf("rewrite %v: %s was copied", rewrite, left.Digest)
			}
		}
		if b.has(inner) == rewrite {
			t.Errorf("rewrite %v: that the index within is there is %v", rewrite, !rewrite)
		}
		if rewrite {
			pulled := testserver.Pull(t, b.dst, "library/app", "v1")
			if len(pulled.Manifests) != 3 || pulled.Digest != got.Stored {
				t.Errorf("%+v of %+v", pulled, got)
			}
		}
		if again := b.narrow("v1", rewrite, "linux/arm64"); again.Outcome != transfer.Unchanged {
			t.Errorf("rewrite %v: the second time: %+v", rewrite, again)
		}
		if !rewrite { // what is left out within is missed by who wants all
			b.copy("library/app", "v1")
			b.whole("library/app", "v1", nested)
		}
	}
}

func TestAManifestThatIsListedForSeveralPlatformsIsOneOfEach(t *testing.T) {
	t.Parallel()
	for _, rewrite := range []bool{false, true} {
		b := sparse(t)
		image, other := testserver.Image(t, 1, 1, 100), testserver.Image(t, 2, 1, 100)
		as := func(a *testserver.Artifact, architecture string) *testserver.Artifact {
			one := *a
			one.Platform = &ocispec.Platform{OS: "linux", Architecture: architecture}
			return &one
		}
		index := testserver.IndexOf(t, as(image, "amd64"), as(other, "s390x"), as(image, "arm64"))
		testserver.Push(t, b.src, "library/app", "v1", index)
		b.narrow("v1", rewrite, "linux/arm64")
		b.whole("library/app", image.Digest.String(), image)
		if b.has(other) {
			t.Errorf("rewrite %v: what is left out was copied", rewrite)
		}
		if listed := b.listed("v1"); rewrite && !slices.Equal(listed, []digest.Digest{image.Digest}) {
			t.Errorf("the smaller index lists %v", listed)
		}
	}
}

func TestWhatIsForOtherPlatformsIsLeftOut(t *testing.T) {
	t.Parallel()
	thing := testserver.UnknownArtifact(t, 3)
	for _, c := range []struct {
		name     string
		artifact *testserver.Artifact
		want     transfer.Outcome
		reason   string
	}{
		{"an image for another", testserver.Image(t, 1, 1, 100), transfer.LeftOut, "linux/arm64, linux/s390x) but for linux/amd64"},
		{"a docker image for another", testserver.DockerImage(t, 2), transfer.LeftOut, "but for linux/amd64"},
		{"an index for others", testserver.Index(t, 1, "linux/amd64", "windows/amd64"), transfer.LeftOut, "but for linux/amd64, windows/amd64"},
		{"an index of an index for others", testserver.IndexOf(t, testserver.Index(t, 1, "linux/386")), transfer.LeftOut, "but for linux/386"},
		{"what has no platform", thing, transfer.Copied, ""},
		{"an index of things without a platform", testserver.IndexOf(t, thing, testserver.UnknownArtifact(t, 4)), transfer.Copied, ""},
		{"an index for some of them only", testserver.Index(t, 1, "linux/arm64"), transfer.Copied, ""},
	} {
		b := cold(t)
		testserver.Push(t, b.src, "library/app", "v1", c.artifact)
		got := b.narrow("v1", false, "linux/arm64", "linux/s390x")
		if got.Outcome != c.want || got.Digest != c.artifact.Digest || !strings.Contains(got.Reason, c.reason) {
			t.Errorf("%s: %+v", c.name, got)
		}
		if c.want == transfer.Copied {
			b.whole("library/app", "v1", c.artifact)
		} else if len(b.dst.Requests().Of("PUT manifest")) > 0 || len(got.Placed) > 0 {
			t.Errorf("%s: something was put: %+v", c.name, got)
		}
	}
}

func TestAccessoriesStayWithWhatTheyReferTo(t *testing.T) {
	t.Parallel()
	for _, rewrite := range []bool{false, true} {
		b := sparse(t)
		index := testserver.Index(t, 1)
		chosen, left := index.Children[1], index.Children[0]
		ofIndex, ofChosen, ofLeft := testserver.Referrer(t, index, "application/x.sbom", 1), testserver.Referrer(t, chosen, "application/x.sbom", 2), testserver.Referrer(t, left, "application/x.sbom", 3)
		testserver.Push(t, b.src, "library/app", "v1", index)
		for _, a := range []*testserver.Artifact{ofIndex, ofChosen, ofLeft} {
			testserver.Push(t, b.src, "library/app", "", a)
		}
		testserver.Push(t, b.src, "library/app", testserver.CosignTag(index.Digest), testserver.CosignSignature(t, index))
		r := b.request("library/app", "v1")
		r.Platforms, r.Rewrite, r.Accessories = platforms(t, "linux/arm64"), rewrite, true
		b.do(r)
		b.whole("library/app", ofChosen.Digest.String(), ofChosen)
		if b.has(ofLeft) || b.has(ofIndex) == rewrite {
			t.Errorf("rewrite %v: of what is left out %v, of the index %v", rewrite, b.has(ofLeft), b.has(ofIndex))
		}
		if _, signed := testserver.Digest(t, b.dst, "library/app", testserver.CosignTag(index.Digest)); signed == rewrite {
			t.Errorf("rewrite %v: that the signature of the index is there is %v", rewrite, signed)
		}
		if said := strings.Contains(b.log.String(), "accessories of the index "); said != rewrite {
			t.Errorf("rewrite %v: the log:\n%s", rewrite, b.log)
		}
	}
}

func TestVerificationOfASparseIndexMissesOnlyWhatIsWanted(t *testing.T) {
	t.Parallel()
	b := sparse(t)
	nested := testserver.NestedIndex(t, 1)
	testserver.Push(t, b.src, "library/app", "v1", nested)
	b.narrow("v1", false, "linux/arm64")
	lacks := func(names ...string) int {
		p, err := transfer.ReadPortion(b.context(), b.source, "library/app", "v1", platforms(t, names...), false)
		if err != nil {
			t.Fatal(err)
		}
		found, err := b.engine.NewVerification().Lacks(b.context(), "library/app", nested.Digest, p.Wanted...)
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	if n := lacks("linux/arm64"); n != 0 {
		t.Errorf("%d are missed of what is there", n)
	}
	if n := lacks("linux/amd64"); n == 0 {
		t.Error("for another platform nothing is missing")
	}
	if found, err := b.engine.NewVerification().Lacks(b.context(), "library/app", nested.Digest); err != nil || len(found) == 0 {
		t.Errorf("for all platforms %v is missing, %v", found, err)
	}
	if err := client(t, b.dst).DeleteManifest(t.Context(), "library/app", nested.Children[0].Children[1].Digest); err != nil {
		t.Fatal(err)
	}
	if n := lacks("linux/arm64"); n != 1 {
		t.Errorf("%d are missed of one that was taken away", n)
	}
}

func TestLargeAndLyingIndexesEndInReasonableTime(t *testing.T) {
	t.Parallel()
	image := testserver.Image(t, 1, 1, 100)
	entries := []ocispec.Descriptor{{
		MediaType: image.MediaType, Digest: image.Digest, Size: int64(len(image.Manifest)), Platform: &ocispec.Platform{OS: "linux", Architecture: "arm64"},
	}}
	for i := range 20_000 {
		entries = append(entries, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(strings.Repeat("x", i)), Size: 1, Platform: &ocispec.Platform{OS: "l", Architecture: "a"},
		})
	}
	index := func(entries []ocispec.Descriptor) registry.Manifest {
		return rawManifest(t, ocispec.MediaTypeImageIndex, ocispec.Index{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries,
		})
	}
	src := scripted(t, index(entries))
	testserver.Push(t, src, "library/app", "image", image)
	b := newBench(t, src, testserver.Distribution(t, testserver.WithMemory()))
	b.narrow("v1", true, "linux/arm64")
	if listed := b.listed("v1"); !slices.Equal(listed, []digest.Digest{image.Digest}) {
		t.Errorf("%d entries are left", len(listed))
	}

	// One that lists itself as what it cannot be, and names no platform, is read and refused.
	nested := index([]ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromString("gone"), Size: 1}})
	lying := newBench(t, scripted(t, nested), testserver.Distribution(t, testserver.WithMemory()))
	r := lying.request("library/app", "v1")
	r.Platforms = platforms(t, "linux/arm64")
	wantText(t, lying.fail(r).Error(), "names no platform")
}

func TestASignatureIsFoundWhereItsToolKeepsIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		push func(b *bench, image *testserver.Artifact)
		want bool
	}{
		{"none", func(*bench, *testserver.Artifact) {}, false},
		{"cosign's tag", func(b *bench, image *testserver.Artifact) {
			testserver.Push(b.t, b.src, "library/app", testserver.CosignTag(image.Digest), testserver.CosignSignature(b.t, image))
		}, true},
		{"notation", func(b *bench, image *testserver.Artifact) {
			testserver.Push(b.t, b.src, "library/app", "", testserver.Referrer(b.t, image, "application/vnd.cncf.notary.signature", 5))
		}, true},
		{"cosign's referrer", func(b *bench, image *testserver.Artifact) {
			testserver.Push(b.t, b.src, "library/app", "", testserver.Referrer(b.t, image, "application/vnd.dev.cosign.artifact.sig.v1+json", 5))
		}, true},
		{"an SBOM", func(b *bench, image *testserver.Artifact) {
			testserver.Push(b.t, b.src, "library/app", "", testserver.Referrer(b.t, image, "application/spdx+json", 5))
		}, false},
		{"an attestation's tag", func(b *bench, image *testserver.Artifact) {
			testserver.Push(b.t, b.src, "library/app", strings.TrimSuffix(testserver.CosignTag(image.Digest), ".sig")+".att", testserver.CosignSignature(b.t, image))
		}, false},
	} {
		for _, d := range destinations { // as sources
			b := newBench(t, d.start(t, testserver.WithMemory()), testserver.Distribution(t, testserver.WithMemory()))
			image := testserver.Image(t, 1, 1, 100)
			testserver.Push(t, b.src, "library/app", "v1", image)
			c.push(b, image)
			got, err := b.engine.Signed(b.context(), b.source, "library/app", image.Digest, time.Now())
			if err != nil || got != c.want {
				t.Errorf("%s at %s: %v, %v", c.name, d.name, got, err)
			}
		}
	}
	b := cold(t)
	image := testserver.Image(t, 1, 1, 100)
	testserver.Push(t, b.src, "library/app", "v1", image)
	b.src.Faults.Add(testserver.Fault{Class: "GET tags", Do: testserver.Status(http.StatusServiceUnavailable)})
	if signed, err := b.engine.Signed(b.context(), b.source, "library/app", image.Digest, time.Now()); err == nil {
		t.Errorf("a source that cannot be asked says %v", signed)
	}
}
