package replication_test

import (
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// before pushes a tag and lets so much time pass.
func (w *world) before(repository, tag string, a *ts.Artifact, ago time.Duration) {
	w.t.Helper()
	w.push(repository, tag, a)
	w.settled()
	w.advance(ago)
}

// silently pushes a tag that no event tells of.
func (w *world) silently(repository, tag string, a *ts.Artifact) {
	w.t.Helper()
	w.home.stamp(repository, tag, w.now())
	ts.Push(w.t, w.home.Registry, repository, tag, a)
	w.home.remember(repository, tag)
}

func TestAnEventRuleLeavesWhatWasThereBeforeIt(t *testing.T) {
	onBoth(t, func(w *world) {
		w.run()
		old, fresh, missed := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100), ts.Image(w.t, 3, 1, 100)
		w.before("library/app", "old", old, time.Hour)
		policy := w.policy("all", rule.EventBased)
		w.push("library/app", "new", fresh)
		w.arrives("library/app", "new", fresh)
		w.silently("library/app", "missed", missed)
		d := w.reconciled(policy)
		if got := w.at("library/app", "old"); got != "" {
			w.t.Errorf("old is %s", got)
		}
		if w.at("library/app", "missed") != missed.Digest.String() {
			w.t.Error("a push that no event told of is missing")
		}
		if e := w.stand(policy, "library/app", "old"); e.State != replication.Missing || e.Drift || e.Reason == "" {
			w.t.Errorf("%+v", e)
		}
		if d = w.reconciled(policy); !d.InSync || d.Count(replication.Missing) != 1 {
			w.t.Errorf("%+v", d)
		}
		if _, items, err := w.RepairDrift(w.t.Context(), policy); err != nil || items != 0 {
			w.t.Errorf("a repair has %d items, %v", items, err)
		}
		w.start(policy) // somebody wants it
		w.arrives("library/app", "old", old)
		ts.Delete(w.t, w.cluster, "library/app", old.Digest.String())
		w.reconciled(policy) // and what the rule has put there it keeps
		w.arrives("library/app", "old", old)
	})
}

func TestATagThatWasMovedSinceCounts(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.run()
		old, moved := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.before("library/app", "v1", old, time.Hour)
		policy := w.policy("all", rule.EventBased)
		w.silently("library/app", "v1", moved)
		w.reconciled(policy)
		w.arrives("library/app", "v1", moved)
	})
}

func TestWhatIsDifferentSinceBeforeTheRuleStays(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.run()
		old, theirs := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.before("library/app", "v1", old, time.Hour)
		ts.Push(w.t, w.cluster, "library/app", "v1", theirs)
		policy := w.policy("all", rule.EventBased)
		d := w.reconciled(policy)
		if w.at("library/app", "v1") != theirs.Digest.String() || !d.InSync {
			w.t.Errorf("%+v", d)
		}
		if e := w.stand(policy, "library/app", "v1"); e.State != replication.Different || e.Drift {
			w.t.Errorf("%+v", e)
		}
	})
}

func TestWhenItIsNotSureThatItWasBeforeTheRuleItGoes(t *testing.T) {
	for name, c := range map[string]struct {
		ago     time.Duration
		forget  bool // when it was pushed
		filters []rule.Filter
	}{
		"clocks differ":           {ago: time.Minute},
		"no time is told":         {ago: time.Hour, forget: true},
		"labels may be given now": {ago: time.Hour, filters: []rule.Filter{{Type: rule.FilterLabel, Value: []string{"release"}, Decoration: rule.Matches}}},
	} {
		t.Run(name, func(t *testing.T) {
			onSQLite(t, func(w *world) {
				w.run()
				a := ts.Image(w.t, 1, 1, 100)
				w.before("library/app", "v1", a, c.ago)
				w.home.setLabels("library/app", a.Digest.String(), []string{"release"}) // no event tells, as in a Harbor
				if c.forget {
					w.home.stamp("library/app", "v1", time.Time{})
				}
				policy := w.policy("all", rule.EventBased, c.filters...)
				w.reconciled(policy)
				w.arrives("library/app", "v1", a)
			})
		})
	}
}

