package replication_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// renames lets a rule drop the project of all names.
func renames(p *replication.Policy) {
	p.Rename = rule.Rename{Regexp: "[^/]+/(.+)", Template: "all/$1"}
}

func TestRenamedRepositoriesGoWhereTheRuleSays(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("renaming", rule.EventBased)
		w.change(policy, renames)
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/deep/app", "v1", image)
		w.arrives("all/deep/app", "v1", image)
		w.settled()
		if task := w.tasks(policy)[0]; task.DestinationRepository != "all/deep/app" {
			w.t.Errorf("%+v", task)
		}
		w.deleteTag("library/deep/app", "v1")
		w.vanishes("all/deep/app", "v1")
		w.settled()
	})
}

func TestARepositoryThatTheRenamingDoesNotMatchFailsAlone(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("renaming", rule.Manual)
		w.change(policy, func(p *replication.Policy) { p.Rename = rule.Rename{Regexp: "library/(.+)", Template: "prod/$1"} })
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.push("test/app", "v1", image)
		w.run()
		if e := w.start(policy); e.Status != replication.Failed || e.Succeed != 1 || e.Failed != 1 {
			w.t.Errorf("%+v", e)
		}
		w.arrives("prod/app", "v1", image)
		if task := w.taskOf(policy, "test/app"); task.Reason != `rename.regex does not match the source repository "test/app": it has no name at the destination` {
			w.t.Errorf("%+v", task)
		}
	})
}

// plans are those of a rule, by their repository at the source.
func (w *world) plans(policy int64) map[string]replication.RepositoryPlan {
	w.t.Helper()
	p, err := w.GetPolicy(w.t.Context(), policy)
	if err != nil {
		w.t.Fatal(err)
	}
	seq, err := w.RepositoryPlans(w.t.Context(), p)
	if err != nil {
		w.t.Fatal(err)
	}
	all := map[string]replication.RepositoryPlan{}
	for plan, err := range seq {
		if err != nil {
			w.t.Fatal(err)
		}
		all[plan.SourceRepository] = plan
	}
	return all
}

// What two repositories would put under one name is left alone; all else goes.
func TestAPlanFindsWhatWouldCollide(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("flat", rule.Manual)
		w.change(policy, func(p *replication.Policy) { p.DestNamespace = "mirror" })
		same := ts.Image(w.t, 1, 1, 100)
		for i, repository := range []string{"one/app", "two/app"} {
			ts.Push(w.t, w.home.Registry, repository, "v1", ts.Image(w.t, uint64(10+i), 1, 100))
			ts.Push(w.t, w.home.Registry, repository, "same", same)
			ts.Push(w.t, w.home.Registry, repository, "only-"+repository[:3], same)
		}
		ts.Push(w.t, w.home.Registry, "three/web", "v1", same)
		w.run()

		const reason = "the tag v1 of one/app and two/app would be mirror/app:v1 at the destination: neither is put there"
		plans := w.plans(policy)
		for repository, rival := range map[string]string{"one/app": "two/app", "two/app": "one/app"} {
			for _, item := range plans[repository].Items {
				conflict := item.Reference == "v1"
				if conflict != (item.Action == replication.ActionConflict) || conflict != (item.Reason == reason) || conflict != slices.Equal(item.Rivals, []string{rival}) {
					w.t.Errorf("planned for %s: %+v", repository, item)
				}
			}
		}
		e := w.start(policy)
		if e.Status != replication.Failed || e.Succeed != 1 || e.Failed != 2 {
			w.t.Errorf("%+v", e)
		}
		if got := w.tags("mirror/app"); !slices.Equal(got, []string{"only-one", "only-two", "same"}) {
			w.t.Errorf("there are %v", got)
		}
		failed := w.taskOf(policy, "one/app")
		if failed.Reason != reason {
			w.t.Errorf("%+v", failed)
		}
		// A retry finds the rival still there, and goes when it is gone.
		if err := w.RetryTask(w.t.Context(), e.ID, failed.ID); err != nil {
			w.t.Fatal(err)
		}
		w.ended(e.ID)
		if got := w.at("mirror/app", "v1"); got != "" {
			w.t.Errorf("a retry has put %s there", got)
		}
		w.home.forget("two/app", "v1")
		if n, err := w.RetryExecution(w.t.Context(), e.ID); err != nil || n != 2 {
			w.t.Fatal(n, err)
		}
		w.arrives("mirror/app", "v1", ts.Image(w.t, 10, 1, 100))
		if e := w.ended(e.ID); e.Status != replication.Succeed {
			w.t.Errorf("in the end: %+v", e)
		}
		w.settled()
	})
}

