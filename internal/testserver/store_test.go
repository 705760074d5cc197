package testserver_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// client goes through the front, as what is tested does.
func client(t *testing.T, s *ts.Store) minio.Core {
	t.Helper()
	transport := s.Client().Transport.(*http.Transport)
	t.Cleanup(transport.CloseIdleConnections)
	core, err := minio.NewCore(s.Host, &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: s.Region,
		Secure: strings.HasPrefix(s.Endpoint, "https"), Transport: transport, MaxRetries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return *core
}

// put signs content with the digest of what it should be.
func put(t *testing.T, s *ts.Store, key string, content, signed []byte) (minio.UploadInfo, error) {
	t.Helper()
	sum := sha256.Sum256(signed)
	return client(t, s).PutObject(context.Background(), s.Bucket, key, bytes.NewReader(content), int64(len(content)),
		"", hex.EncodeToString(sum[:]), minio.PutObjectOptions{DisableContentSha256: true})
}

func code(err error) string { return minio.ToErrorResponse(err).Code }

func TestAStoreKeepsWhatItWasGiven(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB) *ts.Store{
		"versitygw":      func(t testing.TB) *ts.Store { return ts.S3(t) },
		"versitygw, TLS": func(t testing.TB) *ts.Store { return ts.S3(t, ts.WithTLS()) },
		"MinIO":          func(t testing.TB) *ts.Store { return ts.MinIO(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			content := []byte("lighter")
			info, err := put(t, s, "a/b/c", content, content)
			sum := md5.Sum(content)
			if err != nil || info.ETag != hex.EncodeToString(sum[:]) {
				t.Fatalf("put: %+v, %v", info, err)
			}
			s.Put("a/d", []byte("direct"))
			if got, ok := s.Get("a/b/c"); !ok || !bytes.Equal(got, content) {
				t.Errorf("got %q, %t", got, ok)
			}
			if got, ok := s.Get("a/b"); ok {
				t.Errorf("a folder is an object: %q", got)
			}
			if keys := s.Keys("a/"); !slices.Equal(keys, []string{"a/b/c", "a/d"}) {
				t.Errorf("keys %q", keys)
			}
			if r := s.Requests(); r.Count() != 1 || r.Count("PUT object") != 1 || r[0].Status != 200 {
				t.Errorf("what goes past the front is counted, or other things are not:\n%s", r)
			}
			s.Restart()
			if keys := s.Keys(""); len(keys) != 2 {
				t.Errorf("after a restart: %q", keys)
			}
			s.Remove("a/b/c", "a/d")
			if keys := s.Keys(""); len(keys) != 0 {
				t.Errorf("after removal: %q", keys)
			}
		})
	}
}

func TestAStoreHashesWhatItIsGiven(t *testing.T) {
	t.Parallel()
	s := ts.S3(t)
	if _, err := put(t, s, "wrong", []byte("lighter"), []byte("heavier")); code(err) != "XAmzContentSHA256Mismatch" {
		t.Errorf("wrong bytes: %v", err)
	}
	if keys := s.Keys(""); len(keys) != 0 {
		t.Errorf("it has kept %q", keys)
	}
	ignores := s.Faults.Add(ts.Fault{Class: "PUT object", Do: s.IgnorePayload()})
	if _, err := put(t, s, "wrong", []byte("lighter"), []byte("heavier")); err != nil {
		t.Errorf("a store that hashes nothing: %v", err)
	}
	if got, _ := s.Get("wrong"); string(got) != "lighter" {
		t.Errorf("it keeps %q", got)
	}
	if ignores.Hits() != 1 {
		t.Errorf("%d hits", ignores.Hits())
	}
}

