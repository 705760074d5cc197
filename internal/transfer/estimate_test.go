package transfer_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/oci"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

// cost is what an estimate says that a copy takes. Nothing may be written for it.
func (b *bench) cost(s *transfer.Estimate, r transfer.Request) transfer.Cost {
	b.t.Helper()
	b.dst.ResetRequests()
	got, err := s.Cost(b.context(), r)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range b.dst.Requests() {
		if r.Method != "GET" && r.Method != "HEAD" {
			b.t.Errorf("an estimate sent %s %s", r.Method, r.Path)
		}
	}
	return got
}

func TestAnEstimateIsWhatTheCopyThenTakes(t *testing.T) {
	t.Parallel()
	base := testserver.Image(t, 50, 3, 4000)
	for name, artifacts := range map[string][]*testserver.Artifact{
		"an image":            {testserver.Image(t, 1, 4, 1000)},
		"an index":            {testserver.Index(t, 2)},
		"an index of indexes": {testserver.NestedIndex(t, 3)},
		"foreign layers":      {testserver.ForeignLayerImage(t, 4)},
		"an unknown artifact": {testserver.UnknownArtifact(t, 5)},
		"shared layers":       {base, testserver.ImageOn(t, base, 51, 1, 500), testserver.ImageOn(t, base, 52, 2, 300)},
		"the same image":      {base, base},
	} {
		for _, d := range destinations[:2] {
			t.Run(name+" to "+d.name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, testserver.Distribution(t, testserver.WithMemory(), testserver.WithForeignLayers()),
					d.start(t, testserver.WithMemory(), testserver.WithForeignLayers()))
				var requests []transfer.Request
				for i, a := range artifacts {
					repository := "library/app" + strings.Repeat("x", i)
					testserver.Push(t, b.src, repository, "v1", a)
					requests = append(requests, b.request(repository, "v1"))
				}
				estimate := b.engine.NewEstimate()
				var want, got transfer.Cost
				for i, r := range requests {
					cost := b.cost(estimate, r)
					if cost.Digest != artifacts[i].Digest {
						t.Errorf("the estimate is about %s, want %s", cost.Digest, artifacts[i].Digest)
					}
					want.Send, want.Mount, want.Present = want.Send+cost.Send, want.Mount+cost.Mount, want.Present+cost.Present
					want.Manifests += cost.Manifests
				}
				b.quiet()
				for _, r := range requests {
					result := b.do(r)
					got.Send, got.Mount, got.Present = got.Send+result.BytesSent, got.Mount+result.BytesMounted, got.Present+result.BytesPresent
				}
				got.Manifests = int64(b.src.Requests().Count("GET manifest"))
				if got.Send != want.Send || got.Mount != want.Mount || got.Present != want.Present || got.Manifests != want.Manifests {
					t.Errorf("the copies took %+v, the estimate said %+v", got, want)
				}
				if again := b.cost(b.engine.NewEstimate(), requests[0]); again.Send != 0 || again.Mount != 0 {
					t.Errorf("when it is there it would take %+v", again)
				}
			})
		}
	}
}

func TestAnEstimateCountsAccessories(t *testing.T) {
	t.Parallel()
	b := cold(t)
	s := pushSigned(t, b.src, "library/app")
	r := b.request("library/app", "v1")
	r.Accessories = true
	cost := b.cost(b.engine.NewEstimate(), r)
	result := b.do(r)
	if cost.Send != result.BytesSent || cost.Send <= s.index.BlobBytes() {
		t.Errorf("the estimate says %d bytes, the copy took %d; without accessories %d", cost.Send, result.BytesSent, s.index.BlobBytes())
	}
}

func TestAnEstimateAsksForBlobsThatAreThere(t *testing.T) {
	t.Parallel()
	b := cold(t)
	base := testserver.Image(t, 1, 3, 2000)
	testserver.Push(t, b.dst, "library/app", "old", base)
	next := testserver.ImageOn(t, base, 2, 1, 700)
	testserver.Push(t, b.src, "library/app", "v1", next)
	cost := b.cost(b.engine.NewEstimate(), b.request("library/app", "v1"))
	result := b.do(b.request("library/app", "v1"))
	if cost.Present == 0 || cost.Present != result.BytesPresent || cost.Send != result.BytesSent {
		t.Errorf("estimate %+v, copy %+v", cost, result)
	}
}