// Of a repository that cannot be listed nobody knows what it would collide with.
func TestARepositoryThatCannotBeListedKeepsItsName(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("flat", rule.Manual)
		w.change(policy, func(p *replication.Policy) { p.DestNamespace = "mirror" })
		image := ts.Image(w.t, 1, 1, 100)
		for _, repository := range []string{"one/app", "two/app", "two/web"} {
			ts.Push(w.t, w.home.Registry, repository, "v1", image)
		}
		w.home.interfere(func(repository string) error {
			if repository == "two/app" {
				return errListing
			}
			return nil
		})
		w.run()
		if e := w.start(policy); e.Status != replication.Failed || e.Succeed != 1 || e.Failed != 2 {
			w.t.Errorf("%+v", e)
		}
		w.arrives("mirror/web", "v1", image)
		if item := w.taskOf(policy, "one/app").Items[0]; item.Action != replication.ActionConflict || !strings.Contains(item.Reason, "two/app") || w.at("mirror/app", "v1") != "" {
			w.t.Errorf("%+v", item)
		}
		// When the listing ends early, nothing is known of what was not listed.
		w.home.interfere(func(repository string) error {
			if repository == "two/web" {
				return errListingEnds
			}
			return nil
		})
		if e := w.start(policy); e.Status != replication.Failed || e.Total != 0 {
			w.t.Errorf("the listing ended: %+v", e)
		}
		w.settled()
	})
}

func TestAPushLeavesANameToTheRepositoryThatWasThereFirst(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("flat", rule.EventBased)
		w.change(policy, func(p *replication.Policy) { p.DestNamespace = "mirror" })
		w.run()
		first, second := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.push("one/app", "v1", first)
		w.arrives("mirror/app", "v1", first)
		w.settled()
		w.push("two/app", "v1", second)
		failed := w.fails(policy)
		const reason = "the tag v1 of two/app would be mirror/app:v1 at the destination, where one/app has put its own"
		if failed.SourceRepository != "two/app" || failed.Reason != reason || failed.Items[0].Action != replication.ActionConflict || failed.NextAttemptTime.IsZero() {
			w.t.Errorf("%+v", failed)
		}
		// The first one goes on as before.
		first = ts.Image(w.t, 3, 1, 100)
		w.push("one/app", "v1", first)
		w.arrives("mirror/app", "v1", first)
		// When it has gone, the other one's turn comes by itself.
		w.deleteTag("one/app", "v1")
		w.vanishes("mirror/app", "v1")
		w.advance(backoffLimit)
		w.arrives("mirror/app", "v1", second)
		w.settled()
	})
}

// Another rule that puts something else under the same name is a rival too, for as long
// as there is that rule.
func TestANameBelongsToOneRuleToo(t *testing.T) {
	onSQLite(t, func(w *world) {
		one := w.policy("one", rule.Manual, rule.Filter{Type: rule.FilterName, Value: "one/**"})
		two := w.policy("two", rule.Manual, rule.Filter{Type: rule.FilterName, Value: "two/**"})
		for _, policy := range []int64{one, two} {
			w.change(policy, func(p *replication.Policy) { p.DestNamespace, p.ReplaceCount = "mirror", 1 })
		}
		first, second := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		ts.Push(w.t, w.home.Registry, "one/app", "v1", first)
		ts.Push(w.t, w.home.Registry, "two/app", "v1", second)
		w.run()
		if e := w.start(one); e.Status != replication.Succeed {
			w.t.Errorf("%+v", e)
		}
		if e := w.start(two); e.Status != replication.Failed {
			w.t.Errorf("%+v", e)
		}
		w.arrives("mirror/app", "v1", first)
		w.change(one, func(p *replication.Policy) { p.DestNamespace = "elsewhere" })
		if e := w.start(two); e.Status != replication.Succeed {
			w.t.Errorf("%+v", e)
		}
		w.arrives("mirror/app", "v1", second)
	})
}

