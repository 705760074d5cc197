package migration

import (
	"context"
	"io"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/tree"
)

// untagged is a tree whose registry is just deleting a manifest: its tag goes after
// it was read twice.
type untagged struct {
	tree.Tree
	tag   string
	reads atomic.Int64
	gone  func()
}

func (u *untagged) Read(ctx context.Context, name string, offset, size int64) (io.ReadCloser, error) {
	body, err := u.Tree.Read(ctx, name, offset, size)
	if name == u.tag && u.reads.Add(1) == 2 {
		u.gone()
	}
	return body, err
}

func TestATagThatGoesAfterItsManifestIsNotDangling(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	v.fill()
	v.deleteManifest("library/app", digest.Digest(v.files()[tagName("library/app", "v0")]))
	u := &untagged{Tree: v.tree(), tag: tagName("library/app", "v0"), gone: func() { v.remove(layout.TagsFolder("library/app") + "v0") }}
	r, err := Fsck(t.Context(), u, FsckOptions{})
	if err != nil || !r.Clean {
		t.Errorf("%v, %+v", err, r)
	}
	if u.reads.Load() < 2 {
		t.Error("the tag was read once only: this test shows nothing")
	}
}
