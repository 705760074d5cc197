package registry_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func digestsOf(list []ocispec.Descriptor) map[digest.Digest]string {
	all := map[digest.Digest]string{}
	for _, d := range list {
		all[d.Digest] = d.ArtifactType
	}
	return all
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func() *ts.Registry{
		"by the API": func() *ts.Registry { return ts.Olareg(t) },
		"by the tag": func() *ts.Registry { return ts.Distribution(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start()
			image := ts.Image(t, 20, 1, 10)
			ts.Push(t, r, "app", "v1", image)
			signature, sbom := ts.Referrer(t, image, "application/x.signature", 21), ts.Referrer(t, image, "application/x.sbom", 22)
			ts.Push(t, r, "app", "", signature)
			ts.Push(t, r, "app", "", sbom)
			c := clientOf(t, r)
			r.ResetRequests()
			for range 2 {
				all, err := c.Referrers(t.Context(), "app", image.Digest)
				want := map[digest.Digest]string{signature.Digest: "application/x.signature", sbom.Digest: "application/x.sbom"}
				if diff := cmp.Diff(want, digestsOf(all)); diff != "" || err != nil {
					t.Errorf("%v\n%s", err, diff)
				}
				one, err := c.ReferrersOfType(t.Context(), "app", image.Digest, "application/x.sbom")
				if err != nil || len(one) != 1 || one[0].Digest != sbom.Digest {
					t.Errorf("of one type: %v, %v", one, err)
				}
				for _, none := range []struct {
					repo string
					d    digest.Digest
				}{{"app", signature.Digest}, {"app", digest.FromString("x")}, {"nope", image.Digest}} {
					if all, err := c.Referrers(t.Context(), none.repo, none.d); len(all) != 0 || err != nil {
						t.Errorf("%v has %v, %v", none, all, err)
					}
				}
			}
			if name == "by the tag" {
				if n := r.Requests().Count("GET referrers"); n != 1 {
					t.Errorf("the API that is not there was asked %d times", n)
				}
			}
		})
	}
}

func TestReferrersInPages(t *testing.T) {
	t.Parallel()
	entry := func(i int) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Size: 1, Digest: digest.FromString(fmt.Sprint(i)), ArtifactType: "t"}
	}
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		page := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
		if page < 2 {
			w.Header().Set("Link", fmt.Sprintf(`<%s?page=%d>; rel="next"`, r.URL.Path, page+1))
		}
		reply(w, map[string]any{"mediaType": ocispec.MediaTypeImageIndex, "schemaVersion": 2, "manifests": []any{entry(page), entry(page + 1), map[string]string{"digest": "nonsense"}}})
	})
	all, err := c.Referrers(t.Context(), "app", digest.FromString("x"))
	if err != nil || len(all) != 4 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestSomethingElseUnderTheReferrersTag(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	image := ts.Image(t, 23, 1, 10)
	ts.Push(t, r, "app", registry.ReferrersTag(image.Digest), image)
	all, err := clientOf(t, r).Referrers(t.Context(), "app", image.Digest)
	if len(all) != 0 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
}

func TestAFailureIsNotAListWithoutReferrers(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	r.Faults.Add(ts.Fault{Class: "GET referrers", Do: ts.Status(http.StatusBadGateway)})
	if _, err := clientOf(t, r).Referrers(t.Context(), "app", digest.FromString("x")); !registry.IsTemporary(err) {
		t.Errorf("%v", err)
	}
}

func TestAWebPageIsNotTheReferrersAPI(t *testing.T) {
	t.Parallel()
	c := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/referrers/") {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<html>"))
			return
		}
		refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "")
	})
	if all, err := c.Referrers(t.Context(), "app", digest.FromString("x")); len(all) != 0 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
}

func TestARepositoryThatIsUnknownSaysNothingOfTheAPI(t *testing.T) {
	t.Parallel()
	r := ts.Olareg(t)
	image := ts.Image(t, 24, 1, 10)
	ts.Push(t, r, "app", "v1", image)
	ts.Push(t, r, "app", "", ts.Referrer(t, image, "application/x", 25))
	c := clientOf(t, r)
	unknown := r.Faults.Add(ts.Fault{Class: "GET referrers", Do: ts.Error(http.StatusNotFound, "NAME_UNKNOWN", "")})
	if all, err := c.Referrers(t.Context(), "nope", image.Digest); len(all) != 0 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	unknown.Remove()
	if all, err := c.Referrers(t.Context(), "app", image.Digest); len(all) != 1 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
}
