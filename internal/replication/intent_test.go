package replication_test

import (
	"testing"

	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// What is about to be put under a tag is in the books before it is there, and no
// longer when it is known what was put.
func TestWhatIsAboutToBePutIsNotedFirst(t *testing.T) {
	onBoth(t, func(w *world) {
		w.policy("all", rule.EventBased)
		hold := ts.NewHold()
		w.t.Cleanup(hold.Release)
		w.cluster.Faults.Add(ts.Fault{Class: "PUT manifest", Do: hold.Before()})
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		ts.Eventually(w.t, "it is about to be put", func() bool { return hold.Waiting() > 0 })
		const noted = `SELECT count(*) FROM placement_intents WHERE repository = 'library/app' AND reference = 'v1' AND digest = $1`
		if n := w.number(noted, image.Digest.String()); n != 1 {
			w.t.Errorf("the books have it %d times before it is there", n)
		}
		hold.Release()
		w.arrives("library/app", "v1", image)
		w.settled()
		if n := w.number(`SELECT count(*) FROM placement_intents`); n != 0 {
			w.t.Errorf("%d intents are left when all is done", n)
		}
	})
}

// A server was killed after it had put an image under a tag and before that was in the
// books. Until the next one starts the tag is pushed once more, and deleted: neither
// the books nor the deletion tell of the image that is there.
func TestADeletionFindsWhatAKilledServerHadPut(t *testing.T) {
	onBoth(t, func(w *world) {
		w.policy("all", rule.EventBased)
		first, killed, last := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100), ts.Image(w.t, 3, 1, 100)
		w.run()
		w.push("library/app", "v1", first)
		w.arrives("library/app", "v1", first)
		w.settled()
		w.stop()
		ts.Push(w.t, w.cluster, "library/app", "v1", killed)
		w.write(`INSERT INTO placement_intents (registry_id, repository, reference, digest) VALUES ($1, 'library/app', 'v1', $2)`,
			w.endpoint, killed.Digest.String())
		w.push("library/app", "v1", last)
		w.deleteTag("library/app", "v1")
		w.restart()
		w.vanishes("library/app", "v1")
		w.settled()
		if n := w.number(`SELECT count(*) FROM placement_intents`); n != 0 {
			w.t.Errorf("%d intents are left when all is done", n)
		}
	})
}

// Without an intent what is at the destination is somebody else's.
func TestADeletionLeavesWhatNobodyMeantToPut(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.policy("all", rule.EventBased)
		first, foreign := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.run()
		w.push("library/app", "v1", first)
		w.arrives("library/app", "v1", first)
		w.settled()
		ts.Push(w.t, w.cluster, "library/app", "v1", foreign)
		w.deleteTag("library/app", "v1")
		w.settled()
		if got := w.at("library/app", "v1"); got != foreign.Digest.String() {
			w.t.Errorf("v1 is %q, want somebody else's %s", got, foreign.Digest)
		}
	})
}
