package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

// notebook is a Checkpoints in memory.
type notebook struct {
	mu    sync.Mutex
	pages map[string]string
	saved int
}

func (n *notebook) Load(_ context.Context, name string) (string, bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	text, ok := n.pages[name]
	return text, ok, nil
}

func (n *notebook) Save(_ context.Context, name, value string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.pages == nil {
		n.pages = map[string]string{}
	}
	n.pages[name] = value
	n.saved++
	return nil
}

func (n *notebook) Delete(_ context.Context, name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.pages, name)
	return nil
}

func (n *notebook) count() (pages, saved int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.pages), n.saved
}

func withCheckpoints(n transfer.Checkpoints) func(*transfer.Options) {
	return func(o *transfer.Options) {
		o.Checkpoints, o.CheckpointSize, o.ChunkSize = n, 2*megabyte, megabyte
	}
}

func TestLargeBlobGoesOnWhereItStoppedAfterARestart(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			notes := &notebook{}
			b := newBench(t, testserver.Distribution(t), d.start(t), withCheckpoints(notes))
			a, size := big(t)
			testserver.Push(t, b.src, "library/app", "v1", a)
			hold := testserver.NewHold()
			defer hold.Release()
			b.dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Skip: 3, Times: 1, Do: hold.Before()})
			b.dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Skip: 3, Times: 1, Do: testserver.Reset()})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := b.engine.Copy(ctx, b.request("library/app", "v1"))
				done <- err
			}()
			testserver.Eventually(t, "three parts have arrived", func() bool { return hold.Waiting() == 1 })
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if pages, _ := notes.count(); pages != 1 {
				t.Fatalf("%d checkpoints are kept", pages)
			}
			hold.Release()

			b.quiet()
			after := newBench(t, b.src, b.dst, withCheckpoints(notes)) // a new process
			after.copy("library/app", "v1")
			after.whole("library/app", "v1", a)
			wantText(t, after.log.String(), "goes on at byte 3145728")
			if n := b.src.Requests().BytesOut("GET blob"); n > size-3*megabyte+4096 {
				t.Errorf("%d bytes were read from the source again", n)
			}
			if pages, _ := notes.count(); pages != 0 {
				t.Errorf("%d checkpoints are left", pages)
			}
		})
	}
}

func TestCheckpointOfALostSessionIsForgotten(t *testing.T) {
	t.Parallel()
	notes := &notebook{}
	b := onDisk(t, withCheckpoints(notes))
	a, _ := big(t)
	testserver.Push(t, b.src, "library/app", "v1", a)
	gone := b.dst.URL + "/v2/library/app/blobs/uploads/01a202fe-b5a2-7cff-a4b1-dc03148cbeb2?_state=gone"
	name := b.dst.URL + "/library/app/" + a.Blobs[1].Digest.String()
	for _, text := range []string{`{"location":"` + gone + `","offset":5}`, `{"location":"::"}`, "no JSON", ""} {
		_ = notes.Save(t.Context(), name, text)
		fresh := newBench(t, b.src, testserver.Distribution(t), withCheckpoints(notes))
		fresh.copy("library/app", "v1")
		fresh.whole("library/app", "v1", a)
	}
	again := newBench(t, b.src, b.dst, withCheckpoints(notes))
	_ = notes.Save(t.Context(), name, `{"location":"`+gone+`","offset":5}`)
	again.copy("library/app", "v1")
	again.whole("library/app", "v1", a)
	if pages, _ := notes.count(); pages != 0 {
		t.Errorf("%d checkpoints are left", pages)
	}
}

func TestDestinationWithoutPartsGetsABlobInOnePiece(t *testing.T) {
	t.Parallel()
	notes := &notebook{}
	b := onDisk(t, withCheckpoints(notes))
	a, _ := big(t)
	testserver.Push(t, b.src, "library/app", "v1", a)
	b.dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Do: testserver.Error(http.StatusMethodNotAllowed, "UNSUPPORTED", "no parts")})
	b.copy("library/app", "v1")
	b.whole("library/app", "v1", a)
	if n := b.dst.Requests().Count("PATCH upload"); n != 1 {
		t.Errorf("%d parts were tried", n)
	}
}

func TestBrokenPartIsGoneOnWith(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			notes := &notebook{}
			b := newBench(t, testserver.Distribution(t), d.start(t), withCheckpoints(notes))
			a, _ := big(t)
			testserver.Push(t, b.src, "library/app", "v1", a)
			b.dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Skip: 1, Times: 2, Do: testserver.ResetRequest(megabyte / 2)})
			b.dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Skip: 5, Times: 1, Do: testserver.ResetAnswer()})
			b.src.Faults.Add(testserver.Fault{Class: "GET blob", Path: a.Blobs[1].Digest.String(), Times: 2, Do: testserver.ResetResponse(megabyte * 3 / 2)})
			b.copy("library/app", "v1")
			b.whole("library/app", "v1", a)
			if pages, saved := notes.count(); pages != 0 || saved < 5 {
				t.Errorf("%d checkpoints are left of %d", pages, saved)
			}
		})
	}
}

