package tree_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lighterage/lighterage/internal/problem"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

func TestParseLocation(t *testing.T) {
	t.Parallel()
	environment := map[string]string{"REGISTRY_STORAGE_S3_ACCESSKEY": "harbor-key", "REGISTRY_STORAGE_S3_SECRETKEY": "harbor-secret"}
	for _, tc := range []struct {
		text string
		want tree.Location
		name string
	}{
		{"/srv/registry", tree.Location{Path: "/srv/registry"}, "/srv/registry"},
		{"relative/folder", tree.Location{Path: "relative/folder"}, "relative/folder"},
		{"s3://harbor?access_key=k&secret_key=s", tree.Location{S3: tree.S3Config{Bucket: "harbor", AccessKey: "k", SecretKey: "s"}}, "s3://harbor"},
		{"s3://harbor/a/b/?access_key=k&secret_key=s", tree.Location{S3: tree.S3Config{Bucket: "harbor", RootDirectory: "a/b", AccessKey: "k", SecretKey: "s"}}, "s3://harbor/a/b"},
		{
			"s3://harbor?endpoint=https://minio.example.com:9000&region=eu&access_key=k&secret_key=s+%2F%2B&session_token=t&path_style=true&insecure=true&ca=/ca.pem&storage_class=NONE&acl=none&encrypt=true&encrypt_key=id",
			tree.Location{S3: tree.S3Config{
				Bucket: "harbor", Endpoint: "https://minio.example.com:9000", Region: "eu", AccessKey: "k", SecretKey: "s+/+", SessionToken: "t",
				PathStyle: tree.PathStyleOn, Insecure: true, CAFile: "/ca.pem", StorageClass: "NONE", ACL: "none", Encrypt: true, EncryptKey: "id",
			}},
			"s3://harbor at https://minio.example.com:9000",
		},
		{"s3://harbor?path_style=false&access_key=k&secret_key=s", tree.Location{S3: tree.S3Config{Bucket: "harbor", PathStyle: tree.PathStyleOff, AccessKey: "k", SecretKey: "s"}}, "s3://harbor"},
		{"s3://harbor", tree.Location{S3: tree.S3Config{Bucket: "harbor", AccessKey: "harbor-key", SecretKey: "harbor-secret"}}, "s3://harbor"},
	} {
		got, err := tree.ParseLocation(tc.text, func(name string) string { return environment[name] })
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		if diff := cmp.Diff(tc.want, got, cmpopts.IgnoreUnexported(tree.S3Config{})); diff != "" {
			t.Errorf("%s: %s", tc.text, diff)
		}
		if got.String() != tc.name || got.IsS3() != strings.HasPrefix(tc.text, "s3:") {
			t.Errorf("%s calls itself %s", tc.text, got)
		}
	}
	environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], environment["AWS_SESSION_TOKEN"] = "aws-key", "aws-secret", "aws-token"
	got, err := tree.ParseLocation("s3://harbor", func(name string) string { return environment[name] })
	if err != nil || got.S3.AccessKey != "aws-key" || got.S3.SecretKey != "aws-secret" || got.S3.SessionToken != "aws-token" {
		t.Errorf("AWS's names come first: %+v, %v", got, err)
	}
	if got, err := tree.ParseLocation("s3://harbor", nil); err != nil || got.S3.AccessKey != "" {
		t.Errorf("without an environment: %+v, %v", got, err)
	}
}

func TestALocationThatMakesNoSenseIsRefusedWithoutItsSecrets(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "s3://", "s3:///prefix", "gs://bucket", "http://minio:9000/bucket", "s3://minio:9000/bucket?secret_key=hush&access_key=hush",
		"s3://hush:hush@b", "s3://b?typo=hush", "s3://b?path_style=perhaps", "s3://b?encrypt=AES256", "s3://b?endpoint=minio:9000",
		"s3://b?endpoint=http://minio/path", "s3://b?endpoint=", "s3://b?acl=everybody", "s3://b?encrypt_key=id",
		"s3://b?access_key=k&secret_key=hush%zz",
		"s3://b?access_key=k&secret_key=hush#hush", "s3://b?access_key=k;secret_key=hush", "s3://b%zz?secret_key=hush",
	} {
		_, err := tree.ParseLocation(text, nil)
		if !problem.Is(err, problem.BadRequest) {
			t.Errorf("%s: got %v, want a refusal", text, err)
		} else if strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: a secret is in %q", text, err)
		}
	}
}

func TestOpenOpensWhatALocationNames(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	for _, text := range []string{t.TempDir(), store.Location("a/b")} {
		l, err := tree.ParseLocation(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := tree.Open(t.Context(), l)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := opened.Put(t.Context(), "x", tree.BytesContent([]byte("content"))); err != nil {
			t.Error(err)
		}
		if opened.Local() == l.IsS3() || opened.String() != l.String() {
			t.Errorf("%s: local %t, called %s", l, opened.Local(), opened)
		}
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	}
	mustHold(t, store, "a/b/x", []byte("content"))
	if _, err := tree.Open(t.Context(), tree.Location{Path: "/no/such/folder"}); err == nil {
		t.Error("a folder was opened that is not there")
	}
}

func TestPartsGrowSoThatThereAreNotTooMany(t *testing.T) {
	t.Parallel()
	c := tree.S3Config{Bucket: "harbor"}
	for _, tt := range []struct{ size, want int64 }{
		{1, 16 << 20}, {160_000 << 20, 16 << 20}, {160_000<<20 + 1, 17 << 20}, {5 << 40, 525 << 20},
	} {
		got := tree.PartSize(c, tt.size)
		if got != tt.want || (tt.size+got-1)/got > 10_000 {
			t.Errorf("%d bytes: parts of %d, want %d", tt.size, got, tt.want)
		}
	}
}
