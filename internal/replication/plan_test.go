package replication_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestARetryPlansWhatCouldNotBePlanned(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.push("library/app", "v2", image)
		w.home.interfere(func(string) error { return errListing })
		w.run()
		e := w.start(policy)
		if e.Status != replication.Failed || e.Total != 1 || e.Failed != 1 {
			w.t.Fatalf("%+v", e)
		}
		w.home.interfere(nil)
		if n, err := w.RetryExecution(w.t.Context(), e.ID); err != nil || n != 1 {
			w.t.Fatal(n, err)
		}
		if e = w.ended(e.ID); e.Status != replication.Succeed {
			w.t.Errorf("%+v", e)
		}
		for _, tag := range []string{"v1", "v2"} {
			if got := w.at("library/app", tag); got != image.Digest.String() {
				w.t.Errorf("the retried task says it succeeded; %s is %q at the destination", tag, got)
			}
		}
		w.settled()
	})
}

func TestARetryDoesOnlyWhatFailed(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		w.push("library/app", "good", ts.Image(w.t, 1, 1, 100))
		bad := ts.Image(w.t, 2, 1, 100)
		w.push("library/app", "bad", bad)
		fault := w.cluster.Faults.Add(ts.Fault{Method: "PUT", Path: "/manifests/bad", Do: ts.Status(400)})
		w.run()
		e := w.start(policy)
		if e.Status != replication.Failed {
			w.t.Fatalf("%+v", e)
		}
		fault.Remove()
		w.cluster.ResetRequests()
		if err := w.RetryTask(w.t.Context(), e.ID, w.tasks(policy)[0].ID); err != nil {
			w.t.Fatal(err)
		}
		w.arrives("library/app", "bad", bad)
		w.settled()
		for _, r := range w.cluster.Requests() {
			if strings.HasSuffix(r.Path, "/good") {
				w.t.Errorf("%s %s although it was done", r.Method, r.Path)
			}
		}
	})
}

// A plan that ends half-way leaves an execution that has not done its work,
// however well its tasks go.
func TestAPlanThatFailsMakesAFailedExecution(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		w.push("library/zoo", "v1", ts.Image(w.t, 2, 1, 100))
		hold := ts.NewHold()
		w.cluster.Faults.Add(ts.Fault{Path: "/v2/library/app/blobs/uploads/", Do: hold.Before()})
		w.home.interfere(func(repository string) error {
			if repository == "library/zoo" {
				return errListingEnds
			}
			return nil
		})
		w.run()
		id, err := w.Start(w.t.Context(), policy, replication.Manual)
		if err != nil {
			w.t.Fatal(err)
		}
		ts.Eventually(w.t, "the plan has failed and a task runs", func() bool {
			return w.execution(id).Planned && hold.Waiting() > 0
		})
		hold.Release()
		if e := w.ended(id); e.Status != replication.Failed || !strings.Contains(e.StatusText, errListingEnds.Error()) || e.Succeed != 1 {
			w.t.Errorf("%+v", e)
		}
		w.settled()
	})
}

func TestStopWhilePlanningMakesNoMoreTasks(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		for _, name := range []string{"library/a", "library/b", "library/c"} {
			w.push(name, "v1", ts.Image(w.t, 1, 1, 100))
		}
		listing, goOn := make(chan struct{}, 1), make(chan struct{})
		w.home.interfere(func(repository string) error {
			if repository == "library/b" {
				listing <- struct{}{}
				<-goOn
			}
			return nil
		})
		w.run()
		id, err := w.Start(w.t.Context(), policy, replication.Manual)
		if err != nil {
			w.t.Fatal(err)
		}
		<-listing
		ts.Eventually(w.t, "the first task is done", func() bool { return w.execution(id).Succeed == 1 })
		if err := w.Stop(w.t.Context(), id); err != nil {
			w.t.Fatal(err)
		}
		if e := w.execution(id); e.Status != replication.Stopped || e.EndTime.IsZero() {
			w.t.Errorf("right after: %+v", e)
		}
		close(goOn)
		w.settled()
		if e := w.execution(id); e.Status != replication.Stopped || e.Total != 1 || w.at("library/c", "v1") != "" {
			w.t.Errorf("in the end: %+v", e)
		}
		if err := w.Stop(w.t.Context(), id); err != nil {
			w.t.Errorf("stopping twice: %v", err)
		}
	})
}

