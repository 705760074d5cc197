package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

// fleet is one source and several destinations that share what they read.
type fleet struct {
	t       *testing.T
	src     *testserver.Registry
	source  *registry.Client
	sharing *transfer.Sharing
	ships   []*bench
}

// unhurried is a patience that no machine is too slow for.
const unhurried = time.Minute

func newFleet(t *testing.T, n int, patience time.Duration, change ...func(*transfer.Options)) *fleet {
	t.Helper()
	src := testserver.Distribution(t)
	f := &fleet{t: t, src: src, source: client(t, src), sharing: &transfer.Sharing{Patience: patience}}
	t.Cleanup(func() {
		if !f.sharing.Idle() {
			t.Errorf("something is still held when all is over: %d bytes", f.sharing.Held())
		}
	})
	for range n {
		dst := testserver.Distribution(t)
		f.ships = append(f.ships, newBenchWith(t, src, dst, f.source, client(t, dst), change...))
	}
	return f
}

// voyage is the copies of some references to all destinations.
type voyage struct {
	f      *fleet
	shares []*transfer.Share
}

// join says what all destinations are about to copy.
func (f *fleet) join(repository string, references ...string) *voyage {
	v := &voyage{f: f}
	for _, b := range f.ships {
		share := f.sharing.Join(b.engine, f.source, repository, references)
		f.t.Cleanup(share.Leave) // before it is asked whether something is held
		v.shares = append(v.shares, share)
	}
	return v
}

// copy copies one reference to one destination.
func (v *voyage) copy(ctx context.Context, ship int, repository, tag string) error {
	b := v.f.ships[ship]
	r := b.request(repository, tag)
	r.Share = v.shares[ship]
	_, err := b.engine.Copy(ctx, r)
	return err
}

// all copies one reference to all destinations and returns what each came to.
func (v *voyage) all(repository, tag string) []error {
	failures := make([]error, len(v.f.ships))
	var wg sync.WaitGroup
	for i, b := range v.f.ships {
		wg.Go(func() { failures[i] = v.copy(b.context(), i, repository, tag) })
	}
	wg.Wait()
	return failures
}

// arrive copies one reference to all destinations, which must pass.
func (f *fleet) arrive(repository, tag string, a *testserver.Artifact) {
	f.t.Helper()
	for i, err := range f.join(repository, tag).all(repository, tag) {
		if err != nil {
			f.t.Fatalf("destination %d: %v\nlog:\n%s", i, err, f.ships[i].log)
		}
	}
	f.whole(repository, tag, a)
}

func (f *fleet) whole(repository, tag string, a *testserver.Artifact) {
	f.t.Helper()
	for _, b := range f.ships {
		b.whole(repository, tag, a)
	}
}

// reads returns the requests for the bytes of a blob.
func (f *fleet) reads(a *testserver.Artifact, blob int) testserver.Requests {
	var found testserver.Requests
	for _, r := range f.src.Requests().Of("GET blob") {
		if strings.HasSuffix(r.Path, a.Blobs[blob].Digest.String()) {
			found = append(found, r)
		}
	}
	return found
}

func TestSeveralDestinationsReadTheSourceOnce(t *testing.T) {
	t.Parallel()
	for name, a := range map[string]*testserver.Artifact{
		"large blobs": testserver.Image(t, 21, 3, 3*megabyte),
		"small blobs": testserver.Image(t, 22, 6, 50_000),
		"an index":    testserver.Index(t, 23, "linux/amd64", "linux/arm64"),
		"no layers":   testserver.EmptyLayerImage(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 3, unhurried)
			testserver.Push(t, f.src, "library/app", "v1", a)
			f.ships[1].dst.Faults.SetLatency(20 * time.Millisecond) // they are not alike
			f.src.ResetRequests()
			f.arrive("library/app", "v1", a)
			blobs, manifests := map[string]int{}, map[string]int{}
			for _, r := range f.src.Requests() {
				switch r.Class {
				case "GET blob":
					blobs[r.Path]++
				case "GET manifest":
					manifests[r.Path]++
				}
			}
			for _, reads := range []map[string]int{blobs, manifests} {
				for path, n := range reads {
					if n != 1 {
						t.Errorf("%s was read %d times", path, n)
					}
				}
			}
			if len(blobs) == 0 || len(manifests) == 0 {
				t.Errorf("nothing was read:\n%s", f.src.Requests())
			}
		})
	}
}

func TestADestinationThatHasABlobIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, unhurried)
	base := testserver.Image(t, 24, 2, 3*megabyte)
	a := testserver.ImageOn(t, base, 25, 1, 3*megabyte)
	testserver.Push(t, f.src, "library/app", "v1", base)
	testserver.Push(t, f.src, "library/app", "v2", a)
	f.ships[0].copy("library/app", "v1")
	f.src.ResetRequests()
	f.arrive("library/app", "v2", a)
	if reads := f.src.Requests().Of("GET blob"); len(reads) != len(a.Blobs) {
		t.Errorf("%d blobs were read by %d requests", len(a.Blobs), len(reads))
	}
}

func TestBlobsOfSeveralTagsAreReadOnceToo(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, unhurried)
	base := testserver.Image(t, 26, 2, 2*megabyte)
	images := map[string]*testserver.Artifact{}
	var tags []string
	for i := range 4 {
		tag := fmt.Sprintf("v%d", i)
		images[tag] = testserver.ImageOn(t, base, uint64(30+i), 1, 300_000)
		testserver.Push(t, f.src, "library/app", tag, images[tag])
		tags = append(tags, tag)
	}
	f.src.ResetRequests()
	v := f.join("library/app", tags...)
	var wg sync.WaitGroup
	for i, b := range f.ships {
		order := rand.Perm(len(tags)) // each in an order of its own
		for _, n := range order {
			wg.Go(func() {
				if err := v.copy(b.context(), i, "library/app", tags[n]); err != nil {
					t.Errorf("destination %d, %s: %v", i, tags[n], err)
				}
			})
		}
	}
	wg.Wait()
	for tag, a := range images {
		f.whole("library/app", tag, a)
	}
	blobs := map[string]int{}
	for _, r := range f.src.Requests().Of("GET blob") {
		blobs[r.Path]++
	}
	for path, n := range blobs {
		if n != 1 {
			t.Errorf("%s was read %d times", path, n)
		}
	}
}

// giant is an image whose layer does not fit into the buffers of sockets.
func giant(t testing.TB) *testserver.Artifact {
	giantOnce.Do(func() { giantOnce.a = testserver.Image(t, 40, 1, 32*megabyte) })
	return giantOnce.a
}

var giantOnce struct {
	sync.Once
	a *testserver.Artifact
}

