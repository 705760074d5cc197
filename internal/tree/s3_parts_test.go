package tree_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

func TestALargeObjectGoesInEqualPartsThatAreEachSigned(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t)
			s := probed(t, store, inParts)
			b := content(17 << 20)
			receipt := mustPut(t, s, "a/data", b)
			if receipt.Proof != tree.Accepted || !strings.HasSuffix(receipt.ETag, "-4") {
				t.Errorf("receipt %+v", receipt)
			}
			mustHold(t, store, "root/a/data", b)
			requests := store.Requests()
			if requests.Count() != 6 || requests.Count("PUT part") != 4 || requests.Count("POST upload") != 1 || requests.Count("POST complete") != 1 {
				t.Fatalf("it took\n%s", requests)
			}
			var want, got []string
			for part := range slices.Chunk(b, 5<<20) {
				sum := sha256.Sum256(part)
				want = append(want, fmt.Sprintf("%d bytes signed %x", len(part), sum))
			}
			for _, r := range requests.Of("PUT part") {
				got = append(got, fmt.Sprintf("%d bytes signed %s", r.BytesIn, r.Header.Get("X-Amz-Content-Sha256")))
				if r.Header.Get("X-Amz-Trailer") != "" || r.Header.Get("X-Amz-Decoded-Content-Length") != "" {
					t.Errorf("a part was sent in chunks of its own encoding: %v", r.Header)
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("parts %q, want %q", got, want)
			}
		})
	}
}

func TestALargeObjectThatIsWrongIsNotMade(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store, inParts)
	store.Put("root/a/data", []byte("old"))
	c := tree.BytesContent(content(11 << 20))
	c.Digest = digest.FromString("something else")
	if _, err := s.Put(t.Context(), "a/data", c); !errors.Is(err, tree.ErrDigest) || tree.IsFatal(err) {
		t.Errorf("got %v", err)
	}
	mustHold(t, store, "root/a/data", []byte("old"))
	if uploads := store.Uploads(); len(uploads) != 0 {
		t.Errorf("uploads left: %q", uploads)
	}
	if n := store.Requests().Count("POST complete"); n != 0 {
		t.Errorf("%d attempts to put it together", n)
	}
}

func TestAPartThatIsDamagedOnTheWayIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, makeBlind := range map[string]bool{"a store that verifies": false, "a store that does not": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t)
			damage := store.Faults.Add(ts.Fault{Class: "PUT part", Times: 2, Do: ts.CorruptRequest(1_000_000)})
			if makeBlind {
				blind(store)
			}
			s := probed(t, store, inParts)
			receipt := mustPut(t, s, "a/data", content(11<<20))
			if want := map[bool]tree.Proof{false: tree.Accepted, true: tree.ETag}[makeBlind]; receipt.Proof != want {
				t.Errorf("proven by %s, want %s", receipt.Proof, want)
			}
			mustHold(t, store, "root/a/data", content(11<<20))
			if n := store.Requests().Count("PUT part"); n != 5 || damage.Hits() != 2 {
				t.Errorf("%d attempts for 3 parts and %d damages", n, damage.Hits())
			}
		})
	}
}

func TestAnUploadThatFailsIsAborted(t *testing.T) {
	t.Parallel()
	broken := errors.New("the source is broken")
	cause := errors.New("the test has seen enough")
	for name, tc := range map[string]struct {
		fault  ts.Fault
		source func(ctx context.Context, offset int64) error
		cancel bool
		want   func(error) bool
	}{
		"a part is refused":        {fault: ts.Fault{Class: "PUT part", Skip: 1, Do: ts.StoreError(403, "AccessDenied", "")}, want: tree.IsFatal},
		"a part fails for long":    {fault: ts.Fault{Class: "PUT part", Skip: 1, Do: ts.StoreError(500, "InternalError", "")}, want: func(err error) bool { return tree.S3Code(err) == "InternalError" && !tree.IsFatal(err) }},
		"a part gets no ETag":      {fault: ts.Fault{Class: "PUT part", Do: ts.DropHeader("ETag")}, want: func(err error) bool { return strings.Contains(err.Error(), "no ETag") && !tree.IsFatal(err) }},
		"it is not put together":   {fault: ts.Fault{Class: "POST complete", Do: ts.StoreError(400, "InvalidPart", "")}, want: func(err error) bool { return tree.S3Code(err) == "InvalidPart" }},
		"it fails with status 200": {fault: ts.Fault{Class: "POST complete", Do: failWith200}, want: func(err error) bool { return tree.S3Code(err) == "InternalError" }},
		"the source breaks": {
			source: func(_ context.Context, offset int64) error {
				if offset > 0 {
					return broken
				}
				return nil
			},
			want: func(err error) bool { return errors.Is(err, broken) && !tree.IsFatal(err) },
		},
		"it is cancelled": {cancel: true, want: func(err error) bool { return errors.Is(err, cause) && !tree.IsFatal(err) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t)
			s := probed(t, store, inParts)
			if tc.fault.Do != nil {
				store.Faults.Add(tc.fault)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			c := tree.BytesContent(content(16 << 20))
			open := c.Open
			c.Open = func(ctx context.Context, offset, size int64) (io.ReadCloser, error) {
				if tc.cancel && offset > 5<<20 {
					cancel(cause)
				}
				if tc.source != nil {
					if err := tc.source(ctx, offset); err != nil {
						return nil, err
					}
				}
				return open(ctx, offset, size)
			}
			if _, err := s.Put(ctx, "a/data", c); err == nil || !tc.want(err) {
				t.Errorf("got %v, fatal %t", err, tree.IsFatal(err))
			}
			if uploads, keys := store.Uploads(), store.Keys(""); len(uploads)+len(keys) != 0 {
				t.Errorf("uploads left: %q, objects: %q", uploads, keys)
			}
		})
	}
}

