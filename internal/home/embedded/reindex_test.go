package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// fill pushes a bit of everything.
func (h *harness) fill() {
	h.t.Helper()
	signed := ts.Image(h.t, 1, 2, 100)
	ts.Push(h.t, h.remote, repo, "v1", signed)
	ts.Push(h.t, h.remote, repo, "", ts.Image(h.t, 2, 1, 100))
	ts.Push(h.t, h.remote, repo, ts.CosignTag(signed.Digest), ts.CosignSignature(h.t, signed))
	ts.Push(h.t, h.remote, repo, "", ts.Referrer(h.t, signed, "application/vnd.cncf.notary.signature", 3))
	ts.Push(h.t, h.remote, "library/deep/er/multi", "latest", ts.Index(h.t, 4, "linux/amd64", "linux/arm64"))
	ts.Push(h.t, h.remote, "library/deep/er/multi", "nested", ts.NestedIndex(h.t, 5))
	ts.Push(h.t, h.remote, "team-a/docker", "list", ts.ManifestList(h.t, 6, "linux/amd64"))
	ts.Push(h.t, h.remote, "team-a/docker", "win", ts.ForeignLayerImage(h.t, 7))
	ts.Push(h.t, h.remote, "team-a/docker", "odd", ts.UnknownArtifact(h.t, 8))
}

// everything is what the index says of all artifacts, without ids and times.
func (h *harness) everything() map[string]home.Artifact {
	h.t.Helper()
	all := map[string]home.Artifact{}
	for l, err := range h.index.AllArtifacts(h.t.Context()) {
		h.must(err)
		a, err := h.index.GetArtifact(h.t.Context(), l.Repository, l.Digest.String())
		h.must(err)
		plain := home.Artifact{
			RepositoryName: a.RepositoryName, Digest: a.Digest, Type: a.Type, MediaType: a.MediaType, ManifestMediaType: a.ManifestMediaType,
			ArtifactType: a.ArtifactType, SubjectDigest: a.SubjectDigest, AccessoryOf: a.AccessoryOf, AccessoryType: a.AccessoryType,
			Size: a.Size, ManifestSize: a.ManifestSize, ExtraAttrs: a.ExtraAttrs, Annotations: a.Annotations,
		}
		for _, tag := range a.Tags {
			plain.Tags = append(plain.Tags, home.Tag{Name: tag.Name})
		}
		for _, r := range a.References {
			plain.References = append(plain.References, home.Reference{ChildDigest: r.ChildDigest, Platform: r.Platform})
		}
		for _, acc := range a.Accessories {
			plain.Accessories = append(plain.Accessories, home.Accessory{Digest: acc.Digest, Type: acc.Type})
		}
		slices.SortFunc(plain.Accessories, func(a, b home.Accessory) int { return strings.Compare(a.Digest, b.Digest) })
		all[l.Repository+"@"+a.Digest] = plain
	}
	return all
}

func TestLostDatabaseIsRebuiltFromTheStorage(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.fill()
	before := h.everything()
	if len(before) < 14 {
		t.Fatalf("only %d artifacts", len(before))
	}
	db := storetest.Open(t)
	makeProjects(t, db)
	second := startOn(t, db, h.dir)
	after := second.everything()
	for name, a := range before {
		if !reflect.DeepEqual(a, after[name]) {
			t.Errorf("%s\nwas %+v\nis  %+v", name, a, after[name])
		}
	}
	if len(after) != len(before) {
		t.Errorf("%d artifacts, were %d", len(after), len(before))
	}
	second.happened()
	second.agrees()
	a, err := second.index.GetArtifact(t.Context(), repo, "v1")
	second.must(err)
	old, err := h.index.GetArtifact(t.Context(), repo, "v1")
	second.must(err)
	if d := a.PushTime.Sub(old.PushTime).Abs().Seconds(); d > 5 || a.Tags[0].PushTime.IsZero() {
		t.Errorf("push time %s, was %s", a.PushTime, old.PushTime)
	}
}

func TestReindexKeepsWhatTheIndexKnowsAndMendsTheRest(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.fill()
	label, err := h.index.CreateLabel(t.Context(), home.Label{Name: "release", Scope: home.GlobalScope})
	h.must(err)
	h.must(h.index.AddLabel(t.Context(), repo, "v1", label))
	before, err := h.index.GetArtifact(t.Context(), repo, "v1")
	h.must(err)
	h.events()
	// Behind the registry's back: a tag moves, one goes, a manifest goes, one comes.
	other := h.image(repo, "other")
	h.must(h.tree().putManifest(t.Context(), repo, digest.FromBytes(other), other))
	h.must(h.tree().putTag(t.Context(), repo, "new", digest.FromBytes(other)))
	h.must(h.tree().removeTag(t.Context(), "team-a/docker", "win"))
	nested, err := h.tree().ResolveTag(t.Context(), "library/deep/er/multi", "nested")
	h.must(err)
	h.must(h.tree().removeManifest(t.Context(), "library/deep/er/multi", nested))
	h.must(h.tree().removeTag(t.Context(), "library/deep/er/multi", "nested"))
	// And what no registry wrote.
	h.must(h.tree().driver.PutContent(t.Context(), tagLink(repo, "empty"), nil))
	garbage := []byte("not a manifest")
	h.must(h.tree().putManifest(t.Context(), repo, digest.FromBytes(garbage), garbage))
	h.must(os.MkdirAll(filepath.Join(h.dir, "docker/registry/v2/repositories/lost+found/_manifests/revisions"), 0o777))

	var last Progress
	for range 2 { // the second time changes nothing
		h.must(h.Reindex(t.Context(), func(p Progress) { last = p }))
	}
	if last.Skipped != 1 || last.Repositories != 3 {
		t.Errorf("progress %+v", last)
	}
	h.must(h.tree().removeManifest(t.Context(), repo, digest.FromBytes(garbage)))
	h.agrees()
	h.happened()
	after, err := h.index.GetArtifact(t.Context(), repo, "v1")
	h.must(err)
	if !reflect.DeepEqual(before, after) {
		t.Errorf("was %+v\nis  %+v", before, after)
	}
}

