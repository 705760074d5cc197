package replication_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// after calls f just before the home registry is asked for a reference the nth time.
func (w *world) after(looks int, reference string, f func()) {
	var mu sync.Mutex
	seen := 0
	w.home.watch(func(_, asked string) {
		if asked != reference {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if seen++; seen == looks {
			f()
		}
	})
}

// The looks of a task at the source: one when it begins, one when it deletes, and
// one after what it did.
func TestWhatIsDeletedWhileItIsCopiedDoesNotStay(t *testing.T) {
	for _, by := range []string{"tag", "digest"} {
		t.Run(by, func(t *testing.T) {
			onSQLite(t, func(w *world) {
				w.policy("all", rule.EventBased)
				image := ts.Image(w.t, 1, 1, 100)
				tag, reference := "v1", "v1"
				if by == "digest" {
					tag, reference = "", image.Digest.String()
				}
				w.after(2, reference, func() { w.home.forget("library/app", reference) })
				w.push("library/app", tag, image)
				w.advance(settled)
				w.run()
				ts.Eventually(w.t, "it is copied", func() bool { return w.cluster.Requests().Count("PUT manifest") > 0 })
				w.settled()
				if got := w.at("library/app", reference); got != "" {
					w.t.Errorf("%s is still at the destination", reference)
				}
				if n := w.number(`SELECT count(*) FROM placements`); n != 0 {
					w.t.Errorf("the books say that %d references are there", n)
				}
			})
		})
	}
}

// A tag that is pushed again while it is being deleted may have been found at the
// destination by the push's own task, just before it was deleted there.
func TestWhatIsPushedAgainWhileItIsDeletedStays(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.policy("all", rule.EventBased)
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.arrives("library/app", "v1", image)
		w.settled()
		w.after(3, "v1", func() { w.home.remember("library/app", "v1") })
		w.deleteTag("library/app", "v1")
		w.settled()
		if got := w.at("library/app", "v1"); got != image.Digest.String() {
			w.t.Errorf("v1 is %q at the destination", got)
		}
	})
}

func TestAManifestThatComesBackBringsItsTags(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.policy("all", rule.EventBased, rule.Filter{Type: rule.FilterTag, Value: "v*"})
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.arrives("library/app", "v1", image)
		w.settled()
		ts.PutTag(w.t, w.home.Registry, "library/app", "v2", image)
		ts.PutTag(w.t, w.home.Registry, "library/app", "dev", image)
		w.after(3, image.Digest.String(), func() { w.home.remember("library/app", image.Digest.String()) })
		w.deleteArtifact("library/app", image, "v1")
		w.settled()
		if got := w.at("library/app", "v2"); got != image.Digest.String() {
			w.t.Errorf("v2 is %q at the destination", got)
		}
		if w.at("library/app", "v1") != "" || w.at("library/app", "dev") != "" {
			w.t.Error("a tag is there that should not be")
		}
	})
}

// A process that is killed between a copy and the books about it leaves what the
// books do not know.
func TestADeletionFindsWhatTheBooksMissed(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.policy("all", rule.EventBased)
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.arrives("library/app", "v1", image)
		w.settled()
		w.write(`UPDATE placements SET digest = $1`, ts.Image(w.t, 2, 1, 100).Digest.String())
		w.deleteTag("library/app", "v1")
		w.vanishes("library/app", "v1")
		w.settled()
	})
}

func TestWhatSomebodyElsePutThereIsLeftAlone(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		w.run()
		image, foreign := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.push("library/app", "v1", image)
		w.arrives("library/app", "v1", image)
		w.settled()
		ts.Push(w.t, w.cluster, "library/app", "v1", foreign)
		w.deleteTag("library/app", "v1")
		w.settled()
		if got := w.at("library/app", "v1"); got != foreign.Digest.String() {
			w.t.Errorf("v1 is %q", got)
		}
		if item := w.tasks(policy)[0].Items[0]; item.Outcome != replication.Foreign || item.Reason == "" {
			w.t.Errorf("%+v", item)
		}
	})
}

