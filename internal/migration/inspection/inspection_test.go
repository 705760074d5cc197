package inspection_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/migration/inspection"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, ts.IgnoreLeaks()...) }

// world is a volume that a real registry wrote, and a database.
type world struct {
	t    *testing.T
	db   *store.DB
	root string
	app  *ts.Artifact // library/app:v1
}

func each(t *testing.T, test func(w *world)) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := &world{t: t, db: db, root: t.TempDir(), app: ts.Image(t, 1, 2, 5000)}
		r := ts.Distribution(t, ts.WithRoot(w.root))
		ts.Push(t, r, "library/app", "v1", w.app)
		ts.Push(t, r, "team/app", "v1", w.app)
		test(w)
	})
}

func (w *world) open(context.Context) (tree.Opened, error) {
	return tree.OpenDirectory(w.root, tree.DirectoryOptions{})
}

// serve runs a service as a server of its own until the test or what it returns ends it.
func (w *world) serve(change ...func(*inspection.Options)) (s *inspection.Service, end func()) {
	w.t.Helper()
	q := queue.New(w.db, queue.Options{Poll: 20 * time.Millisecond})
	o := inspection.Options{DB: w.db, Queue: q, Open: w.open, Log: slog.New(slog.NewTextHandler(w.t.Output(), nil))}
	for _, c := range change {
		c(&o)
	}
	s = inspection.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Run(ctx) }()
	var done bool
	end = func() {
		if done {
			return
		}
		done = true
		cancel()
		if err := <-ended; err != nil {
			w.t.Errorf("the queue ended with %v", err)
		}
	}
	w.t.Cleanup(end)
	return s, end
}