func TestAStoreLosesSpoilsAndRots(t *testing.T) {
	t.Parallel()
	s := ts.S3(t)
	content := []byte("lighter")
	s.Faults.Add(ts.Fault{Path: "lost$", Do: s.Lose()})
	s.Faults.Add(ts.Fault{Path: "spoilt$", Do: s.Spoil()})
	for _, key := range []string{"lost", "spoilt", "rotten"} {
		if info, err := put(t, s, key, content, content); err != nil || len(info.ETag) != 32 {
			t.Fatalf("%s: %+v, %v", key, info, err)
		}
	}
	if keys := s.Keys(""); !slices.Equal(keys, []string{"rotten", "spoilt"}) {
		t.Errorf("keys %q", keys)
	}
	if got, _ := s.Get("spoilt"); !bytes.Equal(got, make([]byte, len(content))) {
		t.Errorf("spoilt is %q", got)
	}
	before, _ := s.Info("rotten")
	s.Damage("rotten", 0)
	after, _ := s.Info("rotten")
	if got, _ := s.Get("rotten"); string(got) != "mighter" || before.ETag != after.ETag {
		t.Errorf("rotten is %q, ETag %s and then %s", got, before.ETag, after.ETag)
	}
}

func TestAStoreSlowsDownAndTruncates(t *testing.T) {
	t.Parallel()
	s := ts.S3(t)
	s.Put("a/b", []byte("lighter"))
	core := client(t, s)
	s.Faults.Add(ts.Fault{Class: "PUT object", Times: 1, Do: ts.SlowDown(7)})
	_, err := put(t, s, "a/b", []byte("x"), []byte("x"))
	if r := minio.ToErrorResponse(err); r.Code != "SlowDown" || r.StatusCode != 503 || s.Requests()[0].Status != 503 {
		t.Errorf("%+v", r)
	}
	s.Faults.Add(ts.Fault{Class: "GET list", Times: 1, Do: ts.TruncateAnswer(50)})
	if _, err := core.ListObjectsV2(s.Bucket, "a/", "", "", "", 10); err == nil {
		t.Error("a truncated listing was understood")
	}
	if list, err := core.ListObjectsV2(s.Bucket, "a/", "", "", "", 10); err != nil || len(list.Contents) != 1 {
		t.Errorf("list: %+v, %v", list, err)
	}
	if r := s.Requests(); r.Count("GET list") != 2 || r.BytesOut("GET list") < 50 {
		t.Errorf("requests:\n%s", r)
	}
}

func TestStoreClass(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ method, url, source, want string }{
		{"GET", "http://127.0.0.1:9/", "", "GET buckets"},
		{"HEAD", "http://127.0.0.1:9/b/", "", "HEAD bucket"},
		{"GET", "http://127.0.0.1:9/b/?location=", "", "GET location"},
		{"GET", "http://127.0.0.1:9/b/?versioning=", "", "GET other"},
		{"GET", "http://127.0.0.1:9/b/?list-type=2&prefix=a", "", "GET list"},
		{"GET", "http://127.0.0.1:9/b/?list-type=2&delimiter=%2F", "", "GET folders"},
		{"GET", "http://127.0.0.1:9/b/?uploads=", "", "GET upload"},
		{"POST", "http://127.0.0.1:9/b/k?uploads=", "", "POST upload"},
		{"PUT", "http://127.0.0.1:9/b/k?partNumber=1&uploadId=x", "", "PUT part"},
		{"PUT", "http://127.0.0.1:9/b/k?partNumber=1&uploadId=x", "b/j", "PUT copy"},
		{"PUT", "http://127.0.0.1:9/b/k", "b/j", "PUT copy"},
		{"GET", "http://127.0.0.1:9/b/k?uploadId=x", "", "GET part"},
		{"POST", "http://127.0.0.1:9/b/k?uploadId=x", "", "POST complete"},
		{"DELETE", "http://127.0.0.1:9/b/k?uploadId=x", "", "DELETE upload"},
		{"POST", "http://127.0.0.1:9/b/?delete=", "", "POST delete"},
		{"HEAD", "http://127.0.0.1:9/b/k/l", "", "HEAD object"},
		{"PUT", "http://b.s3.localhost:9/k", "", "PUT object"},
		{"GET", "http://b.s3.localhost:9/?list-type=2&prefix=a", "", "GET list"},
	} {
		r, err := http.NewRequest(tt.method, tt.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.source != "" {
			r.Header.Set("X-Amz-Copy-Source", tt.source)
		}
		if got := ts.StoreClass(r); got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.method, tt.url, got, tt.want)
		}
	}
}
