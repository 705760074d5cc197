package transfer_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

const (
	megabyte = 1 << 20
	// slack is what a registry and the sockets on the way may have read of a stream
	// that was cut, beyond what they kept of it.
	slack = megabyte
)

// big is an image whose layer is streamed, and its layer's size.
func big(t testing.TB) (*testserver.Artifact, int64) {
	t.Helper()
	a := bigImage(t)
	return a, a.Blobs[1].Size
}

var bigOnce = struct {
	sync.Once
	a *testserver.Artifact
}{}

func bigImage(t testing.TB) *testserver.Artifact {
	bigOnce.Do(func() { bigOnce.a = testserver.Image(t, 1, 1, 6*megabyte) })
	return bigOnce.a
}

// onEach runs a test with each implementation as the destination.
func onEach(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			f(t, newBench(t, testserver.Distribution(t), d.start(t)))
		})
	}
}

func failureOf(t testing.TB, err error) *transfer.Error {
	t.Helper()
	e, ok := errors.AsType[*transfer.Error](err)
	if !ok {
		t.Fatalf("%v (%T) is no *transfer.Error", err, err)
	}
	return e
}

func TestCopyPassesWhenTheDestinationIsBusyForAMoment(t *testing.T) {
	t.Parallel()
	busy := map[string]testserver.Action{
		"429": testserver.TooManyRequests(1),
		"500": testserver.Error(http.StatusInternalServerError, "UNKNOWN", "unknown error"),
		"503": testserver.Status(http.StatusServiceUnavailable),
	}
	a, _ := big(t)
	src := testserver.Distribution(t)
	testserver.Push(t, src, "library/app", "v1", a)
	for status, action := range busy {
		for _, class := range []string{"HEAD manifest", "HEAD blob", "POST upload", "PUT upload", "PUT manifest"} {
			t.Run(status+" to "+class, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, src, testserver.Distribution(t))
				fault := b.dst.Faults.Add(testserver.Fault{Class: class, Times: 1, Do: action})
				start := time.Now()
				b.copy("library/app", "v1")
				b.whole("library/app", "v1", a)
				if fault.Hits() != 1 {
					t.Errorf("the fault was met %d times", fault.Hits())
				}
				if took := time.Since(start); status == "429" && took < 900*time.Millisecond {
					t.Errorf("Retry-After: 1 was not honoured: all was over in %s", took)
				}
			})
		}
	}
}

func TestCopyPassesWhenTheSourceIsBusyForAMoment(t *testing.T) {
	t.Parallel()
	for _, class := range []string{"GET manifest", "GET blob"} {
		t.Run(class, func(t *testing.T) {
			t.Parallel()
			b := onDisk(t)
			a, _ := big(t)
			testserver.Push(t, b.src, "library/app", "v1", a)
			b.src.Faults.Add(testserver.Fault{Class: class, Times: 1, Do: testserver.TooManyRequests(1)})
			start := time.Now()
			b.copy("library/app", "v1")
			b.whole("library/app", "v1", a)
			if took := time.Since(start); took < 900*time.Millisecond {
				t.Errorf("Retry-After: 1 was not honoured: all was over in %s", took)
			}
		})
	}
}

func TestUploadThatBreaksOffGoesOnWhereItStopped(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		a, size := big(t)
		testserver.Push(t, b.src, "library/app", "v1", a)
		b.dst.Faults.Add(testserver.Fault{Class: "PUT upload", Times: 1, When: large, Do: testserver.ResetRequest(4 * megabyte)})
		b.dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Times: 1, Do: testserver.ResetRequest(megabyte)})
		b.quiet()
		got := b.copy("library/app", "v1")
		b.whole("library/app", "v1", a)
		most := size + slack
		if t.Name() == "TestUploadThatBreaksOffGoesOnWhereItStopped/distribution_v2.8" {
			most += 4 * megabyte // it does not let an interrupted part be gone on with
		}
		if sent := b.dst.Requests().BytesIn("PUT upload", "PATCH upload"); sent > most {
			t.Errorf("%d bytes were sent for a blob of %d:\n%s", sent, size, b.dst.Requests())
		}
		if got.BytesSent != a.BlobBytes() {
			t.Errorf("%d bytes are told to be sent, the blobs have %d", got.BytesSent, a.BlobBytes())
		}
	})
}

func large(r *http.Request) bool { return r.ContentLength > megabyte }