func (w *world) start(s *inspection.Service, r inspection.Request) int64 {
	w.t.Helper()
	id, err := s.Start(w.t.Context(), "admin", r)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

// ended waits until a look has ended.
func (w *world) ended(s *inspection.Service, id int64) inspection.Inspection {
	w.t.Helper()
	var last inspection.Inspection
	ts.Eventually(w.t, "the look ends", func() bool {
		var err error
		if last, err = s.Get(w.t.Context(), id); err != nil {
			w.t.Fatal(err)
		}
		return last.Status.Ended()
	})
	return last
}

func (w *world) succeeds(s *inspection.Service, r inspection.Request) inspection.Inspection {
	w.t.Helper()
	i := w.ended(s, w.start(s, r))
	if i.Status != inspection.Succeeded || i.Report == nil || i.Error != "" || i.Ended.Before(i.Began) {
		w.t.Fatalf("the look: %+v", i)
	}
	return i
}

// findings returns severity and kind of each.
func (w *world) findings(s *inspection.Service, id int64, f inspection.FindingFilter, q store.ListQuery) (list []string, total int64) {
	w.t.Helper()
	found, total, err := s.Findings(w.t.Context(), id, f, q)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, one := range found {
		if one.Message == "" {
			w.t.Errorf("nothing is said of %+v", one)
		}
		list = append(list, one.Severity+" "+string(one.Damage.Kind)+" "+one.Damage.Repository)
	}
	return list, total
}

func (w *world) path(name string) string { return filepath.Join(w.root, filepath.FromSlash(name)) }

func (w *world) write(name, content string) {
	w.t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.path(name)), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(w.path(name), []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func revisionLink(repository string, d digest.Digest) string {
	return layout.File{Kind: layout.RevisionLink, Repository: repository, Algorithm: d.Algorithm().String(), Hex: d.Encoded()}.Path()
}

func blobFile(d digest.Digest) string { return layout.BlobPath(d.Algorithm().String(), d.Encoded()) }

func TestALookSaysWhatIsStored(t *testing.T) {
	each(t, func(w *world) {
		s, _ := w.serve()
		i := w.succeeds(s, inspection.Request{Deep: true})
		r := i.Report
		if !r.Clean || r.Repositories != 2 || r.Tags != 2 || r.Bytes == 0 || r.HashedBytes < r.Bytes || r.SeparateBytes != 2*r.NeededBytes || i.Operator != "admin" {
			t.Errorf("%+v", i)
		}
		if list, total := w.findings(s, i.ID, inspection.FindingFilter{}, store.ListQuery{}); total != 0 || list != nil {
			t.Errorf("of a whole storage is found %v", list)
		}
	})
}

func TestFindingsAreListedTheWorstFirst(t *testing.T) {
	each(t, func(w *world) {
		w.write(revisionLink("library/app", w.app.Digest), "")
		w.write(blobFile(digest.FromString("orphan")), "orphan")
		if err := os.Remove(w.path(blobFile(w.app.Blobs[0].Digest))); err != nil {
			t.Fatal(err)
		}
		s, _ := w.serve()
		i := w.succeeds(s, inspection.Request{})
		r := i.Report
		if r.Clean || r.Broken == 0 || r.Damaged == 0 || r.Notes == 0 || r.Repairable != 1 || r.Kept != r.Found || r.Found != r.Broken+r.Damaged+r.Notes {
			t.Errorf("%+v", r)
		}
		all, total := w.findings(s, i.ID, inspection.FindingFilter{}, store.ListQuery{})
		if total != r.Found || all[0] == "" || all[0][:6] != "broken" || all[len(all)-1] != "note orphan-blob " {
			t.Errorf("%d: %q", total, all)
		}
		for _, test := range []struct {
			filter inspection.FindingFilter
			query  store.ListQuery
			first  string
			total  int64
		}{
			{inspection.FindingFilter{Severities: []string{"damaged"}}, store.ListQuery{}, "damaged empty-link library/app", 1},
			{inspection.FindingFilter{Severities: []string{"damaged", "note"}}, store.ListQuery{}, "damaged empty-link library/app", 2},
			{inspection.FindingFilter{Kind: "orphan-blob"}, store.ListQuery{}, "note orphan-blob ", 1},
			{inspection.FindingFilter{Repairable: true, Repository: "BRARY"}, store.ListQuery{}, "damaged empty-link library/app", 1},
			{inspection.FindingFilter{Repository: "nobody"}, store.ListQuery{}, "", 0},
			{inspection.FindingFilter{}, store.ListQuery{Page: 2, PageSize: 1}, all[1], r.Found},
		} {
			list, total := w.findings(s, i.ID, test.filter, test.query)
			if total != test.total || test.first != "" && (len(list) == 0 || list[0] != test.first) {
				t.Errorf("%+v: %d %q, want %d, first %q", test.filter, total, list, test.total, test.first)
			}
		}
		for _, bad := range []inspection.FindingFilter{{Severities: []string{"awful"}}, {Kind: "nothing"}} {
			if _, _, err := s.Findings(t.Context(), i.ID, bad, store.ListQuery{}); !problem.Is(err, problem.BadRequest) {
				t.Errorf("%+v: %v", bad, err)
			}
		}
		if _, _, err := s.Findings(t.Context(), 99, inspection.FindingFilter{}, store.ListQuery{}); !problem.Is(err, problem.NotFound) {
			t.Errorf("findings of nothing: %v", err)
		}
	})
}

func TestARepairMendsLinksAndLooksAgain(t *testing.T) {
	each(t, func(w *world) {
		link := revisionLink("library/app", w.app.Digest)
		w.write(link, "")
		s, _ := w.serve()
		i := w.succeeds(s, inspection.Request{Repair: true})
		if r := i.Report; !r.Clean || r.Repair == nil || r.Repair.Repaired != 1 || r.Repairable != 0 {
			t.Errorf("%+v", r)
		}
		found, total, err := s.Findings(t.Context(), i.ID, inspection.FindingFilter{Severities: []string{inspection.Mended}}, store.ListQuery{})
		if err != nil || total != 1 || found[0].Target != w.app.Digest.String() || found[0].Damage.Path != link || found[0].Damage.Repairable {
			t.Errorf("%d %+v, %v", total, found, err)
		}
		if content, err := os.ReadFile(w.path(link)); err != nil || string(content) != w.app.Digest.String() {
			t.Errorf("the link holds %q, %v", content, err)
		}
	})
}

func TestLinksAreNotMendedWhenTheyMayNotBe(t *testing.T) {
	each(t, func(w *world) {
		no := problem.New(problem.Denied, "not now")
		s, _ := w.serve(func(o *inspection.Options) { o.MayRepair = func(context.Context) error { return no } })
		if _, err := s.Start(t.Context(), "admin", inspection.Request{Repair: true}); !problem.Is(err, problem.Denied) {
			t.Errorf("a repair was begun: %v", err)
		}
		w.succeeds(s, inspection.Request{})
	})
}

// held opens the storage when it is released, or the look is to end.
func (w *world) held(opening, release chan struct{}) func(*inspection.Options) {
	return func(o *inspection.Options) {
		o.Open = func(ctx context.Context) (tree.Opened, error) {
			opening <- struct{}{}
			select {
			case <-release:
				return w.open(ctx)
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
	}
}

func TestOneLookGoesOnAtATimeUntilItIsStopped(t *testing.T) {
	each(t, func(w *world) {
		opening, release := make(chan struct{}), make(chan struct{})
		s, _ := w.serve(w.held(opening, release))
		id := w.start(s, inspection.Request{})
		<-opening
		if _, err := s.Start(t.Context(), "admin", inspection.Request{}); !problem.Is(err, problem.Conflict) {
			t.Errorf("a second look: %v", err)
		}
		if err := s.Stop(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if i := w.ended(s, id); i.Status != inspection.Stopped || i.Report != nil || i.Error != "" {
			t.Errorf("stopped: %+v", i)
		}
		if err := s.Stop(t.Context(), id); !problem.Is(err, problem.Precondition) {
			t.Errorf("stopped twice: %v", err)
		}
		if err := s.Stop(t.Context(), 99); !problem.Is(err, problem.NotFound) {
			t.Errorf("stopped nothing: %v", err)
		}
		// The job of the first may still be ending: the next one waits for it.
		next := w.start(s, inspection.Request{})
		<-opening
		close(release)
		if i := w.ended(s, next); i.Status != inspection.Succeeded {
			t.Errorf("the next one: %+v", i)
		}
		if i, err := s.Get(t.Context(), id); err != nil || i.Status != inspection.Stopped {
			t.Errorf("the first one became %+v, %v", i, err)
		}
	})
}

func TestALookThatAServersEndCutsOffBeginsAnew(t *testing.T) {
	each(t, func(w *world) {
		w.write(revisionLink("library/app", w.app.Digest), "")
		opening := make(chan struct{})
		s, end := w.serve(w.held(opening, nil))
		id := w.start(s, inspection.Request{})
		<-opening
		end()
		if i, err := s.Get(t.Context(), id); err != nil || i.Status.Ended() {
			t.Fatalf("after the server's end: %+v, %v", i, err)
		}
		again, _ := w.serve()
		i := w.ended(again, id)
		if i.Status != inspection.Succeeded || i.Report.Repairable != 1 {
			t.Errorf("%+v", i)
		}
		if _, total := w.findings(again, id, inspection.FindingFilter{Repairable: true}, store.ListQuery{}); total != 1 {
			t.Errorf("%d findings", total)
		}
	})
}

func TestALookThatFailsSaysWhy(t *testing.T) {
	each(t, func(w *world) {
		s, _ := w.serve(func(o *inspection.Options) {
			o.Open = func(context.Context) (tree.Opened, error) { return nil, fmt.Errorf("the store is on fire") }
		})
		if i := w.ended(s, w.start(s, inspection.Request{})); i.Status != inspection.Failed || i.Error != "the store is on fire" || i.Report != nil {
			t.Errorf("%+v", i)
		}
	})
}

func TestTheNewestReportStaysWhateverFailsAfterIt(t *testing.T) {
	each(t, func(w *world) {
		fails := false
		s, _ := w.serve(func(o *inspection.Options) {
			o.Open = func(ctx context.Context) (tree.Opened, error) {
				if fails {
					return nil, fmt.Errorf("no")
				}
				return w.open(ctx)
			}
		})
		old := w.succeeds(s, inspection.Request{})
		kept := w.succeeds(s, inspection.Request{})
		fails = true
		for range 7 {
			w.ended(s, w.start(s, inspection.Request{}))
		}
		list, err := s.List(t.Context())
		if err != nil || len(list) != 6 || list[5].ID != kept.ID || list[5].Report == nil || list[0].ID <= list[1].ID {
			t.Errorf("%d kept, %v", len(list), err)
		}
		if _, err := s.Get(t.Context(), old.ID); !problem.Is(err, problem.NotFound) {
			t.Errorf("an older one: %v", err)
		}
	})
}

func TestWhoWatchesSeesALookGoOn(t *testing.T) {
	each(t, func(w *world) {
		s, _ := w.serve()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		first := true
		for i, err := range s.Watch(ctx) {
			switch {
			case err != nil:
				t.Fatal(err)
			case first && i != nil:
				t.Errorf("before there is any: %+v", i)
			case first:
				first = false
				w.start(s, inspection.Request{})
			case i.Status == inspection.Succeeded:
				return
			case i.Status.Ended():
				t.Fatalf("%+v", i)
			}
		}
		t.Error("nobody told of the end")
	})
}
