package transfer_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

// signed pushes an index to a source with all sorts of accessories: a signature of
// the index, an SBOM of one child, a signature of the SBOM, and a cosign tag.
type signed struct {
	index                               *testserver.Artifact
	signature, sbom, sbomSignature, tag *testserver.Artifact
}

func pushSigned(t testing.TB, r *testserver.Registry, repository string) signed {
	t.Helper()
	s := signed{index: testserver.Index(t, 1)}
	s.signature = testserver.Referrer(t, s.index, "application/vnd.example.signature", 1)
	s.sbom = testserver.Referrer(t, s.index.Children[1], "application/vnd.example.sbom", 2)
	s.sbomSignature = testserver.Referrer(t, s.sbom, "application/vnd.example.signature", 3)
	s.tag = testserver.CosignSignature(t, s.index)
	testserver.Push(t, r, repository, "v1", s.index)
	testserver.Push(t, r, repository, "", s.signature)
	testserver.Push(t, r, repository, "", s.sbom)
	testserver.Push(t, r, repository, "", s.sbomSignature)
	testserver.Push(t, r, repository, testserver.CosignTag(s.index.Digest), s.tag)
	return s
}

func (s signed) wantAt(t testing.TB, b *bench, repository string) {
	t.Helper()
	b.whole(repository, "v1", s.index)
	b.whole(repository, testserver.CosignTag(s.index.Digest), s.tag)
	for subject, want := range map[digest.Digest]digest.Digest{
		s.index.Digest: s.signature.Digest, s.index.Children[1].Digest: s.sbom.Digest, s.sbom.Digest: s.sbomSignature.Digest,
	} {
		if got := testserver.Referrers(t, b.dst, repository, subject); !slices.Equal(got, []digest.Digest{want}) {
			t.Errorf("referrers of %s: %v, want %s", subject, got, want)
		}
		b.whole(repository, want.String(), map[digest.Digest]*testserver.Artifact{
			s.signature.Digest: s.signature, s.sbom.Digest: s.sbom, s.sbomSignature.Digest: s.sbomSignature,
		}[want])
	}
}

func TestAccessoriesFollowTheirSubject(t *testing.T) {
	t.Parallel()
	sources := destinations[:3:3]
	for _, from := range sources {
		if from.name == "distribution v2.8" {
			continue // the same as v3 here
		}
		for _, to := range destinations {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, from.start(t, testserver.WithMemory()), to.start(t, testserver.WithMemory()))
				s := pushSigned(t, b.src, "library/app")
				r := b.request("library/app", "v1")
				r.Accessories = true
				got := b.do(r)
				s.wantAt(t, b, "library/app")
				if len(got.Accessories) != 4 || len(got.Placed) != 5 || got.Placed[0].Reference != "v1" {
					t.Errorf("placed %v", got.Placed)
				}
				sum := s.index.BlobBytes() + s.signature.BlobBytes() + s.sbom.BlobBytes() + s.sbomSignature.BlobBytes() + s.tag.BlobBytes()
				if total := got.BytesSent + got.BytesPresent + got.BytesMounted; total > sum || got.BytesSent < s.index.BlobBytes() {
					t.Errorf("%+v, all blobs have %d bytes", got, sum)
				}
			})
		}
	}
}

func TestAccessoriesAreLeftWhenNotAskedFor(t *testing.T) {
	t.Parallel()
	b := newBench(t, olareg(t), olareg(t))
	s := pushSigned(t, b.src, "library/app")
	b.quiet()
	b.copy("library/app", "v1")
	if n := b.src.Requests().Count("GET referrers", "GET tags"); n != 0 {
		t.Errorf("%d listings", n)
	}
	if got := testserver.Referrers(t, b.dst, "library/app", s.index.Digest); len(got) != 0 {
		t.Errorf("referrers %v", got)
	}
}