// failingNotes cannot be written to.
type failingNotes struct{ notebook }

func (*failingNotes) Save(context.Context, string, string) error { return errors.New("no room") }

func TestCheckpointsThatFailDoNotStopACopy(t *testing.T) {
	t.Parallel()
	b := onDisk(t, withCheckpoints(&failingNotes{}))
	a, _ := big(t)
	testserver.Push(t, b.src, "library/app", "v1", a)
	b.copy("library/app", "v1")
	b.whole("library/app", "v1", a)
	wantText(t, b.log.String(), "save checkpoint: no room")
}

func TestPartThatIsAnsweredBeforeItWasTakenIsSentAgain(t *testing.T) {
	t.Parallel()
	b := onDisk(t, withCheckpoints(&notebook{}), func(o *transfer.Options) { o.ChunkSize = 8 * megabyte })
	a, _ := big(t)
	testserver.Push(t, b.src, "library/app", "v1", a)
	hold := testserver.NewHold()
	defer hold.Release()
	b.src.Faults.Add(testserver.Fault{Class: "GET blob", Path: a.Blobs[1].Digest.String(), Times: 1, Do: hold.Response(2 * megabyte)})
	early := func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", r.URL.RequestURI())
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(http.StatusAccepted)
			_ = http.NewResponseController(w).Flush()
			hold.Release()
			_, _ = io.Copy(io.Discard, r.Body)
		})
	}
	met := b.dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Times: 1, Do: early})
	b.copy("library/app", "v1")
	b.whole("library/app", "v1", a)
	if met.Hits() != 1 {
		t.Errorf("the fault was met %d times", met.Hits())
	}
}

func TestPartsAreAsLargeAsTheDestinationWantsThem(t *testing.T) {
	t.Parallel()
	notes := &notebook{}
	b := onDisk(t, withCheckpoints(notes))
	a, size := big(t)
	const least = 5 * megabyte / 2
	testserver.Push(t, b.src, "library/app", "v1", a)
	b.dst.Faults.Add(testserver.Fault{Class: "POST upload", Do: testserver.SetHeader("OCI-Chunk-Min-Length", fmt.Sprint(least))})
	hold := testserver.NewHold()
	defer hold.Release()
	b.dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Skip: 1, Times: 1, Do: hold.Before()})
	b.dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Skip: 1, Times: 1, Do: testserver.Reset()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := b.engine.Copy(ctx, b.request("library/app", "v1"))
		done <- err
	}()
	testserver.Eventually(t, "one part has arrived", func() bool { return hold.Waiting() == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	hold.Release()
	b.quiet()
	after := newBench(t, b.src, b.dst, withCheckpoints(notes)) // the answer that told it is long past
	after.copy("library/app", "v1")
	after.whole("library/app", "v1", a)
	parts := b.dst.Requests().Of("PATCH upload")
	if len(parts) != 2 || parts[0].BytesIn != least || parts[1].BytesIn != size-2*least {
		t.Errorf("parts of a blob of %d bytes:\n%s", size, parts)
	}
}

func TestUploadThatIsNotOnRecordIsNotLeftLyingAbout(t *testing.T) {
	t.Parallel()
	notes := &notebook{}
	b := onDisk(t, withCheckpoints(notes))
	a, _ := big(t)
	testserver.Push(t, b.src, "library/app", "v1", a)
	hold := testserver.NewHold()
	defer hold.Release()
	b.dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Do: hold.Before()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := b.engine.Copy(ctx, b.request("library/app", "v1"))
		done <- err
	}()
	testserver.Eventually(t, "the first part is under way, and nothing else", func() bool {
		return hold.Waiting() == 1 && strings.Contains(b.log.String(), ": sent ") // the config
	})
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	hold.Release()
	b.engine.Wait()
	if n := b.dst.Requests().Count("DELETE upload"); n != 1 {
		t.Errorf("%d sessions were taken away:\n%s", n, b.dst.Requests())
	}
}

func TestChunksThatAreAskedForAreSentOneByOne(t *testing.T) {
	t.Parallel()
	for _, d := range destinations {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, testserver.Distribution(t), d.start(t), func(o *transfer.Options) { o.ChunkSize = megabyte })
			a, size := big(t)
			testserver.Push(t, b.src, "library/app", "v1", a)
			b.dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Skip: 3, Times: 1, Do: testserver.Reset()})
			r := b.request("library/app", "v1")
			r.ByChunk = true
			b.quiet()
			b.do(r)
			b.whole("library/app", "v1", a)
			wantText(t, b.log.String(), "goes on at byte 3145728")
			if n := int64(b.dst.Requests().Count("PATCH upload")); n < size/megabyte+1 {
				t.Errorf("%d bytes went in %d chunks", size, n)
			}
			if n := b.src.Requests().BytesOut("GET blob"); n > size+size-3*megabyte+4096 { // once, and the rest again
				t.Errorf("%d bytes were read for a blob of %d", n, size)
			}
		})
	}
}

