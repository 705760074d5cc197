package tree_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

func read(t *testing.T, s *tree.S3, name string, offset, size int64) ([]byte, error) {
	t.Helper()
	body, err := s.Read(t.Context(), name, offset, size)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(body)
	return b, errors.Join(err, body.Close())
}

func TestAnAnswerThatBreaksOffGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	b := content(3_000_000)
	store.Put("root/a", b)
	s := probed(t, store)
	for _, tc := range []struct{ offset, size int64 }{{0, -1}, {0, 3_000_000}, {1000, -1}, {5000, 2_000_000}} {
		store.ResetRequests()
		active := store.Faults.Add(ts.Fault{Class: "GET object", Times: 4, Do: ts.ResetResponse(400_000)})
		got, err := read(t, s, "a", tc.offset, tc.size)
		active.Remove()
		end := int64(len(b))
		if tc.size >= 0 {
			end = tc.offset + tc.size
		}
		if err != nil || !bytes.Equal(got, b[tc.offset:end]) {
			t.Errorf("%d bytes from %d: %d bytes, %v", tc.size, tc.offset, len(got), err)
		}
		requests := store.Requests().Of("GET object")
		if len(requests) != 5 {
			t.Fatalf("%d requests", len(requests))
		}
		for _, r := range requests[1:] {
			if r.Header.Get("If-Match") == "" || r.Header.Get("Range") == "" {
				t.Errorf("it goes on without saying where, or with which version: %v", r.Header)
			}
		}
	}
}

func TestAnAnswerThatNeverComesWholeIsNotWhole(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	store.Put("root/a", content(100_000))
	s := probed(t, store)
	store.Faults.Add(ts.Fault{Class: "GET object", Skip: 1, Do: ts.ResetResponse(0)})
	store.Faults.Add(ts.Fault{Class: "GET object", Times: 1, Do: ts.ResetResponse(60_000)})
	got, err := read(t, s, "a", 0, -1)
	if !errors.Is(err, io.ErrUnexpectedEOF) || tree.IsFatal(err) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestAnObjectThatIsReplacedWhileItIsReadIsNotMixed(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store)
	for name, change := range map[string]func(){
		"replaced": func() { store.Put("root/a", bytes.Repeat([]byte("new"), 40_000)) },
		"removed":  func() { store.Remove("root/a") },
	} {
		store.Put("root/a", content(1_000_000))
		active := store.Faults.Add(ts.Fault{Class: "GET object", Times: 1, Do: ts.ResetResponse(300_000)})
		body, err := s.Read(t.Context(), "a", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(body, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		change()
		n, err := io.Copy(io.Discard, body)
		if !errors.Is(err, io.ErrUnexpectedEOF) || n >= 999_000 {
			t.Errorf("%s: %d bytes more, %v", name, n, err)
		}
		_ = body.Close()
		active.Remove()
	}
}

func TestAnAnswerThatStallsIsAskedForAgain(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	b := content(500_000)
	store.Put("root/a", b)
	s := probed(t, store, func(c *tree.S3Config) { c.StallTimeout = 300 * time.Millisecond })
	hold := ts.NewHold()
	t.Cleanup(hold.Release)
	store.Faults.Add(ts.Fault{Class: "GET object", Times: 1, Do: hold.Response(200_000)})
	if got, err := read(t, s, "a", 0, -1); err != nil || !bytes.Equal(got, b) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestAnAnswerThatIsAnotherThanAskedForIsAnError(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	store.Put("root/a", content(1000))
	s := probed(t, store)
	for name, tc := range map[string]struct {
		fault ts.Action
		words string
	}{
		"the whole":   {store.Rewrite(func(r *http.Request) { r.Header.Del("Range") }), "the whole object"},
		"other bytes": {store.Rewrite(func(r *http.Request) { r.Header.Set("Range", "bytes=0-99") }), "bytes 0-99/1000"},
		"fewer":       {ts.TruncateAnswer(50), "50 bytes"},
	} {
		active := store.Faults.Add(ts.Fault{Class: "GET object", Do: tc.fault})
		if got, err := read(t, s, "a", 500, 100); err == nil || !strings.Contains(err.Error(), tc.words) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		active.Remove()
	}
}

func TestLookingFailsForAMomentOnly(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	store.Put("root/a", content(1000))
	s := probed(t, store)
	for name, fault := range map[string]ts.Action{"slow down": ts.SlowDown(0), "error": ts.Status(500), "reset": ts.Reset()} {
		for _, class := range []string{"HEAD object", "GET object"} {
			active := store.Faults.Add(ts.Fault{Class: class, Times: 2, Do: fault})
			if o, err := s.Stat(t.Context(), "a"); err != nil || o.Size != 1000 {
				t.Errorf("%s: stat: %+v, %v", name, o, err)
			}
			if got, err := read(t, s, "a", 0, -1); err != nil || len(got) != 1000 {
				t.Errorf("%s: read: %d bytes, %v", name, len(got), err)
			}
			active.Remove()
		}
	}
}
