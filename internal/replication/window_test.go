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

// pulling makes a rule from the cluster to another registry.
func (w *world) pulling(r rule.Rule) (policy int64, to *ts.Registry) {
	w.t.Helper()
	to, id := w.second(0)
	r.Name, r.Trigger, r.Enabled, r.Override = "pulling", rule.Manual, true, true
	policy, err := w.CreatePolicy(w.t.Context(), replication.Policy{
		Rule: r, Source: replication.Endpoint{ID: w.endpoint}, Destination: replication.Endpoint{ID: id},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return policy, to
}

func (w *world) taskOf(policy int64, repository string) replication.Task {
	w.t.Helper()
	for _, task := range w.tasks(policy) {
		if task.SourceRepository == repository {
			return task
		}
	}
	w.t.Fatalf("%s has no task", repository)
	return replication.Task{}
}

func TestTheNewestTagsGoAndWhatGetsOlderStays(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("newest", rule.EventBased)
		w.change(policy, func(p *replication.Policy) { p.Select = rule.Selection{Newest: 2, ExcludeTags: []string{"latest"}} })
		var images []*ts.Artifact
		for i, tag := range []string{"v1", "v2", "v3", "latest"} {
			images = append(images, ts.Image(w.t, uint64(i), 1, 100))
			ts.Push(w.t, w.home.Registry, "library/app", tag, images[i])
			w.home.stamp("library/app", tag, w.now().Add(time.Duration(i-10)*time.Hour))
		}
		w.run()
		if e := w.start(policy); e.Status != replication.Succeed {
			w.t.Errorf("%+v", e)
		}
		if got := w.tags("library/app"); !slices.Equal(got, []string{"v2", "v3"}) {
			w.t.Errorf("the two newest are %v", got)
		}
		// An event of an old tag does nothing.
		w.record(home.Event{Type: home.CreateTag, Repository: "library/app", Digest: images[0].Digest.String(), Tags: []string{"v1"}})
		w.settled()
		if item := w.tasks(policy)[0].Items[0]; item.Action != replication.ActionSkip || item.Outcome != replication.Absent || item.Reason != "the rule selects newer ones" {
			w.t.Errorf("the event of an old tag: %+v", item)
		}
		// A push moves v2 out of the window and takes nothing away.
		w.push("library/app", "v4", ts.Image(w.t, 9, 1, 100))
		w.settled()
		if got := w.tags("library/app"); !slices.Equal(got, []string{"v2", "v3", "v4"}) {
			w.t.Errorf("after a push there are %v", got)
		}
		// What the rule has put there goes when it is deleted at home, in the window or not;
		// what it has not is not its own.
		ts.Push(w.t, w.cluster, "library/app", "v1", images[0])
		w.deleteTag("library/app", "v1")
		w.deleteTag("library/app", "v2")
		w.vanishes("library/app", "v2")
		w.settled()
		if got := w.tags("library/app"); !slices.Equal(got, []string{"v1", "v3", "v4"}) {
			w.t.Errorf("after deletions there are %v", got)
		}
	})
}

// tags are those of a repository of the cluster.
func (w *world) tags(repository string) []string {
	w.t.Helper()
	tags := ts.Tags(w.t, w.cluster, repository)
	slices.Sort(tags)
	return tags
}

func TestASignatureFollowsWhatIsAmongTheNewest(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("newest", rule.EventBased)
		w.change(policy, func(p *replication.Policy) { p.Select = rule.Selection{Newest: 1} })
		old, young := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		for i, image := range []*ts.Artifact{old, young} {
			ts.Push(w.t, w.home.Registry, "library/app", []string{"v1", "v2"}[i], image)
			w.home.stamp("library/app", []string{"v1", "v2"}[i], w.now().Add(time.Duration(i-10)*time.Hour))
		}
		w.run()
		for i, image := range []*ts.Artifact{old, young} {
			signature := ts.CosignSignature(w.t, image)
			w.home.own("library/app", signature, image, []string{"v1", "v2"}[i])
			w.home.belongs("library/app", []string{"v1", "v2"}[i], signature)
			w.push("library/app", ts.CosignTag(image.Digest), signature)
		}
		w.settled()
		if got := w.tags("library/app"); !slices.Equal(got, []string{ts.CosignTag(young.Digest)}) {
			w.t.Errorf("of two signatures there are %v", got)
		}
	})
}

