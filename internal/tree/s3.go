package tree

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
	"golang.org/x/sync/semaphore"

	"github.com/lighterage/lighterage/internal/pace"
	"github.com/lighterage/lighterage/internal/problem"
)

// S3 is a tree below a prefix of a bucket. Its keys are those of the registry's own
// S3 driver with the same root directory.
//
// It makes one request for an object that it puts, signed with the object's digest:
// a store that verifies what it is sent hashes the bytes, and we do not. Whether the
// store does is tried out once, before the first Put, see Traits. No request is sent
// in chunks of its own encoding or with trailers, which many stores do not know.
type S3 struct {
	config    S3Config
	prefix    string // of all keys: "" or with a slash at the end
	core      *minio.Core
	bucket    *url.URL // where the bucket is
	transport *s3Transport
	memory    *semaphore.Weighted // bytes of content that are held
	parts     sync.Pool           // of *[]byte, each of PartSize
	probe     s3Probe
	oneByOne  atomic.Bool // the store does not delete many objects at once
}

// PathStyle is where the bucket's name is in the address of a request.
type PathStyle int

// Ways to address a bucket.
const (
	PathStyleAuto PathStyle = iota // in the host for stores that are known to want it, in the path otherwise
	PathStyleOn                    // in the path
	PathStyleOff                   // in the host
)

// S3Config says where a tree in an S3 store is and how it is used.
type S3Config struct {
	Bucket        string
	RootDirectory string // as the registry's driver takes it: "", "/" and "x/" and "/x" are understood

	Endpoint  string // http(s)://host[:port]; "": Amazon's
	Region    string // "": asked of the store
	PathStyle PathStyle
	Insecure  bool   // do not verify the store's certificate
	CAFile    string // PEM of authorities to trust beside the system's

	// Credentials. Without an access key they come from the environment
	// (AWS_ACCESS_KEY_ID ..., or REGISTRY_STORAGE_S3_ACCESSKEY ... as Harbor's Secret has
	// them), from ~/.aws/credentials, or from the machine's or pod's role.
	AccessKey, SecretKey, SessionToken string

	// What is said of each object that is put.
	StorageClass string // "" or NONE: not said
	ACL          string // "": private, as the registry's driver says; none: not said
	Encrypt      bool   // the store is asked to encrypt (SSE-S3)
	EncryptKey   string // with this key of its key service (SSE-KMS)
	// Checksums has each object that is put with one request sent with its SHA-256 as a
	// checksum too, where the store keeps such: then Prove need not read it later, with
	// or without a journal. Some stores hash the content twice for it: MinIO works a sixth
	// to a fifth more.
	Checksums bool

	PartSize       int64           // bytes of a part of a large object; 0: 16 MiB. More where there would be over 10,000
	SingleLimit    int64           // bytes up to which an object is one request; 0: 256 MiB
	MaxConcurrency int             // requests at a time for each of reading and the rest, at most; 0: 64
	Memory         int64           // bytes of content held at a time, at most; 0: 128 MiB
	Bandwidth      *pace.Bandwidth // of content in both directions; nil: no limit

	StallTimeout time.Duration // ends a request when no byte has moved for so long; 0: 60 s
	Backoff      time.Duration // before the first repetition, doubled for each that follows; 0: 200 ms

	dial func(ctx context.Context, network, address string) (net.Conn, error) // of tests
}

// What S3 stores allow.
const (
	mebibyte       = 1 << 20
	leastPart      = 5 * mebibyte
	mostParts      = 10_000
	mostSingle     = 5 << 30
	defaultRegion  = "us-east-1"
	amazonEndpoint = "https://s3.amazonaws.com"
)

// OpenS3 opens a tree in an S3 store. The store is asked only where the region or
// credentials are not given. Close it after use.
func OpenS3(ctx context.Context, c S3Config) (*S3, error) {
	c, endpoint, err := c.check()
	if err != nil {
		return nil, err
	}
	s := &S3{config: c, prefix: keyPrefix(c.RootDirectory), memory: semaphore.NewWeighted(c.Memory)}
	s.probe.turn = make(chan struct{}, 1)
	s.parts.New = func() any { b := make([]byte, c.PartSize); return &b }
	if s.transport, err = newS3Transport(c); err != nil {
		return nil, err
	}
	creds, err := s3Credentials(ctx, c)
	if err != nil {
		return nil, err
	}
	if c.Region == "" {
		if s.config.Region, err = s.findRegion(ctx, endpoint, creds); err != nil {
			s.transport.close()
			return nil, err
		}
	}
	if s.core, err = s.client(endpoint, creds, s.config.Region); err != nil {
		return nil, problem.Wrap(problem.BadRequest, err, "open %s", s)
	}
	if s.bucket, err = s.bucketAddress(ctx); err != nil {
		return nil, problem.Wrap(problem.BadRequest, err, "open %s", s)
	}
	return s, nil
}

