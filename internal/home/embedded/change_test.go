package embedded

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func (h *harness) happened(want ...string) {
	h.t.Helper()
	if got := h.events(); !slices.Equal(got, want) {
		h.t.Errorf("events\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func TestEveryChangeHasOneEvent(t *testing.T) {
	t.Parallel()
	h := start(t)
	a, b := h.image(repo, "a"), h.image(repo, "b")
	da, db := digest.FromBytes(a), digest.FromBytes(b)

	h.put(repo, "v1", a)
	h.happened("push_artifact library/app v1 " + shortOf(a))
	h.put(repo, da.String(), a)
	h.happened("push_artifact library/app  " + shortOf(a))
	h.put(repo, "v1", b) // moves the tag; a is left without one
	h.happened("push_artifact library/app v1 " + shortOf(b))
	if err := h.CreateTag(t.Context(), "admin", repo, "stable", db); err != nil {
		t.Fatal(err)
	}
	h.happened("create_tag library/app stable " + shortOf(b))
	h.want(202, "DELETE", "/v2/"+repo+"/manifests/stable", nil)
	h.happened("delete_tag library/app stable " + shortOf(b))
	if err := h.DeleteTag(t.Context(), "admin", repo, "v1"); err != nil {
		t.Fatal(err)
	}
	h.happened("delete_tag library/app v1 " + shortOf(b))
	h.put(repo, "x", b)
	h.put(repo, "y", b)
	h.events()
	h.want(202, "DELETE", "/v2/"+repo+"/manifests/"+db.String(), nil)
	h.happened("delete_artifact library/app x,y " + shortOf(b))
	h.want(404, "DELETE", "/v2/"+repo+"/manifests/nope", nil)
	h.want(400, "PUT", "/v2/"+repo+"/manifests/v9", []byte("{}"))
	h.happened()
	h.agrees()
}

func TestEventsSayWhoAndWhat(t *testing.T) {
	t.Parallel()
	h := start(t)
	woken := make(chan struct{}, 10)
	h.index.OnEvent(func() { woken <- struct{}{} })
	image := h.image(repo, "a")
	h.put(repo, "v1", image)
	<-woken
	list, err := h.index.Events(t.Context(), 10)
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	e := list[0]
	if e.Operator != "admin" || e.Artifact != "IMAGE" || e.Digest != digest.FromBytes(image).String() || e.Time.IsZero() || e.Labels == nil {
		t.Errorf("%+v", e)
	}
}

func TestPushOfAMultiPlatformImage(t *testing.T) {
	t.Parallel()
	h := start(t)
	index := ts.Index(t, 1, "linux/amd64", "linux/arm64")
	ts.Push(t, h.remote, "library/multi", "v1", index)
	pulled := ts.Pull(t, h.remote, "library/multi", "v1")
	if pulled.Digest != index.Digest {
		t.Errorf("pulled %s, want %s", pulled.Digest, index.Digest)
	}
	a, err := h.index.GetArtifact(t.Context(), "library/multi", "v1")
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(index.Manifest))
	for i, child := range index.Children {
		size += int64(len(child.Manifest)) + child.BlobBytes()
		if r := a.References[i]; r.ChildDigest != child.Digest.String() || r.Platform.Architecture != child.Platform.Architecture || r.ChildID == 0 {
			t.Errorf("reference %d: %+v", i, r)
		}
	}
	if a.Size != size || a.Type != "IMAGE" || a.MediaType != ocispec.MediaTypeImageIndex || a.ArtifactType != "" {
		t.Errorf("%+v, want size %d", a, size)
	}
	r, err := h.index.GetRepository(t.Context(), "library/multi")
	if err != nil || r.ArtifactCount != 1 {
		t.Errorf("%+v %v", r, err)
	}
	h.agrees()
}

func TestDeleteArtifactTakesWhatNobodyNeedsAfterIt(t *testing.T) {
	t.Parallel()
	h := start(t)
	a, b, shared := h.image(repo, "a"), h.image(repo, "b"), h.image(repo, "shared")
	for _, child := range [][]byte{a, shared} {
		h.put(repo, digest.FromBytes(child).String(), child)
	}
	h.put(repo, "tagged", b)
	first, second := indexOf(t, a, b, shared), indexOf(t, shared)
	h.put(repo, "first", first)
	h.put(repo, "second", second)
	signature := h.referrer(digest.FromBytes(first), "application/vnd.cncf.notary.signature", "sig")
	h.put(repo, digest.FromBytes(signature).String(), signature)
	h.events()

	err := h.DeleteArtifact(t.Context(), "admin", repo, digest.FromBytes(a))
	if !problem.Is(err, problem.Precondition) {
		t.Errorf("deleting a child: %v", err)
	}
	if err := h.DeleteArtifact(t.Context(), "admin", repo, digest.FromBytes(first)); err != nil {
		t.Fatal(err)
	}
	h.happened("delete_artifact library/app first "+shortOf(first), "delete_artifact library/app  "+shortOf(signature), "delete_artifact library/app  "+shortOf(a))
	for reference, status := range map[string]int{
		"first": 404, "tagged": 200, "second": 200, digest.FromBytes(shared).String(): 200, digest.FromBytes(a).String(): 404,
	} {
		h.want(status, "HEAD", "/v2/"+repo+"/manifests/"+reference, nil)
	}
	if err := h.DeleteArtifact(t.Context(), "admin", repo, digest.FromBytes(first)); !problem.Is(err, problem.NotFound) {
		t.Errorf("again: %v", err)
	}
	h.agrees()
}

func TestDeleteRepositoryLeavesThoseBelowIt(t *testing.T) {
	t.Parallel()
	h := start(t)
	for _, repository := range []string{repo, repo + "/below", repo + "2"} {
		h.put(repository, "v1", h.image(repository, "a"))
		h.put(repository, "v2", h.image(repository, "b"))
	}
	h.events()
	if err := h.DeleteRepository(t.Context(), "admin", repo); err != nil {
		t.Fatal(err)
	}
	if got := h.events(); len(got) != 2 || !strings.HasPrefix(got[0], "delete_artifact library/app v1 ") {
		t.Errorf("events %v", got)
	}
	h.want(404, "GET", "/v2/"+repo+"/tags/list", nil)
	h.want(200, "GET", "/v2/"+repo+"/below/manifests/v1", nil)
	h.want(200, "GET", "/v2/"+repo+"2/manifests/v1", nil)
	if err := h.DeleteRepository(t.Context(), "admin", repo); !problem.Is(err, problem.NotFound) {
		t.Errorf("again: %v", err)
	}
	h.agrees()
	h.put(repo, "v1", h.image(repo, "a"))
	h.agrees()
}

func TestCreateTagRefusesWhatIsNotRight(t *testing.T) {
	t.Parallel()
	h := start(t)
	image := h.image(repo, "a")
	h.put(repo, "v1", image)
	d := digest.FromBytes(image)
	for _, test := range []struct {
		tag  string
		d    digest.Digest
		kind problem.Kind
		text string
	}{
		{"v1", d, problem.Conflict, "tag v1 already exists under the repository 1"},
		{"../x", d, problem.BadRequest, `invalid tag name "../x"`},
		{"v2", digest.FromString("x"), problem.NotFound, "artifact library/app@" + digest.FromString("x").String() + " not found"},
	} {
		err := h.CreateTag(t.Context(), "admin", repo, test.tag, test.d)
		if !problem.Is(err, test.kind) || err.Error() != test.text {
			t.Errorf("%s: %v", test.tag, err)
		}
	}
	if err := h.CreateTag(t.Context(), "admin", "library/none", "v1", d); !problem.Is(err, problem.NotFound) {
		t.Errorf("unknown repository: %v", err)
	}
}

// TestIndexEqualsStorageAfterConcurrentChanges has clients fight over two tags.
func TestIndexEqualsStorageAfterConcurrentChanges(t *testing.T) {
	t.Parallel()
	h := start(t)
	var images [][]byte
	for i := range 6 {
		images = append(images, h.image(repo, fmt.Sprint(i)))
	}
	var clients sync.WaitGroup
	for i, image := range images {
		clients.Go(func() {
			for round := range 5 {
				tag := fmt.Sprintf("t%d", (i+round)%2)
				h.do("PUT", "/v2/"+repo+"/manifests/"+tag, image, "Content-Type", ocispec.MediaTypeImageManifest)
				switch (i + round) % 4 {
				case 0:
					h.do("DELETE", "/v2/"+repo+"/manifests/"+tag, nil)
				case 1:
					h.do("DELETE", "/v2/"+repo+"/manifests/"+digest.FromBytes(image).String(), nil)
				}
			}
		})
	}
	clients.Wait()
	h.agrees()
	h.nothingIsLeftOver()
}

func (h *harness) nothingIsLeftOver() {
	h.t.Helper()
	var n int
	if err := h.db.QueryRowContext(h.t.Context(), `SELECT COUNT(*) FROM intents`).Scan(&n); err != nil || n != 0 {
		h.t.Errorf("%d intents are left, %v", n, err)
	}
}

// breakEvents makes the database refuse to record events, or repairs it.
func (h *harness) breakEvents(broken bool) {
	h.t.Helper()
	statement := `DROP TRIGGER broken`
	if broken {
		statement = `CREATE TRIGGER broken BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk full'); END`
	}
	err := h.db.InTx(h.t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(h.t.Context(), statement)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestChangeThatCannotBeRecordedFailsAndIsRecordedLater(t *testing.T) {
	t.Parallel()
	h := start(t)
	before, after := h.image(repo, "before"), h.image(repo, "after")
	h.put(repo, "gone", before)
	h.put(repo, "moved", before)
	h.events()
	h.breakEvents(true)
	h.want(500, "PUT", "/v2/"+repo+"/manifests/new", after, "Content-Type", ocispec.MediaTypeImageManifest)
	h.want(500, "PUT", "/v2/"+repo+"/manifests/moved", after, "Content-Type", ocispec.MediaTypeImageManifest)
	h.want(500, "DELETE", "/v2/"+repo+"/manifests/gone", nil)
	h.happened()
	h.breakEvents(false)
	if err := h.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.happened("push_artifact library/app new "+shortOf(after), "push_artifact library/app moved "+shortOf(after), "delete_tag library/app gone "+shortOf(before))
	h.agrees()
	h.nothingIsLeftOver()
}

// TestRecover sets up what a process can leave behind that dies in the middle of a
// change, and starts another one.
func TestRecover(t *testing.T) {
	t.Parallel()
	type situation struct {
		begin    func(h *harness, b digest.Digest) (reference string) // what the dead process did
		happened []string
	}
	for name, s := range map[string]situation{
		"before a push": {begin: func(_ *harness, b digest.Digest) string { return "v2@" + b.String() }},
		"manifest written, tag not": {begin: func(h *harness, b digest.Digest) string {
			return "v2@" + b.String()
		}, happened: []string{"push_artifact library/app  B"}},
		"tag written": {begin: func(h *harness, b digest.Digest) string {
			h.must(h.tree().putTag(h.t.Context(), repo, "v2", b))
			return "v2@" + b.String()
		}, happened: []string{"push_artifact library/app v2 B"}},
		"tag moved": {begin: func(h *harness, b digest.Digest) string {
			h.must(h.tree().putTag(h.t.Context(), repo, "v1", b))
			return "v1@" + b.String()
		}, happened: []string{"push_artifact library/app v1 B"}},
		"tag removed": {begin: func(h *harness, _ digest.Digest) string {
			h.must(h.tree().removeTag(h.t.Context(), repo, "v1"))
			return "v1"
		}, happened: []string{"delete_tag library/app v1 A"}},
		"before a removal": {begin: func(*harness, digest.Digest) string { return "v1" }},
		"manifest removed, its tags not": {begin: func(h *harness, _ digest.Digest) string {
			a, err := h.tree().ResolveTag(h.t.Context(), repo, "v1")
			h.must(err)
			h.must(h.tree().removeManifest(h.t.Context(), repo, a))
			return a.String()
		}, happened: []string{"delete_artifact library/app v1 A"}},
		"repository removed": {begin: func(h *harness, _ digest.Digest) string {
			h.must(h.tree().removeRepository(h.t.Context(), repo))
			return ""
		}, happened: []string{"delete_artifact library/app v1 A"}},
		"repository half removed": {begin: func(h *harness, _ digest.Digest) string {
			h.must(h.tree().driver.Delete(h.t.Context(), rooted(layout.TagsFolder(repo))))
			return ""
		}, happened: []string{"delete_tag library/app v1 A"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t)
			a, b := h.image(repo, "a"), h.image(repo, "b")
			h.put(repo, "v1", a)
			if slices.ContainsFunc(s.happened, func(e string) bool { return strings.HasSuffix(e, " B") }) {
				h.must(h.tree().putManifest(t.Context(), repo, digest.FromBytes(b), b))
			}
			h.events()
			reference := s.begin(h, digest.FromBytes(b))
			if _, err := h.index.Begin(t.Context(), repo, reference, "push"); err != nil {
				t.Fatal(err)
			}
			h.happened() // nobody has noticed

			second := startOn(t, h.db, h.dir)
			var want []string
			for _, e := range s.happened {
				e = strings.Replace(e, " A", " "+shortOf(a), 1)
				want = append(want, strings.Replace(e, " B", " "+shortOf(b), 1))
			}
			second.happened(want...)
			second.agrees()
			second.nothingIsLeftOver()
		})
	}
}

func (h *harness) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestManifestsThatAreTooLongAreRefused(t *testing.T) {
	t.Parallel()
	h := start(t)
	long := h.image(repo, "a", func(m *ocispec.Manifest) {
		m.Annotations = map[string]string{"x": strings.Repeat("y", maxManifestSize-2000)}
	})
	h.put(repo, "fits", long)
	tooLong := append(long, slices.Repeat([]byte(" "), 4000)...)
	if got := h.want(413, "PUT", "/v2/"+repo+"/manifests/v1", tooLong); got.code() != codeSizeInvalid {
		t.Errorf("code %s", got.code())
	}
	h.nothingIsLeftOver()
}

// TestClientThatGoesAwayLeavesNothingHalfDone breaks connections at every stage of
// a push.
func TestClientThatGoesAwayLeavesNothingHalfDone(t *testing.T) {
	t.Parallel()
	h := start(t)
	image := h.image(repo, "a")
	head := fmt.Sprintf("PUT /v2/%s/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n",
		repo, ocispec.MediaTypeImageManifest, len(image))
	for _, sent := range []int{0, len(image) / 2, len(image)} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.server.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(append([]byte(head), image[:sent]...)); err != nil {
			t.Fatal(err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ts.Eventually(t, "the whole manifest that arrived is recorded", func() bool {
		_, err := h.index.GetArtifact(t.Context(), repo, "v1")
		return err == nil
	})
	h.server.Close() // waits for the handlers
	h.agrees()
	h.nothingIsLeftOver()
}

func TestThousandsOfReferrersComeInPages(t *testing.T) {
	t.Parallel()
	h := start(t)
	subject := digest.FromString("popular")
	m := h.image(repo, "a")
	const many = referrersPage + 20
	found := make([]home.Push, many)
	for i := range found {
		content := []byte(strings.Replace(string(m), `"schemaVersion":2`, fmt.Sprintf(
			`"schemaVersion":2,"annotations":{"n":"%d"},"subject":{"mediaType":"x","size":1,"digest":%q}`, i, subject), 1))
		manifest, err := home.ParseManifest("", content)
		h.must(err)
		found[i] = home.Push{Repository: repo, Digest: digest.FromBytes(content), Manifest: manifest}
	}
	h.must(h.index.RecordFound(t.Context(), h.tree(), found))
	got := h.referrers(subject, "")
	if len(got) != many || got[0].Annotations["n"] != "0" || got[many-1].Annotations["n"] != fmt.Sprint(many-1) {
		t.Errorf("%d referrers", len(got))
	}
	if page := h.want(200, "GET", "/v2/"+repo+"/referrers/"+subject.String(), nil); strings.Count(string(page.body), subject.String()) > 0 || nextOf(page) == "" {
		t.Error("the first page has everything")
	}
}

func TestPullsAreCounted(t *testing.T) {
	t.Parallel()
	h := start(t)
	h.put(repo, "v1", h.image(repo, "a"))
	for range 3 {
		h.want(200, "GET", "/v2/"+repo+"/manifests/v1", nil)
		h.want(200, "HEAD", "/v2/"+repo+"/manifests/v1", nil)
	}
	h.want(404, "GET", "/v2/"+repo+"/manifests/v2", nil)
	h.must(h.index.FlushPulls(t.Context()))
	r, err := h.index.GetRepository(t.Context(), repo)
	h.must(err)
	a, err := h.index.GetArtifact(t.Context(), repo, "v1")
	h.must(err)
	if r.PullCount != 3 || a.PullTime.IsZero() || a.Tags[0].PullTime.IsZero() {
		t.Errorf("%+v %+v", r, a)
	}
}

// TestProcessesThatShareAStorageAgree has two registries, as in two processes, on
// one storage and one PostgreSQL, and clients that fight over tags through both.
func TestProcessesThatShareAStorageAgree(t *testing.T) {
	t.Parallel()
	url, dir := storetest.PostgreSQLURL(t), t.TempDir()
	db := storetest.OpenURL(t, url)
	makeProjects(t, db)
	processes := []*harness{startOn(t, db, dir), startOn(t, storetest.OpenURL(t, url), dir)}
	var images [][]byte
	for i := range 4 {
		images = append(images, processes[0].image(repo, fmt.Sprint(i)))
	}
	var clients sync.WaitGroup
	for i, image := range images {
		h := processes[i%2]
		clients.Go(func() {
			for round := range 8 {
				tag := fmt.Sprintf("t%d", round%2)
				h.do("PUT", "/v2/"+repo+"/manifests/"+tag, image, "Content-Type", ocispec.MediaTypeImageManifest)
				switch (i + round) % 4 {
				case 0:
					h.do("DELETE", "/v2/"+repo+"/manifests/"+tag, nil)
				case 1:
					h.do("DELETE", "/v2/"+repo+"/manifests/"+digest.FromBytes(image).String(), nil)
				}
			}
		})
	}
	clients.Wait()
	for _, h := range processes { // a push that lost against a removal was refused, and is settled
		h.must(h.Recover(t.Context()))
	}
	processes[0].agrees()
	processes[0].nothingIsLeftOver()
}
