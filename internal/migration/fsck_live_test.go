package migration

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// What a registry does while it is looked at is no damage: pushes, tags that change,
// tags and manifests that are deleted.
func TestARegistryAtWorkIsClean(t *testing.T) {
	t.Parallel()
	for name, start := range registries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			r := start(t, ts.WithRoot(v.root))
			base := ts.Image(t, 1, 1, 100)
			ts.Push(t, r, "library/app", "base", base)

			ctx, stop := context.WithCancel(t.Context())
			var workers sync.WaitGroup
			for worker := range 3 {
				workers.Go(func() {
					for round := 0; ctx.Err() == nil; round++ {
						repository := fmt.Sprint("library/app", worker%2)
						image := ts.ImageOn(t, base, uint64(1000*worker+round), 1, 100)
						index := ts.IndexOf(t, image)
						for tag, a := range map[string]*ts.Artifact{fmt.Sprint("v", round%3): index, fmt.Sprint("one", worker): image} {
							if err := ts.TryPush(ctx, r, repository, tag, a); err != nil && ctx.Err() == nil {
								t.Error(err)
							}
						}
						if round%2 == 0 {
							deleteManifest(t, r, repository, index.Digest)
						}
						if round%4 == 0 {
							deleteManifest(t, r, repository, image.Digest)
						}
					}
				})
			}
			for i := range 25 {
				r, all := fsck(t, v.open(), FsckOptions{Deep: i%2 == 0})
				for _, line := range all {
					if !strings.HasPrefix(line, "note ") {
						t.Errorf("look %d: %s", i, line)
					}
				}
				if !r.Clean || r.Incomplete {
					t.Errorf("look %d: %+v", i, r)
				}
			}
			stop()
			workers.Wait()
		})
	}
}