// check fills in what is left out.
func (c S3Config) check() (S3Config, *url.URL, error) {
	refuse := func(format string, args ...any) (S3Config, *url.URL, error) {
		return c, nil, problem.New(problem.BadRequest, "S3: "+format, args...)
	}
	if err := s3utils.CheckValidBucketName(c.Bucket); err != nil {
		return refuse("bucket %q: %v", c.Bucket, err)
	}
	endpoint, err := url.Parse(cmp.Or(c.Endpoint, amazonEndpoint))
	if err != nil || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "" ||
		strings.Trim(endpoint.Path, "/") != "" || endpoint.RawQuery != "" || endpoint.User != nil {
		return refuse("endpoint %q: want http(s)://host[:port]", c.Endpoint)
	}
	if (c.AccessKey == "") != (c.SecretKey == "") {
		return refuse("an access key and a secret key go together, and one of them is missing")
	}
	if c.EncryptKey != "" && !c.Encrypt {
		return refuse("a key to encrypt with is given, and encryption is not asked for")
	}
	c.PartSize = cmp.Or(c.PartSize, 16*mebibyte)
	c.SingleLimit = cmp.Or(c.SingleLimit, 256*mebibyte)
	c.MaxConcurrency = cmp.Or(c.MaxConcurrency, 64)
	c.Memory = max(cmp.Or(c.Memory, 128*mebibyte), c.PartSize)
	c.StallTimeout = cmp.Or(c.StallTimeout, time.Minute)
	c.Backoff = cmp.Or(c.Backoff, 200*time.Millisecond)
	switch {
	case c.PartSize < leastPart || c.PartSize > mostSingle:
		return refuse("parts of %d bytes: want from %d to %d", c.PartSize, int64(leastPart), int64(mostSingle))
	case c.SingleLimit < 0 || c.SingleLimit > mostSingle:
		return refuse("single requests of %d bytes: want at most %d", c.SingleLimit, int64(mostSingle))
	case c.MaxConcurrency < 1:
		return refuse("%d requests at a time: want 1 or more", c.MaxConcurrency)
	}
	return c, endpoint, nil
}

// keyPrefix is what the registry's driver puts before every path. Source:
// distribution, registry/storage/driver/s3-aws/s3.go, s3Path.
func keyPrefix(rootDirectory string) string {
	return strings.TrimLeft(strings.TrimRight(rootDirectory, "/")+"/", "/")
}

func (s *S3) client(endpoint *url.URL, creds *credentials.Credentials, region string) (*minio.Core, error) {
	lookup := map[PathStyle]minio.BucketLookupType{PathStyleOn: minio.BucketLookupPath, PathStyleOff: minio.BucketLookupDNS}[s.config.PathStyle]
	core, err := minio.NewCore(endpoint.Host, &minio.Options{
		Creds: creds, Secure: endpoint.Scheme == "https", Region: region, BucketLookup: lookup,
		Transport: s.transport, MaxRetries: 1,
	})
	if err != nil {
		return nil, err
	}
	core.SetAppInfo("lighterage", "1")
	return core, nil
}

// findRegion asks the store for the bucket's region. Stores that know no regions, or
// do not tell, take the usual one.
func (s *S3) findRegion(ctx context.Context, endpoint *url.URL, creds *credentials.Credentials) (string, error) {
	client, err := s.client(endpoint, creds, "")
	if err != nil {
		return "", problem.Wrap(problem.BadRequest, err, "open %s", s)
	}
	var region string
	err = s.try(ctx, "find the region", "", func(ctx context.Context, _ *s3Call) error {
		var err error
		region, err = client.GetBucketLocation(ctx, s.config.Bucket)
		if code := minio.ToErrorResponse(err).Code; code == minio.NotImplemented || code == minio.MethodNotAllowed {
			err = nil
		}
		return err
	})
	return cmp.Or(region, defaultRegion), err
}

// Close ends the use of the tree.
func (s *S3) Close() error {
	s.transport.close()
	return nil
}

// String names the bucket, the prefix and the store.
func (s *S3) String() string { return s.config.String() }

// String names the bucket, the root directory and the store. It holds no secrets.
func (c S3Config) String() string {
	text := "s3://" + c.Bucket
	if prefix := strings.TrimSuffix(keyPrefix(c.RootDirectory), "/"); prefix != "" {
		text += "/" + prefix
	}
	if c.Endpoint != "" {
		text += " at " + strings.TrimSuffix(c.Endpoint, "/")
	}
	return text
}

// Local implements Tree: every look at a store is a request.
func (s *S3) Local() bool { return false }

// Region is the region that requests are signed for.
func (s *S3) Region() string { return s.config.Region }

// Concurrency tells how many requests may be under way now, which follows what the
// store can take: for reading objects, and for everything else.
func (s *S3) Concurrency() (reading, rest int) {
	return s.transport.lanes[s3Read].Limit(), s.transport.lanes[s3Rest].Limit()
}

// key is the key of an object.
func (s *S3) key(name string) string { return s.prefix + name }

// checkUse returns an error for what is no object's name and for a context that has
// ended.
func (s *S3) checkUse(ctx context.Context, name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", name, context.Cause(ctx))
	}
	return nil
}
