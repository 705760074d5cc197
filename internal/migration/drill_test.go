package migration

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// memoryFolder is a folder that ends with the test, in memory where there is such a
// place: thousands of small files are waited for on a disk.
func memoryFolder(t testing.TB) string {
	t.Helper()
	folder, err := os.MkdirTemp("/dev/shm", "lighterage-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Errorf("tidy up: %v", err)
		}
	})
	return folder
}

func newMemoryVolume(t testing.TB) *volume { return &volume{t, memoryFolder(t)} }

// newStore starts an S3 server that keeps its objects in memory.
func newStore(t testing.TB) *ts.Store { return ts.S3(t, ts.WithRoot(memoryFolder(t))) }

// at opens a prefix of a store as the copy does, but with parts that tests can fill,
// and failures that come soon.
func at(t testing.TB, store *ts.Store, prefix string) tree.Tree {
	t.Helper()
	s, err := tree.OpenS3(t.Context(), tree.S3Config{
		Bucket: store.Bucket, RootDirectory: prefix, Endpoint: store.Endpoint, Region: store.Region, AccessKey: store.AccessKey, SecretKey: store.SecretKey,
		SingleLimit: 5 << 20, PartSize: 5 << 20, Backoff: time.Millisecond, StallTimeout: 20 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// checkCopy compares twice, the second time by reading everything back, and returns
// the differences, which must be the same both times.
func checkCopy(t testing.TB, src, dst tree.Tree) []string {
	t.Helper()
	quick, _ := checkOnce(t, src, dst, CheckOptions{})
	deep, _ := checkOnce(t, src, dst, CheckOptions{Deep: true, Correct: true})
	if diff := cmp.Diff(quick, deep); diff != "" {
		t.Errorf("reading everything back says something else (-quick +deep):\n%s", diff)
	}
	return deep
}

func checkOnce(t testing.TB, src, dst tree.Tree, o CheckOptions) ([]string, CheckReport) {
	t.Helper()
	j, err := ReadJournal(t.Context(), dst, dst)
	if err != nil {
		t.Fatal(err)
	}
	differences := []string{}
	o.OnDifference = func(d Difference) { differences = append(differences, fmt.Sprint(d.Sign, " ", d.Name)) }
	r, err := Check(t.Context(), src, dst, j, o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Differences() != int64(len(differences)) || r.Same+r.Missing+r.Different+r.Unreadable != r.Objects || r.JournalError != "" {
		t.Errorf("report %+v, differences %q", r, differences)
	}
	slices.Sort(differences)
	return differences, r
}

// moves copies src to dst, once while it may change and once for good, and fails the
// test unless everything is there then.
func moves(t testing.TB, src, dst tree.Tree) {
	t.Helper()
	for _, final := range []bool{false, true} {
		r := copyVolume(t, src, dst, CopyOptions{Final: final, OnFailure: func(name string, err error) { t.Errorf("%s: %v", name, err) }})
		if !r.Complete() || len(r.Damage) > 0 {
			t.Errorf("final %t: %+v", final, r)
		}
	}
	if differences := checkCopy(t, src, dst); len(differences) > 0 {
		t.Errorf("differences: %q", differences)
	}
	j, err := ReadJournal(t.Context(), dst, dst)
	if err != nil {
		t.Fatal(err)
	}
	r, err := CheckRecent(t.Context(), src, dst, j, CheckOptions{})
	if err != nil || r.Differences() > 0 {
		t.Errorf("check of what changed: %v, %+v", err, r)
	}
}

// served is what a registry serves: for every reference in every repository what was
// got for it. Each byte was hashed.
type served map[string]string

// everything asks a registry for all tags that it tells of, and for all manifests and
// layers that a volume's files speak of. A repository without a tag is in the catalog
// of some registries and not in that of others.
func everything(t testing.TB, r *ts.Registry, files map[string]string) served {
	t.Helper()
	look := &looker{t: t, r: r, all: served{}, got: map[string]bool{}}
	for _, repository := range ts.Repositories(t, r) {
		for _, tag := range ts.Tags(t, r, repository) {
			look.pull(repository, tag, repository+":"+tag)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if f := layout.Parse(name); f.Kind == layout.RevisionLink {
			look.pull(f.Repository, f.Digest().String(), f.Repository+"@"+f.Digest().String())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if f := layout.Parse(name); f.Kind == layout.LayerLink && !look.got[f.Repository+f.Digest().String()] {
			look.all[f.Repository+" layer "+f.Digest().String()] = layer(t, r, f.Repository, f.Digest())
		}
	}
	return look.all
}

// looker gathers what a registry serves.
type looker struct {
	t   testing.TB
	r   *ts.Registry
	all served
	got map[string]bool // repositories and digests of blobs that were pulled
}

func (l *looker) pull(repository, reference, name string) {
	l.t.Helper()
	p, err := ts.TryPull(l.t.Context(), l.r, repository, reference)
	if err != nil {
		l.all[name] = "error: " + strings.ReplaceAll(err.Error(), l.r.Host, "HOST")
		return
	}
	for d := range p.Blobs {
		l.got[repository+d.String()] = true
	}
	l.all[name] = fmt.Sprintf("%s %s with %d manifests and blobs %v", p.MediaType, p.Digest, len(p.Manifests), p.Blobs)
}

// layer downloads a blob and hashes it.
func layer(t testing.TB, r *ts.Registry, repository string, d digest.Digest) string {
	t.Helper()
	answer, err := r.Client().Get(r.URL + "/v2/" + repository + "/blobs/" + d.String())
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.New()
	size, err := io.Copy(hash, answer.Body)
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		t.Fatal(err)
	}
	if got := digest.NewDigest(digest.SHA256, hash); answer.StatusCode == http.StatusOK && got != d {
		return fmt.Sprintf("%d bytes that hash to %s", size, got)
	}
	return fmt.Sprintf("%d bytes, %s", size, answer.Status)
}

// same fails the test unless two registries serve the same.
func (s served) same(t testing.TB, what string, other served) {
	t.Helper()
	if diff := cmp.Diff(s, other); diff != "" {
		t.Errorf("%s (-before +after):\n%s", what, diff)
	}
}

// whole fails the test for everything that cannot be pulled.
func (s served) whole(t testing.TB) {
	t.Helper()
	if len(s) == 0 {
		t.Error("nothing is served")
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if strings.HasPrefix(s[name], "error") || strings.Contains(s[name], " 404 ") || strings.Contains(s[name], "that hash to") {
			t.Errorf("%s: %s", name, s[name])
		}
	}
}
