package testserver_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// answer is what a test looks at.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of the request or of reading the body
}

func do(t *testing.T, r *ts.Registry, method, path string, body io.Reader, headers ...string) answer {
	t.Helper()
	return doContext(t.Context(), t, r, method, path, body, headers...)
}

func doContext(ctx context.Context, t *testing.T, r *ts.Registry, method, path string, body io.Reader, headers ...string) answer {
	t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = r.URL + path
	}
	request, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := r.Client().Do(request)
	if err != nil {
		return answer{err: err}
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode, header: response.Header}
	a.body, a.err = io.ReadAll(response.Body)
	return a
}

// stored starts a registry with one image, whose first layer's path is returned.
func stored(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) (r *ts.Registry, layer ts.Blob, path string) {
	t.Helper()
	r = start(t)
	image := ts.Image(t, 1, 1, 100_000)
	ts.Push(t, r, "library/a", "v1", image)
	r.ResetRequests()
	return r, image.Blobs[1], "/v2/library/a/blobs/" + image.Blobs[1].Digest.String()
}

// upload starts an upload and returns where it goes on.
func upload(t *testing.T, r *ts.Registry) string {
	t.Helper()
	a := do(t, r, "POST", "/v2/library/a/blobs/uploads/", nil)
	if a.status != http.StatusAccepted {
		t.Fatalf("start an upload: %+v", a)
	}
	location := a.header.Get("Location")
	if strings.HasPrefix(location, "/") {
		location = r.URL + location
	}
	return location
}

func TestFaultsChooseTheirRequests(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t, ts.WithMemory())
	second := r.Faults.Add(ts.Fault{Method: "GET", Path: `^/v2/$`, Skip: 1, Times: 2, Do: ts.Status(http.StatusTeapot)})
	catalog := r.Faults.Add(ts.Fault{Class: "GET catalog", Do: ts.TooManyRequests(7)})
	marked := r.Faults.Add(ts.Fault{
		When: func(r *http.Request) bool { return r.Header.Get("X-Mark") != "" },
		Do:   ts.Error(http.StatusInsufficientStorage, "UNKNOWN", "disk full"),
	})
	for i, want := range []int{200, 418, 418, 200} {
		if a := do(t, r, "GET", "/v2/", nil); a.status != want {
			t.Errorf("request %d: %d, want %d", i, a.status, want)
		}
	}
	if a := do(t, r, "HEAD", "/v2/", nil); a.status != 200 {
		t.Errorf("another method: %d", a.status)
	}
	if a := do(t, r, "GET", "/v2/_catalog", nil); a.status != 429 || a.header.Get("Retry-After") != "7" || !strings.Contains(string(a.body), "TOOMANYREQUESTS") {
		t.Errorf("429: %+v", a)
	}
	if a := do(t, r, "GET", "/v2/", nil, "X-Mark", "1"); a.status != 507 || !strings.Contains(string(a.body), "disk full") {
		t.Errorf("507: %+v", a)
	}
	if second.Hits() != 2 || catalog.Hits() != 1 || marked.Hits() != 1 {
		t.Errorf("hits %d %d %d", second.Hits(), catalog.Hits(), marked.Hits())
	}
	catalog.Remove()
	catalog.Remove()
	if a := do(t, r, "GET", "/v2/_catalog", nil); a.status != 200 {
		t.Errorf("after removal: %d", a.status)
	}
	r.Faults.Clear()
	if a := do(t, r, "GET", "/v2/", nil, "X-Mark", "1"); a.status != 200 {
		t.Errorf("after clearing: %d", a.status)
	}
	if n := r.Requests().Of("GET base")[1].Status; n != 418 {
		t.Errorf("the record says %d", n)
	}
}

func TestStatusReadsWhatIsBeingSent(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t, ts.WithMemory())
	r.Faults.Add(ts.Fault{Class: "PATCH upload", Do: ts.Status(http.StatusServiceUnavailable)})
	const size = 10_000_000
	if a := do(t, r, "PATCH", upload(t, r), bytes.NewReader(make([]byte, size))); a.err != nil || a.status != 503 {
		t.Errorf("%d, %v", a.status, a.err)
	}
	if in := r.Requests().BytesIn("PATCH upload"); in != size {
		t.Errorf("%d bytes read", in)
	}
}

