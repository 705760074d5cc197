package replication_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// keep plans a rule and keeps the plan.
func (w *world) keep(policy int64) preview {
	w.t.Helper()
	lines, err := w.KeepPlan(w.t.Context(), policy, false)
	if err != nil {
		w.t.Fatal(err)
	}
	p := read(w.t, lines)
	if p.fatal != nil || p.summary.PlanID == 0 {
		w.t.Fatalf("%v %+v", p.fatal, p.summary)
	}
	return p
}

// carryOut starts a kept plan and waits until it has ended.
func (w *world) carryOut(policy int64, p preview) replication.Execution {
	w.t.Helper()
	id, err := w.StartPlan(w.t.Context(), policy, p.summary.PlanID, replication.Manual)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.ended(id)
}

// became is what became of a reference in the newest execution of a rule that is about it.
func (w *world) became(policy int64, repository, reference string) replication.Item {
	w.t.Helper()
	for _, task := range w.tasks(policy) {
		for _, item := range task.Items {
			if task.SourceRepository == repository && item.Reference == reference {
				return item
			}
		}
	}
	w.t.Fatalf("no task is about %s:%s", repository, reference)
	return replication.Item{}
}

func TestAKeptPlanIsDoneAsItWasShown(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		one, two, old := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100), ts.Image(w.t, 3, 1, 100)
		w.push("library/app", "new", one)
		w.push("library/app", "changed", two)
		w.push("library/app", "same", one)
		ts.Push(w.t, w.cluster, "library/app", "changed", old)
		ts.Push(w.t, w.cluster, "library/app", "same", one)
		p := w.keep(policy)
		if s := p.summary; !s.Complete || !s.ExpiryTime.Equal(s.CreationTime.Add(24*time.Hour)) {
			w.t.Errorf("%+v", s)
		}
		// What comes after the plan is not of it.
		w.push("library/app", "later", two)
		w.push("library/later", "v1", two)
		w.run()
		e := w.carryOut(policy, p)
		if e.Status != replication.Succeed || e.PlanID != p.summary.PlanID || e.Total != 1 || !e.Planned {
			w.t.Errorf("%+v", e)
		}
		for reference, want := range map[string]*ts.Artifact{"new": one, "changed": two, "same": one} {
			if got := w.at("library/app", reference); got != want.Digest.String() {
				w.t.Errorf("%s is %s, want %s", reference, got, want.Digest)
			}
		}
		for _, line := range p.lines {
			item := w.became(policy, line.SourceRepository, line.Tag)
			want := map[replication.Action]replication.Outcome{
				replication.ActionCopy: replication.Copied, replication.ActionOverwrite: replication.Copied, replication.ActionSkip: replication.Unchanged,
			}[line.Action]
			if item.Outcome != want || item.Digest != line.Digest {
				w.t.Errorf("%s was shown as %s of %s, and became %+v", line.Tag, line.Action, line.Digest, item)
			}
		}
		if w.at("library/app", "later") != "" || w.at("library/later", "v1") != "" {
			w.t.Error("what was not shown was copied")
		}
		w.settled()
	})
}

// A tag that was moved since is copied as it was shown, for as long as that can be had.
func TestWhatWasMovedSinceIsCopiedAsItWasShown(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		shown, moved := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.push("library/app", "v1", shown)
		p := w.keep(policy)
		w.push("library/app", "v1", moved)
		w.run()
		if e := w.carryOut(policy, p); e.Status != replication.Succeed {
			w.t.Fatalf("%+v", e)
		}
		if got := w.at("library/app", "v1"); got != shown.Digest.String() {
			w.t.Errorf("v1 is %s, want %s as it was shown", got, shown.Digest)
		}
		log, err := w.TaskLog(w.t.Context(), w.tasks(policy)[0].ExecutionID, w.tasks(policy)[0].ID)
		if err != nil || !strings.Contains(fmt.Sprint(log), "as planned") {
			w.t.Errorf("the log does not say that the tag was moved: %v %v", log, err)
		}
		if d, err := w.Drift(w.t.Context(), policy); err != nil || d.Count(replication.Different) != 1 {
			w.t.Errorf("the destination does not have what the source has, and that is no drift: %+v %v", d, err)
		}
		w.settled()
	})
}