func TestUploadSurvivesASourceThatBreaksOffSeveralTimes(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		a, size := big(t)
		testserver.Push(t, b.src, "library/app", "v1", a)
		b.src.Faults.Add(testserver.Fault{Class: "GET blob", Path: a.Blobs[1].Digest.String(), Times: 3, Do: testserver.ResetResponse(2 * megabyte)})
		b.quiet()
		b.copy("library/app", "v1")
		b.whole("library/app", "v1", a)
		wantText(t, b.log.String(), "reading from the source goes on at byte")
		if n := b.dst.Requests().Count("PUT upload", "PATCH upload"); n != 2 {
			t.Errorf("%d requests carried two blobs, the upload was to stay open:\n%s", n, b.dst.Requests())
		}
		if n := b.src.Requests().BytesOut("GET blob"); n > a.BlobBytes()+slack {
			t.Errorf("the source sent %d bytes for a blob of %d", n, size)
		}
	})
}

func TestStreamIsGoneOnWithAfterServerErrors(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		a, _ := big(t)
		testserver.Push(t, b.src, "library/app", "v1", a)
		b.dst.Faults.Add(testserver.Fault{Class: "PUT upload", Times: 2, When: large, Do: testserver.Status(http.StatusServiceUnavailable)})
		b.copy("library/app", "v1")
		b.whole("library/app", "v1", a)
	})
}

func TestLostUploadSessionIsBegunAgain(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		a, _ := big(t)
		testserver.Push(t, b.src, "library/app", "v1", a)
		b.dst.Faults.Add(testserver.Fault{Class: "PUT upload", Times: 1, When: large, Do: testserver.ResetRequest(4 * megabyte)})
		b.dst.Faults.Add(testserver.Fault{Class: "GET upload", Times: 1, Do: testserver.Error(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown")})
		got := b.copy("library/app", "v1")
		b.whole("library/app", "v1", a)
		if got.BytesSent != a.BlobBytes() {
			t.Errorf("%d bytes are told to be sent, the blobs have %d", got.BytesSent, a.BlobBytes())
		}
	})
}

func TestUploadWhoseSessionIsAlwaysLostIsGivenUp(t *testing.T) {
	t.Parallel()
	b := onDisk(t, func(o *transfer.Options) { o.Attempts = 3 })
	a, _ := big(t)
	testserver.Push(t, b.src, "library/app", "v1", a)
	b.dst.Faults.Add(testserver.Fault{Class: "PUT upload", When: large, Do: testserver.ResetRequest(megabyte)})
	b.dst.Faults.Add(testserver.Fault{Class: "GET upload", Do: testserver.Error(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown")})
	err := b.fail(b.request("library/app", "v1"))
	if e := failureOf(t, err); e.Side != transfer.Destination || !e.Retryable {
		t.Errorf("%+v", e)
	}
	wantText(t, err.Error(), "copy library/app:v1 to cluster1/library/app:v1: upload layer sha256:")
	if n := b.dst.Requests().Of("PUT upload"); len(n) > 6 {
		t.Errorf("%d tries", len(n))
	}
}

func TestLostAnswerToAnUploadIsNotSentAgain(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		a, _ := big(t)
		testserver.Push(t, b.src, "library/app", "v1", a)
		b.dst.Faults.Add(testserver.Fault{Class: "PUT upload", When: large, Times: 1, Do: testserver.ResetAnswer()})
		b.quiet()
		b.copy("library/app", "v1")
		b.whole("library/app", "v1", a)
		if n := b.dst.Requests().BytesIn("PUT upload", "PATCH upload"); n != a.BlobBytes() {
			t.Errorf("%d bytes were sent, the blobs have %d", n, a.BlobBytes())
		}
	})
}

func TestStalledSourceIsLeftForANewConnection(t *testing.T) {
	t.Parallel()
	src, dst := testserver.Distribution(t), testserver.Distribution(t)
	impatient := func(o *registry.Options) { o.StallTimeout = time.Second }
	b := newBenchWith(t, src, dst, client(t, src, impatient), client(t, dst))
	a, _ := big(t)
	testserver.Push(t, src, "library/app", "v1", a)
	hold := testserver.NewHold()
	defer hold.Release()
	src.Faults.Add(testserver.Fault{Class: "GET blob", Path: a.Blobs[1].Digest.String(), Times: 1, Do: hold.Response(3 * megabyte)})
	b.copy("library/app", "v1")
	b.whole("library/app", "v1", a)
}

func TestStalledDestinationIsLeftForANewConnection(t *testing.T) {
	t.Parallel()
	src, dst := testserver.Distribution(t), testserver.Distribution(t)
	impatient := func(o *registry.Options) { o.StallTimeout, o.AnswerTimeout = time.Second, 2*time.Second }
	b := newBenchWith(t, src, dst, client(t, src), client(t, dst, impatient))
	// More than the system takes on its way: a host that has been sent all of a blob may take
	// its time for the answer.
	a := testserver.Image(t, 1, 1, 24*megabyte)
	testserver.Push(t, src, "library/app", "v1", a)
	hold := testserver.NewHold()
	defer hold.Release()
	dst.Faults.Add(testserver.Fault{Class: "PUT upload", When: large, Times: 1, Do: hold.Request(megabyte)})
	b.copy("library/app", "v1")
	b.whole("library/app", "v1", a)
}

func TestFullDiskIsSaidSo(t *testing.T) {
	t.Parallel()
	b := onDisk(t)
	a, _ := big(t)
	testserver.Push(t, b.src, "library/app", "3.20", a)
	b.dst.Faults.Add(testserver.Fault{Class: "PUT upload", When: large, Do: testserver.Status(http.StatusInsufficientStorage)})
	b.quiet()
	err := b.fail(b.request("library/app", "3.20"))
	wantText(t, err.Error(), "copy library/app:3.20 to cluster1/library/app:3.20: upload layer "+a.Blobs[1].Digest.String()[:19], "507 Insufficient Storage")
	if e := failureOf(t, err); e.Side != transfer.Destination || !e.Retryable || !transfer.IsRetryable(err) {
		t.Errorf("%+v", e)
	}
	if n := len(b.dst.Requests().Of("PUT upload")); n != 2 {
		t.Errorf("%d uploads: a full disk is not to be written to again at once", n)
	}
	if _, ok := testserver.Digest(t, b.dst, "library/app", "3.20"); ok {
		t.Error("the tag is there without its layer")
	}
}

func TestDestinationThatRestartsInTheMiddleGetsTheRest(t *testing.T) {
	t.Parallel()
	for _, d := range destinations[:2] { // olareg forgets its uploads and blobs that nothing refers to
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, testserver.Distribution(t), d.start(t), func(o *transfer.Options) { o.Attempts = 50 })
			a, _ := big(t)
			testserver.Push(t, b.src, "library/app", "v1", a)
			hold := testserver.NewHold()
			defer hold.Release()
			b.dst.Faults.Add(testserver.Fault{Class: "PUT upload", When: large, Times: 1, Do: hold.Request(3 * megabyte)})
			done := make(chan error, 1)
			go func() {
				_, err := b.engine.Copy(b.context(), b.request("library/app", "v1"))
				done <- err
			}()
			testserver.Eventually(t, "the upload is under way", func() bool { return hold.Waiting() == 1 })
			hold.Release()
			b.dst.Restart()
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			b.whole("library/app", "v1", a)
		})
	}
}

