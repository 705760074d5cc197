package demo

import (
	"net"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/testserver"
)

func client(t *testing.T, url string) *registry.Client {
	t.Helper()
	c, err := registry.NewClient(registry.Endpoint{Provider: registry.ProviderDockerRegistry, URL: url}, registry.Options{Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestAnImageIsTheSameEveryTimeAndComesBackWhole(t *testing.T) {
	t.Parallel()
	image, err := NewImage("1.0")
	if err != nil {
		t.Fatal(err)
	}
	again, err := NewImage("1.0")
	if err != nil || again.Index.Digest != image.Index.Digest {
		t.Errorf("%s and %s, %v", image.Index.Digest, again.Index.Digest, err)
	}
	r := testserver.Distribution(t)
	c := client(t, r.URL)
	if err := image.Push(t.Context(), c, "library/hello", "1.0"); err != nil {
		t.Fatal(err)
	}
	pulled, err := Pull(t.Context(), c, "library/hello", image.Index.Digest)
	if err != nil {
		t.Fatal(err)
	}
	var sum int64
	kinds := map[string]int{}
	for _, p := range pulled {
		sum += p.Bytes
		kinds[p.Kind]++
	}
	if sum != image.Size() || kinds["index"] != 1 || kinds["manifest"] != 2 || kinds["config"] != 2 || kinds["layer"] != 3 {
		t.Errorf("%d bytes of %d: %v", sum, image.Size(), kinds)
	}
	// An ordinary client agrees.
	if p := testserver.Pull(t, r, "library/hello", "1.0"); p.Digest != image.Index.Digest {
		t.Errorf("another client pulls %s", p.Digest)
	}
}

func TestPullNoticesDamage(t *testing.T) {
	t.Parallel()
	image, err := NewImage("1.0")
	if err != nil {
		t.Fatal(err)
	}
	for name, harm := range map[string]func(r *testserver.Registry){
		"a damaged layer": func(r *testserver.Registry) {
			r.Faults.Add(testserver.Fault{Class: "GET blob", Do: testserver.CorruptResponse(100)})
		},
		"a lost blob": func(r *testserver.Registry) {
			for d := range image.blobs {
				r.LoseBlob(t, d)
				return
			}
		},
		"a missing manifest": func(r *testserver.Registry) {
			testserver.Delete(t, r, "library/hello", image.Manifests[1].Digest.String())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := testserver.Distribution(t)
			c := client(t, r.URL)
			if err := image.Push(t.Context(), c, "library/hello", "1.0"); err != nil {
				t.Fatal(err)
			}
			harm(r)
			if _, err := Pull(t.Context(), c, "library/hello", image.Index.Digest); err == nil || !strings.HasPrefix(err.Error(), "pull ") {
				t.Errorf("the pull succeeds: %v", err)
			}
		})
	}
}

func TestATakenPortIsLeftAlone(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	cluster, err := StartCluster(t.Context(), taken.Addr().String(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	}()
	if cluster.URL == "http://"+taken.Addr().String() {
		t.Error("two listen at one address")
	}
	if err := client(t, cluster.URL).Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := Listen(t.Context(), "nonsense"); err == nil {
		t.Error("an address that is none is listened at")
	}
}