func TestWhatCannotBeDoneAsItWasShownFailsWithTheReason(t *testing.T) {
	onSQLite(t, func(w *world) {
		image := func(n uint64) *ts.Artifact { return ts.Image(w.t, n, 1, 100) }
		policy := w.policy("all", rule.Manual)
		for i, name := range []string{"gone", "replaced", "taken", "overwritten", "vanished", "fine"} {
			w.push("library/"+name, "v1", image(uint64(i)+1))
		}
		ts.Push(w.t, w.cluster, "library/overwritten", "v1", image(50))
		ts.Push(w.t, w.cluster, "library/vanished", "v1", image(5))
		p := w.keep(policy)

		ts.Delete(w.t, w.home.Registry, "library/gone", image(1).Digest.String())
		ts.Delete(w.t, w.home.Registry, "library/replaced", image(2).Digest.String())
		w.push("library/replaced", "v1", image(60))
		ts.Push(w.t, w.cluster, "library/taken", "v1", image(70))
		ts.Push(w.t, w.cluster, "library/overwritten", "v1", image(71))
		ts.Delete(w.t, w.cluster, "library/vanished", image(5).Digest.String())
		w.run()
		e := w.carryOut(policy, p)
		if e.Status != replication.Failed || e.Failed != 5 || e.Succeed != 1 {
			w.t.Errorf("%+v", e)
		}
		check := func() {
			w.t.Helper()
			for name, says := range map[string]string{
				"gone":        "is gone from the source since it was planned",
				"replaced":    "which was planned, cannot be had any more",
				"taken":       "the destination has " + image(70).Digest.String() + " there since it was planned",
				"overwritten": "the destination has " + image(71).Digest.String() + " there since it was planned",
				"vanished":    "it was at the destination when it was planned, and is not any more",
			} {
				if item := w.became(policy, "library/"+name, "v1"); item.Outcome != replication.Lost || !strings.Contains(item.Reason, says) {
					w.t.Errorf("%s: %s %q, want %q", name, item.Outcome, item.Reason, says)
				}
			}
			for name, want := range map[string]string{
				"gone": "", "replaced": "", "taken": image(70).Digest.String(), "overwritten": image(71).Digest.String(), "vanished": "", "fine": image(6).Digest.String(),
			} {
				if got := w.at("library/"+name, "v1"); got != want {
					w.t.Errorf("%s is %q at the destination, want %q", name, got, want)
				}
			}
		}
		check()
		// A retry does not do something else than was shown either.
		if _, err := w.RetryExecution(w.t.Context(), e.ID); err != nil {
			w.t.Fatal(err)
		}
		w.settled()
		check()
		// What was in the way has been taken away: now it can be done as it was shown.
		ts.Delete(w.t, w.cluster, "library/taken", image(70).Digest.String())
		if _, err := w.RetryExecution(w.t.Context(), e.ID); err != nil {
			w.t.Fatal(err)
		}
		w.settled()
		if got := w.at("library/taken", "v1"); got != image(3).Digest.String() {
			w.t.Errorf("taken is %q", got)
		}
	})
}

// A registry that lists tags without digests is asked for them, or nobody would know
// what was shown.
func TestAKeptPlanOfARemoteSourceIsDoneByDigest(t *testing.T) {
	onSQLite(t, func(w *world) {
		source := ts.Distribution(w.t)
		shown, moved := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		ts.Push(w.t, source, "library/app", "v1", shown)
		policy, err := w.CreatePolicy(w.t.Context(), replication.Policy{
			Rule:   rule.Rule{Name: "pull", Enabled: true, ReplaceCount: rule.FlattenAll},
			Source: replication.Endpoint{ID: w.create("source", source.URL)}, Destination: replication.Endpoint{ID: w.endpoint},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		p := w.keep(policy)
		if p.lines[0].Digest != shown.Digest.String() {
			w.t.Errorf("%+v", p.lines[0])
		}
		ts.Push(w.t, source, "library/app", "v1", moved)
		w.run()
		if e := w.carryOut(policy, p); e.Status != replication.Succeed {
			w.t.Errorf("%+v", e)
		}
		if got := w.at("library/app", "v1"); got != shown.Digest.String() {
			w.t.Errorf("%s, want %s", got, shown.Digest)
		}
	})
}

func TestCollisionsOfAKeptPlanStayCollisions(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		w.change(policy, func(p *replication.Policy) { p.DestNamespace = "mirror" })
		w.push("one/app", "v1", ts.Image(w.t, 1, 1, 100))
		w.push("two/app", "v1", ts.Image(w.t, 2, 1, 100))
		p := w.keep(policy)
		w.home.forget("two/app", "v1") // a run would find the name free now
		w.run()
		e := w.carryOut(policy, p)
		if e.Status != replication.Failed || e.Failed != 2 || w.at("mirror/app", "v1") != "" {
			w.t.Errorf("%+v; %s", e, w.at("mirror/app", "v1"))
		}
	})
}