func TestAStalledDestinationDoesNotHoldUpTheOthers(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, 100*time.Millisecond)
	a := giant(t)
	testserver.Push(t, f.src, "library/app", "v1", a)
	hold := testserver.NewHold()
	defer hold.Release()
	f.ships[1].dst.Faults.Add(testserver.Fault{Class: "PUT upload", Times: 1, When: large, Do: hold.Request(2 * megabyte)})
	f.src.ResetRequests()
	v := f.join("library/app", "v1")
	stalled := make(chan error, 1)
	go func() { stalled <- v.copy(f.ships[1].context(), 1, "library/app", "v1") }()
	var wg sync.WaitGroup
	for _, i := range []int{0, 2} {
		wg.Go(func() {
			if err := v.copy(f.ships[i].context(), i, "library/app", "v1"); err != nil {
				t.Errorf("destination %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	select {
	case err := <-stalled:
		t.Fatalf("it was to be stalled: %v", err)
	default:
	}
	hold.Release()
	if err := <-stalled; err != nil {
		t.Fatal(err)
	}
	f.whole("library/app", "v1", a)
}

func TestADestinationThatIsLeftBehindGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, 50*time.Millisecond)
	a := giant(t)
	testserver.Push(t, f.src, "library/app", "v1", a)
	hold := testserver.NewHold()
	defer hold.Release()
	f.ships[1].dst.Faults.Add(testserver.Fault{Class: "PUT upload", Times: 1, When: large, Do: hold.Request(2 * megabyte)})
	v := f.join("library/app", "v1")
	// The source waits until both read from it.
	gate := testserver.NewHold()
	defer gate.Release()
	f.src.Faults.Add(testserver.Fault{Class: "GET blob", Path: a.Blobs[1].Digest.String(), Times: 1, Do: gate.Response(100_000)})
	f.src.ResetRequests()
	results := make([]chan error, 2)
	for i := range results {
		results[i] = make(chan error, 1)
		go func() { results[i] <- v.copy(f.ships[i].context(), i, "library/app", "v1") }()
	}
	testserver.Eventually(t, "both send", func() bool {
		for _, b := range f.ships {
			if b.dst.Requests().Count("PUT upload") < 2 {
				return false
			}
		}
		return true
	})
	gate.Release()
	if err := <-results[0]; err != nil {
		t.Fatal(err)
	}
	hold.Release()
	if err := <-results[1]; err != nil {
		t.Fatal(err)
	}
	f.whole("library/app", "v1", a)
	reads := f.reads(a, 1)
	if len(reads) != 2 || reads[1].Header.Get("Range") == "" {
		t.Errorf("the layer was read by %d requests:\n%v", len(reads), reads)
	}
	if again := reads.BytesOut(); again >= 2*a.Blobs[1].Size {
		t.Errorf("%d bytes were read for a blob of %d", again, a.Blobs[1].Size)
	}
	wantText(t, f.ships[1].log.String(), "reading from the source goes on at byte")
	if n := f.ships[1].dst.Requests().Of("PUT upload").BytesIn(); n != a.BlobBytes() {
		t.Errorf("%d bytes were sent for blobs of %d", n, a.BlobBytes())
	}
}

func TestADestinationThatFailsIsTheOnlyOneToBeginAgain(t *testing.T) {
	t.Parallel()
	failures := map[string]testserver.Action{
		"reset": testserver.ResetRequest(3 * megabyte),
		"500":   testserver.Status(http.StatusInternalServerError),
		"lost":  testserver.ResetAnswer(),
	}
	for name, action := range failures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 3, unhurried)
			a, _ := big(t)
			testserver.Push(t, f.src, "library/app", "v1", a)
			met := f.ships[2].dst.Faults.Add(testserver.Fault{Class: "PUT upload", Times: 1, When: large, Do: action})
			f.src.ResetRequests()
			f.arrive("library/app", "v1", a)
			if met.Hits() != 1 {
				t.Errorf("the fault was met %d times", met.Hits())
			}
			if n := len(f.reads(a, 1)); n > 2 {
				t.Errorf("the layer was read %d times:\n%v", n, f.reads(a, 1))
			}
			for _, i := range []int{0, 1} {
				if n := f.ships[i].dst.Requests().Of("PUT upload", "PATCH upload").BytesIn(); n != a.BlobBytes() {
					t.Errorf("destination %d got %d bytes of %d", i, n, a.BlobBytes())
				}
			}
		})
	}
}

func TestASourceThatBreaksOffIsGoneOnWithTogether(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, unhurried)
	a, size := big(t)
	testserver.Push(t, f.src, "library/app", "v1", a)
	f.src.Faults.Add(testserver.Fault{Class: "GET blob", Path: a.Blobs[1].Digest.String(), Times: 2, Do: testserver.ResetResponse(2 * megabyte)})
	f.src.ResetRequests()
	f.arrive("library/app", "v1", a)
	reads := f.reads(a, 1)
	if len(reads) != 3 {
		t.Errorf("the layer was read by %d requests, want 3:\n%v", len(reads), reads)
	}
	if n := reads.BytesOut(); n > size+slack {
		t.Errorf("%d bytes were read of %d", n, size)
	}
}

func TestASourceWithoutRangesIsReadFromTheBeginning(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, unhurried)
	a, _ := big(t)
	testserver.Push(t, f.src, "library/app", "v1", a)
	f.src.Faults.Add(testserver.Fault{Class: "GET blob", Do: testserver.IgnoreRange()})
	f.src.Faults.Add(testserver.Fault{Class: "GET blob", Path: a.Blobs[1].Digest.String(), Times: 1, Do: testserver.ResetResponse(2 * megabyte)})
	f.ships[0].dst.Faults.Add(testserver.Fault{Class: "PUT upload", Times: 1, When: large, Do: testserver.ResetRequest(4 * megabyte)})
	f.arrive("library/app", "v1", a)
}