// What a stop or a failure left unplanned is planned by a retry: else an execution of
// which only a part was ever planned would end as if that had been all.
func TestARetryPlansTheRest(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		names := []string{"library/a", "library/b", "library/c"}
		for _, name := range names {
			w.push(name, "v1", ts.Image(w.t, 1, 1, 100))
		}
		hold := ts.NewHold()
		w.t.Cleanup(hold.Release)
		w.cluster.Faults.Add(ts.Fault{Path: "/v2/library/a/blobs/uploads/", Do: hold.Before()})
		listing, goOn := make(chan struct{}, 1), make(chan struct{})
		w.home.interfere(func(repository string) error {
			if repository == "library/b" {
				listing <- struct{}{}
				<-goOn
			}
			return nil
		})
		w.run()
		id, err := w.Start(w.t.Context(), policy, replication.Manual)
		if err != nil {
			w.t.Fatal(err)
		}
		<-listing
		ts.Eventually(w.t, "the first task runs", func() bool { return hold.Waiting() > 0 })
		if err := w.Stop(w.t.Context(), id); err != nil {
			w.t.Fatal(err)
		}
		if e := w.execution(id); e.Status != replication.Stopped || !strings.Contains(e.StatusText, "planned") {
			w.t.Errorf("stopped: %+v", e)
		}
		hold.Release()
		close(goOn)
		w.settled()

		w.home.interfere(func(repository string) error {
			if repository == "library/c" {
				return errListingEnds
			}
			return nil
		})
		if n, err := w.RetryExecution(w.t.Context(), id); err != nil || n != 1 {
			w.t.Errorf("retried %d: %v", n, err)
		}
		if e := w.ended(id); e.Status != replication.Failed || !strings.Contains(e.StatusText, errListingEnds.Error()) || e.Succeed != 2 {
			w.t.Errorf("planned in part: %+v", e)
		}
		w.settled()

		w.home.interfere(nil)
		if _, err := w.RetryExecution(w.t.Context(), id); err != nil {
			w.t.Fatal(err)
		}
		if e := w.ended(id); e.Status != replication.Succeed || e.Succeed != 3 || e.StatusText != everything {
			w.t.Errorf("planned as a whole: %+v", e)
		}
		w.settled()
		if n, err := w.RetryExecution(w.t.Context(), id); err != nil || n != 0 || w.execution(id).Status != replication.Succeed {
			w.t.Errorf("nothing is left to be retried: %d, %v, %+v", n, err, w.execution(id))
		}
		for _, name := range names {
			if w.at(name, "v1") == "" {
				w.t.Errorf("%s was not copied", name)
			}
		}
	})
}

func TestARestartWhilePlanningMakesNoTaskTwice(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		names := []string{"library/a", "library/b", "library/c"}
		for _, name := range names {
			w.push(name, "v1", ts.Image(w.t, 1, 1, 100))
		}
		listing, goOn := make(chan struct{}, 1), make(chan struct{})
		w.home.interfere(func(repository string) error {
			if repository == "library/c" {
				listing <- struct{}{}
				<-goOn
			}
			return nil
		})
		w.run()
		id, err := w.Start(w.t.Context(), policy, replication.Manual)
		if err != nil {
			w.t.Fatal(err)
		}
		<-listing
		ts.Eventually(w.t, "two tasks are planned", func() bool { return w.execution(id).Total == 2 })
		ended := make(chan struct{})
		go func() { w.stop(); close(ended) }()
		ts.Eventually(w.t, "the plan is told to end", func() bool {
			select {
			case goOn <- struct{}{}:
				return true
			default:
				return false
			}
		})
		<-ended
		w.home.interfere(nil)
		w.restart()
		if e := w.ended(id); e.Status != replication.Succeed || e.Total != 3 {
			w.t.Errorf("%+v", e)
		}
		w.settled()
		seen := map[string]bool{}
		for _, task := range w.tasks(policy) {
			if seen[task.SourceRepository] {
				w.t.Errorf("%s has two tasks", task.SourceRepository)
			}
			seen[task.SourceRepository] = true
		}
	})
}

func TestStopReachesWhatWaitsForItsNextAttempt(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		w.cluster.Stop()
		w.run()
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		failed := w.fails(policy)
		if err := w.Stop(w.t.Context(), failed.ExecutionID); err != nil {
			w.t.Fatal(err)
		}
		if e := w.execution(failed.ExecutionID); e.Status != replication.Stopped || e.Stopped != 1 || e.Failed != 0 {
			w.t.Errorf("%+v", e)
		}
		w.cluster.Restart()
		w.advance(backoffLimit)
		w.settled()
		if w.at("library/app", "v1") != "" {
			w.t.Error("a stopped task was tried again")
		}
		if err := w.RetryTask(w.t.Context(), failed.ExecutionID, failed.ID); err != nil {
			w.t.Fatal(err)
		}
		ts.Eventually(w.t, "a retry does it", func() bool { return w.at("library/app", "v1") != "" })
		w.settled()
		if e := w.execution(failed.ExecutionID); e.Status != replication.Succeed || e.Stopped != 0 {
			w.t.Errorf("%+v", e)
		}
	})
}

