package tree_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/pace"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// content is the same for the same size in every run.
func content(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i * 7 / 3)
	}
	return b
}

// probed opens a tree in a store that has been tried out already, and forgets the
// requests that took.
func probed(t testing.TB, store *ts.Store, change ...func(*tree.S3Config)) *tree.S3 {
	t.Helper()
	c := config(store, "root")
	for _, f := range change {
		f(&c)
	}
	s := open(t, c)
	if _, err := s.Traits(t.Context()); err != nil {
		t.Fatal(err)
	}
	store.ResetRequests()
	return s
}

// blind makes a store take anything.
func blind(store *ts.Store) {
	store.Faults.Add(ts.Fault{Class: "PUT object", Do: store.IgnorePayload()})
	store.Faults.Add(ts.Fault{Class: "PUT part", Do: store.IgnorePayload()})
}

func mustPut(t testing.TB, s *tree.S3, name string, b []byte) tree.Receipt {
	t.Helper()
	receipt, err := s.Put(t.Context(), name, tree.BytesContent(b))
	if err != nil {
		t.Fatal(err)
	}
	return receipt
}

// mustHold looks past the front.
func mustHold(t testing.TB, store *ts.Store, key string, want []byte) {
	t.Helper()
	if got, ok := store.Get(key); !ok || !bytes.Equal(got, want) {
		t.Errorf("%s holds %d bytes (%t), want %d", key, len(got), ok, len(want))
	}
}

func TestTraitsAreFoundOutOnceAndLeaveNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		start func(testing.TB, ...ts.Option) *ts.Store
		fault ts.Action // of PUT object
		blind bool
		want  tree.Traits
	}{
		"versitygw":               {start: ts.S3, want: tree.Traits{VerifiesPayload: true, ETagIsMD5: true, KeepsChecksums: true}},
		"MinIO":                   {start: ts.MinIO, want: tree.Traits{VerifiesPayload: true, ETagIsMD5: true, KeepsChecksums: true}},
		"one that ignores it all": {start: ts.S3, blind: true, want: tree.Traits{ETagIsMD5: true}},
		"one with other ETags": {
			start: ts.S3, fault: ts.SetHeader("ETag", `"0123456789abcdef0123456789abcdef"`),
			want: tree.Traits{VerifiesPayload: true, KeepsChecksums: true},
		},
		"one that encrypts": {
			start: ts.S3, fault: ts.SetHeader("X-Amz-Server-Side-Encryption", "aws:kms"),
			want: tree.Traits{VerifiesPayload: true, KeepsChecksums: true},
		},
		"one that does not know checksums": {
			start: ts.S3, fault: refuseChecksums, want: tree.Traits{VerifiesPayload: true, ETagIsMD5: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := tc.start(t)
			if tc.blind {
				blind(store)
			}
			if tc.fault != nil {
				store.Faults.Add(ts.Fault{Class: "PUT object", Do: tc.fault})
			}
			s := open(t, config(store, "root"))
			if n := store.Requests().Count(); n != 0 {
				t.Errorf("%d requests before anything was asked", n)
			}
			var all sync.WaitGroup
			for range 10 {
				all.Go(func() {
					if got, err := s.Traits(t.Context()); err != nil || got != tc.want {
						t.Errorf("%+v, %v; want %+v", got, err, tc.want)
					}
				})
			}
			all.Wait()
			if keys := store.Keys(""); len(keys) != 0 {
				t.Errorf("left behind: %q", keys)
			}
			if n := store.Requests().Count("PUT object"); n > 3 {
				t.Errorf("%d objects were put to find out:\n%s", n, store.Requests())
			}
		})
	}
}

func refuseChecksums(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Checksum-Sha256") != "" {
			next = ts.StoreError(http.StatusNotImplemented, "NotImplemented", "Header 'x-amz-checksum-sha256' not implemented")(next)
		}
		next.ServeHTTP(w, r)
	})
}