func TestAccessoriesThatCameLaterAreFoundOnAnUnchangedSubject(t *testing.T) {
	t.Parallel()
	for _, to := range destinations {
		t.Run(to.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, olareg(t), to.start(t, testserver.WithMemory()))
			index := testserver.Index(t, 1)
			testserver.Push(t, b.src, "library/app", "v1", index)
			r := b.request("library/app", "v1")
			r.Accessories = true
			b.do(r)
			s := pushSigned(t, b.src, "library/app")

			if got := b.do(r); got.Outcome != transfer.Unchanged || got.Accessories != nil {
				t.Errorf("without being asked: %+v", got)
			}
			r.AccessoriesOfUnchanged = true
			if got := b.do(r); got.Outcome != transfer.Unchanged || len(got.Accessories) != 4 {
				t.Errorf("%+v", got)
			}
			s.wantAt(t, b, "library/app")

			b.quiet()
			again := newBench(t, b.src, b.dst)
			again.do(r)
			if n := b.dst.Requests().Count("PUT manifest", "PUT upload", "POST upload", "POST mount"); n != 0 {
				t.Errorf("nothing is new, but:\n%s", b.dst.Requests())
			}
		})
	}
}

func TestSourceWithoutReferrersCostsOneListingForARun(t *testing.T) {
	t.Parallel()
	b := cold(t)
	testserver.Push(t, b.src, "library/app", "v1", testserver.Index(t, 1))
	testserver.Push(t, b.src, "library/app", "v2", testserver.Index(t, 2))
	testserver.Push(t, b.src, "library/app", "v3", testserver.Index(t, 3))
	start := time.Now()
	copyOf := func(tag string) {
		r := b.request("library/app", tag)
		r.Accessories, r.AsOf = true, start
		b.do(r)
	}
	copyOf("v1")
	b.quiet()
	copyOf("v2")
	copyOf("v3")
	wantCounts(t, "source", b.src.Requests().Of("GET tags", "GET referrers"), nil)
	if n := b.src.Requests().Count("GET manifest"); n != 8 {
		t.Errorf("%d manifests were fetched:\n%s", n, b.src.Requests())
	}
	b.quiet()
	start = time.Now()
	testserver.Push(t, b.src, "library/app", "v4", testserver.Index(t, 4))
	copyOf("v4")
	wantCounts(t, "source", b.src.Requests().Of("GET tags", "GET referrers"), map[string]int{"GET tags": 1})
}

func TestListingIsNotRepeatedUntilAMomentThatIsToCome(t *testing.T) {
	t.Parallel()
	b := cold(t)
	testserver.Push(t, b.src, "library/app", "v1", testserver.Image(t, 1, 1, 500))
	r := b.request("library/app", "v1")
	r.Accessories, r.AsOf = true, time.Now().Add(time.Hour) // another machine's clock
	b.quiet()
	b.do(r)
	wantCounts(t, "source", b.src.Requests().Of("GET tags"), map[string]int{"GET tags": 1})
}

func TestReferrersOfOthersStayInTheFallbackIndex(t *testing.T) {
	t.Parallel()
	b := newBench(t, olareg(t), testserver.Distribution(t, testserver.WithMemory()))
	image := testserver.Image(t, 1, 1, 500)
	ours, theirs := testserver.Referrer(t, image, "application/x.ours", 1), testserver.Referrer(t, image, "application/x.theirs", 2)
	testserver.Push(t, b.src, "library/app", "v1", image)
	testserver.Push(t, b.src, "library/app", "", ours)
	testserver.Push(t, b.dst, "library/app", "v1", image)
	testserver.Push(t, b.dst, "library/app", "", theirs)
	tag := testserver.ReferrersTag(image.Digest)
	c := client(t, b.dst)
	m, err := c.Manifest(t.Context(), "library/app", tag)
	if err != nil {
		t.Fatal(err)
	}
	var index map[string]any
	if err := json.Unmarshal(m.Content, &index); err != nil {
		t.Fatal(err)
	}
	index["annotations"] = map[string]string{"kept": "yes"}
	putManifest(t, c, "library/app", tag, rawManifest(t, ocispec.MediaTypeImageIndex, index))

	r := b.request("library/app", "v1")
	r.Accessories, r.AccessoriesOfUnchanged = true, true
	b.do(r)
	got := testserver.Referrers(t, b.dst, "library/app", image.Digest)
	if len(got) != 2 || !slices.Contains(got, ours.Digest) || !slices.Contains(got, theirs.Digest) {
		t.Errorf("referrers %v", got)
	}
	if m, err = c.Manifest(t.Context(), "library/app", tag); err != nil {
		t.Fatal(err)
	}
	wantText(t, string(m.Content), `"kept":"yes"`, `"artifactType":"application/x.ours"`)
}

