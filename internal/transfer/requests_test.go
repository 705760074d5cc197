package transfer_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

func TestUnchangedTagCostsOneHeadAtEachSide(t *testing.T) {
	t.Parallel()
	b := cold(t)
	testserver.Push(t, b.src, "library/app", "v1", testserver.Image(t, 1, 3, 1000))
	b.copy("library/app", "v1")

	b.quiet()
	b.copy("library/app", "v1")
	wantCounts(t, "destination", b.dst.Requests(), map[string]int{"HEAD manifest": 1})
	wantCounts(t, "source", b.src.Requests(), map[string]int{"HEAD manifest": 1})
}

func TestUnchangedTagCostsNothingWhenBothSidesAreKnown(t *testing.T) {
	t.Parallel()
	b := cold(t)
	a := testserver.Image(t, 1, 3, 1000)
	testserver.Push(t, b.src, "library/app", "v1", a)
	b.copy("library/app", "v1")

	b.quiet()
	r := b.request("library/app", "v1")
	r.SourceDigest, r.Target = a.Digest, transfer.Holding(a.Digest)
	if got := b.do(r); got.Outcome != transfer.Unchanged {
		t.Errorf("outcome %s", got.Outcome)
	}
	wantCounts(t, "destination", b.dst.Requests(), nil)
	wantCounts(t, "source", b.src.Requests(), nil)
}

func TestNewImageCostsThreeRequestsForEachBlob(t *testing.T) {
	t.Parallel()
	b := cold(t)
	testserver.Push(t, b.src, "library/app", "v1", testserver.Image(t, 1, 4, 1000))
	b.quiet()
	b.copy("library/app", "v1")
	wantCounts(t, "destination", b.dst.Requests(), map[string]int{
		"HEAD manifest": 1, "HEAD blob": 5, "POST upload": 5, "PUT upload": 5, "PUT manifest": 1,
	})
	wantCounts(t, "source", b.src.Requests(), map[string]int{"GET manifest": 1, "GET blob": 5})
}

func TestLaterBlobsCostTwoRequestsWhereTheRegistryMountsFromItself(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, testserver.Distribution(t, testserver.WithMemory()), d.start(t, testserver.WithMemory()))
			first, second := testserver.Image(t, 1, 14, 500), testserver.Image(t, 2, 9, 500)
			testserver.Push(t, b.src, "library/app", "v1", first)
			testserver.Push(t, b.src, "library/app", "v2", second)
			b.copy("library/app", "v1")
			b.quiet()
			b.copy("library/app", "v2")
			wantCounts(t, "destination", b.dst.Requests(), map[string]int{
				"HEAD manifest": 1, "POST mount": 10, "PUT upload": 10, "PUT manifest": 1,
			})
			b.whole("library/app", "v2", second)
		})
	}
}

func TestBlobsThatAreThereCostOneRequest(t *testing.T) {
	t.Parallel()
	b := cold(t)
	a := testserver.Image(t, 1, 4, 1000)
	testserver.Push(t, b.src, "library/app", "v1", a)
	testserver.Push(t, b.dst, "library/app", "other", a)
	b.quiet()
	got := b.copy("library/app", "v1")
	wantCounts(t, "destination", b.dst.Requests(), map[string]int{"HEAD manifest": 1, "HEAD blob": 5, "PUT manifest": 1})
	wantCounts(t, "source", b.src.Requests(), map[string]int{"GET manifest": 1})
	if got.BytesPresent != a.BlobBytes() || got.BytesSent != 0 {
		t.Errorf("%+v, want %d bytes present", got, a.BlobBytes())
	}
}

func TestSecondTagOfTheSameDigestIsOnePut(t *testing.T) {
	t.Parallel()
	b := cold(t)
	a := testserver.Index(t, 1)
	testserver.Push(t, b.src, "library/app", "v1", a)
	testserver.PutTag(t, b.src, "library/app", "latest", a)
	b.copy("library/app", "v1")
	b.quiet()
	b.copy("library/app", "latest")
	wantCounts(t, "destination", b.dst.Requests(), map[string]int{"HEAD manifest": 1, "PUT manifest": 1})
	wantCounts(t, "source", b.src.Requests(), map[string]int{"GET manifest": 1})
	b.whole("library/app", "latest", a)
}

func TestSecondTagOfAnIndexIsOnePutForANewEngineToo(t *testing.T) {
	t.Parallel()
	b := cold(t)
	a := testserver.Index(t, 1)
	testserver.Push(t, b.src, "library/app", "v1", a)
	testserver.PutTag(t, b.src, "library/app", "latest", a)
	b.copy("library/app", "v1")
	b.quiet()
	again := newBench(t, b.src, b.dst)
	again.copy("library/app", "latest")
	wantCounts(t, "destination", b.dst.Requests(), map[string]int{"HEAD manifest": 2, "PUT manifest": 1})
	wantCounts(t, "source", b.src.Requests(), map[string]int{"GET manifest": 1})
}

