package tree_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// trusting makes a tree trust the authority of a store with TLS.
func trusting(t testing.TB, store *ts.Store) func(*tree.S3Config) {
	t.Helper()
	if store.CA == "" {
		return func(*tree.S3Config) {}
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte(store.CA), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(c *tree.S3Config) { c.CAFile = file }
}

func TestOpeningAsksTheStoreForNothingThatIsGiven(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	if s := open(t, config(store, "a")); s.Region() != "us-east-1" || store.Requests().Count() != 0 {
		t.Errorf("region %s, requests\n%s", s.Region(), store.Requests())
	}
}

func TestTheRegionIsFound(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t, ts.WithRegion("eu-test-1"))
			c := config(store, "root")
			c.Region = ""
			store.Faults.Add(ts.Fault{Class: "GET location", Times: 2, Do: ts.SlowDown(0)})
			s := open(t, c)
			if s.Region() != "eu-test-1" {
				t.Errorf("region %q", s.Region())
			}
			mustPut(t, s, "a", content(10))
			mustHold(t, store, "root/a", content(10))
		})
	}
	// A store that knows nothing of regions.
	store := ts.S3(t)
	store.Faults.Add(ts.Fault{Class: "GET location", Do: ts.StoreError(501, "NotImplemented", "")})
	c := config(store, "root")
	c.Region = ""
	if s := open(t, c); s.Region() != "us-east-1" {
		t.Errorf("region %q", s.Region())
	}
}

func TestABucketThatIsNotThereIsSaidWhenTheRegionIsAskedFor(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	c := config(store, "root")
	c.Region, c.Bucket = "", "nowhere"
	if _, err := tree.OpenS3(t.Context(), c); !tree.IsFatal(err) || tree.S3Code(err) != "NoSuchBucket" {
		t.Errorf("got %v", err)
	}
}

func TestAWrongRegionIsSaidInWords(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t, ts.WithRegion("eu-test-1"))
			c := config(store, "root")
			c.Region = "us-west-2"
			_, err := open(t, c).Put(t.Context(), "a", tree.BytesContent(content(10)))
			if !tree.IsFatal(err) || !strings.Contains(err.Error(), "region") {
				t.Errorf("got %v", err)
			}
			if n := store.Requests().Count("PUT object"); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

func TestAnUnknownAuthorityIsNotTrustedAndNotTriedAgain(t *testing.T) {
	t.Parallel()
	store := ts.S3(t, ts.WithTLS())
	c := config(store, "root")
	c.Backoff = time.Hour // it would not end
	if _, err := open(t, c).Put(t.Context(), "a", tree.BytesContent(content(10))); !tree.IsFatal(err) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("got %v", err)
	}
	c.Backoff, c.Insecure = time.Millisecond, true
	mustPut(t, open(t, c), "a", content(10))
	c.Insecure = false
	trusting(t, store)(&c)
	s := open(t, c)
	mustPut(t, s, "b", content(300_000))
	if got, err := read(t, s, "a", 0, -1); err != nil || len(got) != 10 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	c.Endpoint = strings.Replace(c.Endpoint, "https", "http", 1)
	if _, err := open(t, c).Put(t.Context(), "a", tree.BytesContent(content(10))); err == nil {
		t.Error("a store with TLS was talked to without")
	}
}

func TestPlainHTTPWhereTLSIsExpectedIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	c := config(store, "root")
	c.Endpoint, c.Backoff = strings.Replace(c.Endpoint, "http", "https", 1), time.Hour
	if _, err := open(t, c).Put(t.Context(), "a", tree.BytesContent(content(10))); !tree.IsFatal(err) {
		t.Errorf("got %v", err)
	}
}

