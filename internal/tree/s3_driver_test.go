package tree_test

import (
	"bytes"
	"slices"
	"testing"

	driver "github.com/distribution/distribution/v3/registry/storage/driver/s3-aws"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

func TestKeysAreThoseOfTheRegistrysDriver(t *testing.T) {
	t.Parallel()
	store := ts.S3(t)
	for _, root := range []string{"", "/", "//", "a", "/a", "a/", "/a/", "//a", "a//", "a/b", "/a/b/", "/ä b/+c"} {
		registry, err := driver.FromParameters(t.Context(), map[string]any{
			"bucket": store.Bucket, "region": store.Region, "regionendpoint": store.Endpoint, "forcepathstyle": true, "secure": false,
			"accesskey": store.AccessKey, "secretkey": store.SecretKey, "rootdirectory": root,
		})
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, config(store, root))
		theirs, ours := layout.Repositories+"lib/_layers/sha256/ab/link", layout.TagsFolder("lib")+"v1/current/link"
		if err := registry.PutContent(t.Context(), "/"+theirs, []byte("theirs")); err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, ours, []byte("ours"))
		if got, err := names(t, s, tree.ListOptions{}); err != nil || !slices.Equal(got, []string{theirs, ours}) {
			t.Errorf("root %q: listed %q, %v; keys %q", root, got, err, store.Keys(""))
		}
		if got, err := registry.GetContent(t.Context(), "/"+ours); err != nil || !bytes.Equal(got, []byte("ours")) {
			t.Errorf("root %q: the driver reads %q, %v; keys %q", root, got, err, store.Keys(""))
		}
		if got, err := read(t, s, theirs, 0, -1); err != nil || !bytes.Equal(got, []byte("theirs")) {
			t.Errorf("root %q: we read %q, %v; keys %q", root, got, err, store.Keys(""))
		}
		store.Remove(store.Keys("")...)
	}
}
