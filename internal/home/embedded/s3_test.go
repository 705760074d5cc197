package embedded

import (
	"net/http/httptest"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestStorageInS3(t *testing.T) {
	t.Parallel()
	backend := s3mem.New()
	if err := backend.CreateBucket("harbor"); err != nil {
		t.Fatal(err)
	}
	s3 := httptest.NewServer(gofakes3.New(backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server())
	t.Cleanup(s3.Close)
	storage := Storage{Driver: "s3", Parameters: map[string]any{
		"bucket": "harbor", "region": "us-east-1", "regionendpoint": s3.URL, "forcepathstyle": true, "secure": false,
		"accesskey": "key", "secretkey": "secret", "rootdirectory": "/prefix",
	}}
	inS3 := func(o *Options) { o.Storage = storage }
	h := start(t, inS3)
	h.fill()
	for _, reference := range []string{"latest", "nested"} {
		ts.Pull(t, h.remote, "library/deep/er/multi", reference)
	}
	d := ts.Push(t, h.remote, repo, "gone", ts.Image(t, 20, 1, 100))
	ts.Push(t, h.remote, repo, "also", ts.Image(t, 20, 1, 100))
	h.want(202, "DELETE", "/v2/"+repo+"/manifests/gone", nil)
	h.want(200, "HEAD", "/v2/"+repo+"/manifests/also", nil)
	h.must(h.DeleteArtifact(t.Context(), "admin", repo, d))
	h.want(404, "HEAD", "/v2/"+repo+"/manifests/also", nil)
	h.must(h.DeleteRepository(t.Context(), "admin", "team-a/docker"))
	big := make([]byte, 12<<20) // several parts of a multipart upload
	ts.Push(t, h.remote, repo, "big", ts.Image(t, 21, 1, len(big)))
	before := h.everything()

	db := storetest.Open(t)
	makeProjects(t, db)
	second := startOn(t, db, "", inS3)
	second.agrees()
	if after := second.everything(); len(after) != len(before) || len(after) < 10 {
		t.Errorf("%d artifacts in S3, %d in the index", len(after), len(before))
	}
}