func TestReset(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r, layer, path := stored(t, start)
		r.Faults.Add(ts.Fault{Class: "GET blob", Times: 1, Do: ts.Reset()})
		// A POST, because Go repeats a GET by itself when a used connection breaks.
		r.Faults.Add(ts.Fault{Class: "POST upload", Times: 1, Do: ts.Reset()})
		if a := do(t, r, "POST", "/v2/library/a/blobs/uploads/", nil); !errors.Is(a.err, syscall.ECONNRESET) && !errors.Is(a.err, io.EOF) {
			t.Errorf("POST: %v", a.err)
		}
		if a := do(t, r, "GET", path, nil, "Connection", "close"); a.err == nil && r.Requests().Count("GET blob") < 2 {
			t.Errorf("GET was answered %d", a.status)
		}
		if a := do(t, r, "GET", path, nil); !bytes.Equal(a.body, layer.Content) {
			t.Errorf("afterwards: %d, %v", a.status, a.err)
		}
	})
}

func TestResetInTheMiddleOfAnUpload(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r := start(t)
		cut := r.Faults.Add(ts.Fault{Class: "PATCH upload", Times: 1, Do: ts.ResetRequest(60_000)})
		content := bytes.Repeat([]byte("lighter"), 100_000)
		a := do(t, r, "PATCH", upload(t, r), bytes.NewReader(content), "Content-Type", "application/octet-stream")
		if a.err == nil {
			t.Fatalf("the cut upload was answered %d", a.status)
		}
		if in := r.Requests().BytesIn("PATCH upload"); in < 60_000 || in > 61_000 {
			t.Errorf("%d bytes came", in)
		}
		location := upload(t, r)
		if a := do(t, r, "PATCH", location, bytes.NewReader(content[:50_000])); a.status != 202 {
			t.Errorf("a new upload: %+v", a)
		}
		if cut.Hits() != 1 {
			t.Errorf("%d hits", cut.Hits())
		}
	})
}

func TestDistributionKeepsWhatCameBeforeTheReset(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	r.Faults.Add(ts.Fault{Class: "PATCH upload", Times: 1, Do: ts.ResetRequest(60_000)})
	location := upload(t, r)
	content := bytes.Repeat([]byte("lighter"), 100_000)
	if a := do(t, r, "PATCH", location, bytes.NewReader(content)); a.err == nil {
		t.Fatalf("answered %d", a.status)
	}
	if a := do(t, r, "GET", location, nil); a.header.Get("Range") != "0-59999" {
		t.Fatalf("the upload stands at %q, status %d", a.header.Get("Range"), a.status)
	}
}

func TestAShortBodyIsNotReset(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	r.Faults.Add(ts.Fault{Class: "PATCH upload", Do: ts.ResetRequest(1000)})
	if a := do(t, r, "PATCH", upload(t, r), bytes.NewReader(make([]byte, 1000))); a.status != 202 || a.header.Get("Range") != "0-999" {
		t.Errorf("%+v", a)
	}
}

func TestResetAnswer(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r, _, _ := stored(t, start)
		image := ts.Image(t, 1, 1, 100_000)
		r.Faults.Add(ts.Fault{Class: "PUT manifest", Times: 1, Do: ts.ResetAnswer()})
		a := do(t, r, "PUT", "/v2/library/a/manifests/v2", bytes.NewReader(image.Manifest), "Content-Type", image.MediaType)
		if a.err == nil {
			t.Fatalf("answered %d", a.status)
		}
		if d, ok := ts.Digest(t, r, "library/a", "v2"); !ok || d != image.Digest {
			t.Error("the registry did not do what it was asked")
		}
	})
}