func TestAnObjectIsOneRequestSignedWithItsDigest(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]ts.Option{"plain": nil, "TLS": {ts.WithTLS()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t, options...)
			s := probed(t, store, trusting(t, store))
			sizes := []int{1, 71, 5000, 100_000, 6 << 20}
			for _, size := range sizes {
				b := content(size)
				receipt := mustPut(t, s, fmt.Sprintf("a/%d/data", size), b)
				sum := md5.Sum(b)
				if receipt.Proof != tree.Accepted || receipt.ETag != hex.EncodeToString(sum[:]) {
					t.Errorf("%d bytes: %+v", size, receipt)
				}
				mustHold(t, store, fmt.Sprintf("root/a/%d/data", size), b)
			}
			requests := store.Requests()
			if len(requests) != len(sizes) {
				t.Fatalf("%d objects took\n%s", len(sizes), requests)
			}
			for i, r := range requests {
				sum := sha256.Sum256(content(sizes[i]))
				want := map[string]string{
					"X-Amz-Content-Sha256": hex.EncodeToString(sum[:]), "X-Amz-Checksum-Sha256": "",
					"Content-Type": "application/octet-stream", "X-Amz-Acl": "private", "Content-Length": fmt.Sprint(sizes[i]),
					"X-Amz-Trailer": "", "X-Amz-Decoded-Content-Length": "", "Content-Encoding": "", "Transfer-Encoding": "", "X-Amz-Storage-Class": "",
					"Content-Md5": "", "X-Amz-Server-Side-Encryption": "",
				}
				for header, value := range want {
					if got := r.Header.Get(header); got != value {
						t.Errorf("%d bytes: header %s is %q, want %q", sizes[i], header, got, value)
					}
				}
			}
		})
	}
}

func TestWhatIsToBeSaidOfObjectsIsSaid(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	for name, tc := range map[string]struct {
		change func(*tree.S3Config)
		want   map[string]string
	}{
		"no ACL":        {func(c *tree.S3Config) { c.ACL = "none" }, map[string]string{"X-Amz-Acl": ""}},
		"another ACL":   {func(c *tree.S3Config) { c.ACL = "bucket-owner-full-control" }, map[string]string{"X-Amz-Acl": "bucket-owner-full-control"}},
		"no class":      {func(c *tree.S3Config) { c.StorageClass = "NONE" }, map[string]string{"X-Amz-Storage-Class": ""}},
		"storage class": {func(c *tree.S3Config) { c.StorageClass = "STANDARD_IA" }, map[string]string{"X-Amz-Storage-Class": "STANDARD_IA"}},
		"encryption":    {func(c *tree.S3Config) { c.Encrypt = true }, map[string]string{"X-Amz-Server-Side-Encryption": "AES256"}},
		"encryption by key": {
			func(c *tree.S3Config) { c.Encrypt, c.EncryptKey = true, "key-1" },
			map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "key-1"},
		},
		"session token": {func(c *tree.S3Config) { c.SessionToken = "token" }, map[string]string{"X-Amz-Security-Token": "token"}},
	} {
		for kind, class := range map[string]string{"one request": "PUT object", "in parts": "POST upload"} {
			c := config(store, "said")
			tc.change(&c)
			if kind == "in parts" {
				inParts(&c)
			}
			store.ResetRequests()
			// The store may refuse it; what it was asked counts.
			_, _ = open(t, c).Put(t.Context(), "a", tree.BytesContent(content(6<<20)))
			requests := store.Requests().Of(class)
			if len(requests) == 0 {
				if strings.HasPrefix(name, "encryption") || name == "session token" {
					requests = store.Requests().Of("PUT object") // refused when it was tried out
				} else {
					t.Errorf("%s, %s: no request", name, kind)
				}
			}
			for _, r := range requests {
				for header, want := range tc.want {
					if got := r.Header.Get(header); got != want {
						t.Errorf("%s, %s: header %s is %q, want %q", name, kind, header, got, want)
					}
				}
			}
		}
	}
}

func TestDamageOnTheWayIsRepaired(t *testing.T) {
	t.Parallel()
	for name, makeBlind := range map[string]bool{"a store that verifies": false, "a store that does not": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t)
			damage := store.Faults.Add(ts.Fault{Path: "/data$", Class: "PUT object", Times: 2, Do: ts.CorruptRequest(50_000)})
			if makeBlind {
				blind(store)
			}
			s := probed(t, store)
			receipt := mustPut(t, s, "a/data", content(100_000))
			if want := map[bool]tree.Proof{false: tree.Accepted, true: tree.ETag}[makeBlind]; receipt.Proof != want {
				t.Errorf("proven by %s, want %s", receipt.Proof, want)
			}
			mustHold(t, store, "root/a/data", content(100_000))
			if n := store.Requests().Count("PUT object"); n != 3 || damage.Hits() != 2 {
				t.Errorf("%d attempts for %d damages", n, damage.Hits())
			}
		})
	}
}