// failWith200 is what S3 does when it fails after it has begun to answer.
func failWith200(http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		_, _ = io.WriteString(w, xml.Header+"  <Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>")
	})
}

func TestAnObjectWhoseCompletionWentUnansweredIsFound(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t)
			s := probed(t, store, inParts)
			store.Faults.Add(ts.Fault{Class: "POST complete", Times: 1, Do: ts.ResetAnswer()})
			receipt := mustPut(t, s, "a/data", content(11<<20))
			mustHold(t, store, "root/a/data", content(11<<20))
			if info, _ := store.Info("root/a/data"); info.ETag != receipt.ETag {
				t.Errorf("ETag %s, the store says %s", receipt.ETag, info.ETag)
			}
			if n := store.Requests().Count("POST upload"); n != 1 {
				t.Errorf("%d uploads were begun", n)
			}
		})
	}
}

func TestAnUploadThatTheStoreForgetsIsBegunAgain(t *testing.T) {
	t.Parallel()
	forgotten := ts.StoreError(http.StatusNotFound, "NoSuchUpload", "The specified multipart upload does not exist.")
	for _, class := range []string{"PUT part", "POST complete"} {
		store := ts.S3(t)
		s := probed(t, store, inParts)
		store.Faults.Add(ts.Fault{Class: class, Times: 1, Do: forgotten})
		mustPut(t, s, "a/data", content(11<<20))
		mustHold(t, store, "root/a/data", content(11<<20))
		if n := store.Requests().Count("POST upload"); n != 2 {
			t.Errorf("%s: %d uploads were begun", class, n)
		}
		if uploads := store.Uploads(); len(uploads) != 0 {
			t.Errorf("%s: uploads left: %q", class, uploads)
		}
		store.Faults.Add(ts.Fault{Class: class, Do: forgotten})
		if _, err := s.Put(t.Context(), "a/data", tree.BytesContent(content(6<<20))); err == nil || tree.IsFatal(err) {
			t.Errorf("%s, always: %v", class, err)
		}
	}
}

func TestPartsAreHeldWithinTheMemory(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store, inParts, func(c *tree.S3Config) { c.Memory = 15 << 20 })
	hold := ts.NewHold()
	store.Faults.Add(ts.Fault{Class: "PUT part", Do: hold.Before()})
	ended := make(chan error, 2)
	for i := range 2 {
		go func() {
			_, err := s.Put(t.Context(), fmt.Sprintf("a/%d", i), tree.BytesContent(content(22<<20)))
			ended <- err
		}()
	}
	ts.Eventually(t, "three parts are under way", func() bool { return hold.Waiting() == 3 })
	hold.Release()
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if peak := store.Requests().Peak("PUT part"); peak > 3 {
		t.Errorf("%d parts of 5 MiB were under way, and there is memory for 3", peak)
	}
	for i := range 2 {
		mustHold(t, store, fmt.Sprintf("root/a/%d", i), content(22<<20))
	}
}

func TestContentOfAnotherDigestKindGoesInPartsToo(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store, func(c *tree.S3Config) { c.PartSize = 5 << 20 })
	c := tree.BytesContent(content(11 << 20))
	c.Digest = digest.SHA512.FromBytes(content(11 << 20))
	if receipt, err := s.Put(t.Context(), "a/data", c); err != nil || receipt.Proof != tree.Accepted {
		t.Errorf("%+v, %v", receipt, err)
	}
	if n := store.Requests().Count("PUT part"); n != 3 {
		t.Errorf("%d parts", n)
	}
	sum := sha256.Sum256(content(100))
	c = tree.BytesContent(content(100))
	c.Digest = digest.SHA512.FromBytes(content(100))
	if _, err := s.Put(t.Context(), "b/data", c); err != nil {
		t.Fatal(err)
	}
	if r := store.Requests().Of("PUT object"); len(r) != 1 || r[0].Header.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]) {
		t.Errorf("requests %+v", r)
	}
}

func TestAStoreMayTakeItsTimeToPutPartsTogether(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store, inParts, func(c *tree.S3Config) { c.StallTimeout = 300 * time.Millisecond })
	store.Faults.Add(ts.Fault{Class: "POST complete", Do: ts.Delay(time.Second)})
	mustPut(t, s, "a/data", content(6<<20))
	mustHold(t, store, "root/a/data", content(6<<20))
	if n := store.Requests().Count("POST complete"); n != 1 {
		t.Errorf("it was asked %d times", n)
	}
}
