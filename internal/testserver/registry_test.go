package testserver_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, ts.IgnoreLeaks()...) }

// kinds are all registries that can be started.
var kinds = map[string]func(testing.TB, ...ts.Option) *ts.Registry{
	"distribution v3":   ts.Distribution,
	"distribution v2.8": ts.DistributionV2,
	"olareg":            ts.Olareg,
}

func eachKind(t *testing.T, test func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry)) {
	t.Parallel()
	for name, start := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start)
		})
	}
}

func TestEverythingThatIsPushedCanBePulled(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r := start(t, ts.WithForeignLayers(), ts.WithMemory())
		image := ts.Image(t, 1, 3, 10_000)
		for what, a := range map[string]*ts.Artifact{
			"image": image, "on": ts.ImageOn(t, image, 2, 1, 100), "docker": ts.DockerImage(t, 3),
			"index": ts.Index(t, 4), "platforms": ts.Index(t, 5, "linux/amd64", "linux/arm/v7", "windows/amd64"),
			"list": ts.ManifestList(t, 6), "nested": ts.NestedIndex(t, 7), "empty": ts.EmptyLayerImage(t),
			"foreign": ts.ForeignLayerImage(t, 8), "zstd": ts.ZstdImage(t, 9), "unknown": ts.UnknownArtifact(t, 10),
			"referrer": ts.Referrer(t, image, "application/vnd.example.sbom", 11), "cosign": ts.CosignSignature(t, image),
			"no-layers": ts.Image(t, 12, 0, 0),
		} {
			d := ts.Push(t, r, "library/a/b", what, a)
			p := ts.Pull(t, r, "library/a/b", what)
			if p.Digest != d || p.MediaType != a.MediaType || string(p.Manifest) != string(a.Manifest) {
				t.Errorf("%s: pulled %s %s, pushed %s %s", what, p.MediaType, p.Digest, a.MediaType, d)
			}
			if len(p.Manifests) != len(a.All()) {
				t.Errorf("%s: %d manifests, want %d", what, len(p.Manifests), len(a.All()))
			}
			sum := int64(0)
			for _, size := range p.Blobs {
				sum += size
			}
			if sum != a.BlobBytes() {
				t.Errorf("%s: %d bytes, want %d", what, sum, a.BlobBytes())
			}
			if by, ok := ts.Digest(t, r, "library/a/b", d.String()); !ok || by != d {
				t.Errorf("%s: looked up by its digest: %s, %t", what, by, ok)
			}
		}
	})
}

func TestContentFollowsFromTheSeed(t *testing.T) {
	t.Parallel()
	first, again := ts.Index(t, 1), ts.Index(t, 1)
	if first.Digest != again.Digest {
		t.Error("two indexes of one seed differ")
	}
	if ts.Image(t, 1, 1, 100).Digest == ts.Image(t, 2, 1, 100).Digest {
		t.Error("two seeds give the same image")
	}
	base := ts.Image(t, 1, 2, 100)
	on := ts.ImageOn(t, base, 2, 1, 100)
	if len(on.Blobs) != 4 || on.Blobs[1].Digest != base.Blobs[1].Digest || on.Blobs[2].Digest != base.Blobs[2].Digest {
		t.Error("an image does not have the layers of its base")
	}
	if bytes := ts.Image(t, 1, 2, 50_000).BlobBytes(); bytes < 100_000 || bytes > 110_000 {
		t.Errorf("2 layers of 50,000 bytes make %d", bytes)
	}
}