func TestDamageThatDoesNotEndIsAnErrorAndNotAnObject(t *testing.T) {
	t.Parallel()
	for name, makeBlind := range map[string]bool{"a store that verifies": false, "a store that does not": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t)
			store.Faults.Add(ts.Fault{Path: "/data$", Class: "PUT object", Do: ts.CorruptRequest(0)})
			if makeBlind {
				blind(store)
			}
			s := probed(t, store)
			_, err := s.Put(t.Context(), "a/data", tree.BytesContent(content(100)))
			if err == nil || errors.Is(err, tree.ErrDigest) || tree.IsFatal(err) || !strings.Contains(err.Error(), "damaged on its way") {
				t.Errorf("got %v", err)
			}
			if keys := store.Keys(""); len(keys) != 0 {
				t.Errorf("left behind: %q", keys)
			}
		})
	}
}

func TestADamagedSourceIsToldFromDamageOnTheWay(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store)
	store.Put("root/a/data", []byte("old"))
	c := tree.BytesContent(content(100_000))
	c.Digest = digest.FromString("something else")
	opened := 0
	open := c.Open
	c.Open = func(ctx context.Context, offset, size int64) (io.ReadCloser, error) {
		opened++
		return open(ctx, offset, size)
	}
	_, err := s.Put(t.Context(), "a/data", c)
	if !errors.Is(err, tree.ErrDigest) || tree.IsFatal(err) {
		t.Errorf("got %v", err)
	}
	if n := store.Requests().Count(); n != 1 || opened != 2 {
		t.Errorf("%d requests, and the source was read %d times; it was sent once and hashed once", n, opened)
	}
	mustHold(t, store, "root/a/data", []byte("old"))
}

func TestWhatFailsForAMomentIsTriedAgain(t *testing.T) {
	t.Parallel()
	hold := ts.NewHold()
	t.Cleanup(hold.Release)
	for name, fault := range map[string]ts.Action{
		"slow down":                 ts.SlowDown(0),
		"slow down, and when":       ts.SlowDown(1),
		"too many":                  ts.StoreError(http.StatusTooManyRequests, "TooManyRequests", ""),
		"internal error":            ts.StoreError(http.StatusInternalServerError, "InternalError", "We encountered an internal error."),
		"request timeout":           ts.StoreError(http.StatusBadRequest, "RequestTimeout", "Your socket connection was idle."),
		"bad gateway of a proxy":    ts.Status(http.StatusBadGateway),
		"reset":                     ts.Reset(),
		"reset in the body":         ts.ResetRequest(30_000),
		"reset instead of answer":   ts.ResetAnswer(),
		"stalls before the request": hold.Before(),
		"stalls in the body":        hold.Request(30_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t)
			for class, do := range map[string]func(s *tree.S3) error{
				"PUT object": func(s *tree.S3) error {
					_, err := s.Put(t.Context(), "a/data", tree.BytesContent(content(100_000)))
					return err
				},
				"PUT part": func(s *tree.S3) error {
					_, err := s.Put(t.Context(), "a/large", tree.BytesContent(content(11<<20)))
					return err
				},
				"POST complete": func(s *tree.S3) error {
					_, err := s.Put(t.Context(), "a/larger", tree.BytesContent(content(12<<20)))
					return err
				},
			} {
				if strings.HasPrefix(name, "stalls") && class == "POST complete" {
					continue // it may take minutes
				}
				s := probed(t, store, inParts, func(c *tree.S3Config) { c.StallTimeout = 300 * time.Millisecond })
				active := store.Faults.Add(ts.Fault{Class: class, Times: 2, Do: fault})
				if err := do(s); err != nil {
					t.Errorf("%s: %v", class, err)
				}
				if active.Hits() < 1 {
					t.Errorf("%s: the fault was not met", class)
				}
				active.Remove()
			}
			mustHold(t, store, "root/a/data", content(100_000))
			mustHold(t, store, "root/a/large", content(11<<20))
			if !strings.HasPrefix(name, "stalls") {
				mustHold(t, store, "root/a/larger", content(12<<20))
			}
			if uploads := store.Uploads(); len(uploads) != 0 {
				t.Errorf("uploads left: %q", uploads)
			}
		})
	}
}

func TestAStoreThatAsksForLessGetsLess(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store)
	_, before := s.Concurrency()
	store.Faults.Add(ts.Fault{Class: "PUT object", Times: 3, Do: ts.SlowDown(1)})
	mustPut(t, s, "a", content(10))
	if _, after := s.Concurrency(); after > before/2 {
		t.Errorf("from %d requests at a time to %d", before, after)
	}
	requests := store.Requests().Of("PUT object")
	for i := 1; i < len(requests); i++ {
		if pause := requests[i].Start.Sub(requests[i-1].End); pause < time.Second {
			t.Errorf("it came back after %s, and was told to wait for a second", pause)
		}
	}
	if len(requests) != 4 {
		t.Errorf("%d attempts", len(requests))
	}
}