func TestMissingSourceBlobIsNamedAndDisturbsNobodyElse(t *testing.T) {
	t.Parallel()
	src := testserver.Distribution(t)
	b := newBench(t, src, testserver.Distribution(t))
	broken, fine := testserver.Image(t, 1, 2, 1000), testserver.Image(t, 2, 2, 1000)
	testserver.Push(t, src, "library/broken", "v1", broken)
	testserver.Push(t, src, "library/fine", "v1", fine)
	src.LoseBlob(t, broken.Blobs[2].Digest)

	done := make(chan error, 1)
	go func() {
		_, err := b.engine.Copy(b.context(), b.request("library/broken", "v1"))
		done <- err
	}()
	b.copy("library/fine", "v1")
	b.whole("library/fine", "v1", fine)
	err := <-done
	if err == nil {
		t.Fatal("an image without a layer was copied")
	}
	wantText(t, err.Error(), "copy library/broken:v1 to cluster1/library/broken:v1: read layer "+broken.Blobs[2].Digest.String()[:19], "the source does not have it")
	if e := failureOf(t, err); e.Side != transfer.Source || e.Retryable {
		t.Errorf("%+v", e)
	}
	if _, ok := testserver.Digest(t, b.dst, "library/broken", "v1"); ok {
		t.Error("the tag is there without its layer")
	}
}

func TestMissingTagIsSaidSo(t *testing.T) {
	t.Parallel()
	b := onDisk(t)
	testserver.Push(t, b.src, "library/app", "v1", testserver.Image(t, 1, 1, 10))
	err := b.fail(b.request("library/app", "v2"))
	wantText(t, err.Error(), "copy library/app:v2", "the source does not have it")
	if e := failureOf(t, err); e.Side != transfer.Source || e.Retryable {
		t.Errorf("%+v", e)
	}
}

