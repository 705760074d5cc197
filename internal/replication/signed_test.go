package replication_test

import (
	"testing"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// signedOnly makes a rule copy only what has a signature.
func (w *world) signedOnly(policy int64) {
	w.t.Helper()
	w.change(policy, func(p *replication.Policy) { p.Accessories = rule.AccessoriesSignedOnly })
}

func TestARunCopiesWhatIsSignedWithItsAccessories(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("signed", rule.Manual)
		w.signedOnly(policy)
		signed, unsigned, notarized := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100), ts.Image(w.t, 3, 1, 100)
		sbom, lonely := ts.Referrer(w.t, signed, "application/spdx+json", 1), ts.Referrer(w.t, unsigned, "application/spdx+json", 2)
		notation := ts.Referrer(w.t, notarized, "application/vnd.cncf.notary.signature", 3)
		for tag, a := range map[string]*ts.Artifact{
			"signed": signed, "unsigned": unsigned, "notarized": notarized, ts.CosignTag(signed.Digest): ts.CosignSignature(w.t, signed),
		} {
			ts.Push(w.t, w.home.Registry, "library/app", tag, a)
		}
		for _, a := range []*ts.Artifact{sbom, lonely, notation} {
			ts.Push(w.t, w.home.Registry, "library/app", "", a)
		}
		w.home.belongs("library/app", "signed", sbom)
		w.home.belongs("library/app", "unsigned", lonely)
		w.home.belongs("library/app", "notarized", notation)
		w.run()
		w.succeeds(policy)
		for reference, there := range map[string]bool{
			"signed": true, ts.CosignTag(signed.Digest): true, sbom.Digest.String(): true,
			"notarized": true, notation.Digest.String(): true, "unsigned": false, lonely.Digest.String(): false,
		} {
			if got := w.at("library/app", reference) != ""; got != there {
				w.t.Errorf("%s is there: %v", reference, got)
			}
		}
		if got := w.item(policy, "unsigned"); got.Outcome != replication.Absent || got.Reason != "it has no signature, and the rule wants only what is signed" {
			w.t.Errorf("item: %+v", got)
		}
		if got := w.item(policy, lonely.Digest.String()); got.Reason != "what it belongs to has no signature, and the rule wants only what is signed" {
			w.t.Errorf("item: %+v", got)
		}
		if d, entries := w.deeply(policy); !d.InSync {
			w.t.Errorf("drift: %+v", entries)
		}
	})
}

func TestASignatureThatComesLaterBringsTheArtifact(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("signed", rule.EventBased, rule.Filter{Type: rule.FilterTag, Value: "v*"})
		w.signedOnly(policy)
		w.run()
		image := ts.Image(w.t, 1, 1, 100)
		sbom, signature, notation := ts.Referrer(w.t, image, "application/spdx+json", 1), ts.CosignSignature(w.t, image), ts.Referrer(w.t, image, "application/vnd.cncf.notary.signature", 3)
		w.home.own("library/app", sbom, image, "v1")
		w.home.own("library/app", signature, image, "v1")
		w.home.own("library/app", notation, image, "v1")
		w.push("library/app", "v1", image)
		w.push("library/app", "", sbom)
		w.advance(settled)
		w.settled()
		if w.at("library/app", "v1") != "" || w.at("library/app", sbom.Digest.String()) != "" {
			w.t.Fatal("what is not signed was copied")
		}
		if got := w.item(policy, "v1"); got.Outcome != replication.Absent {
			w.t.Errorf("item: %+v", got)
		}
		tag := ts.CosignTag(image.Digest)
		w.push("library/app", tag, signature)
		w.arrives("library/app", "v1", image)
		w.arrives("library/app", tag, signature)
		w.settled()
		if w.at("library/app", sbom.Digest.String()) == "" {
			w.t.Error("the accessory that came before the signature was not brought")
		}
		w.push("library/app", "", notation) // another one, of what is there already
		w.advance(settled)
		w.arrives("library/app", notation.Digest.String(), notation)
		w.settled()

		w.deleteTag("library/app", "v1")
		w.vanishes("library/app", "v1")
		w.settled()
	})
}

func TestAPlanSaysWhatIsNotSigned(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
	signed, unsigned := ts.Image(t, 1, 1, 100), ts.Image(t, 2, 1, 100)
	ts.Push(t, source, "library/app", "signed", signed)
	ts.Push(t, source, "library/app", "unsigned", unsigned)
	ts.Push(t, source, "library/app", ts.CosignTag(signed.Digest), ts.CosignSignature(t, signed))
	route := replication.Route{
		Rule:   rule.Rule{Name: "x", Override: true, Extras: rule.Extras{Accessories: rule.AccessoriesSignedOnly}},
		Source: side(t, source), Destination: side(t, target),
	}
	plans := plan(t, route)
	for _, item := range plans[0].Items {
		if skipped := item.Action == replication.ActionSkip && item.Reason != ""; skipped != (item.Reference == "unsigned") {
			t.Errorf("%+v", item)
		}
	}
	var h hooks
	if err := route.Carry(t.Context(), &plans[0], h.hooks()); err != nil {
		t.Fatal(err)
	}
	if _, there := ts.Digest(t, target, "library/app", ts.CosignTag(signed.Digest)); !there || len(ts.Tags(t, target, "library/app")) != 2 {
		t.Errorf("the destination has %v", ts.Tags(t, target, "library/app"))
	}
}
