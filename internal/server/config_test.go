package server_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestParseStorage(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text   string
		driver string
		want   map[string]any
	}{
		{"/srv/registry", "filesystem", map[string]any{"rootdirectory": "/srv/registry"}},
		{"s3://harbor", "s3", map[string]any{"bucket": "harbor", "region": "us-east-1"}},
		{"s3://harbor/a/b/?region=eu-central-1", "s3", map[string]any{"bucket": "harbor", "region": "eu-central-1", "rootdirectory": "/a/b"}},
		{"s3://harbor?endpoint=http://127.0.0.1:9000&access_key=k&secret_key=s%2B", "s3", map[string]any{
			"bucket": "harbor", "region": "us-east-1", "regionendpoint": "http://127.0.0.1:9000", "secure": false,
			"forcepathstyle": true, "accesskey": "k", "secretkey": "s+",
		}},
		{"s3://harbor?secret_key=a+b/c", "s3", map[string]any{"bucket": "harbor", "region": "us-east-1", "secretkey": "a+b/c"}},
		{"s3://harbor?endpoint=https://s3.example.com&path_style=false&insecure=true", "s3", map[string]any{
			"bucket": "harbor", "region": "us-east-1", "regionendpoint": "https://s3.example.com", "secure": true,
			"forcepathstyle": false, "skipverify": true,
		}},
		{"s3://harbor?v4auth=false&storage_class=NONE&acl=public-read&encrypt=true&encrypt_key=k&session_token=t&path_style=true", "s3", map[string]any{
			"bucket": "harbor", "region": "us-east-1", "v4auth": false, "storageclass": "NONE", "objectacl": "public-read",
			"encrypt": true, "keyid": "k", "sessiontoken": "t", "forcepathstyle": true,
		}},
	} {
		got, err := server.ParseStorage(tc.text)
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		if got.Driver != tc.driver || !cmp.Equal(got.Parameters, tc.want) {
			t.Errorf("%s: %s %s", tc.text, got.Driver, cmp.Diff(tc.want, got.Parameters))
		}
	}
	for _, text := range []string{"s3://", "gs://bucket", "s3://b?typo=1", "s3://b?path_style=perhaps", "s3://b?v4auth=perhaps", "s3://b?ca=/ca.pem", "s3://b?acl=none", "s3://b?secret_key=50%off", "s3://b?secret_key=a;b", "s3://b?endpoint=minio:9000", "s3://user:pw@b"} {
		if _, err := server.ParseStorage(text); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%s: got %v, want a refusal", text, err)
		}
	}
}

func TestWhatIsConfiguredWrongIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	cert, key, _ := ts.CertificateFiles(t)
	for name, c := range map[string]server.Config{
		"no data folder":        {},
		"listen without port":   {DataDir: t.TempDir(), Listen: "localhost"},
		"external URL, a path":  {DataDir: t.TempDir(), Listen: "127.0.0.1:0", ExternalURL: "https://example.com/harbor"},
		"external URL, no host": {DataDir: t.TempDir(), Listen: "127.0.0.1:0", ExternalURL: "example.com"},
		"no network of proxies": {DataDir: t.TempDir(), Listen: "127.0.0.1:0", TrustedProxies: []string{"proxy.example.com"}},
		"less than never":       {DataDir: t.TempDir(), Listen: "127.0.0.1:0", Reconcile: -time.Second},
		"verified less often":   {DataDir: t.TempDir(), Listen: "127.0.0.1:0", Verify: -time.Second},
		"half of TLS":           {DataDir: t.TempDir(), Listen: "127.0.0.1:0", TLSCertificate: cert},
		"key is no key":         {DataDir: t.TempDir(), Listen: "127.0.0.1:0", TLSCertificate: cert, TLSKey: cert},
		"certificate is none":   {DataDir: t.TempDir(), Listen: "127.0.0.1:0", TLSCertificate: key, TLSKey: key},
		"unknown database":      {DataDir: t.TempDir(), Listen: "127.0.0.1:0", Database: "mysql://x"},
		"unknown storage":       {DataDir: t.TempDir(), Listen: "127.0.0.1:0", Storage: "gs://bucket"},
		"data folder is a file": {DataDir: filepath.Join(cert, "x"), Listen: "127.0.0.1:0"},
	} {
		if err := server.Run(t.Context(), c); err == nil {
			t.Errorf("%s: the server ran", name)
		}
	}
}
