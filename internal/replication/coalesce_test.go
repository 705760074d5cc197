package replication_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestManyPushesOfOneTagBecomeOneTaskWhileTheDestinationIsDown(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		w.cluster.Stop()
		w.run()
		var last *ts.Artifact
		began := time.Now()
		for i := range 100 {
			last = ts.Image(w.t, uint64(i), 1, 100)
			w.push("library/app", "latest", last)
		}
		ts.Eventually(w.t, "all events are taken", func() bool { return w.number(`SELECT count(*) FROM events`) == 0 })
		// One that runs and one that waits; what comes while one runs waits a second.
		took := time.Since(began)
		if n := len(w.tasks(policy)); n > 4+int(took/burst) {
			w.t.Errorf("100 pushes of one tag in %s made %d tasks", took, n)
		}
		w.cluster.Restart()
		if err := w.CheckHealth(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.advance(backoffLimit)
		w.arrives("library/app", "latest", last)
		w.settled()
	})
}

// What a deletion that waits has to remove is more than the tag that it shares
// with a push.
func TestAPushDoesNotMakeAWaitingDeletionForgetTheRest(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		w.run()
		old, fresh := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.push("library/app", "v1", old)
		w.push("library/app", "v2", old)
		w.arrives("library/app", "v1", old)
		w.arrives("library/app", "v2", old)
		w.settled()
		w.cluster.Stop()
		w.deleteArtifact("library/app", old, "v1", "v2")
		w.fails(policy)
		w.push("library/app", "v1", fresh)
		ts.Eventually(w.t, "the push has joined the task that waits", func() bool { return w.number(`SELECT count(*) FROM events`) == 0 })
		w.cluster.Restart()
		w.advance(backoffLimit)
		w.arrives("library/app", "v1", fresh)
		w.vanishes("library/app", "v2")
		w.vanishes("library/app", old.Digest.String())
		w.settled()
	})
}

// A running task that fails while a newer change of its tag waits hands over what
// it could not do.
func TestANewerTaskTakesOverWhatAFailedOneLeft(t *testing.T) {
	onBoth(t, func(w *world) {
		w.policy("all", rule.EventBased)
		w.run()
		old, fresh := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.push("library/app", "v1", old)
		w.push("library/app", "v2", old)
		w.arrives("library/app", "v1", old)
		w.arrives("library/app", "v2", old)
		w.settled()

		hold := ts.NewHold()
		held := w.cluster.Faults.Add(ts.Fault{Path: "/v2/library/app/manifests/", Do: hold.Before()})
		w.deleteArtifact("library/app", old, "v1", "v2")
		ts.Eventually(w.t, "the deletion runs", func() bool { return hold.Waiting() > 0 })
		w.push("library/app", "v1", fresh)
		ts.Eventually(w.t, "the push waits for it", func() bool { return w.number(`SELECT count(*) FROM jobs`) == 2 })
		w.cluster.Faults.Add(ts.Fault{Path: "/v2/library/app/manifests/", Do: ts.Status(500), Times: 20})
		held.Remove()
		w.cluster.Stop()
		hold.Release()
		ts.Eventually(w.t, "one of them is left", func() bool { return w.number(`SELECT count(*) FROM jobs`) == 1 })
		w.cluster.Faults.Clear()
		w.cluster.Restart()
		w.advance(backoffLimit)
		w.arrives("library/app", "v1", fresh)
		w.vanishes("library/app", "v2")
		w.settled()
	})
}

func TestAShutdownLeavesNothingBehindThatLooksAsIfItRan(t *testing.T) {
	onBoth(t, func(w *world) {
		w.policy("all", rule.EventBased)
		w.run()
		hold := ts.NewHold()
		w.cluster.Faults.Add(ts.Fault{Path: "/blobs/uploads/", Do: hold.Before()})
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		ts.Eventually(w.t, "the first push is under way", func() bool { return hold.Waiting() > 0 })
		last := ts.Image(w.t, 2, 1, 100)
		w.push("library/app", "v1", last)
		ts.Eventually(w.t, "the second one waits", func() bool { return w.number(`SELECT count(*) FROM jobs`) == 2 })
		w.stop()
		if n := w.number(`SELECT count(*) FROM tasks WHERE status = 'InProgress'`); n != 0 {
			w.t.Errorf("%d tasks are in progress although nothing runs", n)
		}
		hold.Release()
		w.cluster.Faults.Clear()
		w.restart()
		w.arrives("library/app", "v1", last)
		w.settled()
	})
}