func TestOnlyWhatWasPushedLatelyGoes(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("lately", rule.Manual)
		w.change(policy, func(p *replication.Policy) { p.Select = rule.Selection{PushedSince: "2d"} })
		image := ts.Image(w.t, 1, 1, 100)
		for tag, hours := range map[string]int{"old": 49, "young": 47} {
			ts.Push(w.t, w.home.Registry, "library/app", tag, image)
			w.home.stamp("library/app", tag, w.now().Add(-time.Duration(hours)*time.Hour))
		}
		w.run()
		w.start(policy)
		if got := w.tags("library/app"); !slices.Equal(got, []string{"young"}) {
			w.t.Errorf("of the last two days are %v", got)
		}
		w.advance(3 * time.Hour) // the age is one of the moment in which the rule runs
		if e := w.start(policy); e.Status != replication.Succeed || e.Total != 0 || !strings.Contains(e.StatusText, "2 by the push time filter") {
			w.t.Errorf("later: %+v", e)
		}
	})
}

// Where a source tells nothing of time, versions have an order; where tags are no
// versions either, the repository fails, and only that.
func TestASourceThatCannotTellWhatIsNewestFailsThatRepositoryAlone(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy, to := w.pulling(rule.Rule{Extras: rule.Extras{Select: rule.Selection{Newest: 2}}})
		image := ts.Image(w.t, 1, 1, 100)
		for _, tag := range []string{"1.9.0", "v1.10.0", "1.2"} {
			ts.Push(w.t, w.cluster, "team/app", tag, image)
		}
		for _, tag := range []string{"1.0", "edge", "latest"} {
			ts.Push(w.t, w.cluster, "team/web", tag, image)
		}
		w.run()
		if e := w.start(policy); e.Status != replication.Failed || e.Succeed != 1 || e.Failed != 1 {
			w.t.Errorf("%+v", e)
		}
		got := ts.Tags(w.t, to, "team/app")
		if slices.Sort(got); !slices.Equal(got, []string{"1.9.0", "v1.10.0"}) {
			w.t.Errorf("the newest are %v", got)
		}
		if task := w.taskOf(policy, "team/web"); !strings.HasPrefix(task.Reason, "select.newest: the source does not tell when tags were pushed") {
			w.t.Errorf("%+v", task)
		}
	})
}

func TestArtifactTypesAreToldOfARegistryThatTellsTagsOnly(t *testing.T) {
	onSQLite(t, func(w *world) {
		image, thing := ts.Image(w.t, 1, 1, 100), ts.UnknownArtifact(w.t, 2)
		ts.Push(w.t, w.cluster, "team/app", "image", image)
		ts.Push(w.t, w.cluster, "team/app", "index", ts.Index(w.t, 3, "linux/amd64"))
		ts.Push(w.t, w.cluster, "team/app", "thing", thing)
		policy, to := w.pulling(rule.Rule{})
		w.run()
		had := map[string]bool{}
		for _, step := range []struct{ kind, tag string }{{"application/vnd.example.thing.v1", "thing"}, {"application/vnd.oci.image.config.v1+json", "image"}, {"IMAGE", "index"}} {
			w.change(policy, func(p *replication.Policy) { p.Select.ArtifactTypes = []string{step.kind} })
			w.start(policy)
			had[step.tag] = true
			for _, tag := range ts.Tags(w.t, to, "team/app") {
				if !had[tag] {
					w.t.Errorf("the type %s brought %s", step.kind, tag)
				}
				delete(had, tag)
			}
			if len(had) > 0 {
				w.t.Errorf("the type %s did not bring %v", step.kind, had)
			}
			for _, tag := range ts.Tags(w.t, to, "team/app") {
				had[tag] = true
			}
		}
	})
}
