package migration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/distribution/distribution/v3/registry/storage"
	driver "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

func TestWhatRegistriesWriteIsClean(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		var want FsckReport
		for name, content := range w.files() {
			switch f := layout.Parse(name); {
			case f.Kind == layout.Blob:
				want.Blobs++
				want.Bytes += int64(len(content))
			case f.IsLink():
				want.Links++
			}
			if layout.Parse(name).Kind == layout.RevisionLink {
				want.Revisions++
			}
		}
		want.Manifests = want.Revisions - 1 // one is in two repositories
		for _, part := range parts(w.gone) {
			want.Unneeded++
			want.UnneededBytes += int64(len(w.read(blobName(part))))
		}
		for _, deep := range []bool{false, true} {
			r, all := fsck(t, w.tree(), FsckOptions{Deep: deep})
			differ(t, orphans(parts(w.gone)...), all)
			if !r.Clean || r.Incomplete || r.Broken+r.Damaged+r.BrokenRevisions != 0 {
				t.Errorf("deep %t: not clean: %+v", deep, r)
			}
			got := FsckReport{
				Blobs: r.Blobs, Bytes: r.Bytes, Links: r.Links, Revisions: r.Revisions, Manifests: r.Manifests,
				Unneeded: r.Unneeded, UnneededBytes: r.UnneededBytes,
			}
			if diff := cmp.Diff(want, got); diff != "" || r.Tags != w.tags || r.Repositories != 10 {
				t.Errorf("deep %t: %d tags in %d repositories, want %d in 10 (-want +got):\n%s", deep, r.Tags, r.Repositories, w.tags, diff)
			}
			if deep && r.HashedBytes < r.Bytes {
				t.Errorf("%d bytes hashed of %d", r.HashedBytes, r.Bytes)
			}
		}
	})
}

// damageCase makes damage on purpose. The result is what has to be found, besides the
// orphans that there were before; in deep the same, unless it differs.
type damageCase struct {
	name string
	make func(p place, w *world) (light, deep []string)
}