func TestAPlanThatCannotBeCarriedOutIsRefused(t *testing.T) {
	onBoth(t, func(w *world) {
		policy, other := w.policy("all", rule.Manual), w.policy("other", rule.Manual)
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		refused := func(policy, plan int64, kind problem.Kind, says string) {
			w.t.Helper()
			before := len(w.executions(policy))
			_, err := w.StartPlan(w.t.Context(), policy, plan, replication.Manual)
			if !problem.Is(err, kind) || !strings.Contains(err.Error(), says) {
				w.t.Errorf("%v, want %s: %q", err, kind, says)
			}
			if n := len(w.executions(policy)); n != before {
				w.t.Errorf("%d executions, %d before", n, before)
			}
		}
		p := w.keep(policy)
		refused(policy, 999, problem.NotFound, "replication plan 999 not found")
		refused(999, p.summary.PlanID, problem.NotFound, "replication policy 999 not found")
		refused(other, p.summary.PlanID, problem.BadRequest, "is not one of policy")

		w.change(policy, func(p *replication.Policy) { p.Enabled = false })
		refused(policy, p.summary.PlanID, problem.Precondition, "is disabled")
		w.change(policy, func(p *replication.Policy) { p.Enabled = true })
		refused(policy, p.summary.PlanID, problem.Precondition, "is from before the rule was changed")

		p = w.keep(policy)
		elsewhere := ts.Distribution(w.t)
		if err := w.UpdateEndpoint(w.t.Context(), w.endpoint, replication.EndpointUpdate{URL: &elsewhere.URL}); err != nil {
			w.t.Fatal(err)
		}
		refused(policy, p.summary.PlanID, problem.Precondition, "is about another registry")
		if err := w.UpdateEndpoint(w.t.Context(), w.endpoint, replication.EndpointUpdate{URL: &w.cluster.URL}); err != nil {
			w.t.Fatal(err)
		}

		w.run()
		e := w.carryOut(policy, p) // it is the same one again
		refused(policy, p.summary.PlanID, problem.Conflict, fmt.Sprintf("was carried out already, by execution %d", e.ID))

		p = w.keep(policy)
		w.advance(25 * time.Hour)
		refused(policy, p.summary.PlanID, problem.Precondition, "is too old")
		if err := w.Sweep(w.t.Context(), 100); err != nil {
			w.t.Fatal(err)
		}
		refused(policy, p.summary.PlanID, problem.Precondition, "is too old") // still told why
		if n := w.number(`SELECT count(*) FROM plan_repositories WHERE plan_id = $1`, p.summary.PlanID); n != 0 {
			w.t.Errorf("%d parts of an old plan are kept", n)
		}
		w.advance(8 * 24 * time.Hour)
		if err := w.Sweep(w.t.Context(), 100); err != nil {
			w.t.Fatal(err)
		}
		refused(policy, p.summary.PlanID, problem.NotFound, "not found")
		if n := w.number(`SELECT count(*) FROM plans`); n != 0 {
			w.t.Errorf("%d plans are kept for ever", n)
		}
	})
}

func TestARuleTakesItsPlansAlong(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		w.keep(policy)
		if err := w.DeletePolicy(w.t.Context(), policy); err != nil {
			w.t.Fatal(err)
		}
		if n := w.number(`SELECT (SELECT count(*) FROM plans) + (SELECT count(*) FROM plan_repositories)`); n != 0 {
			w.t.Errorf("%d rows are left", n)
		}
	})
}