func TestListings(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r := start(t)
		if tags := ts.Tags(t, r, "library/none"); len(tags) != 0 {
			t.Errorf("tags of nothing: %v", tags)
		}
		if _, ok := ts.Digest(t, r, "library/none", "v1"); ok {
			t.Error("there is something where nothing is")
		}
		image := ts.Image(t, 1, 1, 100)
		ts.Push(t, r, "library/b", "v2", image)
		ts.PutTag(t, r, "library/b", "v1", image)
		ts.Push(t, r, "library/a", "v1", image)
		if tags := ts.Tags(t, r, "library/b"); !slices.Equal(tags, []string{"v1", "v2"}) {
			t.Errorf("tags: %v", tags)
		}
		if !strings.HasSuffix(t.Name(), "olareg") { // which has no catalog
			if names := ts.Repositories(t, r); !slices.Equal(names, []string{"library/a", "library/b"}) {
				t.Errorf("repositories: %v", names)
			}
		}
		ts.Delete(t, r, "library/b", image.Digest.String())
		if tags := ts.Tags(t, r, "library/b"); len(tags) != 0 {
			t.Errorf("tags after the deletion of what they stood for: %v", tags)
		}
	})
}

func TestPushManyOffersABlobOncePerRepository(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t, ts.WithMemory())
	index, image := ts.Index(t, 1), ts.Image(t, 2, 1, 100)
	var list []ts.Placing
	for i := range 40 {
		list = append(list, ts.Placing{Repository: fmt.Sprintf("library/r%d", i%4), Tag: fmt.Sprintf("v%d", i), Artifact: index},
			ts.Placing{Repository: fmt.Sprintf("library/r%d", i%4), Tag: fmt.Sprintf("w%d", i), Artifact: image})
	}
	ts.PushMany(t, r, list...)
	for _, one := range list {
		if d, ok := ts.Digest(t, r, one.Repository, one.Tag); !ok || d != one.Artifact.Digest {
			t.Errorf("%s:%s is %s, %t", one.Repository, one.Tag, d, ok)
		}
	}
	ts.Pull(t, r, "library/r3", "v3")
	// An index of 3 children has 3 configs and 5 layers, the image one of each.
	if n := r.Requests().Count("PUT upload"); n != 4*(8+2) {
		t.Errorf("%d blobs were uploaded", n)
	}
	if n := r.Requests().Count("PUT manifest"); n != 80+4*3 {
		t.Errorf("%d manifests were put", n)
	}
}

func TestReferrersWithAndWithoutTheAPI(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*ts.Registry{
		"by tag": ts.Distribution(t), "by API": ts.Olareg(t),
	} {
		image := ts.Image(t, 1, 1, 100)
		ts.Push(t, r, "library/a", "v1", image)
		sbom := ts.Push(t, r, "library/a", "", ts.Referrer(t, image, "application/vnd.example.sbom", 1))
		if got := ts.Referrers(t, r, "library/a", image.Digest); len(got) != 1 || got[0] != sbom {
			t.Errorf("%s: referrers %v, want %s", name, got, sbom)
		}
		_, tagged := ts.Digest(t, r, "library/a", ts.ReferrersTag(image.Digest))
		if tagged != (name != "by API") {
			t.Errorf("%s: there is a tag for them: %t", name, tagged)
		}
	}
}

func TestWhatIsStoredSurvivesRestart(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r := start(t)
		ts.Push(t, r, "library/a", "v1", ts.Image(t, 1, 1, 100))
		url := r.URL
		r.Stop()
		r.Stop()
		// Refused, or reset when the kernel has given the port to somebody who wants no such request.
		if answer, err := r.Client().Get(r.URL + "/v2/"); err == nil {
			_ = answer.Body.Close()
			t.Errorf("while it was stopped: %s", answer.Status)
		}
		r.Restart()
		if r.URL != url {
			t.Errorf("moved from %s to %s", url, r.URL)
		}
		ts.Pull(t, r, "library/a", "v1")
		r.Restart()
		ts.Pull(t, r, "library/a", "v1")
	})
}

func TestMemoryIsLostInRestart(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r := start(t, ts.WithMemory())
		ts.Push(t, r, "library/a", "v1", ts.Image(t, 1, 1, 100))
		ts.Pull(t, r, "library/a", "v1")
		r.Restart()
		if tags := ts.Tags(t, r, "library/a"); len(tags) != 0 {
			t.Errorf("tags after the restart: %v", tags)
		}
	})
}