var damageCases = []damageCase{
	{"an empty layer link", func(p place, w *world) (light, deep []string) {
		name := linkName(layout.LayerLink, "library/app", "", w.base.Blobs[1].Digest)
		p.write(name, "")
		return both("damaged empty-link library/app " + rest(name) + " repairable")
	}},
	{"a revision link with a line feed", func(p place, w *world) (light, deep []string) {
		name := linkName(layout.RevisionLink, "library/app", "", w.base.Digest)
		p.write(name, w.base.Digest.String()+"\n")
		return both("damaged malformed-link library/app " + rest(name) + " repairable")
	}},
	{"a link of megabytes", func(p place, w *world) (light, deep []string) {
		name := linkName(layout.TagHistory, "library/app", "base", w.base.Digest)
		p.write(name, strings.Repeat("sha256:", 1<<20))
		return both("damaged malformed-link library/app:base " + rest(name) + " repairable")
	}},
	{"a layer link to something else", func(p place, w *world) (light, deep []string) {
		name := linkName(layout.LayerLink, "library/app", "", w.base.Blobs[1].Digest)
		p.write(name, w.base.Blobs[2].Digest.String())
		return both("damaged wrong-link library/app " + rest(name) + " repairable")
	}},
	{"an empty tag with one thing it can be", func(p place, w *world) (light, deep []string) {
		p.write(tagName("library/app", "v1"), "")
		return both("damaged empty-link library/app:v1 " + rest(tagName("library/app", "v1")) + " repairable")
	}},
	{"an empty tag with two things it can be", func(p place, w *world) (light, deep []string) {
		p.write(tagName("library/app", "latest"), "")
		return both("broken empty-link library/app:latest " + rest(tagName("library/app", "latest")))
	}},
	{"a tag that holds a word", func(p place, w *world) (light, deep []string) {
		p.write(tagName("alone", "v1"), "latest")
		return both("damaged malformed-link alone:v1 " + rest(tagName("alone", "v1")) + " repairable")
	}},
	{"a tag without a history that holds a word", func(p place, w *world) (light, deep []string) {
		p.write(tagName("alone", "v1"), "latest")
		p.remove(linkName(layout.TagHistory, "alone", "v1", w.docker.Digest))
		return both("broken malformed-link alone:v1 " + rest(tagName("alone", "v1")))
	}},
	{"a tag without a manifest", func(p place, w *world) (light, deep []string) {
		p.remove(linkName(layout.RevisionLink, "alone", "", w.docker.Digest))
		return both("broken dangling-tag alone:v1 "+rest(tagName("alone", "v1")), orphans(parts(w.docker)...)...)
	}},
	{"a tag with a history only", func(p place, w *world) (light, deep []string) {
		p.remove(tagName("library/app", "v1"))
		return both("broken dangling-tag library/app:v1 " + rest(tagName("library/app", "v1")))
	}},
	{"a tag set to what was never there", func(p place, w *world) (light, deep []string) {
		p.write(tagName("alone", "v1"), digest.FromString("nothing").String())
		return both("broken dangling-tag alone:v1 " + rest(tagName("alone", "v1")))
	}},
	{"a missing layer of two images in two repositories", func(p place, w *world) (light, deep []string) {
		name := blobName(w.base.Blobs[1].Digest)
		p.remove(name)
		return both("broken missing-blob library/app:base "+rest(name), "broken missing-blob library/app:latest "+rest(name), "broken missing-blob library/app-b:base "+rest(name))
	}},
	{"a missing config", func(p place, w *world) (light, deep []string) {
		name := blobName(w.docker.Blobs[0].Digest)
		p.remove(name)
		return both("broken missing-blob alone:v1 " + rest(name))
	}},
	{"a missing manifest", func(p place, w *world) (light, deep []string) {
		name := blobName(w.docker.Digest)
		p.remove(name)
		return both("broken missing-blob alone:v1 "+rest(name), orphans(parts(w.docker)[1:]...)...)
	}},
	{"a missing layer of a child", func(p place, w *world) (light, deep []string) {
		name := blobName(w.nested.Children[0].Children[0].Blobs[1].Digest)
		p.remove(name)
		return both("broken missing-blob multi/nested:v1 " + rest(name))
	}},
	{"a missing layer link", func(p place, w *world) (light, deep []string) {
		name := linkName(layout.LayerLink, "library/app-b", "", w.base.Blobs[2].Digest)
		p.remove(name)
		return both("broken missing-layer-link library/app-b:base " + rest(name))
	}},
	{"a missing child of an index", func(p place, w *world) (light, deep []string) {
		name := linkName(layout.RevisionLink, "multi/index", "", w.index.Children[1].Digest)
		p.remove(name)
		// The blob of the child is needed by the index; what the child needs is not.
		return both("broken missing-child multi/index:v1 "+rest(name), orphans(parts(w.index.Children[1])[1:]...)...)
	}},
	{"a missing child of a manifest list, with its blob", func(p place, w *world) (light, deep []string) {
		child := w.list.Children[0]
		name := linkName(layout.RevisionLink, "multi/list", "", child.Digest)
		p.remove(name)
		p.remove(blobName(child.Digest))
		return both("broken missing-child multi/list:v1 "+rest(name), orphans(parts(child)[1:]...)...)
	}},
	{"a missing subject", func(p place, w *world) (light, deep []string) {
		name := linkName(layout.RevisionLink, "signed/app", "", w.subject.Digest)
		p.remove(name)
		p.remove(tagName("signed/app", "v1"))
		p.remove(linkName(layout.TagHistory, "signed/app", "v1", w.subject.Digest))
		tag := ts.ReferrersTag(w.subject.Digest) // the list of referrers lists the referrer
		return both("note missing-subject signed/app:"+tag+" "+rest(name), orphans(parts(w.subject)...)...)
	}},
	{"an empty layer", func(p place, w *world) (light, deep []string) {
		name := blobName(w.docker.Blobs[1].Digest)
		p.write(name, "")
		return both("broken empty-blob alone:v1 " + rest(name))
	}},
	{"an empty manifest", func(p place, w *world) (light, deep []string) {
		name := blobName(w.docker.Digest)
		p.write(name, "")
		return both("broken empty-blob alone:v1 "+rest(name), orphans(parts(w.docker)[1:]...)...)
	}},
	{"a changed byte in a manifest", func(p place, w *world) (light, deep []string) {
		name := blobName(w.docker.Digest)
		p.write(name, strings.Replace(p.read(name), "schemaVersion", "schemaversion", 1))
		return both("broken digest-mismatch alone:v1 "+rest(name), orphans(parts(w.docker)[1:]...)...)
	}},
	{"a changed byte in a layer", func(p place, w *world) (light, deep []string) {
		name := blobName(w.docker.Blobs[1].Digest)
		p.write(name, flipped(p.read(name)))
		return nil, []string{"broken digest-mismatch alone:v1 " + rest(name)}
	}},
	{"a layer cut off", func(p place, w *world) (light, deep []string) {
		name := blobName(w.docker.Blobs[1].Digest)
		content := p.read(name)
		p.write(name, content[:len(content)-1])
		return []string{"broken size-mismatch alone:v1 " + rest(name)}, []string{"broken digest-mismatch alone:v1 " + rest(name)}
	}},
	{"a changed byte in a blob that nothing needs", func(p place, w *world) (light, deep []string) {
		d := digest.FromString("to be changed")
		p.write(blobName(d), "tO be changed")
		return orphans(d), []string{"damaged digest-mismatch  " + rest(blobName(d))}
	}},
	{"an empty blob that nothing needs", func(p place, w *world) (light, deep []string) {
		d := digest.FromString("to be emptied")
		p.write(blobName(d), "")
		return both("damaged empty-blob  " + rest(blobName(d)))
	}},
	{"the blob of nothing", func(p place, w *world) (light, deep []string) {
		d := digest.FromString("")
		p.write(blobName(d), "")
		return orphans(d), orphans(d)
	}},
	{"a manifest that is no JSON", func(p place, w *world) (light, deep []string) {
		d := manifestIn(p, "alone", "bad", "<html>")
		return both("broken unparsable-manifest alone:bad " + rest(blobName(d)))
	}},
	{"a manifest with a wrong size", func(p place, w *world) (light, deep []string) {
		layer := w.docker.Blobs[1]
		manifestIn(p, "alone", "bad", `{"layers":[{"digest":"`+layer.Digest.String()+`","size":7}]}`)
		return both("broken size-mismatch alone:bad " + rest(blobName(layer.Digest)))
	}},
	{"an index with a wrong size", func(p place, w *world) (light, deep []string) {
		manifestIn(p, "alone", "bad", `{"manifests":[{"digest":"`+w.docker.Digest.String()+`","size":7}]}`)
		return both("broken size-mismatch alone:bad " + rest(blobName(w.docker.Digest)))
	}},
	{"a layer link to a blob that is gone", func(p place, w *world) (light, deep []string) {
		name := linkName(layout.LayerLink, "alone", "", digest.FromString("collected"))
		p.write(name, digest.FromString("collected").String())
		return both("note dangling-layer-link alone " + rest(name))
	}},
	{"files of nobody", func(p place, w *world) (light, deep []string) {
		for _, name := range []string{"notes.txt", "blobs/sha256/ab/x", "repositories/alone/_layers/sha256/x/link", "zzz/x"} {
			p.write(layout.Root+name, "x")
			light = append(light, "note foreign  "+name)
		}
		return light, light
	}},
	{"files left over", func(p place, w *world) (light, deep []string) {
		tmp := linkName(layout.LayerLink, "alone", "", w.docker.Blobs[1].Digest) + ".8a6c3f0e.tmp"
		for _, name := range []string{rest(tmp), "blobs/sha256/.nfs0001", "repositories/lost+found/x", "blobs/.snapshot/a/b"} {
			p.write(layout.Root+name, "x")
			light = append(light, "note junk  "+name)
		}
		return light, light
	}},
	{"uploads", func(p place, w *world) (light, deep []string) {
		for _, name := range []string{"1/data", "1/startedat", "2/data", "2/hashstates/sha256/0"} {
			p.write(layout.Repositories+"alone/_uploads/"+name, "x")
		}
		return both("note junk alone repositories/alone/_uploads/")
	}},
	{"others beside it", func(p place, w *world) (light, deep []string) {
		for _, name := range []string{"lost+found/x", "charts/x", "docker/x/y", "docker/registry/v1/x", ownFolder + "journal/x"} {
			p.write(name, "x")
		}
		return both("note junk  lost+found/", "note foreign-prefix  charts/", "note foreign-prefix  docker/x/", "note foreign-prefix  docker/registry/v1/")
	}},
}