func TestAPlanThatEndsEarlyIsNotKept(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		for _, name := range []string{"library/a", "library/b"} {
			w.push(name, "v1", ts.Image(w.t, 1, 1, 100))
		}
		none := func(when string, s *replication.PlanSummary) {
			w.t.Helper()
			if s != nil && s.PlanID != 0 {
				w.t.Errorf("%s: it has the id %d", when, s.PlanID)
			}
			if n := w.number(`SELECT (SELECT count(*) FROM plans) + (SELECT count(*) FROM plan_repositories)`); n != 0 {
				w.t.Errorf("%s: %d rows are left", when, n)
			}
		}
		lines, err := w.KeepPlan(w.t.Context(), policy, false)
		if err != nil {
			w.t.Fatal(err)
		}
		for range lines {
			break
		}
		none("the reader went away", nil)

		w.home.interfere(func(repository string) error {
			if repository == "library/b" {
				return errListingEnds
			}
			return nil
		})
		if lines, err = w.KeepPlan(w.t.Context(), policy, false); err != nil {
			w.t.Fatal(err)
		}
		p := read(w.t, lines)
		if !errors.Is(p.fatal, errListingEnds) {
			w.t.Errorf("%v", p.fatal)
		}
		none("the listing ended", p.summary)

		w.home.interfere(func(string) error {
			w.change(policy, func(p *replication.Policy) { p.Description = "changed" })
			return nil
		})
		if lines, err = w.KeepPlan(w.t.Context(), policy, false); err != nil {
			w.t.Fatal(err)
		}
		p = read(w.t, lines)
		if !problem.Is(p.fatal, problem.Precondition) || p.summary.Complete {
			w.t.Errorf("%v %+v", p.fatal, p.summary)
		}
		none("the rule was changed meanwhile", p.summary)
	})
}

// What could not be looked at is a failed task, and no retry does there what nobody saw.
func TestWhatAPlanCouldNotTellIsNotDone(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		w.push("library/bad", "v1", ts.Image(w.t, 1, 1, 100))
		w.push("library/good", "v1", ts.Image(w.t, 2, 1, 100))
		w.home.interfere(func(repository string) error {
			if repository == "library/bad" {
				return errListing
			}
			return nil
		})
		p := w.keep(policy)
		w.home.interfere(nil)
		w.run()
		e := w.carryOut(policy, p)
		if e.Status != replication.Failed || e.Succeed != 1 || e.Failed != 1 {
			w.t.Errorf("%+v", e)
		}
		if _, err := w.RetryExecution(w.t.Context(), e.ID); err != nil {
			w.t.Fatal(err)
		}
		w.settled()
		if w.at("library/bad", "v1") != "" {
			w.t.Error("a retry copied what the plan did not show")
		}
	})
}

func TestAPlanSurvivesTheServer(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		for i := range 30 {
			w.push(fmt.Sprintf("library/app%02d", i), "v1", ts.Image(w.t, uint64(i), 1, 100))
		}
		p := w.keep(policy)
		w.restart() // between plan and execution
		hold := ts.NewHold()
		w.t.Cleanup(hold.Release)
		w.cluster.Faults.Add(ts.Fault{Path: "/blobs/uploads/", Do: hold.Before()})
		id, err := w.StartPlan(w.t.Context(), policy, p.summary.PlanID, replication.Manual)
		if err != nil {
			w.t.Fatal(err)
		}
		ts.Eventually(w.t, "it is being carried out", func() bool { return hold.Waiting() > 0 })
		hold.Release()
		w.restart() // and within
		if e := w.ended(id); e.Status != replication.Succeed || e.Total != 30 || e.Succeed != 30 {
			w.t.Errorf("%+v", e)
		}
		w.settled()
	})
}

// replica is another server on the same database.
func (w *world) replica() *world {
	other := &world{t: w.t, url: w.url, box: w.box, home: w.home, cluster: w.cluster, endpoint: w.endpoint, log: w.log}
	other.open()
	return other
}

func TestOfServersThatStartOnePlanOneDoes(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		p := w.keep(policy)
		other := w.replica()
		w.t.Cleanup(other.Close)
		w.run()
		var mu sync.Mutex
		var started, refused int
		var group sync.WaitGroup
		for i := range 8 {
			server := []*world{w, other}[i%2]
			group.Go(func() {
				_, err := server.StartPlan(context.WithoutCancel(w.t.Context()), policy, p.summary.PlanID, replication.Manual)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					started++
				case problem.Is(err, problem.Conflict):
					refused++
				default:
					w.t.Error(err)
				}
			})
		}
		group.Wait()
		if started != 1 || refused != 7 || len(w.executions(policy)) != 1 {
			w.t.Errorf("%d started, %d refused, %d executions", started, refused, len(w.executions(policy)))
		}
		w.arrives("library/app", "v1", image)
		w.settled()
	})
}

// A rule that runs one execution at a time does not merge a plan into one that waits:
// that would do something else.
func TestAPlanIsNotMergedIntoAnotherExecution(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.oneAtATime()
		p := w.keep(policy)
		w.run()
		hold, first := w.held(policy)
		_, err := w.StartPlan(w.t.Context(), policy, p.summary.PlanID, replication.Manual)
		if !problem.Is(err, problem.Precondition) || !strings.Contains(err.Error(), "one is in progress") {
			w.t.Errorf("%v", err)
		}
		hold.Release()
		w.ended(first)
		if e := w.carryOut(policy, p); e.Status != replication.Succeed {
			w.t.Errorf("%+v", e)
		}
	})
}