// Two repositories may have one name at the destination. When the first one's tag is
// deleted, the name is free for the other one, and the deletion, whenever its turn
// comes, does not take away what that has put there.
func TestADeletionLeavesWhatAnotherRepositoryPutUnderTheSameName(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		w.change(policy, func(p *replication.Policy) { p.DestNamespace = "mirror" })
		w.run()
		first, second := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.push("one/app", "v1", first)
		w.arrives("mirror/app", "v1", first)
		w.settled()
		w.cluster.Stop()
		w.deleteTag("one/app", "v1")
		w.fails(policy)
		w.push("two/app", "v1", second)
		ts.Eventually(w.t, "both have failed", func() bool {
			tasks := w.tasks(policy)
			return len(tasks) == 3 && tasks[0].Status == replication.Failed && tasks[1].Status == replication.Failed
		})
		w.cluster.Restart()
		for _, task := range w.tasks(policy)[:2] { // the push, and only when it is through the deletion
			if err := w.RetryTask(w.t.Context(), task.ExecutionID, task.ID); err != nil && !problem.Is(err, problem.Precondition) {
				w.t.Fatal(err)
			}
			w.arrives("mirror/app", "v1", second)
		}
		w.settled()
		if item := w.taskOf(policy, "one/app").Items[0]; item.Outcome != replication.Foreign {
			w.t.Errorf("the deletion: %+v", item)
		}
		if got := w.at("mirror/app", "v1"); got != second.Digest.String() {
			w.t.Errorf("v1 is %q after another repository's v1 was deleted", got)
		}
		w.deleteTag("two/app", "v1")
		w.vanishes("mirror/app", "v1")
		w.settled()
	})
}

// In a manual run what has gone since it was planned is no failure.
func TestWhatIsGoneWhenItsTurnComesIsSkipped(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.cluster.Faults.Add(ts.Fault{Path: "/blobs/uploads/", Do: ts.Status(400)})
		w.after(2, "v1", func() { w.home.forget("library/app", "v1") })
		w.run()
		if e := w.start(policy); e.Status != replication.Succeed {
			w.t.Errorf("%+v", e)
		}
		if item := w.tasks(policy)[0].Items[0]; item.Outcome != replication.Absent || !strings.Contains(item.Reason, "gone") {
			w.t.Errorf("%+v", item)
		}
	})
}

func TestAnAccessoryFollowsItsSubjectThroughATagFilter(t *testing.T) {
	onBoth(t, func(w *world) {
		w.policy("releases", rule.EventBased, rule.Filter{Type: rule.FilterTag, Value: "v*"})
		w.run()
		image, other := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		wanted, unwanted := ts.Referrer(w.t, image, "application/x.sbom", 3), ts.Referrer(w.t, other, "application/x.sbom", 4)
		w.push("library/app", "v1", image)
		w.push("library/app", "dev", other)
		w.arrives("library/app", "v1", image)
		w.home.own("library/app", wanted, image, "v1")
		w.home.own("library/app", unwanted, other, "dev")
		w.push("library/app", "", wanted)
		w.push("library/app", "", unwanted)
		w.advance(settled)
		w.arrives("library/app", wanted.Digest.String(), wanted)
		w.settled()
		if w.at("library/app", unwanted.Digest.String()) != "" {
			w.t.Error("the accessory of an image that is not wanted was copied")
		}
		// It is deleted with its subject, when nobody can tell any more whose it was.
		w.deleteArtifact("library/app", wanted)
		ts.Eventually(w.t, "the deletion is dispatched", func() bool { return w.number(`SELECT count(*) FROM events`) == 0 })
		w.settled()
		if n := w.number(`SELECT count(*) FROM tasks WHERE operation = 'deletion'`); n != 1 {
			w.t.Errorf("%d deletions", n)
		}
		w.deleteArtifact("library/app", unwanted)
		w.settled()
		if n := w.number(`SELECT count(*) FROM tasks WHERE operation = 'deletion'`); n != 1 {
			w.t.Errorf("%d deletions: one is of what was never copied", n)
		}
	})
}
