package registry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/registry"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestWhatPassesIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]ts.Action{
		"429":   ts.TooManyRequests(0),
		"500":   ts.Status(http.StatusInternalServerError),
		"502":   ts.Status(http.StatusBadGateway),
		"503":   ts.Status(http.StatusServiceUnavailable),
		"reset": ts.Reset(),
		"cut":   ts.ResetResponse(20),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := ts.Distribution(t)
			image := ts.Image(t, 50, 1, 10)
			ts.Push(t, r, "app", "v1", image)
			c := clientOf(t, r)
			if _, err := c.Resolve(t.Context(), "app", "v1"); err != nil {
				t.Fatal(err)
			}
			m := registry.Manifest{MediaType: image.MediaType, Digest: image.Digest, Content: image.Manifest}
			for what, call := range map[string]func() error{
				"read manifest": func() error { _, err := c.Manifest(t.Context(), "app", "v1"); return err },
				"put manifest":  func() error { _, err := c.PutManifest(t.Context(), "app", "v2", m); return err },
				"list tags":     func() error { _, err := c.Tags(t.Context(), "app"); return err },
				"blob exists":   func() error { _, _, err := c.BlobExists(t.Context(), "app", image.Blobs[0].Digest); return err },
				"start upload":  func() error { _, err := c.StartUpload(t.Context(), "app"); return err },
				"mount":         func() error { _, _, err := c.Mount(t.Context(), "x", image.Blobs[0].Digest, "app"); return err },
			} {
				fault := r.Faults.Add(ts.Fault{Times: 3, Do: fault})
				if err := call(); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				fault.Remove()
			}
		})
	}
}

func TestWhatDoesNotPassIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403, 404, 405, 409, 501, 505, 507} {
		var requests counter
		c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
			requests.next()
			w.WriteHeader(status)
		})
		_, err := c.Tags(t.Context(), "app")
		e, ok := errors.AsType[*registry.Error](err)
		if !ok || e.Status != status || registry.IsTemporary(err) || requests.Load() != 1 {
			t.Errorf("%d: %v after %d requests", status, err, requests.Load())
		}
	}
}

func TestTriesEnd(t *testing.T) {
	t.Parallel()
	var requests counter
	c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.next()
		w.WriteHeader(http.StatusBadGateway)
	})
	if _, err := c.Tags(t.Context(), "app"); !registry.IsTemporary(err) || requests.Load() != 5 {
		t.Errorf("%v after %d requests", err, requests.Load())
	}
}

func TestRetryAfterIsHonouredInFullByEveryRequest(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	image := ts.Image(t, 51, 1, 10)
	ts.Push(t, r, "app", "v1", image)
	c := clientOf(t, r)
	if _, err := c.Resolve(t.Context(), "app", "v1"); err != nil {
		t.Fatal(err)
	}
	r.ResetRequests()
	busy := r.Faults.Add(ts.Fault{Times: 1, Do: ts.TooManyRequests(1)})
	first := make(chan error, 1)
	go func() { _, err := c.Resolve(t.Context(), "app", "v1"); first <- err }()
	ts.Eventually(t, "the first request is refused", func() bool {
		all := r.Requests()
		return busy.Hits() == 1 && len(all) == 1 && !all[0].End.IsZero()
	})
	refused := r.Requests()[0].End
	body, err := c.Blob(t.Context(), "app", image.Blobs[0].Digest, 0, image.Blobs[0].Size)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, body); err != nil {
		t.Error(err)
	}
	body.Close()
	if err := <-first; err != nil {
		t.Error(err)
	}
	for _, later := range r.Requests()[1:] {
		// The pause begins when the refusal arrives; the request that slipped through
		// before that is the only one that may be early.
		if wait := later.Start.Sub(refused); wait < 900*time.Millisecond && later.Class != "GET blob" {
			t.Errorf("%s %s came %s after the refusal", later.Method, later.Path, wait)
		}
	}
}

func TestAPauseTooLongToWaitForIsReturned(t *testing.T) {
	t.Parallel()
	var requests counter
	c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.next()
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	for range 3 {
		_, err := c.Tags(t.Context(), "app")
		if after := registry.RetryAfter(err); after < 59*time.Minute || after > time.Hour || !registry.IsTemporary(err) {
			t.Errorf("%v", err)
		}
	}
	if requests.Load() != 1 {
		t.Errorf("%d requests in spite of the pause", requests.Load())
	}
}

func TestAnExhaustedBudgetIsAPause(t *testing.T) {
	t.Parallel()
	var requests counter
	c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.next()
		w.Header().Set("RateLimit-Limit", "100;w=21600")
		w.Header().Set("RateLimit-Remaining", "0;w=21600")
		w.Header().Set("RateLimit-Reset", "3000")
		reply(w, map[string]any{"tags": []string{"a"}})
	})
	if _, err := c.Tags(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Tags(t.Context(), "app"); registry.RetryAfter(err) < 49*time.Minute || requests.Load() != 1 {
		t.Errorf("%v after %d requests", err, requests.Load())
	}
}

func TestWaitingToTryAgainEndsWithTheContext(t *testing.T) {
	t.Parallel()
	var requests counter
	c := fake(t, func(w http.ResponseWriter, _ *http.Request) {
		requests.next()
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { _, err := c.Tags(ctx, "app"); ended <- err }()
	ts.Eventually(t, "the request is refused", func() bool { return requests.Load() == 1 })
	cancel()
	if err := <-ended; err == nil {
		t.Error("no error")
	}
}

func TestAHostThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	o := quick
	o.AnswerTimeout, o.Attempts = 300*time.Millisecond, 2
	c := client(t, registry.Endpoint{URL: serve(t, open(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	})).URL}, o)
	_, err := c.Tags(t.Context(), "app")
	e, ok := errors.AsType[*registry.StallError](err)
	if !ok || e.What != "answer" || !registry.IsTemporary(err) {
		t.Errorf("%v", err)
	}
	if !strings.Contains(err.Error(), "/v2/app/tags/list") {
		t.Errorf("%v does not say what was asked", err)
	}
}

func TestARestartOfTheRegistryIsSurvived(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	ts.Push(t, r, "app", "v1", ts.Image(t, 52, 1, 10))
	o := quick
	o.Backoff = 20 * time.Millisecond
	c := client(t, endpointOf(r), o)
	if _, err := c.Resolve(t.Context(), "app", "v1"); err != nil {
		t.Fatal(err)
	}
	r.Stop()
	ended := make(chan error, 1)
	go func() { _, err := c.Resolve(t.Context(), "app", "v1"); ended <- err }()
	r.Restart()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	r := ts.Distribution(t)
	ts.Push(t, r, "app", "v1", ts.Image(t, 53, 1, 10))
	seen := map[string]bool{}
	proxy := serve(t, func(w http.ResponseWriter, q *http.Request) {
		seen[q.RemoteAddr] = true // requests come one after the other
		if q.URL.Path != "/v2/" {
			refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", strings.Repeat("x", 5000))
		}
	})
	c := client(t, registry.Endpoint{URL: proxy.URL}, quick)
	for range 20 {
		_, _ = c.Manifest(t.Context(), "app", digest.FromString("x").String())
	}
	if len(seen) != 1 {
		t.Errorf("%d connections for requests one after the other", len(seen))
	}
}