func TestReadOnly(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		root := t.TempDir()
		image := ts.Image(t, 1, 1, 100)
		writer := start(t, ts.WithRoot(root))
		ts.Push(t, writer, "library/a", "v1", image)
		writer.Stop()
		reader := start(t, ts.WithRoot(root), ts.WithReadOnly())
		ts.Pull(t, reader, "library/a", "v1")
		if err := ts.TryPush(t.Context(), reader, "library/b", "v1", image); err == nil {
			t.Error("a read-only registry took a push")
		}
	})
}

func TestTLSWithAnAuthorityOfItsOwn(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r := start(t, ts.WithTLS())
		if !strings.HasPrefix(r.URL, "https://127.0.0.1:") || !strings.Contains(r.CA, "BEGIN CERTIFICATE") {
			t.Fatalf("URL %s, CA %q", r.URL, r.CA)
		}
		ts.Push(t, r, "library/a", "v1", ts.Image(t, 1, 2, 5000))
		ts.Pull(t, ts.Remote(r.URL, "", "", r.CA), "library/a", "v1")
		strangers := &http.Client{Transport: &http.Transport{}}
		if _, err := strangers.Get(r.URL + "/v2/"); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("who does not know the authority gets %v", err)
		}
	})
}

func TestLostAndDamagedBlobs(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r := start(t)
		if strings.HasSuffix(t.Name(), "olareg") {
			t.Skip("olareg has another layout")
		}
		image := ts.Image(t, 1, 2, 1000)
		ts.Push(t, r, "library/a", "v1", image)
		r.DamageBlob(t, image.Blobs[1].Digest)
		if _, err := ts.TryPull(t.Context(), r, "library/a", "v1"); err == nil {
			t.Error("a damaged blob was pulled")
		}
		r.LoseBlob(t, image.Blobs[2].Digest)
		if _, err := os.Stat(filepath.Join(r.Root, "docker", "registry", "v2", "blobs")); err != nil {
			t.Error(err)
		}
		if _, err := ts.TryPull(t.Context(), r, "library/a", "v1"); err == nil {
			t.Error("a lost blob was pulled")
		}
	})
}

func TestProxyStandsForItsTarget(t *testing.T) {
	t.Parallel()
	target := ts.Distribution(t)
	proxy := ts.Proxy(t, target.URL, ts.WithLatency(5*time.Millisecond))
	begin := time.Now()
	ts.Push(t, proxy, "library/a", "v1", ts.Image(t, 1, 1, 100))
	if took, requests := time.Since(begin), proxy.Requests().Count(); took < 20*time.Millisecond || requests < 8 {
		t.Errorf("%d requests in %s", requests, took)
	}
	ts.Pull(t, target, "library/a", "v1")
	proxy.Faults.Add(ts.Fault{Class: "HEAD manifest", Do: ts.Status(http.StatusTeapot)})
	answer, err := proxy.Client().Head(proxy.URL + "/v2/library/a/manifests/v1")
	if err != nil || answer.StatusCode != http.StatusTeapot {
		t.Errorf("%v %v", answer, err)
	}
}

func TestRequestsAreRecorded(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r := start(t)
		image := ts.Image(t, 1, 1, 5000)
		ts.Push(t, r, "library/a", "v1", image)
		pushed := r.Requests()
		if n := pushed.Count("PUT manifest"); n != 1 {
			t.Errorf("%d manifests put:\n%s", n, pushed)
		}
		if n := pushed.Count("POST upload", "POST mount"); n != 2 {
			t.Errorf("%d uploads begun:\n%s", n, pushed)
		}
		if in := pushed.BytesIn("PATCH upload", "PUT upload"); in != image.BlobBytes() {
			t.Errorf("%d bytes uploaded, want %d", in, image.BlobBytes())
		}
		r.ResetRequests()
		ts.Pull(t, r, "library/a", "v1")
		pulled := r.Requests()
		if out := pulled.BytesOut("GET blob"); out != image.BlobBytes() {
			t.Errorf("%d bytes downloaded, want %d", out, image.BlobBytes())
		}
		get := pulled.Of("GET manifest")
		if len(get) != 1 || get[0].Status != 200 || get[0].Path != "/v2/library/a/manifests/v1" || get[0].Header.Get("Accept") == "" ||
			get[0].BytesOut != int64(len(image.Manifest)) || get[0].End.Before(get[0].Start) {
			t.Errorf("recorded %+v", get)
		}
		if !strings.Contains(pulled.String(), "GET manifest") {
			t.Errorf("table:\n%s", pulled)
		}
	})
}