func both(first string, more ...string) (light, deep []string) {
	all := append([]string{first}, more...)
	return all, all
}

func rest(name string) string { return strings.TrimPrefix(name, layout.Root) }

func flipped(content string) string {
	b := []byte(content)
	b[len(b)/2] ^= 1
	return string(b)
}

// manifestIn pushes something as a manifest, whatever it is.
func manifestIn(p place, repository, tag, content string) digest.Digest {
	d := digest.FromString(content)
	p.write(blobName(d), content)
	p.write(linkName(layout.RevisionLink, repository, "", d), d.String())
	if tag != "" {
		p.write(linkName(layout.TagHistory, repository, tag, d), d.String())
		p.write(tagName(repository, tag), d.String())
	}
	return d
}

func TestDamageIsFoundAndNothingElse(t *testing.T) {
	t.Parallel()
	before := pushWorld(t, ts.Distribution)
	for _, c := range damageCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := before.copy(t)
			light, deep := c.make(w, w)
			w.age()
			w.finds(t, w.open(), light, deep)
		})
	}
}

// finds fails the test unless fsck finds exactly what it should, besides the orphans
// of what was deleted.
func (w *world) finds(t *testing.T, tr tree.Tree, light, deep []string) {
	t.Helper()
	for want, o := range map[*[]string]FsckOptions{&light: {}, &deep: {Deep: true, Concurrency: 1}} {
		r, all := fsck(t, tr, o)
		differ(t, append(orphans(parts(w.gone)...), *want...), all)
		harm := strings.Contains(strings.Join(*want, "\n"), "broken ") || strings.Contains(strings.Join(*want, "\n"), "damaged ")
		if r.Clean == harm || r.Incomplete {
			t.Errorf("deep %t: clean %t, incomplete %t", o.Deep, r.Clean, r.Incomplete)
		}
	}
}