func TestNobodyTakesWrongBytesFromASourceThatLies(t *testing.T) {
	t.Parallel()
	for name, blob := range map[string]int{"a small blob": 0, "a large blob": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 3, unhurried)
			a, _ := big(t)
			testserver.Push(t, f.src, "library/app", "v1", a)
			f.src.Faults.Add(testserver.Fault{Class: "GET blob", Path: a.Blobs[blob].Digest.String(), Do: testserver.CorruptResponse(7)})
			for i, err := range f.join("library/app", "v1").all("library/app", "v1") {
				if err == nil {
					t.Fatalf("destination %d took it", i)
				}
				if e := failureOf(t, err); e.Side != transfer.Source || e.Retryable {
					t.Errorf("destination %d: %+v", i, e)
				}
				there, _, err := client(t, f.ships[i].dst).BlobExists(t.Context(), "library/app", a.Blobs[blob].Digest)
				if err != nil || there {
					t.Errorf("destination %d has it: %t, %v", i, there, err)
				}
				if _, there := testserver.Digest(t, f.ships[i].dst, "library/app", "v1"); there {
					t.Errorf("destination %d has the tag", i)
				}
			}
		})
	}
}

func TestBytesThatWereSpoiltOnTheirWayAreReadAgain(t *testing.T) {
	t.Parallel()
	for name, blob := range map[string]int{"a small blob": 0, "a large blob": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, 3, unhurried)
			a, _ := big(t)
			testserver.Push(t, f.src, "library/app", "v1", a)
			f.src.Faults.Add(testserver.Fault{Class: "GET blob", Path: a.Blobs[blob].Digest.String(), Times: 1, Do: testserver.CorruptResponse(7)})
			f.arrive("library/app", "v1", a)
		})
	}
}

func TestASourceThatLacksABlobFailsEachByItself(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, unhurried)
	a, _ := big(t)
	testserver.Push(t, f.src, "library/app", "v1", a)
	f.src.Faults.Add(testserver.Fault{
		Class: "GET blob", Path: a.Blobs[1].Digest.String(), Do: testserver.Error(http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown"),
	})
	for i, err := range f.join("library/app", "v1").all("library/app", "v1") {
		if err == nil {
			t.Fatalf("destination %d passed", i)
		}
		wantText(t, err.Error(), "the source does not have it")
	}
}

func TestACopyThatIsStoppedDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, unhurried)
	a, _ := big(t)
	testserver.Push(t, f.src, "library/app", "v1", a)
	hold := testserver.NewHold()
	defer hold.Release()
	f.src.Faults.Add(testserver.Fault{Class: "GET blob", Path: a.Blobs[1].Digest.String(), Times: 1, Do: hold.Response(2 * megabyte)})
	f.src.ResetRequests()
	v := f.join("library/app", "v1")
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- v.copy(ctx, 0, "library/app", "v1") }() // it is the one that opens the source
	testserver.Eventually(t, "the layer is being read", func() bool { return len(f.reads(a, 1)) == 1 })
	results := make(chan error, 2)
	for _, i := range []int{1, 2} {
		go func() { results <- v.copy(f.ships[i].context(), i, "library/app", "v1") }()
	}
	testserver.Eventually(t, "the others read too", func() bool {
		return f.ships[1].dst.Requests().Count("PUT upload") == 2 && f.ships[2].dst.Requests().Count("PUT upload") == 2
	})
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	v.shares[0].Leave()
	hold.Release()
	for range 2 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range []int{1, 2} {
		f.ships[i].whole("library/app", "v1", a)
	}
	if n := len(f.reads(a, 1)); n != 1 {
		t.Errorf("the layer was read %d times", n)
	}
}

func TestADestinationThatComesTooLateReadsForItself(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, time.Millisecond)
	a, _ := big(t)
	testserver.Push(t, f.src, "library/app", "v1", a)
	v := f.join("library/app", "v1")
	if err := v.copy(f.ships[0].context(), 0, "library/app", "v1"); err != nil {
		t.Fatal(err)
	}
	if held := f.sharing.Held(); held > megabyte {
		t.Errorf("%d bytes are held for the other one", held)
	}
	if err := v.copy(f.ships[1].context(), 1, "library/app", "v1"); err != nil {
		t.Fatal(err)
	}
	f.whole("library/app", "v1", a)
	if n := len(f.reads(a, 1)); n != 2 {
		t.Errorf("the layer was read %d times", n)
	}
	if n := len(f.reads(a, 0)); n != 1 {
		t.Errorf("the config, which is small, was read %d times", n)
	}
}

