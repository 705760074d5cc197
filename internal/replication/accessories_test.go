package replication_test

import (
	"testing"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// withoutAccessories makes a rule leave accessories behind.
func (w *world) withoutAccessories(policy int64) {
	w.change(policy, func(p *replication.Policy) { p.Accessories = rule.AccessoriesNone })
}

func TestARunLeavesAccessoriesBehind(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("bare", rule.Manual)
		w.withoutAccessories(policy)
		image := ts.Image(w.t, 1, 1, 100)
		sbom, signature := ts.Referrer(w.t, image, "application/x.sbom", 3), ts.CosignSignature(w.t, image)
		tag := ts.CosignTag(image.Digest)
		ts.Push(w.t, w.home.Registry, "library/app", "v1", image)
		ts.Push(w.t, w.home.Registry, "library/app", "", sbom)
		ts.Push(w.t, w.home.Registry, "library/app", tag, signature)
		w.home.belongs("library/app", "v1", sbom)
		w.run()
		w.start(policy)
		if got := w.at("library/app", "v1"); got != image.Digest.String() {
			w.t.Errorf("the image is %q", got)
		}
		if w.at("library/app", tag) != "" || w.at("library/app", sbom.Digest.String()) != "" {
			w.t.Error("an accessory was copied")
		}
		// With the wish gone the same rule brings them.
		w.change(policy, func(p *replication.Policy) { p.Accessories = rule.AccessoriesAll })
		w.start(policy)
		if w.at("library/app", tag) != signature.Digest.String() || w.at("library/app", sbom.Digest.String()) == "" {
			w.t.Error("an accessory is missing")
		}
	})
}

func TestAnEventOfAnAccessoryStartsNothingWhereTheyAreLeftBehind(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("bare", rule.EventBased)
		w.withoutAccessories(policy)
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		sbom, signature := ts.Referrer(w.t, image, "application/x.sbom", 3), ts.CosignSignature(w.t, image)
		w.push("library/app", "v1", image)
		w.arrives("library/app", "v1", image)
		w.home.own("library/app", sbom, image, "v1")
		w.push("library/app", "", sbom)
		w.push("library/app", ts.CosignTag(image.Digest), signature)
		w.settled()
		if w.at("library/app", sbom.Digest.String()) != "" || w.at("library/app", ts.CosignTag(image.Digest)) != "" {
			w.t.Error("an accessory was copied")
		}
		if n := len(w.executions(policy)); n != 1 {
			w.t.Errorf("%d executions", n)
		}
	})
}

// A client may push what refers to an image before the image.
func TestAnAccessoryThatComesBeforeItsSubjectIsLeftBehindToo(t *testing.T) {
	onBoth(t, func(w *world) {
		bare, all := w.policy("bare", rule.EventBased), w.policy("all", rule.EventBased)
		w.withoutAccessories(bare)
		w.change(bare, func(p *replication.Policy) { p.DestNamespace, p.ReplaceCount = "bare", 1 })
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		sbom := ts.Referrer(w.t, image, "application/x.sbom", 3)
		w.push("library/app", "", sbom)
		w.advance(settled)
		w.arrives("library/app", sbom.Digest.String(), sbom)
		w.push("library/app", "v1", image)
		w.arrives("bare/app", "v1", image)
		w.settled()
		if w.at("bare/app", sbom.Digest.String()) != "" {
			w.t.Error("the accessory was copied")
		}
		if n := len(w.executions(bare)); n != 1 {
			w.t.Errorf("%d executions of the rule that leaves accessories behind, %d of the other one", n, len(w.executions(all)))
		}
	})
}

func TestAnAccessoryThatWaitedIsSkippedOnceTheRuleLeavesThemBehind(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		image := ts.Image(w.t, 1, 1, 100)
		sbom := ts.Referrer(w.t, image, "application/x.sbom", 3)
		w.home.own("library/app", sbom, image, "v1")
		ts.Push(w.t, w.home.Registry, "library/app", "v1", image)
		w.cluster.Stop()
		w.run()
		w.push("library/app", "", sbom)
		w.fails(policy)
		w.withoutAccessories(policy)
		w.cluster.Restart()
		w.advance(backoffLimit)
		w.settled()
		if w.at("library/app", sbom.Digest.String()) != "" {
			w.t.Error("the accessory was copied")
		}
		item := w.tasks(policy)[0].Items[0]
		if item.Outcome != replication.Absent || item.Reason != "the rule does not want it any more" {
			w.t.Errorf("item: %+v", item)
		}
	})
}