func TestATreeWithoutARegistryIsAnError(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"":                          "no folders at all",
		"harbor/docker/registry/v2": "It has harbor",
		"docker/registry/v1/x":      "It has docker",
		"docker/registry/v2/x":      "It has x there",
		"docker/registry/v2/blobs":  "blobs and no repositories",
	} {
		v := newVolume(t)
		if name != "" {
			v.must(os.MkdirAll(v.path(name), 0o755))
		}
		r, err := Fsck(t.Context(), v.tree(), FsckOptions{})
		if !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), v.root) || r.Clean {
			t.Errorf("%q: %v, clean %t, want %q", name, err, r.Clean, want)
		}
		if r, err := Repair(t.Context(), v.tree(), RepairOptions{}); !problem.Is(err, problem.NotFound) || !r.Incomplete {
			t.Errorf("repair %q: %v", name, err)
		}
	}
}

func TestWhatCannotBeReadIsDamageAndTheRestIsLookedAt(t *testing.T) {
	t.Parallel()
	before := pushWorld(t, ts.Distribution)
	unreadable := errors.New("input/output error")
	folder := layout.Blobs + "sha256/" + before.docker.Blobs[1].Digest.Encoded()[:2] + "/"
	for name, c := range map[string]struct {
		list, read string
		deep       bool
		want       []string
	}{
		"a manifest":             {read: blobName(before.docker.Digest), want: []string{"broken unreadable alone:v1 " + rest(blobName(before.docker.Digest))}},
		"a layer, deep":          {read: blobName(before.docker.Blobs[1].Digest), deep: true, want: []string{"broken unreadable  " + rest(blobName(before.docker.Blobs[1].Digest))}},
		"a layer link":           {read: linkName(layout.LayerLink, "alone", "", before.docker.Blobs[1].Digest), want: []string{"broken unreadable alone " + rest(linkName(layout.LayerLink, "alone", "", before.docker.Blobs[1].Digest))}},
		"a tag":                  {read: tagName("alone", "v1"), want: []string{"broken unreadable alone:v1 " + rest(tagName("alone", "v1"))}},
		"a repository":           {list: layout.Repositories + "alone/", want: []string{"broken unreadable  repositories/alone/"}},
		"a repository's uploads": {list: layout.Repositories + "alone/_uploads/", want: []string{"note junk  repositories/alone/_uploads/"}},
		"a part of the blobs":    {list: folder, want: []string{"broken unreadable  " + rest(folder)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := before.copy(t)
			w.write(blobName(w.base.Digest), "") // is found all the same
			w.write(layout.Repositories+"alone/_uploads/1/data", "x")
			w.age()
			tr := &hooked{Tree: w.open(), list: c.list, failure: unreadable, read: func(name string) error {
				if name == c.read {
					return unreadable
				}
				return nil
			}}
			want := append([]string{"broken empty-blob library/app-b:base " + rest(blobName(w.base.Digest)), "broken empty-blob library/app:base " + rest(blobName(w.base.Digest))}, c.want...)
			harmless := strings.HasPrefix(c.want[0], "note ")
			if harmless {
				want = append(want, orphans(append(parts(w.gone), parts(w.base)[1])...)...)
			} else if !strings.HasPrefix(c.list, layout.Repositories) {
				want = append(want, "note junk alone repositories/alone/_uploads/")
			}
			r, all := fsck(t, tr, FsckOptions{Deep: c.deep})
			differ(t, want, all)
			if r.Clean || r.Incomplete == harmless || (r.Unneeded != 0) != harmless {
				t.Errorf("clean %t, incomplete %t, %d unneeded", r.Clean, r.Incomplete, r.Unneeded)
			}
		})
	}
}