func TestADestinationThatIsExpectedInVainIsForgotten(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, unhurried)
	a, _ := big(t)
	testserver.Push(t, f.src, "library/app", "v1", a)
	v := f.join("library/app", "v1")
	done := make(chan error, 1)
	go func() { done <- v.copy(f.ships[0].context(), 0, "library/app", "v1") }()
	testserver.Eventually(t, "the layer is being read", func() bool { return len(f.reads(a, 1)) == 1 })
	v.shares[1].Leave()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	f.ships[0].whole("library/app", "v1", a)
}

func TestATagThatMovesIsReadAnewByWhoComesAfterwards(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, unhurried)
	old, young := testserver.Image(t, 51, 1, 1000), testserver.Image(t, 52, 1, 1000)
	testserver.Push(t, f.src, "library/app", "v1", old)
	v := f.join("library/app", "v1")
	if err := v.copy(f.ships[0].context(), 0, "library/app", "v1"); err != nil {
		t.Fatal(err)
	}
	testserver.Push(t, f.src, "library/app", "v1", young)
	late := f.join("library/app", "v1")
	if err := late.copy(f.ships[2].context(), 2, "library/app", "v1"); err != nil {
		t.Fatal(err)
	}
	f.ships[2].whole("library/app", "v1", young)
}

func TestResumedUploadsAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	notes := &notebook{}
	f := newFleet(t, 3, unhurried, withCheckpoints(notes))
	a, _ := big(t)
	testserver.Push(t, f.src, "library/app", "v1", a)
	full := f.ships[1].dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Skip: 2, Do: testserver.Status(http.StatusInsufficientStorage)})
	if err := f.ships[1].fail(f.ships[1].request("library/app", "v1")); !transfer.IsRetryable(err) {
		t.Fatal(err)
	}
	full.Remove()
	f.src.ResetRequests()
	f.arrive("library/app", "v1", a)
	reads := f.reads(a, 1)
	resumed := slices.DeleteFunc(slices.Clone(reads), func(r testserver.Request) bool { return r.Header.Get("Range") == "" })
	if len(reads) != 2 || len(resumed) != 1 {
		t.Errorf("the layer was read by %d requests, %d of them from the middle:\n%v", len(reads), len(resumed), reads)
	}
}

func TestEverythingArrivesWhateverHappens(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 4, 20*time.Millisecond)
	base := testserver.Image(t, 60, 1, 2*megabyte)
	var tags []string
	images := map[string]*testserver.Artifact{}
	for i := range 3 {
		tag := fmt.Sprintf("v%d", i)
		tags = append(tags, tag)
		images[tag] = testserver.ImageOn(t, base, uint64(61+i), 1, 700_000)
		testserver.Push(t, f.src, "library/app", tag, images[tag])
		testserver.Push(t, f.src, "library/other", tag, images[tag])
	}
	f.src.Faults.Add(testserver.Fault{Class: "GET blob", Skip: 3, Times: 2, Do: testserver.ResetResponse(megabyte / 2)})
	f.src.Faults.Add(testserver.Fault{Class: "GET blob", Skip: 6, Times: 1, Do: testserver.CorruptResponse(1000)})
	f.src.Faults.Add(testserver.Fault{Class: "GET blob", Skip: 9, Times: 2, Do: testserver.Status(http.StatusServiceUnavailable)})
	f.ships[0].dst.Faults.Add(testserver.Fault{Class: "PUT upload", Skip: 2, Times: 2, Do: testserver.ResetRequest(megabyte / 2)})
	f.ships[1].dst.Faults.Add(testserver.Fault{Class: "PUT upload", Skip: 4, Times: 2, Do: testserver.Status(http.StatusInternalServerError)})
	f.ships[2].dst.Faults.Add(testserver.Fault{Class: "PUT upload", Skip: 1, Times: 3, Do: testserver.Delay(200 * time.Millisecond)})
	f.ships[3].dst.Faults.SetLatency(15 * time.Millisecond)
	var wg sync.WaitGroup
	for _, repository := range []string{"library/app", "library/other"} {
		v := f.join(repository, tags...)
		for i, b := range f.ships {
			for _, tag := range tags {
				wg.Go(func() {
					if err := v.copy(b.context(), i, repository, tag); err != nil {
						t.Errorf("destination %d, %s:%s: %v", i, repository, tag, err)
					}
				})
			}
		}
	}
	wg.Wait()
	for tag, a := range images {
		f.whole("library/app", tag, a)
		f.whole("library/other", tag, a)
	}
}