func TestABurstOfRefusalsLosesNothing(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store)
	var n atomic.Int64
	store.Faults.Add(ts.Fault{Class: "PUT object", When: func(*http.Request) bool { return n.Add(1)%3 == 0 }, Do: ts.SlowDown(0)})
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			if _, err := s.Put(t.Context(), fmt.Sprintf("a/%d", i), tree.BytesContent(fmt.Appendf(nil, "object %d", i))); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if keys := store.Keys("root/a/"); len(keys) != 200 {
		t.Errorf("%d objects are there", len(keys))
	}
}

func TestWhatCannotSucceedEndsAtOnceInWords(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	long := time.Now().Add(-20 * time.Minute).UTC().Format(http.TimeFormat)
	for _, tc := range []struct {
		fault ts.Action
		code  string
		words string
	}{
		{ts.StoreError(404, "NoSuchBucket", "The specified bucket does not exist"), "NoSuchBucket", "make it"},
		{ts.StoreError(403, "AccessDenied", "Access Denied"), "AccessDenied", "do not permit"},
		{ts.StoreError(403, "InvalidAccessKeyId", "no such key"), "InvalidAccessKeyId", "does not know the access key"},
		{ts.StoreError(403, "SignatureDoesNotMatch", "the signature"), "SignatureDoesNotMatch", "secret key is wrong"},
		{ts.StoreError(403, "QuotaExceeded", "quota"), "QuotaExceeded", "full"},
		{ts.StoreError(507, "InsufficientStorage", ""), "InsufficientStorage", "full"},
		{ts.StoreError(507, "SomethingElse", ""), "SomethingElse", "full"},
		{ts.StoreError(400, "ExpiredToken", "expired"), "ExpiredToken", "session token has expired"},
		{ts.StoreError(400, "AccessControlListNotSupported", "no ACLs"), "AccessControlListNotSupported", "acl=none"},
		{ts.StoreError(400, "InvalidStorageClass", "no such class"), "InvalidStorageClass", "NONE"},
		{ts.StoreError(501, "NotImplemented", "A header"), "NotImplemented", "does not know"},
		{ts.StoreError(301, "PermanentRedirect", "elsewhere"), "PermanentRedirect", "another region"},
		{ts.StoreError(403, "RequestTimeTooSkewed", "skewed", "Date", long), "RequestTimeTooSkewed", "this machine's clock is 20m"},
		{ts.StoreError(400, "AuthorizationHeaderMalformed", "wrong region", "X-Amz-Bucket-Region", "eu-far-1"), "AuthorizationHeaderMalformed", "region is eu-far-1, and not us-east-1"},
	} {
		s := probed(t, store)
		active := store.Faults.Add(ts.Fault{Class: "PUT object", Do: tc.fault})
		_, err := s.Put(t.Context(), "a/data", tree.BytesContent(content(100)))
		active.Remove()
		if !tree.IsFatal(err) || tree.S3Code(err) != tc.code || !strings.Contains(err.Error(), tc.words) || !strings.Contains(err.Error(), "a/data") {
			t.Errorf("%s: fatal %t, code %q, %v; want %q in it", tc.code, tree.IsFatal(err), tree.S3Code(err), err, tc.words)
		}
		if active.Hits() != 1 {
			t.Errorf("%s: asked %d times", tc.code, active.Hits())
		}
	}
}

func TestWhatARealStoreRefusesEndsAtOnce(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t)
			unknownKey := map[string]string{"versitygw": "XAdminUserNotFound", "MinIO": "InvalidAccessKeyId"}[name]
			for code, change := range map[string]func(*tree.S3Config){
				"NoSuchBucket":          func(c *tree.S3Config) { c.Bucket = "nowhere" },
				unknownKey:              func(c *tree.S3Config) { c.AccessKey = "nobody" },
				"SignatureDoesNotMatch": func(c *tree.S3Config) { c.SecretKey = "wrong" },
			} {
				c := config(store, "root")
				change(&c)
				s := open(t, c)
				store.ResetRequests()
				if _, err := s.Put(t.Context(), "a", tree.BytesContent(content(10))); !tree.IsFatal(err) || tree.S3Code(err) != code {
					t.Errorf("put: fatal %t, %v; want %s", tree.IsFatal(err), err, code)
				}
				for _, err := range s.List(t.Context(), tree.ListOptions{}) {
					if !tree.IsFatal(err) || tree.S3Code(err) != code {
						t.Errorf("list: fatal %t, %v; want %s", tree.IsFatal(err), err, code)
					}
				}
				if _, err := s.Read(t.Context(), "a", 0, -1); !tree.IsFatal(err) || tree.IsNotExist(err) {
					t.Errorf("read: fatal %t, %v; want %s", tree.IsFatal(err), err, code)
				}
				if n := store.Requests().Count("PUT object", "GET list", "GET object"); n > 4 {
					t.Errorf("%s: asked %d times", code, n)
				}
			}
		})
	}
}