// A part of a registry that was moved to another disk, with a link in its place, is
// not seen by whoever does not follow links; a look must say so.
func TestWhatLinksLeadToIsNotPassedOver(t *testing.T) {
	t.Parallel()
	for _, name := range []string{layout.Root + "blobs", layout.Blobs + "sha256", layout.Repositories + "library", layout.Repositories + "library/app-b", layout.TagsFolder("library/app") + "v1"} {
		v := newVolume(t)
		v.fill()
		v.age()
		elsewhere := v.path("moved")
		v.must(os.Rename(v.path(name), elsewhere))
		v.must(os.Symlink(elsewhere, v.path(name)))
		r, all := fsck(t, v.open(), FsckOptions{})
		if r.Clean || !r.Incomplete || !slices.ContainsFunc(all, func(line string) bool {
			return strings.HasPrefix(line, "broken unreadable") && strings.Contains(line+"/", rest(name)+"/")
		}) {
			t.Errorf("%s: %+v\n%s", name, r, strings.Join(all[:min(len(all), 5)], "\n"))
		}
	}
	v := newVolume(t)
	v.fill()
	elsewhere := v.path("moved")
	v.must(os.Rename(v.path(layout.Root+"repositories"), elsewhere))
	v.must(os.Symlink(elsewhere, v.path(layout.Root+"repositories")))
	if _, err := Fsck(t.Context(), v.open(), FsckOptions{}); !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), "no repositories") {
		t.Error(err)
	}
}

func TestFsckEndsWithItsContext(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	v.fill()
	for _, concurrency := range []int{1, 64} {
		ctx, cancel := context.WithCancelCause(t.Context())
		gone := errors.New("the user went home")
		tr := &hooked{Tree: v.open(), read: func(string) error { cancel(gone); return nil }}
		r, err := Fsck(ctx, tr, FsckOptions{Concurrency: concurrency})
		if !errors.Is(err, gone) || r.Clean || !r.Incomplete {
			t.Errorf("%v, %+v", err, r)
		}
	}
}

// What a garbage collection leaves is clean, and what it takes nothing needs.
func TestWhatGarbageCollectionLeavesIsClean(t *testing.T) {
	t.Parallel()
	eachWorld(t, func(t *testing.T, w *world) {
		r, before := fsck(t, w.open(), FsckOptions{Deep: true})
		if r.Unneeded != int64(len(parts(w.gone))) {
			t.Fatalf("%q", before)
		}
		files := driver.New(driver.DriverParameters{RootDirectory: w.root, MaxThreads: 100})
		namespace, err := storage.NewRegistry(t.Context(), files, storage.EnableDelete)
		if err != nil {
			t.Fatal(err)
		}
		if err := storage.MarkAndSweep(t.Context(), files, namespace, storage.GCOpts{Quiet: true}); err != nil {
			t.Fatal(err)
		}
		w.age()
		after, all := fsck(t, w.open(), FsckOptions{Deep: true})
		differ(t, nil, all)
		if !after.Clean || after.Unneeded != 0 || after.Blobs != r.Blobs-r.Unneeded || after.Bytes != r.Bytes-r.UnneededBytes {
			t.Errorf("before %+v\nafter %+v", r, after)
		}
	})
}

func TestOnlyOneBigRepositoryIsHeldAtATime(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	const repositories = 2 * repositoriesAtOnce
	for i := range repositories {
		v.image(fmt.Sprint("library/app", i), "v1", fmt.Sprint(i))
	}
	v.age()
	s := newScan(v.open(), FsckOptions{})
	s.big = 2 // files: all of them are big
	var held atomic.Int64
	s.account = func(*repository) {
		if held.Add(1) != 1 {
			t.Error("two at a time")
		}
		runtime.Gosched()
		held.Add(-1)
	}
	if err := s.fsck(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := s.result(); !r.Clean || r.Repositories != repositories {
		t.Errorf("%+v", r)
	}
	if !s.bigRepository.TryLock() {
		t.Error("a big repository is held for ever")
	}
}