func TestResetResponse(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r, layer, path := stored(t, start)
		r.Faults.Add(ts.Fault{Class: "GET blob", Times: 1, Do: ts.ResetResponse(70_000)})
		a := do(t, r, "GET", path, nil)
		if !errors.Is(a.err, io.ErrUnexpectedEOF) || len(a.body) != 70_000 || !bytes.Equal(a.body, layer.Content[:70_000]) {
			t.Errorf("%d bytes, %v", len(a.body), a.err)
		}
		if a := do(t, r, "GET", path, nil, "Range", "bytes=70000-"); a.status != 206 || !bytes.Equal(a.body, layer.Content[70_000:]) {
			t.Errorf("the rest: %d, %d bytes", a.status, len(a.body))
		}
	})
}

func TestHold(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r, layer, path := stored(t, start)
		before, response, request := ts.NewHold(), ts.NewHold(), ts.NewHold()
		r.Faults.Add(ts.Fault{Class: "GET tags", Do: before.Before()})
		r.Faults.Add(ts.Fault{Class: "GET blob", Do: response.Response(50_000)})
		r.Faults.Add(ts.Fault{Class: "PATCH upload", Do: request.Request(50_000)})
		location := upload(t, r)
		var wg sync.WaitGroup
		var tags, blob, patch answer
		wg.Go(func() { tags = do(t, r, "GET", "/v2/library/a/tags/list", nil) })
		wg.Go(func() { blob = do(t, r, "GET", path, nil) })
		wg.Go(func() { patch = do(t, r, "PATCH", location, bytes.NewReader(layer.Content)) })
		ts.Eventually(t, "three requests are held", func() bool {
			return before.Waiting() == 1 && response.Waiting() == 1 && request.Waiting() == 1
		})
		under := r.Requests()
		if out := under.BytesOut("GET blob"); out != 50_000 {
			t.Errorf("%d bytes went out before the hold", out)
		}
		if in := under.BytesIn("PATCH upload"); in != 50_000 {
			t.Errorf("%d bytes came in before the hold", in)
		}
		if under.Peak() < 3 {
			t.Errorf("peak %d", under.Peak())
		}
		before.Release()
		response.Release()
		request.Release()
		request.Release()
		wg.Wait()
		if tags.status != 200 || !bytes.Equal(blob.body, layer.Content) || patch.status != 202 {
			t.Errorf("after the release: %d, %d bytes, %d", tags.status, len(blob.body), patch.status)
		}
	})
}

func TestHoldEndsWithTheClientOrTheRegistry(t *testing.T) {
	t.Parallel()
	r, _, path := stored(t, ts.Distribution)
	hold := ts.NewHold()
	r.Faults.Add(ts.Fault{Class: "GET blob", Do: hold.Response(10)})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { doContext(ctx, t, r, "GET", path, nil) })
	ts.Eventually(t, "a request is held", func() bool { return hold.Waiting() == 1 })
	cancel()
	ts.Eventually(t, "the client is missed", func() bool { return hold.Waiting() == 0 })
	wg.Wait()

	hold = ts.NewHold()
	r.Faults.Add(ts.Fault{Class: "PATCH upload", Do: hold.Request(10)})
	location := upload(t, r)
	wg.Go(func() { do(t, r, "PATCH", location, bytes.NewReader(make([]byte, 10_000_000))) })
	ts.Eventually(t, "an upload is held", func() bool { return hold.Waiting() == 1 })
	r.Stop()
	if hold.Waiting() != 0 {
		t.Error("a request goes on in a registry that has stopped")
	}
	wg.Wait()
}

func TestCorruption(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r, layer, path := stored(t, start)
		r.Faults.Add(ts.Fault{Class: "GET blob", Times: 1, Do: ts.CorruptResponse(90_000)})
		a := do(t, r, "GET", path, nil)
		if len(a.body) != len(layer.Content) || a.body[90_000] == layer.Content[90_000] {
			t.Errorf("the blob came unharmed: %d bytes", len(a.body))
		}
		a.body[90_000] = layer.Content[90_000]
		if !bytes.Equal(a.body, layer.Content) {
			t.Error("more than one byte is changed")
		}
		r.Faults.Add(ts.Fault{Class: "PUT upload", Times: 1, Do: ts.CorruptRequest(3)})
		content := []byte("content")
		put := withQuery(upload(t, r), "digest="+digest.FromBytes(content).String())
		if a := do(t, r, "PUT", put, bytes.NewReader(content), "Content-Type", "application/octet-stream"); a.status != 400 {
			t.Errorf("the registry took it: %d %s", a.status, a.body)
		}
	})
}