func TestMovedIndexFetchesOnlyTheChildrenThatChanged(t *testing.T) {
	t.Parallel()
	b := cold(t)
	same, old, fresh := testserver.Image(t, 1, 2, 500), testserver.Image(t, 2, 2, 500), testserver.Image(t, 3, 2, 500)
	before, after := testserver.IndexOf(t, same, old), testserver.IndexOf(t, same, fresh)
	testserver.Push(t, b.dst, "library/app", "v1", before)
	testserver.Push(t, b.src, "library/app", "v1", after)
	b.quiet()
	got := b.copy("library/app", "v1")
	if got.Previous != before.Digest {
		t.Errorf("previous %s, want %s", got.Previous, before.Digest)
	}
	wantCounts(t, "source", b.src.Requests(), map[string]int{"HEAD manifest": 1, "GET manifest": 2, "GET blob": 3})
	wantCounts(t, "destination", b.dst.Requests(), map[string]int{
		"HEAD manifest": 4, "HEAD blob": 3, "POST upload": 3, "PUT upload": 3, "PUT manifest": 2,
	})
	b.whole("library/app", "v1", after)
}

func TestBlobIsMountedIntoOtherRepositories(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, testserver.Distribution(t, testserver.WithMemory()), d.start(t, testserver.WithMemory()))
			a := testserver.Image(t, 1, 4, 1000)
			for _, repository := range []string{"library/a", "library/b", "library/c"} {
				testserver.Push(t, b.src, repository, "v1", a)
			}
			b.copy("library/a", "v1")
			b.quiet()
			got := b.copy("library/b", "v1")
			if got.BytesMounted != a.BlobBytes() || got.BytesSent != 0 {
				t.Errorf("%+v, want %d bytes mounted", got, a.BlobBytes())
			}
			// The first ones are looked up, until one mount has worked.
			if n := b.dst.Requests().Count("PUT upload", "POST upload"); n != 0 {
				t.Errorf("%d uploads:\n%s", n, b.dst.Requests())
			}
			b.quiet()
			b.copy("library/c", "v1")
			wantCounts(t, "destination", b.dst.Requests(), map[string]int{"HEAD manifest": 1, "POST mount": 5, "PUT manifest": 1})
			wantCounts(t, "source", b.src.Requests(), map[string]int{"GET manifest": 1})
			b.whole("library/b", "v1", a)
			b.whole("library/c", "v1", a)
		})
	}
}

func TestRefusedMountsBecomeUploadsAndAreNotTriedForEver(t *testing.T) {
	t.Parallel()
	b := cold(t)
	b.dst.Faults.Add(testserver.Fault{Class: "POST mount", Do: testserver.RefuseMount()})
	a := testserver.Image(t, 1, 4, 1000)
	for _, repository := range []string{"library/a", "library/b", "library/c"} {
		testserver.Push(t, b.src, repository, "v1", a)
	}
	b.copy("library/a", "v1")
	if got := b.copy("library/b", "v1"); got.BytesSent != a.BlobBytes() {
		t.Errorf("%+v, want %d bytes sent", got, a.BlobBytes())
	}
	b.whole("library/b", "v1", a)
	b.quiet()
	b.copy("library/c", "v1")
	b.whole("library/c", "v1", a)
	if n := b.dst.Requests().Count("POST mount"); n != 0 {
		t.Errorf("%d mounts were tried though none has ever worked", n)
	}
	// An open session that a refused mount left is used, not left lying about.
	wantCounts(t, "source", b.src.Requests().Of("GET blob"), map[string]int{"GET blob": 5})
}

func TestConcurrentCopiesMoveEachBlobOnce(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, testserver.Distribution(t, testserver.WithMemory()), d.start(t, testserver.WithMemory()))
			base := testserver.Image(t, 1, 4, 300<<10)
			images := make([]*testserver.Artifact, 12)
			var bytes int64
			for i := range images {
				images[i] = testserver.ImageOn(t, base, uint64(10+i), 1, 1000)
				testserver.Push(t, b.src, fmt.Sprintf("library/app%d", i%4), fmt.Sprintf("v%d", i), images[i])
			}
			seen := map[string]bool{}
			for _, image := range images {
				for _, blob := range image.Blobs {
					if !seen[blob.Digest.String()] {
						seen[blob.Digest.String()] = true
						bytes += blob.Size
					}
				}
			}
			b.quiet()
			var wg sync.WaitGroup
			for i := range images {
				wg.Go(func() {
					if _, err := b.engine.Copy(b.context(), b.request(fmt.Sprintf("library/app%d", i%4), fmt.Sprintf("v%d", i))); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := b.src.Requests().Count("GET blob"); n != len(seen) {
				t.Errorf("%d blobs were read from the source, there are %d", n, len(seen))
			}
			if n := b.dst.Requests().Count("PUT upload"); n != len(seen) {
				t.Errorf("%d blobs were sent, there are %d", n, len(seen))
			}
			if n := b.dst.Requests().BytesIn("PUT upload"); n != bytes {
				t.Errorf("%d bytes were sent, the blobs have %d", n, bytes)
			}
			for i, image := range images {
				b.whole(fmt.Sprintf("library/app%d", i%4), fmt.Sprintf("v%d", i), image)
			}
		})
	}
}

func TestCopyWithinOneRegistryMountsFromTheSource(t *testing.T) {
	t.Parallel()
	r := testserver.Distribution(t, testserver.WithMemory())
	b := newBench(t, r, r)
	a := testserver.Image(t, 1, 3, 1000)
	testserver.Push(t, r, "library/app", "v1", a)
	request := b.request("library/app", "v1")
	request.TargetRepository = "mirror/app"
	if got := b.do(request); got.BytesMounted != a.BlobBytes() || got.BytesSent != 0 {
		t.Errorf("%+v, want all bytes mounted", got)
	}
	b.whole("mirror/app", "v1", a)
}