func TestAnEstimateNamesThePlatformsOfAnIndex(t *testing.T) {
	t.Parallel()
	b := cold(t)
	testserver.Push(t, b.src, "library/app", "v1", testserver.Index(t, 1, "linux/amd64", "linux/arm/v7"))
	cost := b.cost(b.engine.NewEstimate(), b.request("library/app", "v1"))
	if want := []string{"linux/amd64", "linux/arm/v7"}; !slices.Equal(cost.Platforms, want) {
		t.Errorf("%v, want %v", cost.Platforms, want)
	}
}

// Of many repositories that want one blob at the same time one sends it.
func TestAnEstimateOfManyAtATimeCountsABlobOnce(t *testing.T) {
	t.Parallel()
	b := cold(t)
	image := testserver.Image(t, 1, 2, 3000)
	const repositories = 20
	for i := range repositories {
		testserver.Push(t, b.src, "library/app"+strings.Repeat("x", i), "v1", image)
	}
	estimate := b.engine.NewEstimate()
	var mu sync.Mutex
	var sum transfer.Cost
	var group sync.WaitGroup
	for i := range repositories {
		group.Go(func() {
			cost, err := estimate.Cost(b.context(), b.request("library/app"+strings.Repeat("x", i), "v1"))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			sum.Send, sum.Mount = sum.Send+cost.Send, sum.Mount+cost.Mount
		})
	}
	group.Wait()
	if one := image.BlobBytes(); sum.Send != one || sum.Mount != (repositories-1)*one {
		t.Errorf("%d bytes to send and %d to mount, want %d and %d", sum.Send, sum.Mount, one, (repositories-1)*one)
	}
}

// A real copy beside an estimate does the work itself, and is not told that it was done.
func TestACopyDoesNotBelieveAnEstimate(t *testing.T) {
	t.Parallel()
	b := cold(t)
	index := testserver.Index(t, 1)
	testserver.Push(t, b.src, "library/app", "v1", index)
	hold := testserver.NewHold()
	t.Cleanup(hold.Release)
	b.src.Faults.Add(testserver.Fault{Method: "GET", Path: index.Children[0].Digest.String(), Times: 1, Do: hold.Before()})
	done := make(chan error, 1)
	go func() {
		_, err := b.engine.NewEstimate().Cost(b.context(), b.request("library/app", "v1"))
		done <- err
	}()
	testserver.Eventually(t, "the estimate reads a child", func() bool { return hold.Waiting() > 0 })
	b.copy("library/app", "v1")
	hold.Release()
	if err := <-done; err != nil {
		t.Error(err)
	}
	b.whole("library/app", "v1", index)
}

func TestAnEstimateOfWhatIsGoneFromTheSourceFails(t *testing.T) {
	t.Parallel()
	b := cold(t)
	_, err := b.engine.NewEstimate().Cost(b.context(), b.request("library/app", "v1"))
	if err == nil || !registry.IsNotFound(err) {
		t.Errorf("%v", err)
	}
}

// Of an index for some platforms an estimate is that of what is wanted, and the books
// about what is at the destination stay as they are.
func TestAnEstimateForSomePlatformsIsWhatTheCopyThenTakes(t *testing.T) {
	t.Parallel()
	for _, rewrite := range []bool{true, false} {
		b := newBench(t, testserver.Distribution(t, testserver.WithMemory()),
			testserver.Distribution(t, testserver.WithMemory(), testserver.WithSparseIndexes()))
		index := testserver.Index(t, 1, "linux/amd64", "linux/arm64")
		testserver.Push(t, b.src, "library/app", "v1", index)
		r := b.request("library/app", "v1")
		r.Platforms, r.Rewrite = oci.Platforms{{OS: "linux", Architecture: "amd64"}}, rewrite
		cost := b.cost(b.engine.NewEstimate(), r)
		b.quiet()
		result := b.do(r)
		if result.Outcome != transfer.Copied || cost.Send != result.BytesSent || cost.Send == 0 || cost.Send >= index.BlobBytes() {
			t.Errorf("rewrite %t: estimate %+v, copy %+v", rewrite, cost, result)
		}
		if cost.Digest != index.Digest {
			t.Errorf("rewrite %t: the estimate is about %s", rewrite, cost.Digest)
		}
		if again := b.cost(b.engine.NewEstimate(), r); again.Send != 0 {
			t.Errorf("rewrite %t: when it is there it would take %+v", rewrite, again)
		}
	}
}