// A killed process leaves a running job. When the same tag was pushed again, the
// queue makes one job of the two, and the older task has none any more.
func TestATaskWhoseJobVanishedIsSettled(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		first, last := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.run()
		w.cluster.Stop()
		w.push("library/app", "v1", first)
		killed := w.fails(policy)
		w.stop()
		w.write(`UPDATE jobs SET state = 'running', owner = 'killed', lease_until = 1`)
		w.write(`UPDATE tasks SET status = 'InProgress'`)
		w.write(`UPDATE executions SET status = 'InProgress', in_progress = 1, failed = 0, end_time = 0`)
		w.push("library/app", "v1", last)
		w.cluster.Restart()
		w.restart()
		w.arrives("library/app", "v1", last)
		ts.Eventually(w.t, "the task of the killed process is settled", func() bool {
			if err := w.SettleOrphans(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
			task, err := w.GetTask(w.t.Context(), killed.ExecutionID, killed.ID)
			return err == nil && task.Status.Final()
		})
		w.settled()
	})
}

func TestADeletionThatComesBeforeTheCopyRanLeavesNothing(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		w.deleteTag("library/app", "v1")
		w.run()
		w.settled()
		if got := w.at("library/app", "v1"); got != "" {
			w.t.Errorf("v1 is %s at the destination", got)
		}
		for _, e := range w.executions(policy) {
			if e.Status != replication.Succeed {
				w.t.Errorf("execution: %+v", e)
			}
		}
	})
}

func TestADisabledRuleGivesUpWhatWaits(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		w.cluster.Stop()
		w.run()
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		w.fails(policy)
		w.change(policy, func(p *replication.Policy) { p.Enabled = false })
		task := w.tasks(policy)[0]
		if task.Status != replication.Stopped || !strings.Contains(task.Reason, "disabled") || task.JobID != 0 || !task.NextAttemptTime.IsZero() {
			w.t.Errorf("right after: %+v", task)
		}
		w.balanced()
		w.push("library/app", "v2", ts.Image(w.t, 2, 1, 100))
		w.cluster.Restart()
		w.settled()
		if n := len(w.tasks(policy)); n != 1 {
			w.t.Errorf("%d tasks of a disabled rule", n)
		}
		// What somebody wants tried is tried; a disabled rule does not.
		if err := w.RetryTask(w.t.Context(), task.ExecutionID, task.ID); err != nil {
			w.t.Fatal(err)
		}
		w.settled()
		if got := w.at("library/app", "v1"); got != "" {
			w.t.Errorf("a disabled rule copied v1")
		}
		w.change(policy, func(p *replication.Policy) { p.Enabled = true })
		if err := w.RetryTask(w.t.Context(), task.ExecutionID, task.ID); err != nil {
			w.t.Fatal(err)
		}
		ts.Eventually(w.t, "v1 is there", func() bool { return w.at("library/app", "v1") != "" })
		w.settled()
	})
}

// Only what is still the rule's concern is done when a rule changed meanwhile.
func TestWorkThatWaitsFollowsTheChangedRule(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		w.cluster.Stop()
		w.run()
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		w.push("library/app", "dev", ts.Image(w.t, 2, 1, 100))
		ts.Eventually(w.t, "both have failed", func() bool {
			return !slices.ContainsFunc(w.tasks(policy), func(t replication.Task) bool { return t.Status != replication.Failed }) && len(w.tasks(policy)) == 2
		})
		w.change(policy, func(p *replication.Policy) {
			p.Filters = []rule.Filter{{Type: rule.FilterTag, Value: "v*"}}
			p.DestNamespace = "mirror"
		})
		// An attempt that had begun before goes by the rule that it found.
		ts.Eventually(w.t, "none is under way", func() bool {
			return !slices.ContainsFunc(w.tasks(policy), func(t replication.Task) bool { return t.Status == replication.InProgress })
		})
		w.cluster.Restart()
		w.advance(backoffLimit)
		ts.Eventually(w.t, "v1 is where the rule says now", func() bool { return w.at("mirror/app", "v1") != "" })
		w.settled()
		if w.at("mirror/app", "dev") != "" || w.at("library/app", "dev") != "" || w.at("library/app", "v1") != "" {
			w.t.Error("something was copied that the rule does not want")
		}
	})
}

func TestAnEventThatCannotBeAppliedDoesNotKeepOthersBack(t *testing.T) {
	onBoth(t, func(w *world) {
		w.policy("all", rule.EventBased)
		// A row that no version of this program wrote.
		w.write(`INSERT INTO events (type, repository, digest, tags, artifact, time) VALUES ($1, $2, $3, $4, 'IMAGE', 1)`,
			home.PushArtifact, "library/app", "", `[""]`)
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.run()
		w.arrives("library/app", "v1", image)
	})
}

// Harbor leaves all rules out that come after one with an error.
func TestARuleThatCannotBeUnderstoodDoesNotKeepOthersBack(t *testing.T) {
	onBoth(t, func(w *world) {
		broken := w.policy("broken", rule.EventBased)
		w.write(`UPDATE replication_policies SET filters = '[{"type":"name","value":"a{b"}]' WHERE id = $1`, broken)
		w.policy("good", rule.EventBased)
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.arrives("library/app", "v1", image)
		w.settled()
	})
}