// A task of the first plan does not ask about each tag again what the plan had asked.
func TestATaskOfANewRepositoryAsksTwoQuestions(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.Manual)
		image := ts.Image(w.t, 1, 1, 100)
		ts.Push(w.t, w.home.Registry, "library/app", "v0", image)
		const tags = 20
		for i := range tags {
			ts.PutTag(w.t, w.home.Registry, "library/app", "v"+strings.Repeat("1", i+1), image)
		}
		w.run()
		w.cluster.ResetRequests()
		if e := w.start(policy); e.Status != replication.Succeed {
			w.t.Fatalf("%+v", e)
		}
		if n := w.cluster.Requests().Count("HEAD manifest"); n > 4 {
			w.t.Errorf("%d questions about %d tags of a new repository", n, tags+1)
		}
	})
}

func TestLogsOfTasksThatAreTriedForWeeksStayShort(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		w.cluster.Stop()
		w.run()
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		failed := w.fails(policy)
		for range 500 {
			w.write(`INSERT INTO task_logs (task_id, time, level, text) VALUES ($1, 1, 'INFO', 'old')`, failed.ID)
		}
		w.write(`UPDATE tasks SET attempts = 50`)
		w.advance(backoffLimit)
		ts.Eventually(w.t, "it was tried again", func() bool {
			return w.tasks(policy)[0].Attempts == 51 && w.tasks(policy)[0].Status == replication.Failed
		})
		lines, err := w.TaskLog(w.t.Context(), failed.ExecutionID, failed.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(lines) != 200 || !strings.HasPrefix(lines[len(lines)-1].Text, "next attempt at ") {
			w.t.Errorf("%d lines, the last one: %s", len(lines), lines[len(lines)-1])
		}
	})
}

func TestSweepKeepsTheNewestExecutionsAndWhatIsNotDone(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		other := w.policy("other", rule.Manual)
		w.run()
		w.start(other)
		for i := range 5 {
			image := ts.Image(w.t, uint64(i), 1, 100)
			w.push("library/app", "v1", image)
			w.arrives("library/app", "v1", image)
			w.settled()
		}
		w.cluster.Stop()
		w.push("library/app", "waits", ts.Image(w.t, 9, 1, 100))
		waiting := w.fails(policy)
		for range 5 {
			w.write(`INSERT INTO executions (policy_id, trigger_type, status, planned, start_time, end_time) VALUES ($1, 'event_based', 'Succeed', TRUE, 1, 1)`, policy)
		}
		if err := w.Sweep(w.t.Context(), 3); err != nil {
			w.t.Fatal(err)
		}
		list := w.executions(policy)
		if len(list) != 4 || len(w.executions(other)) != 1 {
			w.t.Errorf("left are %d, want the newest 3 and the one that waits: %+v", len(list), list)
		}
		if _, err := w.GetTask(w.t.Context(), waiting.ExecutionID, waiting.ID); err != nil {
			w.t.Error(err)
		}
		if n := w.number(`SELECT count(*) FROM task_logs WHERE task_id NOT IN (SELECT id FROM tasks)`); n != 0 {
			w.t.Errorf("%d lines of logs are left without their task", n)
		}
		if err := w.DeletePolicy(w.t.Context(), policy); err != nil {
			w.t.Fatal(err)
		}
		w.settled()
		if _, n, err := w.ListExecutions(w.t.Context(), replication.ExecutionFilter{PolicyID: policy}, store.ListQuery{}); err != nil || n != 0 {
			w.t.Error(n, err)
		}
	})
}

func TestARunSaysWhichFilterLeftEverythingOut(t *testing.T) {
	onBoth(t, func(w *world) {
		w.push("library/app", "v1", ts.Image(w.t, 1, 1, 100))
		w.push("library/web", "v1", ts.Image(w.t, 2, 1, 100))
		w.run()
		const nothing = "no resources need to be replicated: nothing at the source matches the filters: "
		for i, c := range []struct {
			filters []rule.Filter
			want    string
		}{
			{nil, everything},
			{[]rule.Filter{{Type: rule.FilterName, Value: "**"}}, everything},
			{[]rule.Filter{{Type: rule.FilterName, Value: "library/*"}}, ""},
			{[]rule.Filter{{Type: rule.FilterName, Value: "library"}}, nothing + "no repository at the source passes repositories library"},
			{[]rule.Filter{{Type: rule.FilterTag, Value: "x*"}},
				nothing + "of 2 artifacts in 2 repositories were left out 2 by the tag filter (tags x*)"},
			{[]rule.Filter{labelled(rule.Matches, "release")},
				nothing + "of 2 artifacts in 2 repositories were left out 2 by the label filter (with the label release); the source tells of no labels at all"},
		} {
			e := w.start(w.policy(fmt.Sprint("rule ", i), rule.Manual, c.filters...))
			if e.Status != replication.Succeed || e.StatusText != c.want {
				w.t.Errorf("%v: %s, %q, want %q", c.filters, e.Status, e.StatusText, c.want)
			}
		}
	})
}