func TestWithoutAskingNothingIsSentByChunk(t *testing.T) {
	t.Parallel()
	b := cold(t, func(o *transfer.Options) { o.ChunkSize = megabyte })
	a, _ := big(t)
	testserver.Push(t, b.src, "library/app", "v1", a)
	b.copy("library/app", "v1")
	if n := b.dst.Requests().Count("PATCH upload"); n != 0 {
		t.Errorf("%d chunks", n)
	}
}

func TestDestinationWithoutChunksGetsABlobInOnePieceAndSaysSo(t *testing.T) {
	t.Parallel()
	b := cold(t, func(o *transfer.Options) { o.ChunkSize = megabyte })
	a, _ := big(t)
	testserver.Push(t, b.src, "library/app", "v1", a)
	b.dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Do: testserver.Error(http.StatusMethodNotAllowed, "UNSUPPORTED", "no parts")})
	r := b.request("library/app", "v1")
	r.ByChunk = true
	b.do(r)
	b.whole("library/app", "v1", a)
	wantText(t, b.log.String(), "takes no parts")
}

// largerThan fits requests that something in front of a registry refuses.
func largerThan(n int64) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.ContentLength > n }
}

// What is in front of a registry may bound requests. Neither does the blob go in one
// piece then, which would be a larger request still, nor does it fail.
func TestRequestsThatAreTooLargeAreMadeSmaller(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		byChunk bool
		chunk   int64
	}{"in one piece at first": {false, 16 * megabyte}, "in chunks at first": {true, 2 * megabyte}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := cold(t, func(o *transfer.Options) { o.ChunkSize = tc.chunk })
			a, size := big(t)
			testserver.Push(t, b.src, "library/app", "v1", a)
			b.dst.Faults.Add(testserver.Fault{When: largerThan(megabyte), Do: testserver.Status(http.StatusRequestEntityTooLarge)})
			r := b.request("library/app", "v1")
			r.ByChunk = tc.byChunk
			b.do(r)
			b.whole("library/app", "v1", a)
			wantText(t, b.log.String(), "smaller ones are made")
			if n := int64(b.dst.Requests().Count("PATCH upload")); n < size/megabyte || n > 40 {
				t.Errorf("%d bytes went in %d requests", size, n)
			}

			// The next blob is not tried in one piece.
			second := testserver.Image(t, 77, 1, 5*megabyte)
			testserver.Push(t, b.src, "library/second", "v1", second)
			b.quiet()
			r = b.request("library/second", "v1")
			r.ByChunk = tc.byChunk
			b.do(r)
			b.whole("library/second", "v1", second)
			for _, request := range b.dst.Requests() {
				if request.Status == http.StatusRequestEntityTooLarge {
					t.Errorf("%s %s was too large again", request.Method, request.Path)
				}
			}
		})
	}
}

func TestADestinationThatTakesNoRequestOfAnySizeIsGivenUp(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*transfer.Request, *testserver.Registry){
		"in one piece": func(*transfer.Request, *testserver.Registry) {},
		"in chunks":    func(r *transfer.Request, _ *testserver.Registry) { r.ByChunk = true },
		"and no chunks": func(r *transfer.Request, dst *testserver.Registry) {
			r.ByChunk = true
			dst.Faults.Add(testserver.Fault{Class: "PATCH upload", Do: testserver.Error(http.StatusMethodNotAllowed, "UNSUPPORTED", "no parts")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := cold(t, func(o *transfer.Options) { o.ChunkSize = 2 * megabyte })
			a, _ := big(t)
			testserver.Push(t, b.src, "library/app", "v1", a)
			r := b.request("library/app", "v1")
			change(&r, b.dst)
			b.dst.Faults.Add(testserver.Fault{When: largerThan(100 << 10), Do: testserver.Status(http.StatusRequestEntityTooLarge)})
			_, err := b.engine.Copy(t.Context(), r)
			if err == nil || transfer.IsRetryable(err) || !strings.Contains(err.Error(), "raise its limit") || !strings.Contains(err.Error(), "413") {
				t.Errorf("%v", err)
			}
			if n := b.dst.Requests().Count("PATCH upload") + b.dst.Requests().Count("PUT upload"); n > 12 {
				t.Errorf("it was tried %d times", n)
			}
		})
	}
}