func TestPushesDuringAReindexAreNotLost(t *testing.T) {
	t.Parallel()
	h := start(t)
	var images [][]byte
	for i := range 8 {
		images = append(images, h.image(repo, fmt.Sprint(i)))
	}
	var clients sync.WaitGroup
	for i, image := range images {
		clients.Go(func() {
			for round := range 3 {
				h.do("PUT", fmt.Sprintf("/v2/%s/manifests/t%d", repo, (i+round)%4), image, "Content-Type", ocispec.MediaTypeImageManifest)
				h.do("DELETE", fmt.Sprintf("/v2/%s/manifests/t%d", repo, (i+round+1)%4), nil)
			}
		})
	}
	for range 4 {
		h.must(h.Reindex(t.Context(), nil))
	}
	clients.Wait()
	h.agrees()
	h.nothingIsLeftOver()
}

func TestReindexOfUnknownProjectsNeedsSomebodyToMakeThem(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.put(repo, "v1", h.image(repo, "a"))
	db := storetest.Open(t)
	r, err := New(t.Context(), Options{
		Storage: Storage{Driver: "filesystem", Parameters: map[string]any{"rootdirectory": h.dir}},
		Index:   home.NewIndex(db), Access: everybody{},
	})
	h.must(err)
	defer r.Close()
	if err := r.Reindex(t.Context(), nil); !problem.Is(err, problem.NotFound) {
		t.Errorf("got %v", err)
	}
	if complete, err := r.index.Complete(t.Context()); err != nil || complete {
		t.Errorf("complete %t %v", complete, err)
	}
	// Until it is rebuilt, lists come from the storage.
	h.server.Config.Handler = r
	if tags, _ := h.tags("/v2/" + repo + "/tags/list"); !slices.Equal(tags, []string{"v1"}) {
		t.Errorf("tags %v", tags)
	}
	h.want(200, "GET", "/v2/_catalog", nil)
}

func TestBadStorageIsAnErrorAndNoPanic(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, s := range map[string]Storage{
		`storage driver "gcs" is not one of filesystem, s3 and inmemory`: {Driver: "gcs"},
		"rootdirectory is missing":                                       {Driver: "filesystem"},
		"not a directory":                                                {Driver: "filesystem", Parameters: map[string]any{"rootdirectory": file + "/x"}},
		"maxthreads":                                                     {Driver: "filesystem", Parameters: map[string]any{"rootdirectory": t.TempDir(), "maxthreads": "many"}},
		"bucket is missing":                                              {Driver: "s3"},
		"region is missing":                                              {Driver: "s3", Parameters: map[string]any{"bucket": "b"}},
		"invalid region":                                                 {Driver: "s3", Parameters: map[string]any{"bucket": "b", "region": "moon"}},
		"chunksize":                                                      {Driver: "s3", Parameters: map[string]any{"bucket": "b", "region": "us-east-1", "chunksize": "a"}},
	} {
		r, err := New(t.Context(), Options{Storage: s, Index: home.NewIndex(storetest.Open(t)), Access: everybody{}})
		if err == nil {
			r.Close()
			t.Errorf("%s: no error", want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := New(t.Context(), Options{}); err == nil || errors.Unwrap(err) != nil {
		t.Errorf("without an index: %v", err)
	}
}

func TestChangesBeforeTheFirstReindexHaveTheirEvents(t *testing.T) {
	t.Parallel()
	h := start(t)
	image := h.image(repo, "a")
	for _, tag := range []string{"v1", "v2", "v3"} {
		h.put(repo, tag, image)
	}
	db := storetest.Open(t)
	makeProjects(t, db)
	r, err := New(t.Context(), Options{
		Storage: Storage{Driver: "filesystem", Parameters: map[string]any{"rootdirectory": h.dir}},
		Index:   home.NewIndex(db), Access: everybody{},
	})
	h.must(err)
	t.Cleanup(r.Close)
	h.server.Config.Handler = r
	h.db, h.index = db, r.index
	h.want(202, "DELETE", "/v2/"+repo+"/manifests/v1", nil)
	h.want(202, "DELETE", "/v2/"+repo+"/manifests/"+digest.FromBytes(image).String(), nil)
	h.happened("delete_tag library/app v1 "+shortOf(image), "delete_artifact library/app v2,v3 "+shortOf(image))
	h.put(repo, "v4", image)
	h.happened("push_artifact library/app v4 " + shortOf(image))
	h.must(r.Reindex(t.Context(), nil))
	h.agrees()
}