func TestAStoreThatIsGoneIsFatalAfterAWhile(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store)
	store.Stop()
	_, err := s.Put(t.Context(), "a", tree.BytesContent(content(10)))
	if !tree.IsFatal(err) || !strings.Contains(err.Error(), "tried 8 times") {
		t.Errorf("fatal %t, %v", tree.IsFatal(err), err)
	}
}

func TestAStoreThatComesBackIsWaitedFor(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store, func(c *tree.S3Config) { c.Backoff = 100 * time.Millisecond })
	store.Stop()
	ended := make(chan error, 1)
	go func() {
		_, err := s.Put(t.Context(), "a", tree.BytesContent(content(10)))
		ended <- err
	}()
	store.Restart()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	mustHold(t, store, "root/a", content(10))
}

func TestAMissingETagProvesLess(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		blind  bool
		header ts.Action
		want   tree.Receipt
	}{
		"a store that verifies":             {false, ts.DropHeader("ETag"), tree.Receipt{Proof: tree.Accepted}},
		"a store that does not":             {true, ts.DropHeader("ETag"), tree.Receipt{Proof: tree.Hashed}},
		"a store that does not, encrypting": {true, ts.SetHeader("X-Amz-Server-Side-Encryption", "aws:kms"), tree.Receipt{Proof: tree.ETag, ETag: "f1d3ff8443297732862df21dc4e57262"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t)
			store.Faults.Add(ts.Fault{Class: "PUT object", Do: tc.header})
			if tc.blind {
				blind(store)
			}
			if got := mustPut(t, probed(t, store), "a", make([]byte, 4)); got != tc.want {
				t.Errorf("got %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestAnotherETagOfAStoreThatVerifiesNothingIsDamage(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	blind(store)
	s := probed(t, store)
	store.Faults.Add(ts.Fault{Path: "/data$", Class: "PUT object", Do: ts.SetHeader("ETag", `"0123456789abcdef0123456789abcdef"`)})
	if _, err := s.Put(t.Context(), "a/data", tree.BytesContent(content(100))); err == nil || !strings.Contains(err.Error(), "0123456789abcdef") {
		t.Errorf("got %v", err)
	}
	if keys := store.Keys(""); len(keys) != 0 {
		t.Errorf("left behind: %q", keys)
	}
}

func TestWhatAStoreLosesIsNotThere(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store, inParts)
	store.Faults.Add(ts.Fault{Class: "PUT object", Do: store.Lose()})
	store.Faults.Add(ts.Fault{Class: "POST complete", Do: store.Lose()})
	for _, size := range []int{100, 6 << 20} {
		mustPut(t, s, "a", content(size))
		if o, err := s.Stat(t.Context(), "a"); !tree.IsNotExist(err) {
			t.Errorf("stat: %+v, %v", o, err)
		}
		for o, err := range s.List(t.Context(), tree.ListOptions{}) {
			t.Errorf("list: %+v, %v", o, err)
		}
	}
}

func TestContentMovesWithinTheBandwidth(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store, func(c *tree.S3Config) { c.Bandwidth = pace.NewBandwidth(1 << 20) })
	start := time.Now()
	mustPut(t, s, "a", content(300<<10))
	body, err := s.Read(t.Context(), "a", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, body); n != 300<<10 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	_ = body.Close()
	if took := time.Since(start); took < 540*time.Millisecond {
		t.Errorf("600 KiB at 1 MiB/s took %s", took)
	}
}

func TestAReadMayFeedAPutInTheSameStore(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	s := probed(t, store, func(c *tree.S3Config) { c.MaxConcurrency = 1 })
	b := content(200_000)
	mustPut(t, s, "from", b)
	o, err := s.Stat(t.Context(), "from")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "to", tree.ObjectContent(s, o, digest.FromBytes(b))); err != nil {
		t.Fatal(err)
	}
	mustHold(t, store, "root/to", b)
}