// Somebody else who writes the index at the same time must not take ours away.
func TestFallbackIndexThatIsOverwrittenMeanwhileIsWrittenAgain(t *testing.T) {
	t.Parallel()
	b := newBench(t, olareg(t), testserver.Distribution(t, testserver.WithMemory()))
	image := testserver.Image(t, 1, 1, 500)
	ours, theirs := testserver.Referrer(t, image, "application/x.ours", 1), testserver.Referrer(t, image, "application/x.theirs", 2)
	testserver.Push(t, b.src, "library/app", "v1", image)
	testserver.Push(t, b.src, "library/app", "", ours)
	testserver.Push(t, b.dst, "library/app", "v1", image)
	testserver.Push(t, b.dst, "library/app", "", theirs)
	tag := testserver.ReferrersTag(image.Digest)
	c := client(t, b.dst)
	before, err := c.Manifest(t.Context(), "library/app", tag)
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	b.dst.Faults.Add(testserver.Fault{Method: http.MethodPut, Path: "/manifests/" + tag + "$", Times: 1, Do: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r)
			once.Do(func() { putManifest(t, c, "library/app", tag, before) })
		})
	}})
	r := b.request("library/app", "v1")
	r.Accessories, r.AccessoriesOfUnchanged = true, true
	b.do(r)
	if got := testserver.Referrers(t, b.dst, "library/app", image.Digest); len(got) != 2 {
		t.Errorf("referrers %v", got)
	}
}

func TestEntriesThatAreGoneDoNotBlockTheFallbackIndex(t *testing.T) {
	t.Parallel()
	b := newBench(t, olareg(t), testserver.Distribution(t, testserver.WithMemory()))
	image := testserver.Image(t, 1, 1, 500)
	ours, theirs := testserver.Referrer(t, image, "application/x.ours", 1), testserver.Referrer(t, image, "application/x.theirs", 2)
	testserver.Push(t, b.src, "library/app", "v1", image)
	testserver.Push(t, b.src, "library/app", "", ours)
	testserver.Push(t, b.dst, "library/app", "v1", image)
	testserver.Push(t, b.dst, "library/app", "", theirs)
	testserver.Delete(t, b.dst, "library/app", theirs.Digest.String())
	r := b.request("library/app", "v1")
	r.Accessories, r.AccessoriesOfUnchanged = true, true
	b.do(r)
	if got := testserver.Referrers(t, b.dst, "library/app", image.Digest); !slices.Equal(got, []digest.Digest{ours.Digest}) {
		t.Errorf("referrers %v", got)
	}
}

func TestManySignaturesOfOneImageAreAllListed(t *testing.T) {
	t.Parallel()
	b := newBench(t, olareg(t), testserver.Distribution(t, testserver.WithMemory()))
	image := testserver.Image(t, 1, 1, 500)
	testserver.Push(t, b.src, "library/app", "v1", image)
	for i := range uint64(20) {
		testserver.Push(t, b.src, "library/app", "", testserver.Referrer(t, image, "application/x.ours", 100+i))
	}
	r := b.request("library/app", "v1")
	r.Accessories = true
	b.do(r)
	if got := testserver.Referrers(t, b.dst, "library/app", image.Digest); len(got) != 20 {
		t.Errorf("%d referrers", len(got))
	}
}