func TestHeadersAreChanged(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r, _, _ := stored(t, start)
		r.Faults.Add(ts.Fault{Class: "HEAD manifest", Do: ts.DropHeader("Docker-Content-Digest", "ETag")})
		r.Faults.Add(ts.Fault{Class: "GET manifest", Do: ts.SetHeader("Docker-Content-Digest", "sha256:0")})
		accept := ts.Image(t, 1, 0, 0).MediaType
		if a := do(t, r, "HEAD", "/v2/library/a/manifests/v1", nil, "Accept", accept); a.status != 200 || len(a.header.Values("Docker-Content-Digest")) != 0 {
			t.Errorf("HEAD: %d, %q", a.status, a.header.Values("Docker-Content-Digest"))
		}
		if a := do(t, r, "GET", "/v2/library/a/manifests/v1", nil, "Accept", accept); a.status != 200 || a.header.Get("Docker-Content-Digest") != "sha256:0" {
			t.Errorf("GET: %d, %q", a.status, a.header.Get("Docker-Content-Digest"))
		}
	})
}

func TestForgottenUploads(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r := start(t)
		old := upload(t, r)
		r.Faults.ForgetUploads()
		if a := do(t, r, "PATCH", old, strings.NewReader("x")); a.status != 404 || !strings.Contains(string(a.body), "BLOB_UPLOAD_UNKNOWN") {
			t.Errorf("the old one: %d %s", a.status, a.body)
		}
		if a := do(t, r, "PATCH", upload(t, r), strings.NewReader("x")); a.status != 202 {
			t.Errorf("a new one: %d %s", a.status, a.body)
		}
	})
}

func TestMountsAndRanges(t *testing.T) {
	eachKind(t, func(t *testing.T, start func(testing.TB, ...ts.Option) *ts.Registry) {
		r, layer, path := stored(t, start)
		mount := "/v2/library/b/blobs/uploads/?mount=" + layer.Digest.String() + "&from=library/a"
		if a := do(t, r, "POST", mount, nil); a.status != 201 {
			t.Errorf("mount: %d", a.status)
		}
		r.Faults.Add(ts.Fault{Class: "POST mount", Do: ts.RefuseMount()})
		if a := do(t, r, "POST", mount, nil); a.status != 202 || a.header.Get("Location") == "" {
			t.Errorf("refused mount: %d", a.status)
		}
		r.Faults.Add(ts.Fault{Class: "GET blob", Do: ts.IgnoreRange()})
		if a := do(t, r, "GET", path, nil, "Range", "bytes=5-"); a.status != 200 || len(a.body) != len(layer.Content) {
			t.Errorf("ignored range: %d, %d bytes", a.status, len(a.body))
		}
	})
}

func TestDelays(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t, ts.WithMemory(), ts.WithLatency(100*time.Millisecond))
	r.Faults.Add(ts.Fault{Class: "GET catalog", Do: ts.Delay(50 * time.Millisecond)})
	begin := time.Now()
	do(t, r, "GET", "/v2/_catalog", nil)
	if took := time.Since(begin); took < 150*time.Millisecond {
		t.Errorf("took %s", took)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { do(t, r, "GET", "/v2/", nil) })
	}
	wg.Wait()
	if peak := r.Requests().Peak("GET base"); peak < 10 {
		t.Errorf("%d of 50 requests waited at the same time", peak)
	}
}

func withQuery(location, query string) string {
	if strings.Contains(location, "?") {
		return location + "&" + query
	}
	return location + "?" + query
}
