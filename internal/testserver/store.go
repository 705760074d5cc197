package testserver

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/lighterage/lighterage/internal/testprogram"
)

// Store is an S3 server that runs for a test, with one bucket. What its methods do
// goes past the front: it is not counted, and no fault applies to it.
type Store struct {
	Endpoint  string // http://127.0.0.1:port, https with WithTLS
	Host      string // 127.0.0.1:port
	CA        string // PEM of the authority that signed its certificate, with WithTLS
	AccessKey string
	SecretKey string
	Region    string
	Bucket    string
	Root      string // the folder it keeps its buckets in
	Faults    *Faults

	t         testing.TB
	front     *Registry
	process   atomic.Pointer[testprogram.Process]
	transport *http.Transport
}

// StoreDomain is the host below which buckets of a Store are hosts too:
// <bucket>.s3.localhost. Where to connect to for it is the test's to say.
const StoreDomain = "s3.localhost"

// S3 starts versitygw, a real S3 server, as a process of its own, behind a front in
// this one. Of the options only WithRoot, WithTLS, WithLatency and WithRegion have a
// meaning.
func S3(t testing.TB, list ...Option) *Store {
	t.Helper()
	program, err := testprogram.Build("versitygw", t.Logf)
	if err != nil {
		Unavailable(t, "versitygw cannot be built: %v", err)
	}
	sidecar := t.TempDir()
	return store(t, list, func(s *Store) (*testprogram.Process, error) {
		return testprogram.Start(program, "-root", s.Root, "-sidecar", sidecar, "-domain", StoreDomain,
			"-access", s.AccessKey, "-secret", s.SecretKey, "-region", s.Region)
	})
}

// MinIO starts MinIO like S3, where it can be built: on Linux. The first build takes
// minutes. Store.Damage is not for it: it keeps objects in files of its own form.
func MinIO(t testing.TB, list ...Option) *Store {
	t.Helper()
	server, err := testprogram.BuildOther("minio", "github.com/minio/minio", t.Logf)
	if err != nil {
		Unavailable(t, "MinIO cannot be built: %v", err)
	}
	program, err := testprogram.Build("minio", t.Logf)
	if err != nil {
		Unavailable(t, "what starts MinIO cannot be built: %v", err)
	}
	return store(t, list, func(s *Store) (*testprogram.Process, error) {
		// It is told a port that was free a moment ago, and another program may have it now.
		for attempt := 1; ; attempt++ {
			process, err := testprogram.Start(program, "-program", server, "-root", s.Root, "-domain", StoreDomain,
				"-access", s.AccessKey, "-secret", s.SecretKey, "-region", s.Region)
			if err == nil || attempt == 5 || !strings.Contains(err.Error(), "port is already in use") {
				return process, err
			}
		}
	})
}

func store(t testing.TB, list []Option, start func(*Store) (*testprogram.Process, error)) *Store {
	t.Helper()
	o := gather(list)
	o.classify = StoreClass
	if o.root == "" {
		o.root = t.TempDir()
	}
	s := &Store{
		AccessKey: "store-access", SecretKey: "store-secret/+", Region: cmp.Or(o.region, "us-east-1"), Bucket: "harbor", Root: o.root,
		t: t, transport: &http.Transport{DisableCompression: true},
	}
	s.front = serve(t, o, func() (http.Handler, func()) {
		process, err := start(s)
		if err != nil {
			t.Errorf("start the store: %v", err)
			return http.NotFoundHandler(), func() {}
		}
		s.process.Store(process)
		handler, closeIdle := reverse(&url.URL{Scheme: "http", Host: process.Address})
		return handler, func() {
			closeIdle()
			s.transport.CloseIdleConnections()
			process.Stop()
		}
	})
	s.Endpoint, s.Host, s.CA, s.Faults = s.front.URL, s.front.Host, s.front.CA, s.front.Faults
	s.MakeBucket(s.Bucket)
	return s
}

// Stop, Restart, Requests and ResetRequests are as for a Registry.
func (s *Store) Stop() { s.front.Stop() }

// Restart stops the store if it runs and starts it again at the same address.
func (s *Store) Restart() { s.t.Helper(); s.front.Restart() }

// Requests returns what was asked of the store since the start or ResetRequests.
func (s *Store) Requests() Requests { return s.front.Requests() }

