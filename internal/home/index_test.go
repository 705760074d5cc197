package home_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

// fixture is an index with a storage that is only remembered.
type fixture struct {
	*home.Index
	t       *testing.T
	db      *store.DB
	storage *memory
}

// memory is a storage: tags by repository:tag, manifests by repository@digest.
type memory struct {
	tags      map[string]digest.Digest
	manifests map[string]bool
}

func (m *memory) ResolveTag(_ context.Context, repository, tag string) (digest.Digest, error) {
	return m.tags[repository+":"+tag], nil
}

func (m *memory) HasManifest(_ context.Context, repository string, d digest.Digest) (bool, error) {
	return m.manifests[repository+"@"+d.String()], nil
}

func each(t *testing.T, test func(f *fixture)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := &fixture{t: t, db: db, storage: &memory{map[string]digest.Digest{}, map[string]bool{}}}
		f.Index = home.NewIndex(db)
		f.exec(`INSERT INTO projects (name, owner_id, public, creation_time, update_time) VALUES ('library', 1, TRUE, 0, 0), ('team-a', 1, FALSE, 0, 0)`)
		test(f)
	})
}

func (f *fixture) exec(statement string) {
	f.t.Helper()
	err := f.db.InTx(f.t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(f.t.Context(), statement)
		return err
	})
	f.must(err)
}

func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// push records an image of a seed and returns its digest. size is that of its layer.
func (f *fixture) push(repository, tag, seed string, size int64, change ...func(*ocispec.Manifest)) digest.Digest {
	f.t.Helper()
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Annotations: map[string]string{"seed": seed}}
	m.SchemaVersion = 2
	m.Config = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageConfig, Digest: digest.FromString("config " + seed), Size: 10}
	m.Layers = []ocispec.Descriptor{{MediaType: ocispec.MediaTypeImageLayerGzip, Digest: digest.FromString("layer " + seed), Size: size}}
	for _, c := range change {
		c(&m)
	}
	return f.record(repository, tag, m)
}