func TestPeakCountsWhatRunsAtOnce(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	all := ts.Requests{
		{Class: "GET blob", Start: at(0), End: at(10)},
		{Class: "GET blob", Start: at(5), End: at(15)},
		{Class: "GET tags", Start: at(6), End: at(7)},
		{Class: "GET blob", Start: at(15), End: at(20)},
		{Class: "GET base", Start: at(30)}, // still running
	}
	if all.Peak() != 3 || all.Peak("GET blob") != 2 || all.Peak("GET base") != 1 || all.Peak("PUT blob") != 0 {
		t.Errorf("peaks %d %d %d %d", all.Peak(), all.Peak("GET blob"), all.Peak("GET base"), all.Peak("PUT blob"))
	}
}

func TestClasses(t *testing.T) {
	t.Parallel()
	for request, want := range map[string]string{
		"GET /v2/":                                    "GET base",
		"GET /v2/_catalog":                            "GET catalog",
		"GET /v2/a/b/tags/list":                       "GET tags",
		"PUT /v2/a/manifests/v1":                      "PUT manifest",
		"HEAD /v2/a/blobs/sha256:00":                  "HEAD blob",
		"POST /v2/a/blobs/uploads/":                   "POST upload",
		"POST /v2/a/blobs/uploads/?mount=sha256:00":   "POST mount",
		"PATCH /v2/a/blobs/uploads/0-1?_state=x":      "PATCH upload",
		"GET /v2/a/referrers/sha256:00":               "GET referrers",
		"GET /token?scope=repository:a:pull":          "GET token",
		"GET /api/v2.0/projects":                      "GET other",
		"DELETE /v2/manifests/blobs/manifests/latest": "DELETE manifest",
	} {
		method, url, _ := strings.Cut(request, " ")
		r, err := http.NewRequest(method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := ts.Class(r); got != want {
			t.Errorf("%s is %q, want %q", request, got, want)
		}
	}
}

func TestEventuallyWaits(t *testing.T) {
	t.Parallel()
	calls := 0
	ts.Eventually(t, "called five times", func() bool { calls++; return calls == 5 })
	if calls != 5 {
		t.Errorf("called %d times", calls)
	}
}

func TestUnavailable(t *testing.T) {
	t.Setenv("LIGHTERAGE_REQUIRE_ALL", "0")
	var skipped, failed fake
	ts.Unavailable(&skipped, "no %s here", "moon")
	if skipped.said != "skip NOT TESTED HERE: no moon here" {
		t.Errorf("said %q", skipped.said)
	}
	t.Setenv("LIGHTERAGE_REQUIRE_ALL", "1")
	ts.Unavailable(&failed, "no %s here", "moon")
	if !strings.HasPrefix(failed.said, "fail LIGHTERAGE_REQUIRE_ALL=1, but: no moon") {
		t.Errorf("said %q", failed.said)
	}
}

// fake hears what a test would say. Its other methods are not called.
type fake struct {
	testing.TB
	said string
}

func (f *fake) Helper() {}

func (f *fake) Skipf(format string, args ...any) { f.say("skip "+format, args...) }

func (f *fake) Fatalf(format string, args ...any) { f.say("fail "+format, args...) }

func (f *fake) say(format string, args ...any) {
	if f.said == "" {
		f.said = fmt.Sprintf(format, args...)
	}
}