func TestAnEmptyPlanSaysSo(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		p := w.keep(policy)
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		w.run()
		if e := w.carryOut(policy, p); e.Status != replication.Succeed || e.Total != 0 || !strings.Contains(e.StatusText, "has nothing in it") {
			w.t.Errorf("%+v", e)
		}
	})
}

// What was planned for several destinations is done at each.
func TestAKeptPlanGoesToAllItsDestinations(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		other, _ := w.second(policy)
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		p := w.keep(policy)
		w.run()
		if e := w.carryOut(policy, p); e.Status != replication.Succeed || e.Total != 2 {
			w.t.Errorf("%+v", e)
		}
		w.arrives("library/app", "v1", image)
		w.arrivesAt(other, "library/app", "v1", image)
	})
}

// A plan for some platforms is done as it was shown, whichever digest the index has then.
func TestAKeptPlanForSomePlatformsIsDoneAsItWasShown(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		w.wants(policy, rule.PlatformRewrite, "linux/amd64")
		w.push("library/app", "v1", ts.Index(w.t, 1, "linux/amd64", "linux/arm64"))
		w.push("library/app", "arm", ts.Index(w.t, 2, "linux/arm64"))
		p := w.keep(policy)
		if got := p.short(); len(got) != 2 || !strings.HasPrefix(got[0], "skip library/app:arm (it is not for the platforms") || got[1] != "copy library/app:v1" || p.lines[1].Stands == "" {
			w.t.Fatalf("%q %+v", got, p.lines)
		}
		w.push("library/app", "v1", ts.Index(w.t, 3, "linux/amd64", "linux/arm64"))
		w.run()
		if e := w.carryOut(policy, p); e.Status != replication.Succeed {
			w.t.Fatalf("%+v %+v", e, w.tasks(policy))
		}
		if got := w.at("library/app", "v1"); got != p.lines[1].Stands {
			w.t.Errorf("v1 is %s, shown was %s", got, p.lines[1].Stands)
		}
		if w.at("library/app", "arm") != "" {
			w.t.Error("what was shown as left out was copied")
		}
		// The next plan sees that the source has moved on, and one after that nothing to do.
		if again := w.keep(policy); again.lines[1].Action != replication.ActionOverwrite || again.lines[1].Replaces != p.lines[1].Stands {
			w.t.Errorf("%+v", again.lines)
		} else if e := w.carryOut(policy, again); e.Status != replication.Succeed {
			w.t.Errorf("%+v", e)
		}
		if done := w.keep(policy); done.lines[1].Action != replication.ActionSkip {
			w.t.Errorf("%+v", done.lines)
		} else if e := w.carryOut(policy, done); e.Status != replication.Succeed {
			w.t.Errorf("nothing to do: %+v %+v", e, w.tasks(policy))
		}
	})
}

// What a plan left out may be wanted since: that it is missing is known and stays known.
func TestAnOldPlanForgetsNoDriftThatWasFoundSince(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("signed", rule.Manual)
		w.signedOnly(policy)
		signed, later := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.push("library/app", "signed", signed)
		w.push("library/app", ts.CosignTag(signed.Digest), ts.CosignSignature(w.t, signed))
		w.push("library/app", "later", later)
		p := w.keep(policy)
		w.push("library/app", ts.CosignTag(later.Digest), ts.CosignSignature(w.t, later))
		w.run()
		w.verified(policy, false)
		if e := w.stand(policy, "library/app", "later"); e.State != replication.Missing || !e.Drift {
			w.t.Fatalf("%+v", e)
		}
		if e := w.carryOut(policy, p); e.Status != replication.Succeed {
			w.t.Errorf("%+v", e)
		}
		w.settled()
		if item := w.became(policy, "library/app", "later"); item.Outcome != replication.Absent {
			w.t.Errorf("%+v", item)
		}
		if e := w.stand(policy, "library/app", "later"); e.State != replication.Missing || !e.Drift {
			w.t.Errorf("after the plan: %+v", e)
		}
		if d, err := w.Drift(w.t.Context(), policy); err != nil || d.InSync {
			w.t.Errorf("%+v %v", d, err)
		}
	})
}