func (f *fixture) index(repository, tag string, children ...digest.Digest) digest.Digest {
	f.t.Helper()
	m := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	m.SchemaVersion = 2
	for _, d := range children {
		m.Manifests = append(m.Manifests, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: 1,
			Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64"}, Annotations: map[string]string{"a": "b"}})
	}
	return f.record(repository, tag, m)
}

func (f *fixture) record(repository, tag string, manifest any) digest.Digest {
	f.t.Helper()
	content, err := json.Marshal(manifest)
	f.must(err)
	m, err := home.ParseManifest("", content)
	f.must(err)
	p := home.Push{Repository: repository, Digest: digest.FromBytes(content), Manifest: m, Operator: "admin", Time: time.Now()}
	f.storage.manifests[repository+"@"+p.Digest.String()] = true
	if tag != "" {
		p.Tags = []string{tag}
		f.storage.tags[repository+":"+tag] = p.Digest
	}
	in, err := f.Begin(f.t.Context(), repository, "x", home.PushOperation)
	f.must(err)
	f.must(f.RecordPush(f.t.Context(), in, f.storage, p))
	return p.Digest
}

func (f *fixture) remove(repository string, d digest.Digest, tag string) {
	f.t.Helper()
	if tag != "" {
		delete(f.storage.tags, repository+":"+tag)
	} else {
		delete(f.storage.manifests, repository+"@"+d.String())
	}
	in, err := f.Begin(f.t.Context(), repository, "x", home.DeleteOperation)
	f.must(err)
	f.must(f.RecordRemoval(f.t.Context(), in, f.storage, home.Removal{Repository: repository, Digest: d, Tag: tag, Operator: "admin", Time: time.Now()}))
}

func (f *fixture) list(repository, q string) (names []string) {
	f.t.Helper()
	query, err := store.ParseListQuery(q, "id", 1, 0)
	f.must(err)
	artifacts, total, err := f.ListArtifacts(f.t.Context(), repository, home.ArtifactQuery{ListQuery: query})
	f.must(err)
	if int(total) != len(artifacts) {
		f.t.Errorf("%s: total %d of %d", q, total, len(artifacts))
	}
	for _, a := range artifacts {
		names = append(names, a.Digest)
	}
	return names
}

func texts(digests ...digest.Digest) (list []string) {
	for _, d := range digests {
		list = append(list, d.String())
	}
	return list
}

func TestListsShowWhatHarborShows(t *testing.T) {
	each(t, func(f *fixture) {
		child, taggedChild, untagged := f.push("library/app", "", "child", 100), f.push("library/app", "part", "tagged child", 200), f.push("library/app", "", "untagged", 1)
		index := f.index("library/app", "multi", child, taggedChild)
		signature := f.push("library/app", "signature", "signature", 1, func(m *ocispec.Manifest) {
			m.Subject = &ocispec.Descriptor{Digest: index}
			m.ArtifactType = "application/vnd.cncf.notary.signature"
		})
		f.push("library/other", "", "child", 100) // the same image is a child in one repository only
		if got, want := f.list("library/app", ""), texts(taggedChild, untagged, index); !slices.Equal(got, want) {
			f.t.Errorf("list %v, want %v", got, want)
		}
		if got := f.list("library/app", "base=*"); !slices.Equal(got, texts(child, taggedChild, untagged, index)) {
			f.t.Errorf("base=*: %v", got)
		}
		if got := f.list("library/other", ""); len(got) != 1 {
			f.t.Errorf("other repository: %v", got)
		}
		if got := f.list("library/none", ""); got != nil {
			f.t.Errorf("unknown repository: %v", got)
		}
		for q, want := range map[string][]string{
			"tags=*": texts(taggedChild, index), "tags=nil": texts(untagged), "tags=multi": texts(index), "tags=~ULT": texts(index),
			"type=IMAGE": texts(taggedChild, untagged, index), "type=CHART": nil, "media_type=" + strings.ReplaceAll(ocispec.MediaTypeImageIndex, "+", "%2B"): texts(index),
			"digest=" + index.String(): texts(index), "nothing=x": texts(taggedChild, untagged, index),
		} {
			if got := f.list("library/app", q); !slices.Equal(got, want) {
				f.t.Errorf("%s: %v, want %v", q, got, want)
			}
		}
		a, err := f.GetArtifact(f.t.Context(), "library/app", "multi")
		f.must(err)
		if len(a.Accessories) != 1 || a.Accessories[0].Digest != signature.String() || a.Accessories[0].Type != "signature.notation" || a.Accessories[0].SubjectArtifactID != a.ID {
			f.t.Errorf("accessories %+v", a.Accessories)
		}
		if len(a.References) != 2 || a.References[0].ChildDigest != child.String() || a.References[0].ChildID == 0 ||
			a.References[0].Platform.OS != "linux" || a.References[0].Annotations["a"] != "b" {
			f.t.Errorf("references %+v", a.References)
		}
		c, err := f.GetArtifact(f.t.Context(), "library/app", child.String())
		f.must(err)
		p, err := f.GetArtifact(f.t.Context(), "library/app", "part")
		f.must(err)
		if a.Size != a.ManifestSize+c.Size+p.Size {
			f.t.Errorf("size %d, want %d", a.Size, a.ManifestSize+c.Size+p.Size)
		}
		r, err := f.GetRepository(f.t.Context(), "library/app")
		f.must(err)
		if r.ArtifactCount != 3 {
			f.t.Errorf("artifact count %d", r.ArtifactCount)
		}
		for _, q := range []string{"base=x", "tags=[a~b]", "labels=1", "labels=(a)"} {
			query, err := store.ParseListQuery(q, "", 1, 0)
			f.must(err)
			if _, _, err := f.ListArtifacts(f.t.Context(), "library/app", home.ArtifactQuery{ListQuery: query}); !problem.Is(err, problem.BadRequest) {
				f.t.Errorf("%s: %v", q, err)
			}
		}
	})
}

func TestTagsMoveAndTimesStay(t *testing.T) {
	each(t, func(f *fixture) {
		a := f.push("library/app", "v1", "a", 1)
		before, err := f.GetArtifact(f.t.Context(), "library/app", a.String())
		f.must(err)
		f.push("library/app", "v1", "a", 1) // again
		again, err := f.GetArtifact(f.t.Context(), "library/app", "v1")
		f.must(err)
		if !reflect.DeepEqual(before, again) {
			f.t.Errorf("a push of the same changed\n%+v to\n%+v", before, again)
		}
		b := f.push("library/app", "v1", "b", 1)
		moved, err := f.GetArtifact(f.t.Context(), "library/app", "v1")
		f.must(err)
		if moved.Digest != b.String() || moved.Tags[0].ID != before.Tags[0].ID {
			f.t.Errorf("%+v", moved)
		}
		if old, err := f.GetArtifact(f.t.Context(), "library/app", a.String()); err != nil || len(old.Tags) != 0 {
			f.t.Errorf("%+v %v", old, err)
		}
		if _, err := f.GetArtifact(f.t.Context(), "library/app", "v2"); err == nil || err.Error() != "artifact library/app:v2 not found" || !problem.Is(err, problem.NotFound) {
			f.t.Errorf("got %v", err)
		}
		if _, err := f.GetRepository(f.t.Context(), "library/none"); err == nil || err.Error() != "repository library/none not found" {
			f.t.Errorf("got %v", err)
		}
	})
}

func TestLabels(t *testing.T) {
	each(t, func(f *fixture) {
		ctx := f.t.Context()
		d := f.push("library/app", "v1", "a", 1)
		global, err := f.CreateLabel(ctx, home.Label{Name: "release", Scope: home.GlobalScope, Color: "#00ab9a"})
		f.must(err)
		ours, err := f.CreateLabel(ctx, home.Label{Name: "release", Scope: home.ProjectScope, ProjectID: 1})
		f.must(err)
		foreign, err := f.CreateLabel(ctx, home.Label{Name: "theirs", Scope: home.ProjectScope, ProjectID: 2})
		f.must(err)
		f.must(f.AddLabel(ctx, "library/app", "v1", global))
		f.must(f.AddLabel(ctx, "library/app", d.String(), ours))
		for want, err := range map[string]error{
			"label 1 is already added to the artifact 1":      f.AddLabel(ctx, "library/app", "v1", global),
			"label 999 not found":                             f.AddLabel(ctx, "library/app", "v1", 999),
			"project id 1, label 3 not found":                 f.AddLabel(ctx, "library/app", "v1", foreign),
			"artifact library/app:v9 not found":               f.AddLabel(ctx, "library/app", "v9", global),
			"reference with label 3 and artifact 1 not found": f.RemoveLabel(ctx, "library/app", "v1", foreign),
			"label 998 not found":                             f.DeleteLabel(ctx, 998),
			"label theirs already exists":                     f.UpdateLabel(ctx, home.Label{ID: mustLabel(f, "x"), Name: "theirs"}),
			"label name cannot be empty":                      f.UpdateLabel(ctx, home.Label{ID: ours}),
		} {
			if err == nil || err.Error() != want {
				f.t.Errorf("got %v, want %s", err, want)
			}
		}
		for want, l := range map[string]home.Label{
			"unsupported label scope":                   {Name: "zz", Scope: "x"},
			"label release already exists":              {Name: "release", Scope: home.GlobalScope},
			"invalid project of the label: 0":           {Name: "zz", Scope: home.ProjectScope},
			"label name is too long: max length is 128": {Name: strings.Repeat("x", 129), Scope: home.GlobalScope},
		} {
			if _, err := f.CreateLabel(ctx, l); err == nil || err.Error() != want {
				f.t.Errorf("got %v, want %s", err, want)
			}
		}
		if got := f.list("library/app", fmt.Sprintf("labels=(%d %d)", global, ours)); !slices.Equal(got, texts(d)) {
			f.t.Errorf("labels=: %v", got)
		}
		if got := f.list("library/app", fmt.Sprintf("labels=(%d %d)", global, foreign)); got != nil {
			f.t.Errorf("labels=: %v", got)
		}
		f.push("library/app", "v1", "a", 1)
		events, err := f.Events(ctx, 10)
		f.must(err)
		if last := events[len(events)-1]; !slices.Equal(last.Labels, []string{"release", "release"}) {
			f.t.Errorf("the event has labels %v", last.Labels)
		}
		f.must(f.RemoveLabel(ctx, "library/app", "v1", ours))
		f.must(f.DeleteLabel(ctx, global))
		if a, err := f.GetArtifact(ctx, "library/app", "v1"); err != nil || len(a.Labels) != 0 {
			f.t.Errorf("%+v %v", a.Labels, err)
		}
		f.must(f.UpdateLabel(ctx, home.Label{ID: ours, Name: "renamed", Color: "#fff"}))
		labels, total, err := f.ListLabels(ctx, home.ProjectScope, 1, store.ListQuery{})
		f.must(err)
		if total != 1 || labels[0].Name != "renamed" || labels[0].Color != "#fff" || labels[0].ProjectID != 1 {
			f.t.Errorf("%+v", labels)
		}
	})
}

func mustLabel(f *fixture, name string) int64 {
	f.t.Helper()
	id, err := f.CreateLabel(f.t.Context(), home.Label{Name: name, Scope: home.ProjectScope, ProjectID: 2})
	f.must(err)
	return id
}

func TestEventsComeInOrderAndAreTakenOnce(t *testing.T) {
	each(t, func(f *fixture) {
		ctx := f.t.Context()
		woken := 0
		f.OnEvent(func() { woken++ })
		d := f.push("library/app", "v1", "a", 1)
		f.remove("library/app", d, "v1")
		f.push("library/app", "v2", "a", 1)
		f.remove("library/app", d, "")
		events, err := f.Events(ctx, 10)
		f.must(err)
		var got []string
		for _, e := range events {
			got = append(got, fmt.Sprint(e.Type, e.Tags, e.Artifact, e.Operator, e.Digest == d.String()))
		}
		want := []string{
			"push_artifact[v1]IMAGEadmintrue", "delete_tag[v1]IMAGEadmintrue", "push_artifact[v2]IMAGEadmintrue", "delete_artifact[v2]IMAGEadmintrue",
		}
		if !slices.Equal(got, want) || woken != 4 {
			f.t.Errorf("%v, woken %d times", got, woken)
		}
		take := func() (taken bool) {
			f.must(f.db.InTx(ctx, func(tx *store.Tx) (err error) {
				taken, err = home.TakeEvent(ctx, tx, events[0].ID)
				return err
			}))
			return taken
		}
		if !take() || take() {
			f.t.Error("an event is to be taken exactly once")
		}
		rest, err := f.EventsAfter(ctx, events[1].ID, 1)
		f.must(err)
		if len(rest) != 1 || rest[0].ID != events[2].ID {
			f.t.Errorf("after %d: %+v", events[1].ID, rest)
		}
	})
}

func TestOnlyIntentsThatNobodyWorksOnAreLeftOver(t *testing.T) {
	each(t, func(f *fixture) {
		ctx := f.t.Context()
		leftOver := func(x *home.Index, silence time.Duration) (names []string) {
			list, err := x.LeftOver(ctx, silence)
			f.must(err)
			for _, in := range list {
				names = append(names, in.Reference)
			}
			return names
		}
		working, err := f.Begin(ctx, "library/app", "working", home.PushOperation)
		f.must(err)
		abandoned, err := f.Begin(ctx, "library/app", "abandoned", home.DeleteOperation)
		f.must(err)
		f.Abandon(abandoned)
		aborted, err := f.Begin(ctx, "library/app", "aborted", home.PushOperation)
		f.must(err)
		f.must(f.Abort(ctx, aborted))
		if got := leftOver(f.Index, time.Hour); !slices.Equal(got, []string{"abandoned"}) {
			f.t.Errorf("own: %v", got)
		}
		other := home.NewIndex(f.db)
		shared := f.db.Dialect() == store.PostgreSQL
		if got := leftOver(other, time.Hour); shared != (got == nil) {
			f.t.Errorf("of another process that may be alive: %v", got)
		}
		if got := leftOver(other, -time.Second); !slices.Equal(got, []string{"working", "abandoned"}) {
			f.t.Errorf("of a silent process: %v", got)
		}
		f.must(f.KeepAlive(ctx))
		f.must(f.Abort(ctx, working))
		f.must(f.Abort(ctx, abandoned))
		if got := leftOver(other, -time.Second); got != nil {
			f.t.Errorf("after their end: %v", got)
		}
	})
}

func TestChangesOfOthersInTheMeantimeAreNotOverwritten(t *testing.T) {
	t.Parallel()
	db := storetest.OpenURL(t, storetest.PostgreSQLURL(t))
	f := &fixture{t: t, db: db, Index: home.NewIndex(db), storage: &memory{map[string]digest.Digest{}, map[string]bool{}}}
	f.exec(`INSERT INTO projects (name, owner_id, public, creation_time, update_time) VALUES ('library', 1, TRUE, 0, 0)`)
	ctx := t.Context()
	a, b := f.push("library/app", "v1", "a", 1), f.push("library/app", "v2", "b", 1)
	// Another process has moved v1 to b and has recorded it; our removal of v1 and
	// our push of a as v1 came before that, and are recorded after it.
	f.storage.tags["library/app:v1"] = b
	f.must(f.RecordRemoval(ctx, home.Intent{}, f.storage, home.Removal{Repository: "library/app", Digest: a, Tag: "v1", Time: time.Now()}))
	if got, err := f.Tagged(ctx, "library/app", "v1"); err != nil || got != a.String() {
		t.Errorf("a tag that is there was removed: %q %v", got, err)
	}
	in, err := f.Begin(ctx, "library/app", "v2", home.PushOperation)
	f.must(err)
	f.storage.tags["library/app:v2"] = a
	f.must(f.RecordTag(ctx, in, f.storage, "library/app", "v2", b, "admin", time.Now()))
	if got, err := f.Tagged(ctx, "library/app", "v2"); err != nil || got != b.String() {
		t.Errorf("%q %v", got, err)
	}
	f.must(f.RecordRemoval(ctx, home.Intent{}, f.storage, home.Removal{Repository: "library/app", Digest: a, Time: time.Now()}))
	if _, err := f.GetArtifact(ctx, "library/app", a.String()); err != nil {
		t.Errorf("a manifest that is there was removed: %v", err)
	}
}

func TestFailedRecordLeavesNothing(t *testing.T) {
	each(t, func(f *fixture) {
		m, err := home.ParseManifest("", []byte(`{"schemaVersion":2,"config":{"mediaType":"c","digest":"`+digest.FromString("x").String()+`","size":1}}`))
		f.must(err)
		in, err := f.Begin(f.t.Context(), "nope/app", "v1", home.PushOperation)
		f.must(err)
		err = f.RecordPush(f.t.Context(), in, f.storage, home.Push{Repository: "nope/app", Digest: digest.FromString("m"), Tags: []string{"v1"}, Manifest: m})
		if !problem.Is(err, problem.NotFound) || !strings.Contains(err.Error(), "project nope not found") {
			f.t.Errorf("got %v", err)
		}
		events, err := f.Events(f.t.Context(), 10)
		f.must(err)
		left, err := f.LeftOver(f.t.Context(), time.Hour)
		f.must(err)
		if len(events) != 0 || len(left) != 1 || left[0].ID != in.ID {
			f.t.Errorf("events %v, left over %v", events, left)
		}
	})
}

// maker makes projects.
type maker struct{}

func (maker) EnsureProject(ctx context.Context, tx *store.Tx, name string) (id int64, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO projects (name, owner_id, creation_time, update_time) VALUES ($1, 1, 0, 0) RETURNING id`, name).Scan(&id)
	return id, err
}

func TestUnknownProjectsAreMadeWhenSomebodyCan(t *testing.T) {
	each(t, func(f *fixture) {
		f.Index = home.NewIndex(f.db, home.WithProjects(maker{}))
		f.push("fresh/app", "v1", "a", 1)
		if r, err := f.GetRepository(f.t.Context(), "fresh/app"); err != nil || r.ProjectID == 0 {
			f.t.Errorf("%+v %v", r, err)
		}
	})
}

func TestRepositoriesAreListedByProjectAndVisibility(t *testing.T) {
	each(t, func(f *fixture) {
		ctx := f.t.Context()
		f.push("library/app", "v1", "a", 1)
		f.push("library/web", "v1", "b", 1)
		f.push("team-a/api", "v1", "a", 1)
		names := func(project int64, visible []int64, q string) (names []string) {
			query, err := store.ParseListQuery(q, "name", 1, 0)
			f.must(err)
			list, total, err := f.ListRepositories(ctx, project, visible, query)
			f.must(err)
			if int(total) != len(list) {
				f.t.Errorf("total %d of %d", total, len(list))
			}
			for _, r := range list {
				names = append(names, r.Name)
			}
			return names
		}
		blob := digest.FromString("layer a").String()
		for _, test := range []struct {
			project int64
			visible []int64
			q       string
			want    []string
		}{
			{0, nil, "", []string{"library/app", "library/web", "team-a/api"}},
			{1, nil, "", []string{"library/app", "library/web"}},
			{0, []int64{2}, "", []string{"team-a/api"}},
			{1, []int64{2}, "", nil},
			{0, []int64{}, "", nil},
			{0, nil, "name=~AP", []string{"library/app", "team-a/api"}},
			{1, []int64{1, 2}, "blob_digest=" + blob, []string{"library/app"}},
		} {
			if got := names(test.project, test.visible, test.q); !slices.Equal(got, test.want) {
				f.t.Errorf("%+v: %v", test, got)
			}
		}
		with, err := f.BlobRepositories(ctx, blob)
		f.must(err)
		if !slices.Equal(with, []string{"library/app", "team-a/api"}) {
			f.t.Errorf("with the blob: %v", with)
		}
		f.must(f.DescribeRepository(ctx, "library/app", "words"))
		if r, err := f.GetRepository(ctx, "library/app"); err != nil || r.Description != "words" {
			f.t.Errorf("%+v %v", r, err)
		}
		if err := f.DescribeRepository(ctx, "library/none", "x"); !problem.Is(err, problem.NotFound) {
			f.t.Errorf("got %v", err)
		}
		page, total, err := f.ListRepositories(ctx, 0, nil, store.ListQuery{Page: 2, PageSize: 2, Sort: []store.SortKey{{Field: "name"}}})
		f.must(err)
		if total != 3 || len(page) != 1 || page[0].Name != "team-a/api" {
			f.t.Errorf("%+v of %d", page, total)
		}
	})
}

func TestStatisticsCountBlobsOnce(t *testing.T) {
	each(t, func(f *fixture) {
		ctx := f.t.Context()
		a := f.push("library/app", "v1", "a", 1000)
		f.push("team-a/api", "v1", "a", 1000)
		b := f.push("team-a/api", "v2", "b", 500)
		second, err := f.GetArtifact(ctx, "team-a/api", b.String())
		f.must(err)
		stored, err := f.GetArtifact(ctx, "library/app", a.String())
		f.must(err)
		for _, test := range []struct {
			projects []int64
			want     home.Statistics
		}{
			{nil, home.Statistics{Repositories: 2, Artifacts: 3, Bytes: stored.Size + second.Size}},
			{[]int64{1}, home.Statistics{Repositories: 1, Artifacts: 1, Bytes: stored.Size}},
			{[]int64{}, home.Statistics{}},
		} {
			if got, err := f.Statistics(ctx, test.projects); err != nil || got != test.want {
				f.t.Errorf("%v: %+v, want %+v, %v", test.projects, got, test.want, err)
			}
		}
	})
}

func TestUsageSaysWhatRepositoriesShare(t *testing.T) {
	each(t, func(f *fixture) {
		ctx := f.t.Context()
		if u, err := f.Usage(ctx); err != nil || u.Bytes != 0 || len(u.Biggest) != 0 {
			f.t.Errorf("of nothing: %+v, %v", u, err)
		}
		a := f.push("library/app", "v1", "a", 1000)
		f.push("library/app", "again", "a", 1000)
		f.push("team-a/api", "v1", "a", 1000)
		b := f.push("team-a/api", "v2", "b", 500)
		size := func(repository string, d digest.Digest) int64 {
			one, err := f.GetArtifact(ctx, repository, d.String())
			f.must(err)
			return one.Size
		}
		shared, own := size("library/app", a), size("team-a/api", b)
		want := home.Usage{
			Repositories: 2, Artifacts: 3, Tags: 4, Blobs: 6, Bytes: shared + own, SharedBlobs: 3, SharedBytes: shared, SeparateBytes: 2*shared + own,
			Biggest: []home.RepositoryUsage{
				{Name: "team-a/api", Artifacts: 2, Tags: 2, Bytes: shared + own, OwnBytes: own},
				{Name: "library/app", Artifacts: 1, Tags: 2, Bytes: shared},
			},
		}
		if u, err := f.Usage(ctx); err != nil || !reflect.DeepEqual(u, want) {
			f.t.Errorf("%+v, want %+v, %v", u, want, err)
		}
	})
}

func TestListingsSayWhatReplicationNeeds(t *testing.T) {
	each(t, func(f *fixture) {
		ctx := f.t.Context()
		child := f.push("library/app", "", "child", 1)
		index := f.index("library/app", "b", child)
		f.storage.tags["library/app:a"] = index
		in, err := f.Begin(ctx, "library/app", "a", home.PushOperation)
		f.must(err)
		f.must(f.RecordTag(ctx, in, f.storage, "library/app", "a", index, "admin", time.Now()))
		signature := f.push("library/app", "", "sig", 1, func(m *ocispec.Manifest) { m.Subject = &ocispec.Descriptor{Digest: index} })
		label, err := f.CreateLabel(ctx, home.Label{Name: "prod", Scope: home.GlobalScope})
		f.must(err)
		f.must(f.AddLabel(ctx, "library/app", "a", label))
		f.push("library/app2", "v1", "x", 1)
		f.push("library/app/below", "v1", "x", 1)
		var repositories []string
		byDigest := map[digest.Digest]home.Listing{}
		for l, err := range f.AllArtifacts(ctx) {
			f.must(err)
			repositories = append(repositories, l.Repository)
			byDigest[l.Digest] = l
			one, err := f.Listing(ctx, l.Repository, l.Digest.String())
			f.must(err)
			slices.Sort(one.Tags)
			if !reflect.DeepEqual(one, l) {
				f.t.Errorf("one by one %+v, in the list %+v", one, l)
			}
		}
		if want := []string{"library/app", "library/app", "library/app", "library/app/below", "library/app2"}; !slices.Equal(repositories, want) {
			f.t.Errorf("repositories %v", repositories)
		}
		if l := byDigest[index]; !slices.Equal(l.Tags, []string{"a", "b"}) || !slices.Equal(l.Labels, []string{"prod"}) || l.Child || l.Type != "IMAGE" {
			f.t.Errorf("index %+v", l)
		}
		if l := byDigest[child]; !l.Child || l.Tags != nil {
			f.t.Errorf("child %+v", l)
		}
		if l := byDigest[signature]; l.SubjectDigest != index || l.AccessoryOf != index {
			f.t.Errorf("signature %+v", l)
		}
	})
}

func TestReferrersOfCosignTagsAreAccessoriesButNoReferrers(t *testing.T) {
	each(t, func(f *fixture) {
		ctx := f.t.Context()
		image := f.push("library/app", "v1", "a", 1)
		f.push("library/app", "sha256-"+image.Encoded()+".sig", "sig", 1, func(m *ocispec.Manifest) {
			m.Layers[0].MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
		})
		if got, err := f.Referrers(ctx, "library/app", image, ""); err != nil || len(got) != 0 {
			f.t.Errorf("%v %v", got, err)
		}
		if got := f.list("library/app", ""); !slices.Equal(got, texts(image)) {
			f.t.Errorf("list %v", got)
		}
		accessories, total, err := f.ListAccessories(ctx, "library/app", "v1", store.ListQuery{})
		f.must(err)
		if total != 1 || accessories[0].Type != "signature.cosign" || accessories[0].Icon == "" {
			f.t.Errorf("%+v", accessories)
		}
	})
}

func TestCountsOfPullsThatCannotBeWrittenAreKept(t *testing.T) {
	each(t, func(f *fixture) {
		d := f.push("library/app", "v1", "a", 1)
		gone, cancel := context.WithCancel(f.t.Context())
		cancel()
		f.CountPull(f.t.Context(), "anybody", "library/app", d.String(), "v1", time.Now())
		if err := f.FlushPulls(gone); err == nil {
			f.t.Fatal("no error")
		}
		f.CountPull(f.t.Context(), "anybody", "library/app", d.String(), "v1", time.Now())
		f.CountPull(f.t.Context(), "anybody", "library/none", d.String(), "", time.Now())
		f.must(f.FlushPulls(f.t.Context()))
		f.must(f.FlushPulls(f.t.Context()))
		r, err := f.GetRepository(f.t.Context(), "library/app")
		f.must(err)
		if r.PullCount != 2 {
			f.t.Errorf("%d pulls", r.PullCount)
		}
	})
}

func TestCompleteIsRemembered(t *testing.T) {
	each(t, func(f *fixture) {
		for _, want := range []bool{false, true, false} {
			if want {
				f.must(f.MarkComplete(f.t.Context(), true))
			}
			if got, err := f.Complete(f.t.Context()); err != nil || got != want {
				f.t.Errorf("%t %v, want %t", got, err, want)
			}
			if want {
				f.must(f.MarkComplete(f.t.Context(), false))
			}
		}
	})
}