func TestTokensThatExpireInTheMiddleAreRenewed(t *testing.T) {
	t.Parallel()
	auth := testserver.WithTokenAuth("robot", "secret", testserver.TokenOptions{})
	b := newBench(t, testserver.Distribution(t, auth), testserver.Distribution(t, auth))
	a, _ := big(t)
	testserver.Push(t, b.src, "library/app", "v1", a)
	hold := testserver.NewHold()
	defer hold.Release()
	b.dst.Faults.Add(testserver.Fault{Class: "PUT upload", When: large, Times: 1, Do: hold.Before()})
	done := make(chan error, 1)
	go func() {
		_, err := b.engine.Copy(b.context(), b.request("library/app", "v1"))
		done <- err
	}()
	testserver.Eventually(t, "the stream begins", func() bool { return hold.Waiting() == 1 })
	b.src.Tokens.Expire()
	b.dst.Tokens.Expire()
	hold.Release()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	b.whole("library/app", "v1", a)
}

func TestWrongCredentialsAreSaidSo(t *testing.T) {
	t.Parallel()
	auth := testserver.WithTokenAuth("robot", "secret", testserver.TokenOptions{})
	src := testserver.Distribution(t)
	dst := testserver.Distribution(t, auth)
	testserver.Push(t, src, "library/app", "v1", testserver.Image(t, 1, 1, 10))
	b := newBench(t, src, dst)
	dst.SetPassword("another")
	err := b.fail(b.request("library/app", "v1"))
	if e := failureOf(t, err); e.Side != transfer.Destination || e.Retryable || !registry.IsUnauthorized(err) {
		t.Errorf("%+v", e)
	}
}

func TestCancelStopsAStreamAtOnceAndTakesItsSessionAway(t *testing.T) {
	t.Parallel()
	b := onDisk(t)
	a, _ := big(t)
	testserver.Push(t, b.src, "library/app", "v1", a)
	hold := testserver.NewHold()
	defer hold.Release()
	b.dst.Faults.Add(testserver.Fault{Class: "PUT upload", When: large, Do: hold.Request(megabyte)})
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped by the user")
	done := make(chan error, 1)
	go func() {
		_, err := b.engine.Copy(ctx, b.request("library/app", "v1"))
		done <- err
	}()
	testserver.Eventually(t, "the stream is under way", func() bool { return hold.Waiting() == 1 })
	start := time.Now()
	cancel(stopped)
	err := <-done
	if took := time.Since(start); took > 5*time.Second { // by itself it would stall for ten
		t.Errorf("the copy went on for %s", took)
	}
	if !errors.Is(err, stopped) {
		t.Errorf("the error is %v, the cause was %q", err, stopped)
	}
	hold.Release()
	b.engine.Wait()
	if n := b.dst.Requests().Count("DELETE upload"); n == 0 {
		t.Error("the upload session was left lying about")
	}
}

func TestUploadOutlivesTheCopyThatBeganItWhenAnotherNeedsIt(t *testing.T) {
	t.Parallel()
	b := onDisk(t)
	base, _ := big(t)
	other := testserver.ImageOn(t, base, 2, 1, 1000)
	testserver.Push(t, b.src, "library/app", "v1", base)
	testserver.Push(t, b.src, "library/app", "v2", other)
	hold := testserver.NewHold()
	defer hold.Release()
	b.dst.Faults.Add(testserver.Fault{Class: "PUT upload", When: large, Do: hold.Request(megabyte)})
	ctx, cancel := context.WithCancel(t.Context())
	first, second := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := b.engine.Copy(ctx, b.request("library/app", "v1"))
		first <- err
	}()
	testserver.Eventually(t, "the stream is under way", func() bool { return hold.Waiting() == 1 })
	go func() {
		_, err := b.engine.Copy(b.context(), b.request("library/app", "v2"))
		second <- err
	}()
	testserver.Eventually(t, "the second copy waits for nothing but the shared layer", func() bool {
		return b.dst.Requests().Count("HEAD manifest") == 2 && b.dst.Requests().Count("PUT upload") == 4
	})
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first copy: %v", err)
	}
	hold.Release()
	if err := <-second; err != nil {
		t.Fatal(err)
	}
	b.whole("library/app", "v2", other)
	uploads := 0
	for _, r := range b.dst.Requests().Of("PUT upload") {
		if r.BytesIn > megabyte {
			uploads++
		}
	}
	if uploads != 1 {
		t.Errorf("the shared layer was sent %d times", uploads)
	}
}