func TestARuleThatIncludesWhatExistsBringsItAtOnce(t *testing.T) {
	onBoth(t, func(w *world) {
		w.run()
		first, second := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		w.before("one/app", "v1", first, time.Hour)
		w.before("two/app", "v1", second, time.Hour)
		_, err := w.CreatePolicy(w.t.Context(), replication.Policy{
			Rule: rule.Rule{
				Name: "one", Trigger: rule.EventBased, ReplaceCount: rule.FlattenAll, Override: true, Enabled: true,
				Filters: []rule.Filter{{Type: rule.FilterName, Value: "one/**"}}, Extras: rule.Extras{IncludeExisting: true},
			},
			Destination: replication.Endpoint{ID: w.endpoint},
		})
		if err != nil {
			w.t.Fatal(err)
		}
		w.arrives("one/app", "v1", first)
		later := w.policy("two", rule.EventBased, rule.Filter{Type: rule.FilterName, Value: "two/**"})
		w.settled()
		if w.at("two/app", "v1") != "" {
			w.t.Error("a rule brings what was there before it")
		}
		w.change(later, func(p *replication.Policy) { p.IncludeExisting = true })
		w.arrives("two/app", "v1", second)
	})
}

func TestAnAccessoryStaysWithWhatItBelongsTo(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.run()
		image, signature := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		ts.Push(w.t, w.home.Registry, "library/app", "", signature)
		w.home.belongs("library/app", "v1", signature)
		w.before("library/app", "v1", image, time.Hour)
		policy := w.policy("all", rule.EventBased)
		if d := w.reconciled(policy); !d.InSync || w.at("library/app", signature.Digest.String()) != "" {
			w.t.Errorf("%+v", d)
		}
	})
}

func TestSinceWhenARuleFollowsEvents(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("all", rule.EventBased)
		since := func() time.Time {
			p, err := w.GetPolicy(w.t.Context(), policy)
			if err != nil {
				w.t.Fatal(err)
			}
			return p.EventsSince
		}
		first := since()
		if first.IsZero() {
			w.t.Fatal("it does not know")
		}
		for _, step := range []struct {
			name   string
			change func(*replication.Policy)
			want   func(time.Time) bool
		}{
			{"other filters", func(p *replication.Policy) { p.Filters = nil }, first.Equal},
			{"a pause", func(p *replication.Policy) { p.Enabled = false }, first.Equal},
			{"its end", func(p *replication.Policy) { p.Enabled = true }, first.Equal},
			{"run by hand", func(p *replication.Policy) { p.Trigger, p.Deletion = rule.Manual, false }, time.Time.IsZero},
			{"by events, but disabled", func(p *replication.Policy) { p.Trigger, p.Enabled = rule.EventBased, false }, time.Time.IsZero},
			{"by events again", func(p *replication.Policy) { p.Enabled = true }, first.Before},
		} {
			w.advance(time.Hour)
			w.change(policy, step.change)
			if got := since(); !step.want(got) {
				w.t.Errorf("%s: since %s, first %s", step.name, got, first)
			}
		}
	})
}

// What is signed while nobody looks is as if it had been pushed then.
func TestWhatWasSignedSinceARuleFollowsEventsCounts(t *testing.T) {
	onBoth(t, func(w *world) {
		w.run()
		image, unsigned := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
		sbom, signature := ts.Referrer(w.t, image, "application/spdx+json", 1), ts.CosignSignature(w.t, image)
		early, notation := ts.Image(w.t, 3, 1, 100), ts.Referrer(w.t, ts.Image(w.t, 3, 1, 100), "application/vnd.cncf.notary.signature", 3)
		attach := func(tag string, a *ts.Artifact, name string) {
			w.home.belongs("library/app", tag, a)
			w.home.stamp("library/app", a.Digest.String(), w.now())
			w.silently("library/app", name, a)
		}
		w.push("library/app", "early", early)
		attach("early", notation, "")
		attach("v1", sbom, "")
		w.push("library/app", "unsigned", unsigned)
		w.before("library/app", "v1", image, time.Hour)
		policy := w.policy("signed", rule.EventBased)
		w.signedOnly(policy)
		if d := w.reconciled(policy); !d.InSync || d.Count(replication.InSync) != 0 {
			w.t.Errorf("before the signature: %+v", d)
		}
		w.change(policy, func(p *replication.Policy) { p.Enabled = false })
		attach("v1", signature, ts.CosignTag(image.Digest))
		w.change(policy, func(p *replication.Policy) { p.Enabled = true })
		w.reconciled(policy)
		for reference, there := range map[string]bool{
			"v1": true, ts.CosignTag(image.Digest): true, sbom.Digest.String(): true,
			"unsigned": false, "early": false, notation.Digest.String(): false,
		} {
			if got := w.at("library/app", reference) != ""; got != there {
				w.t.Errorf("%s is there: %v", reference, got)
			}
		}
		if d := w.reconciled(policy); !d.InSync {
			w.t.Errorf("after the signature: %+v", d)
		}
	})
}