// ResetRequests forgets what was asked so far.
func (s *Store) ResetRequests() { s.front.ResetRequests() }

// Client returns an HTTP client that trusts the store's certificate.
func (s *Store) Client() *http.Client { return s.front.Client() }

// Location names the store's bucket, or a prefix in it, as users do on the command
// line: s3://bucket/prefix?endpoint=...
func (s *Store) Location(prefix string) string {
	query := url.Values{"endpoint": {s.Endpoint}, "access_key": {s.AccessKey}, "secret_key": {s.SecretKey}, "region": {s.Region}}
	return "s3://" + s.Bucket + "/" + prefix + "?" + query.Encode()
}

// Past returns the store's endpoint behind the front, for measuring. It is another
// one after a Restart.
func (s *Store) Past() string { return "http://" + s.process.Load().Address }

// Direct returns a client that goes past the front.
func (s *Store) Direct() *minio.Client {
	s.t.Helper()
	client, err := minio.New(s.process.Load().Address, &minio.Options{
		Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: s.Region,
		BucketLookup: minio.BucketLookupPath, Transport: s.transport,
	})
	if err != nil {
		s.t.Fatalf("client of the store: %v", err)
	}
	return client
}

// MakeBucket adds a bucket.
func (s *Store) MakeBucket(name string) {
	s.t.Helper()
	client := s.Direct()
	if has, err := client.BucketExists(context.Background(), name); err == nil && has {
		return // the root was there before
	}
	s.must("make a bucket", client.MakeBucket(context.Background(), name, minio.MakeBucketOptions{Region: s.Region}))
}

// Put stores an object.
func (s *Store) Put(key string, content []byte) {
	s.t.Helper()
	_, err := s.Direct().PutObject(context.Background(), s.Bucket, key, bytes.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true, DisableContentSha256: true})
	s.must("put "+key, err)
}

// Get returns what an object holds, and false when there is none.
func (s *Store) Get(key string) ([]byte, bool) {
	s.t.Helper()
	object, err := s.Direct().GetObject(context.Background(), s.Bucket, key, minio.GetObjectOptions{})
	s.must("get "+key, err)
	defer object.Close()
	content, err := io.ReadAll(object)
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return nil, false
	}
	s.must("get "+key, err)
	return content, true
}

// Info returns what the store knows of an object, and false when there is none.
func (s *Store) Info(key string) (minio.ObjectInfo, bool) {
	s.t.Helper()
	info, err := s.Direct().StatObject(context.Background(), s.Bucket, key, minio.StatObjectOptions{Checksum: true})
	if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
		return info, false
	}
	s.must("stat "+key, err)
	return info, true
}

// Keys returns the keys that begin with prefix, in order.
func (s *Store) Keys(prefix string) []string {
	s.t.Helper()
	var keys []string
	for object := range s.Direct().ListObjects(context.Background(), s.Bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		s.must("list "+prefix, object.Err)
		keys = append(keys, object.Key)
	}
	slices.Sort(keys)
	return keys
}

// Remove deletes objects.
func (s *Store) Remove(keys ...string) {
	s.t.Helper()
	for _, key := range keys {
		s.must("remove "+key, s.Direct().RemoveObject(context.Background(), s.Bucket, key, minio.RemoveObjectOptions{}))
	}
}

// Uploads returns the keys for which multipart uploads were begun and not ended.
func (s *Store) Uploads() []string {
	s.t.Helper()
	var keys []string
	for upload := range s.Direct().ListIncompleteUploads(context.Background(), s.Bucket, "", true) {
		s.must("list uploads", upload.Err)
		keys = append(keys, upload.Key)
	}
	return keys
}

// Damage changes one bit of an object where it is kept, as a bad disk does: the
// store goes on saying what it knew of the object before.
func (s *Store) Damage(key string, offset int64) {
	s.t.Helper()
	file, err := os.OpenFile(filepath.Join(s.Root, s.Bucket, filepath.FromSlash(key)), os.O_RDWR, 0)
	s.must("damage "+key, err)
	defer file.Close()
	var one [1]byte
	_, err = file.ReadAt(one[:], offset)
	s.must("damage "+key, err)
	one[0] ^= 1
	_, err = file.WriteAt(one[:], offset)
	s.must("damage "+key, err)
}

func (s *Store) must(what string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%s, past the front: %v", what, err)
	}
}