// deleteManifest is ts.Delete for any goroutine.
func deleteManifest(t testing.TB, r *ts.Registry, repository string, d digest.Digest) {
	request, err := http.NewRequest(http.MethodDelete, r.URL+"/v2/"+repository+"/manifests/"+d.String(), nil)
	if err != nil {
		t.Error(err)
		return
	}
	answer, err := r.Client().Do(request)
	if err != nil {
		t.Error(err)
		return
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted && answer.StatusCode != http.StatusNotFound {
		t.Errorf("delete %s: %s", d, answer.Status)
	}
}

// step does something to a volume the first time that a file of it is read.
func step(v *volume, name string, do func()) tree.Tree {
	var once sync.Once
	return &hooked{Tree: v.open(), read: func(read string) error {
		if read == name {
			once.Do(do)
		}
		return nil
	}}
}

func TestWhatGoesWhileWeLookIsNoDamage(t *testing.T) {
	t.Parallel()
	const repository = "library/app"
	cases := []struct {
		name string
		at   func(d digest.Digest) string // what is read when it goes
		do   func(v *volume, d, other digest.Digest)
	}{
		{"a manifest with all it needs, before it is read", func(d digest.Digest) string { return blobName(d) }, func(v *volume, d, _ digest.Digest) {
			v.deleteManifest(repository, d)
			v.remove(layout.TagsFolder(repository) + "v1")
			v.remove(blobName(d))
		}},
		{"a manifest's blobs, after its link", func(d digest.Digest) string { return blobName(d) }, func(v *volume, d, _ digest.Digest) {
			v.deleteManifest(repository, d)
			v.remove(blobName(digest.FromString("config of one")))
			v.remove(linkName(layout.LayerLink, repository, "", digest.FromString("config of one")))
		}},
		{"a tag with its manifest", func(digest.Digest) string { return tagName(repository, "v1") }, func(v *volume, d, _ digest.Digest) {
			v.deleteManifest(repository, d)
			v.remove(layout.TagsFolder(repository) + "v1")
		}},
		{"a tag's manifest, when the tag is something newer", func(digest.Digest) string { return tagName(repository, "v1") }, func(v *volume, d, other digest.Digest) {
			v.tag(repository, "v1", other)
			v.deleteManifest(repository, d)
		}},
		{"a link", func(digest.Digest) string {
			return linkName(layout.LayerLink, repository, "", digest.FromString("base"))
		}, func(v *volume, d, other digest.Digest) {
			v.remove(layout.Repositories + repository)
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			d, other := v.image(repository, "v1", "one"), v.image(repository, "", "two")
			v.age()
			went := false
			tr := step(v, c.at(d), func() { went = true; c.do(v, d, other) })
			r, all := fsck(t, tr, FsckOptions{})
			if !r.Clean || !went || strings.Contains(strings.Join(all, "\n"), "dangling") {
				t.Errorf("went %t, %q", went, all)
			}
		})
	}
}

func TestWhatComesWhileWeLookIsThere(t *testing.T) {
	t.Parallel()
	const repository = "library/app"
	late := digest.FromString("late")
	for name, c := range map[string]struct {
		prepare, do  func(v *volume)
		read, listed string // do is done when this is read, or before something here is listed
	}{
		"an image, while links are read": {
			read: linkName(layout.LayerLink, repository, "", digest.FromString("base")),
			do:   func(v *volume) { v.image(repository, "v1", "two") },
		},
		"an image, when all links but the tag's are known": {
			read: tagName(repository, "v1"),
			do:   func(v *volume) { v.image(repository, "v1", "two") },
		},
		"a blob without a manifest": {
			listed: layout.Repositories,
			do: func(v *volume) {
				v.blob("late")
				v.write(linkName(layout.LayerLink, repository, "", late), late.String())
			},
		},
		"a blob before blobs are listed": {
			listed: layout.Blobs,
			do: func(v *volume) {
				v.blob("late")
				soon := time.Now().Add(time.Second) // the clocks of files are coarse
				v.must(os.Chtimes(v.path(blobName(late)), soon, soon))
			},
		},
		"the content of a manifest": {
			prepare: func(v *volume) {
				v.write(blobName(digest.FromString("base")), "")
			},
			listed: layout.Repositories,
			do:     func(v *volume) { v.blob("base") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			v.image(repository, "v1", "one")
			if c.prepare != nil {
				c.prepare(v)
			}
			v.age()
			var once sync.Once
			came := false
			come := func() { once.Do(func() { came = true; c.do(v) }) }
			tr := &hooked{Tree: v.open()}
			tr.before = func(o tree.ListOptions) {
				if o.Prefix == c.listed {
					come()
				}
			}
			tr.read = func(name string) error {
				if name == c.read {
					come()
				}
				return nil
			}
			r, all := fsck(t, tr, FsckOptions{})
			if !r.Clean || len(all) != 0 || !came {
				t.Errorf("came %t: %q", came, all)
			}
		})
	}
}

// A tag is pushed, and pushed again, while it is looked at; the first manifest is
// deleted before anybody saw it.
func TestATagThatChangesIsNotDangling(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	first, second := digest.FromString("came and went"), v.image("library/app", "", "second")
	v.tag("library/app", "v1", first)
	v.age()
	reads := 0
	tr := &hooked{Tree: v.open(), read: func(name string) error {
		if name == tagName("library/app", "v1") {
			if reads++; reads == 2 {
				v.tag("library/app", "v1", second)
			}
		}
		return nil
	}}
	if r, all := fsck(t, tr, FsckOptions{}); !r.Clean || len(all) != 0 || reads < 2 {
		t.Errorf("%q after %d reads", all, reads)
	}
}

// A tag that is being pushed has a history before it has a current link, and one that
// is being deleted may have it for longer.
func TestATagWithAHistoryOnlyIsWaitedFor(t *testing.T) {
	t.Parallel()
	const repository = "library/app"
	history := func(d digest.Digest) string { return linkName(layout.TagHistory, repository, "v2", d) }
	for name, c := range map[string]struct {
		then func(v *volume, first, second digest.Digest) // happens before the history is listed again
		want string                                       // of what is told
	}{
		"its current link comes": {
			then: func(v *volume, first, _ digest.Digest) { v.tag(repository, "v2", first) },
		},
		"its history goes": {
			then: func(v *volume, _, _ digest.Digest) { v.remove(layout.TagsFolder(repository) + "v2") },
		},
		"its history is another each time": {
			then: func(v *volume, first, second digest.Digest) {
				v.remove(history(first))
				v.write(history(second), second.String())
			},
		},
		"nothing happens": {
			then: func(*volume, digest.Digest, digest.Digest) {},
			want: "broken dangling-tag library/app:v2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVolume(t)
			first, second := v.image(repository, "v1", "one"), v.image(repository, "", "two")
			v.write(history(first), first.String())
			v.age()
			looks := 0
			tr := &hooked{Tree: v.open(), before: func(o tree.ListOptions) {
				if o.Prefix == layout.TagsFolder(repository)+"v2/index/" {
					if looks++; looks == 2 {
						c.then(v, first, second)
					}
				}
			}}
			r, all := fsck(t, tr, FsckOptions{})
			if told := strings.Join(all, "\n"); r.Clean != (c.want == "") || !strings.HasPrefix(told, c.want) || looks == 0 {
				t.Errorf("%q after %d looks", all, looks)
			}
		})
	}
}

// Distribution 2.8 empties a manifest or link before it writes it.
func TestWhatIsBeingWrittenIsWaitedFor(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	d := v.image("library/app", "v1", "one")
	names := []string{tagName("library/app", "v1"), blobName(d), linkName(layout.RevisionLink, "library/app", "", d)}
	contents := map[string]string{}
	for _, name := range names {
		contents[name] = v.read(name)
		v.write(name, "")
	}
	reads := map[string]int{}
	var mu sync.Mutex
	tr := &hooked{Tree: v.open(), read: func(name string) error {
		mu.Lock()
		defer mu.Unlock()
		if reads[name]++; reads[name] == 3 && contents[name] != "" {
			v.write(name, contents[name])
		}
		return nil
	}}
	r, all := fsck(t, tr, FsckOptions{Deep: true})
	if !r.Clean || len(all) != 0 {
		t.Errorf("%q after %v", all, reads)
	}
}