// Of many that want one name at the same time one gets it, and the destination never has
// anything else.
func TestOfManyWhoWantANameOneGetsIt(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("flat", rule.EventBased)
		w.change(policy, func(p *replication.Policy) { p.DestNamespace = "mirror" })
		const repositories = 6
		images := map[string]*ts.Artifact{}
		for i := range repositories {
			name := string(rune('a'+i)) + "/app"
			images[name] = ts.Image(w.t, uint64(i), 1, 100)
			w.push(name, "v1", images[name])
		}
		w.run()
		ts.Eventually(w.t, "one has come, the others have failed", func() bool {
			statuses := map[replication.Status]int{}
			for _, task := range w.tasks(policy) {
				statuses[task.Status]++
			}
			return statuses[replication.Succeed] == 1 && statuses[replication.Failed] == repositories-1
		})
		puts := 0
		for _, r := range w.cluster.Requests() {
			if r.Method == "PUT" && strings.HasSuffix(r.Path, "/manifests/v1") {
				puts++
			}
		}
		if puts != 1 {
			w.t.Errorf("the tag was put %d times", puts)
		}
		for _, task := range w.tasks(policy) {
			if task.Status == replication.Succeed && w.at("mirror/app", "v1") != images[task.SourceRepository].Digest.String() {
				w.t.Errorf("%s says that it came; there is %s", task.SourceRepository, w.at("mirror/app", "v1"))
			}
		}
	})
}

// What a failed plan has not found out is found out when its repository is planned
// again by itself.
func TestARepositoryThatIsPlannedLaterOverwritesNothing(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("flat", rule.Manual)
		w.change(policy, func(p *replication.Policy) { p.DestNamespace = "mirror" })
		first, second := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		ts.Push(w.t, w.home.Registry, "one/app", "v1", first)
		w.run()
		w.start(policy)
		w.arrives("mirror/app", "v1", first)
		ts.Push(w.t, w.home.Registry, "two/app", "v1", second)
		ts.Push(w.t, w.home.Registry, "two/app", "v2", second)
		w.home.interfere(func(repository string) error {
			if repository == "two/app" {
				return errListing
			}
			return nil
		})
		e := w.start(policy)
		w.home.interfere(nil)
		if n, err := w.RetryExecution(w.t.Context(), e.ID); err != nil || n != 2 {
			w.t.Fatal(n, err)
		}
		w.ended(e.ID)
		w.arrives("mirror/app", "v2", second)
		if got := w.at("mirror/app", "v1"); got != first.Digest.String() {
			w.t.Errorf("v1 is %s", got)
		}
		if task := w.taskOf(policy, "two/app"); task.Status != replication.Failed || !strings.Contains(task.Reason, "where one/app has put its own") {
			w.t.Errorf("%+v", task)
		}
		w.settled()
	})
}

// Harbor fails the whole execution for one name that is too short.
func TestARepositoryThatCannotBeFlattenedFailsAlone(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("flat", rule.Manual)
		w.change(policy, func(p *replication.Policy) { p.DestNamespace, p.ReplaceCount = "mirror", 2 })
		deep, shallow := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.push("team/apps/web", "v1", deep)
		w.push("team/web", "v1", shallow)
		w.run()
		if e := w.start(policy); e.Status != replication.Failed || e.Succeed != 1 || e.Failed != 1 {
			w.t.Errorf("%+v", e)
		}
		if got := w.at("mirror/web", "v1"); got != deep.Digest.String() {
			w.t.Errorf("mirror/web:v1 is %q", got)
		}
		if failed := w.taskOf(policy, "team/web"); failed.Status != replication.Failed || !strings.Contains(failed.Reason, "contains only 1 path components") {
			w.t.Errorf("%+v", failed)
		}
	})
}
