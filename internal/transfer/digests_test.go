package transfer_test

import (
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

const otherDigest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"

func TestDamagedSourceBlobIsBlamedOnTheSource(t *testing.T) {
	t.Parallel()
	images := map[string]*testserver.Artifact{"small": testserver.Image(t, 1, 1, 1000), "streamed": bigImage(t)}
	for size, a := range images {
		for _, d := range destinations {
			t.Run(size+" to "+d.name, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, testserver.Distribution(t), d.start(t))
				testserver.Push(t, b.src, "library/app", "v1", a)
				b.src.DamageBlob(t, a.Blobs[1].Digest)
				err := b.fail(b.request("library/app", "v1"))
				wantText(t, err.Error(), "read layer "+a.Blobs[1].Digest.String()[:19], "source blob is damaged", "its bytes have the digest sha256:")
				if e := failureOf(t, err); e.Side != transfer.Source || e.Retryable {
					t.Errorf("%+v", e)
				}
				if _, ok := testserver.Digest(t, b.dst, "library/app", "v1"); ok {
					t.Error("the tag is there without its layer")
				}
			})
		}
	}
}

func TestBytesThatAreSpoiledOnTheirWayOnceAreSentAgain(t *testing.T) {
	t.Parallel()
	images := map[string]*testserver.Artifact{"small": testserver.Image(t, 1, 1, 1000), "streamed": bigImage(t)}
	for size, a := range images {
		t.Run(size+", from the source", func(t *testing.T) {
			t.Parallel()
			b := onDisk(t)
			testserver.Push(t, b.src, "library/app", "v1", a)
			b.src.Faults.Add(testserver.Fault{Class: "GET blob", Path: a.Blobs[1].Digest.String(), Times: 1, Do: testserver.CorruptResponse(100)})
			b.copy("library/app", "v1")
			b.whole("library/app", "v1", a)
		})
		t.Run(size+", to the destination", func(t *testing.T) {
			t.Parallel()
			b := onDisk(t)
			testserver.Push(t, b.src, "library/app", "v1", a)
			b.dst.Faults.Add(testserver.Fault{Class: "PUT upload", Times: 2, Do: testserver.CorruptRequest(100)})
			b.copy("library/app", "v1")
			b.whole("library/app", "v1", a)
		})
	}
}

func TestDestinationThatRefusesRightBytesIsBlamed(t *testing.T) {
	t.Parallel()
	images := map[string]*testserver.Artifact{"small": testserver.Image(t, 1, 1, 1000), "streamed": bigImage(t)}
	for size, a := range images {
		t.Run(size, func(t *testing.T) {
			t.Parallel()
			b := onDisk(t)
			testserver.Push(t, b.src, "library/app", "v1", a)
			b.dst.Faults.Add(testserver.Fault{Class: "PUT upload", Do: testserver.CorruptRequest(100)})
			err := b.fail(b.request("library/app", "v1"))
			wantText(t, err.Error(), "upload ", "the destination refuses bytes whose digest is right", "DIGEST_INVALID")
			if e := failureOf(t, err); e.Side != transfer.Destination || e.Retryable {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestDestinationThatStoresUnderAnotherDigestIsNotBelieved(t *testing.T) {
	t.Parallel()
	for class, word := range map[string]string{"PUT manifest": "store manifest", "PUT upload": "upload "} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			b := onDisk(t)
			testserver.Push(t, b.src, "library/app", "v1", testserver.Image(t, 1, 1, 1000))
			b.dst.Faults.Add(testserver.Fault{Class: class, Do: testserver.SetHeader("Docker-Content-Digest", otherDigest)})
			err := b.fail(b.request("library/app", "v1"))
			wantText(t, err.Error(), word, otherDigest)
			if e := failureOf(t, err); e.Side != transfer.Destination || e.Retryable {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestSourceManifestThatIsNotWhatItClaimsIsNotCopied(t *testing.T) {
	t.Parallel()
	lies := map[string]testserver.Action{
		"content": testserver.CorruptResponse(50),
		"header":  testserver.SetHeader("Docker-Content-Digest", otherDigest),
	}
	for what, lie := range lies {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			b := onDisk(t)
			testserver.Push(t, b.src, "library/app", "v1", testserver.Image(t, 1, 1, 1000))
			b.src.Faults.Add(testserver.Fault{Class: "GET manifest", Do: lie})
			err := b.fail(b.request("library/app", "v1"))
			wantText(t, err.Error(), "read manifest library/app:v1", "digest mismatch")
			if e := failureOf(t, err); e.Side != transfer.Source || e.Retryable {
				t.Errorf("%+v", e)
			}
			if n := b.dst.Requests().Count("PUT manifest"); n != 0 {
				t.Errorf("%d manifests were put", n)
			}
		})
	}
}

// Two sides that do not tell digests must not look equal.
func TestChangedTagIsCopiedWhenNobodyTellsDigests(t *testing.T) {
	t.Parallel()
	b := onDisk(t)
	before, after := testserver.Image(t, 1, 1, 1000), testserver.Image(t, 2, 1, 1000)
	testserver.Push(t, b.dst, "library/app", "v1", before)
	testserver.Push(t, b.src, "library/app", "v1", after)
	for _, r := range []*testserver.Registry{b.src, b.dst} {
		r.Faults.Add(testserver.Fault{Do: testserver.DropHeader("Docker-Content-Digest")})
	}
	if got := b.copy("library/app", "v1"); got.Outcome != transfer.Copied || got.Digest != after.Digest || got.Previous != before.Digest {
		t.Errorf("%+v", got)
	}
	if got := b.copy("library/app", "v1"); got.Outcome != transfer.Unchanged || got.Digest != after.Digest {
		t.Errorf("second copy: %+v", got)
	}
	b.src.Faults.Clear()
	b.dst.Faults.Clear()
	b.whole("library/app", "v1", after)
}

func TestBlobOfAnotherSizeThanItsManifestSaysIsNotCopied(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, olareg(t), d.start(t)) // it does not look at sizes
			good := testserver.Image(t, 1, 1, 400<<10)
			testserver.Push(t, b.src, "library/app", "good", good)
			for _, wrong := range []int64{-1, 1} {
				a := manifestWith(t, good, func(m map[string]any) {
					layer := m["layers"].([]any)[0].(map[string]any)
					layer["size"] = good.Blobs[1].Size + wrong
				})
				putManifest(t, b.source, "library/app", "wrong", a)
				err := b.fail(b.request("library/app", "wrong"))
				if e := failureOf(t, err); e.Side != transfer.Source || e.Retryable {
					t.Errorf("%v: %+v", err, e)
				}
				wantText(t, err.Error(), "read layer", digest.Digest(good.Blobs[1].Digest).Encoded()[:12])
			}
		})
	}
}

func TestVerifiedUploadBeginsAnewWhenItBreaks(t *testing.T) {
	t.Parallel()
	b := onDisk(t, func(o *transfer.Options) { o.VerifySource = true })
	a, _ := big(t)
	testserver.Push(t, b.src, "library/app", "v1", a)
	b.dst.Faults.Add(testserver.Fault{Class: "PUT upload", Times: 1, When: large, Do: testserver.ResetRequest(4 * megabyte)})
	b.copy("library/app", "v1")
	b.whole("library/app", "v1", a)
	if n := b.dst.Requests().Count("PATCH upload"); n != 0 {
		t.Errorf("%d parts were sent that nobody had hashed together with the rest", n)
	}
}
