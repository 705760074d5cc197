package replication_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func labelled(decoration string, labels ...string) rule.Filter {
	return rule.Filter{Type: rule.FilterLabel, Value: labels, Decoration: decoration}
}

func TestALabelPromotesAnImage(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("releases", rule.EventBased, labelled("", "release"))
		w.run()
		image, other := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.push("library/app", "v1", image)
		w.push("library/app", "dev", other)
		w.settled()
		if n := len(w.executions(policy)); n != 0 {
			w.t.Fatalf("%d executions for what has no label", n)
		}
		w.label("library/app", image, "tested")
		w.settled()
		if n := len(w.executions(policy)); n != 0 {
			w.t.Fatalf("%d executions for another label", n)
		}
		w.label("library/app", image, "release", "tested")
		w.arrives("library/app", "v1", image)
		w.settled()
		// A tag that is added to what has the label has it too.
		w.push("library/app", "v1.0", image)
		w.arrives("library/app", "v1.0", image)
		w.settled()

		// Without the label it stays where it is, and what changes of its other labels is
		// nobody's concern.
		w.label("library/app", image, "release")
		w.label("library/app", image)
		w.settled()
		if w.at("library/app", "v1") == "" || w.at("library/app", "v1.0") == "" {
			w.t.Error("what lost its label was deleted")
		}
		if w.at("library/app", "dev") != "" {
			w.t.Error("what never had it was copied")
		}
		if n := len(w.executions(policy)); n != 2 {
			w.t.Errorf("%d executions", n)
		}
		// What the rule has put there goes with the image, label or not.
		w.deleteTag("library/app", "v1")
		w.vanishes("library/app", "v1")
	})
}

func TestALabelThatKeepsImagesBack(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all but", rule.EventBased, labelled(rule.Excludes, "hold"))
		image := ts.Image(w.t, 1, 1, 100)
		ts.Push(w.t, w.home.Registry, "library/app", "v1", image)
		w.home.setLabels("library/app", image.Digest.String(), []string{"hold"})
		w.run()
		w.push("library/app", "v2", image)
		w.settled()
		if n := len(w.executions(policy)); n != 0 {
			w.t.Fatalf("%d executions for what is kept back", n)
		}
		w.label("library/app", image)
		w.arrives("library/app", "v1", image)
		w.arrives("library/app", "v2", image)
		w.settled()
		if list := w.executions(policy); len(list) != 1 || list[0].Total != 1 {
			w.t.Errorf("executions: %+v", list)
		}
	})
}

func TestAllLabelsMustBeThere(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.policy("both", rule.EventBased, labelled(rule.Matches, "tested", "release"))
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.label("library/app", image, "release")
		w.settled()
		if w.at("library/app", "v1") != "" {
			w.t.Error("one of two labels was enough")
		}
		w.label("library/app", image, "release", "tested")
		w.arrives("library/app", "v1", image)
	})
}

func TestRulesThatLookAtNoLabelsHaveNothingToDoWithThem(t *testing.T) {
	onSQLite(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.arrives("library/app", "v1", image)
		w.label("library/app", image, "release")
		w.label("library/app", image)
		w.settled()
		if n := len(w.executions(policy)); n != 1 {
			w.t.Errorf("%d executions", n)
		}
	})
}

// What was true when the event came may not be when the destination answers again.
func TestALabelThatIsGoneBeforeTheCopyKeepsTheImageBack(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("releases", rule.EventBased, labelled("", "release"))
		w.cluster.Stop()
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.label("library/app", image, "release")
		w.fails(policy)
		w.label("library/app", image)
		w.cluster.Restart()
		w.advance(backoffLimit)
		w.settled()
		if w.at("library/app", "v1") != "" {
			w.t.Error("it was copied although it has no label any more")
		}
		if item := w.tasks(policy)[0].Items[0]; item.Outcome != replication.Absent || item.Reason != "the rule does not want it any more" {
			w.t.Errorf("item: %+v", item)
		}
	})
}

// A tag that is moved while its image is being copied stands for something else then.
func TestAMovedTagTakesNoLabelWithIt(t *testing.T) {
	onBoth(t, func(w *world) {
		w.policy("releases", rule.EventBased, labelled("", "release"))
		w.run()
		image, fresh := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.push("library/app", "v1", image)
		hold := ts.NewHold()
		w.t.Cleanup(hold.Release)
		w.cluster.Faults.Add(ts.Fault{Path: "/blobs/uploads/", Do: hold.Before()})
		w.label("library/app", image, "release")
		ts.Eventually(w.t, "the copy has begun", func() bool { return hold.Waiting() > 0 })
		w.push("library/app", "v1", fresh)
		hold.Release()
		w.settled()
		if at := w.at("library/app", "v1"); at == fresh.Digest.String() {
			w.t.Error("the image without the label was copied")
		}
	})
}

func TestARunLooksAtLabels(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("releases", rule.Manual, labelled("", "release"), labelled(rule.Excludes, "hold"))
		a, b, c := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100), ts.Image(w.t, 3, 1, 100)
		for tag, image := range map[string]*ts.Artifact{"a": a, "b": b, "c": c} {
			ts.Push(w.t, w.home.Registry, "library/app", tag, image)
		}
		w.home.setLabels("library/app", a.Digest.String(), []string{"release", "x"})
		w.home.setLabels("library/app", b.Digest.String(), []string{"release", "hold"})
		w.run()
		w.start(policy)
		if tags := ts.Tags(w.t, w.cluster, "library/app"); !slices.Equal(tags, []string{"a"}) {
			w.t.Errorf("the destination has %v", tags)
		}
	})
}

// Of many changes while the destination is down the last one counts, in one task.
func TestChangesOfLabelsJoinWhatWaits(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("releases", rule.EventBased, labelled("", "release"))
		w.cluster.Stop()
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		w.push("library/app", "v1", image)
		w.label("library/app", image, "release")
		w.fails(policy)
		for range 5 {
			w.label("library/app", image)
			w.label("library/app", image, "release")
		}
		ts.Eventually(w.t, "all events are taken", func() bool { return w.number(`SELECT count(*) FROM events`) == 0 })
		if n := len(w.tasks(policy)); n > 2 {
			w.t.Errorf("%d tasks", n)
		}
		w.cluster.Restart()
		w.advance(backoffLimit)
		w.arrives("library/app", "v1", image)
		w.settled()
		for _, task := range w.tasks(policy) {
			if strings.Contains(task.Reason, "panic") || !task.Status.Final() {
				w.t.Errorf("task: %+v", task)
			}
		}
	})
}