func TestTheBucketIsInTheHostWhereThatIsAskedFor(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t)
			_, port, err := net.SplitHostPort(store.Host)
			if err != nil {
				t.Fatal(err)
			}
			c := config(store, "root")
			c.Endpoint = "http://" + net.JoinHostPort(ts.StoreDomain, port)
			c.PathStyle = tree.PathStyleOff
			s := open(t, tree.DialTo(c, store.Host))
			for _, size := range []int{71, 6 << 20} {
				mustPut(t, s, "a", content(size))
				if got, err := read(t, s, "a", 0, -1); err != nil || len(got) != size {
					t.Errorf("%d bytes, %v", len(got), err)
				}
			}
			if got, err := names(t, s, tree.ListOptions{}); err != nil || len(got) != 1 {
				t.Errorf("listed %q, %v", got, err)
			}
			for _, r := range store.Requests() {
				if strings.HasPrefix(r.Path, "/"+store.Bucket) {
					t.Errorf("the bucket is in the path %s", r.Path)
				}
			}
		})
	}
}

func TestWhatIsConfiguredWrongIsSaidWhenOpening(t *testing.T) {
	t.Parallel()
	noPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(noPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := tree.S3Config{Bucket: "harbor", Region: "r", Endpoint: "http://127.0.0.1:1", AccessKey: "a", SecretKey: "s"}
	for name, change := range map[string]func(*tree.S3Config){
		"no bucket":             func(c *tree.S3Config) { c.Bucket = "" },
		"no bucket's name":      func(c *tree.S3Config) { c.Bucket = "Not/A Bucket" },
		"endpoint, no scheme":   func(c *tree.S3Config) { c.Endpoint = "minio:9000" },
		"endpoint, a path":      func(c *tree.S3Config) { c.Endpoint = "http://minio:9000/s3" },
		"half of credentials":   func(c *tree.S3Config) { c.SecretKey = "" },
		"the other half":        func(c *tree.S3Config) { c.AccessKey = "" },
		"no CA file":            func(c *tree.S3Config) { c.CAFile = "/no/such/file" },
		"a CA file that is not": func(c *tree.S3Config) { c.CAFile = noPEM },
		"a key and no lock":     func(c *tree.S3Config) { c.EncryptKey = "key" },
		"parts too small":       func(c *tree.S3Config) { c.PartSize = 1 << 20 },
		"single too large":      func(c *tree.S3Config) { c.SingleLimit = 6 << 30 },
		"less than nothing":     func(c *tree.S3Config) { c.MaxConcurrency = -1 },
	} {
		c := good
		change(&c)
		if _, err := tree.OpenS3(t.Context(), c); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := open(t, good); s.String() != "s3://harbor at http://127.0.0.1:1" {
		t.Errorf("it calls itself %s", s)
	}
}

// Not beside other tests: it changes the environment.
func TestCredentialsAreFoundWhereTheyAre(t *testing.T) {
	store := ts.S3(t)
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SHARED_CREDENTIALS_FILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"AccessKeyId": %q, "SecretAccessKey": %q, "Token": "", "Expiration": %q}`,
			store.AccessKey, store.SecretKey, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	}))
	defer role.Close()
	for name, prepare := range map[string]func(t *testing.T){
		"environment": func(t *testing.T) {
			t.Setenv("AWS_ACCESS_KEY_ID", store.AccessKey)
			t.Setenv("AWS_SECRET_ACCESS_KEY", store.SecretKey)
		},
		"Harbor's Secret": func(t *testing.T) {
			t.Setenv("REGISTRY_STORAGE_S3_ACCESSKEY", store.AccessKey)
			t.Setenv("REGISTRY_STORAGE_S3_SECRETKEY", store.SecretKey)
		},
		"file": func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "credentials")
			text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", store.AccessKey, store.SecretKey)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
		},
		"role": func(t *testing.T) { t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL) },
	} {
		t.Run(name, func(t *testing.T) {
			prepare(t)
			c := config(store, "root")
			c.AccessKey, c.SecretKey = "", ""
			mustPut(t, open(t, c), "a", content(10))
		})
	}
	t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL+"/gone")
	role.Config.Handler = http.NotFoundHandler()
	c := config(store, "root")
	c.AccessKey, c.SecretKey = "", ""
	if _, err := tree.OpenS3(t.Context(), c); !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), "credentials for s3://harbor/root") {
		t.Errorf("without any: %v", err)
	}
}
