package transfer_test

import (
	"net/http"
	"testing"

	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

func TestVerificationFindsWhatIsMissingOfAnArtifact(t *testing.T) {
	t.Parallel()
	b := onDisk(t)
	a := testserver.Index(t, 1, "linux/amd64", "linux/arm64")
	testserver.Push(t, b.src, "library/app", "v1", a)
	b.copy("library/app", "v1")
	verify := func() []transfer.Lack {
		t.Helper()
		lacks, err := b.engine.NewVerification().Lacks(b.context(), "library/app", a.Digest)
		if err != nil {
			t.Fatal(err)
		}
		return lacks
	}
	if lacks := verify(); len(lacks) != 0 {
		t.Fatalf("a whole artifact lacks %v", lacks)
	}
	lost := a.Children[1].Blobs[1].Digest
	b.dst.LoseBlob(t, lost)
	b.dst.Restart() // what it remembers of its files goes with the process
	lacks := verify()
	if len(lacks) != 1 || lacks[0].Digest != lost || lacks[0].Role != "layer" {
		t.Fatalf("it lacks %v, want the layer %s", lacks, lost)
	}

	// An ordinary copy believes the tag; a thorough one puts back what is missing.
	if got := b.copy("library/app", "v1"); got.Outcome != transfer.Unchanged {
		t.Errorf("an ordinary copy: %s", got.Outcome)
	}
	r := b.request("library/app", "v1")
	r.Thorough = true
	if got := b.do(r); got.Outcome != transfer.Copied || got.BytesSent != int64(len(a.Children[1].Blobs[1].Content)) {
		t.Errorf("a thorough copy: %s, %d bytes sent", got.Outcome, got.BytesSent)
	}
	b.whole("library/app", "v1", a)
	if lacks := verify(); len(lacks) != 0 {
		t.Errorf("after the thorough copy it lacks %v", lacks)
	}
}

func TestVerificationAsksForASharedBlobOnce(t *testing.T) {
	t.Parallel()
	b := cold(t)
	base := testserver.Image(t, 1, 3, 500)
	other := testserver.ImageOn(t, base, 2, 1, 500)
	for tag, a := range map[string]*testserver.Artifact{"v1": base, "v2": other} {
		testserver.Push(t, b.src, "library/app", tag, a)
		b.copy("library/app", tag)
	}
	b.quiet()
	v := b.engine.NewVerification()
	for _, a := range []*testserver.Artifact{base, other} {
		if lacks, err := v.Lacks(b.context(), "library/app", a.Digest); err != nil || len(lacks) > 0 {
			t.Fatalf("lacks %v, %v", lacks, err)
		}
	}
	wantCounts(t, "destination", b.dst.Requests(), map[string]int{"GET manifest": 2, "HEAD blob": 6}) // 4 layers, 2 configs
}

func TestVerificationDoesNotTakeTroubleForAnswers(t *testing.T) {
	t.Parallel()
	b := cold(t)
	a := testserver.Image(t, 1, 3, 500)
	testserver.Push(t, b.src, "library/app", "v1", a)
	b.copy("library/app", "v1")
	trouble := b.dst.Faults.Add(testserver.Fault{Class: "HEAD blob", Do: testserver.Error(http.StatusForbidden, "DENIED", "not for you")})
	v := b.engine.NewVerification()
	if lacks, err := v.Lacks(b.context(), "library/app", a.Digest); err == nil {
		t.Fatalf("it lacks %v, although nobody could tell", lacks)
	}
	trouble.Remove()
	if lacks, err := v.Lacks(b.context(), "library/app", a.Digest); err != nil || len(lacks) > 0 {
		t.Errorf("after the trouble: lacks %v, %v", lacks, err)
	}
}
