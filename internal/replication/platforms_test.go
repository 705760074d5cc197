package replication_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// takesSparse gives the world a cluster that takes indexes of which something is missing.
func (w *world) takesSparse() {
	w.t.Helper()
	w.cluster = ts.Distribution(w.t, ts.WithSparseIndexes())
	w.endpoint = w.create("sparse cluster", w.cluster.URL)
}

// wants makes a rule copy some platforms only.
func (w *world) wants(policy int64, mode rule.PlatformMode, platforms ...string) {
	w.t.Helper()
	w.change(policy, func(p *replication.Policy) { p.Platforms, p.PlatformMode = platforms, mode })
}

// item is what the newest task of a rule says of a reference.
func (w *world) item(policy int64, reference string) (found replication.Item) {
	w.t.Helper()
	for _, task := range w.tasks(policy) {
		for _, item := range task.Items {
			if item.Reference == reference {
				return item
			}
		}
	}
	w.t.Errorf("no task of rule %d has %s", policy, reference)
	return found
}

func (w *world) succeeds(policy int64) {
	w.t.Helper()
	if e := w.start(policy); e.Status != replication.Succeed {
		w.t.Fatalf("execution: %+v\n%+v", e, w.tasks(policy))
	}
}

// deeply has a rule verified, deep, and returns what it found.
func (w *world) deeply(policy int64) (replication.Drift, []replication.DriftEntry) {
	w.t.Helper()
	number, err := w.VerifyDrift(w.t.Context(), policy, true)
	if err != nil {
		w.t.Fatal(err)
	}
	var d replication.Drift
	ts.Eventually(w.t, "the rule is verified", func() bool {
		if d, err = w.Drift(w.t.Context(), policy); err != nil {
			w.t.Fatal(err)
		}
		return d.Check.Done >= number
	})
	entries, _, err := w.ListDrift(w.t.Context(), policy, replication.DriftFilter{}, store.ListQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	return d, entries
}

// whole reports whether the cluster has all of an artifact.
func (w *world) whole(repository, reference string) bool {
	w.t.Helper()
	_, err := ts.TryPull(w.t.Context(), w.cluster, repository, reference)
	return err == nil
}

func TestARunCopiesTheChosenPlatformsAndMoreWhenTheRuleWantsMore(t *testing.T) {
	onBoth(t, func(w *world) {
		w.takesSparse()
		policy := w.policy("edge", rule.Manual)
		w.wants(policy, "", "linux/amd64")
		index := ts.Index(w.t, 1)
		amd, arm := index.Children[0], index.Children[1]
		ts.Push(w.t, w.home.Registry, "library/app", "v1", index)
		ts.Push(w.t, w.home.Registry, "library/app", "latest", index)
		w.run()
		w.succeeds(policy)
		if w.at("library/app", "v1") != index.Digest.String() || w.at("library/app", "latest") != index.Digest.String() {
			w.t.Error("the index is not at the destination")
		}
		if w.at("library/app", amd.Digest.String()) == "" || w.at("library/app", arm.Digest.String()) != "" {
			w.t.Error("not the chosen platform was copied")
		}
		if d, entries := w.deeply(policy); !d.InSync || len(entries) != 2 || entries[0].DeepTime.IsZero() {
			w.t.Errorf("drift: %+v %+v", d, entries)
		}
		w.cluster.ResetRequests()
		w.succeeds(policy)
		if n := len(w.cluster.Requests().Of("PUT manifest")); n > 0 || w.item(policy, "v1").Outcome != replication.Unchanged {
			w.t.Errorf("a second run put %d manifests", n)
		}
		w.wants(policy, "", "linux/amd64", "linux/arm64")
		w.succeeds(policy)
		if !w.whole("library/app", "v1") || w.item(policy, "latest").Outcome != replication.Copied {
			w.t.Error("the other platform was not brought")
		}
		w.wants(policy, "", "linux/arm64")
		w.succeeds(policy)
		if got := w.item(policy, "v1"); got.Outcome != replication.Unchanged {
			w.t.Errorf("fewer platforms than are there: %+v", got)
		}
	})
}

func TestARuleDoesNotTakeForWholeWhatAnotherLeftParts(t *testing.T) {
	onBoth(t, func(w *world) {
		w.takesSparse()
		amd, arm, all := w.policy("amd", rule.Manual), w.policy("arm", rule.Manual), w.policy("all", rule.Manual)
		w.wants(amd, "", "linux/amd64")
		w.wants(arm, "", "linux/arm64")
		index := ts.Index(w.t, 1, "linux/amd64", "linux/arm64", "linux/s390x")
		ts.Push(w.t, w.home.Registry, "library/app", "v1", index)
		w.run()
		w.succeeds(amd)
		w.restart() // what the engine remembers is gone; the books are not
		w.succeeds(arm)
		if w.at("library/app", index.Children[1].Digest.String()) == "" {
			w.t.Fatal("the second rule believed that its platform was there")
		}
		if d, entries := w.deeply(all); d.InSync || entries[0].State != replication.Missing || entries[0].Reason == "" {
			w.t.Errorf("drift of a rule that wants all: %+v %+v", d, entries)
		}
		w.restart()
		w.succeeds(all)
		if !w.whole("library/app", "v1") {
			w.t.Fatal("the third rule believed that all was there")
		}
		if n := w.number(`SELECT count(*) FROM portions`); n != 0 {
			w.t.Errorf("%d notes about an index that is whole", n)
		}
		for _, policy := range []int64{amd, arm, all} {
			w.succeeds(policy)
			if got := w.item(policy, "v1"); got.Outcome != replication.Unchanged {
				w.t.Errorf("rule %d at last: %+v", policy, got)
			}
			if d, entries := w.deeply(policy); !d.InSync {
				w.t.Errorf("rule %d: %+v", policy, entries)
			}
		}
	})
}

// A server that is killed between the children and the index, or before it has noted that
// the index is whole, leaves nothing that anybody takes for whole.
func TestAnInterruptedSparseCopyIsNotTakenForWhole(t *testing.T) {
	onBoth(t, func(w *world) {
		w.takesSparse()
		policy, all := w.policy("amd", rule.Manual), w.policy("all", rule.Manual)
		w.wants(policy, "", "linux/amd64")
		index := ts.Index(w.t, 1)
		ts.Push(w.t, w.home.Registry, "library/app", "v1", index)
		w.cluster.Faults.Add(ts.Fault{Path: "/manifests/v1$", Class: "PUT manifest", Do: ts.Status(http.StatusTeapot)})
		w.run()
		if e := w.start(policy); e.Status != replication.Failed {
			w.t.Fatalf("execution: %+v", e)
		}
		w.cluster.Faults.Clear()
		if n := w.number(`SELECT count(*) FROM portions WHERE NOT complete`); n != 1 {
			w.t.Fatalf("%d notes about what was begun", n)
		}
		// The index had arrived, and nobody could note it any more.
		if err := ts.TryPush(w.t.Context(), w.cluster, "library/app", "v1", &ts.Artifact{MediaType: index.MediaType, Digest: index.Digest, Manifest: index.Manifest}); err != nil {
			w.t.Fatal(err)
		}
		w.restart()
		w.succeeds(policy)
		if got := w.item(policy, "v1"); got.Outcome != replication.Copied || w.number(`SELECT count(*) FROM portions WHERE complete`) != 1 {
			w.t.Errorf("it was not gone on with: %+v", got)
		}
		w.succeeds(all)
		if !w.whole("library/app", "v1") {
			w.t.Error("a rule that wants all believed that it was whole")
		}
	})
}

func TestARewrittenIndexIsKnownAgain(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("edge", rule.Manual)
		w.wants(policy, rule.PlatformRewrite, "linux/arm64")
		index := ts.Index(w.t, 1)
		ts.Push(w.t, w.home.Registry, "library/app", "v1", index)
		w.run()
		w.succeeds(policy)
		made := w.at("library/app", "v1")
		if made == "" || made == index.Digest.String() || !w.whole("library/app", "v1") {
			w.t.Fatalf("v1 is %q", made)
		}
		if got := w.item(policy, "v1"); got.Stands != made || got.Digest != index.Digest.String() {
			w.t.Errorf("item: %+v", got)
		}
		if n := w.number(`SELECT count(*) FROM portions WHERE source_digest = $1 AND digest = $2 AND complete`, index.Digest.String(), made); n != 1 {
			w.t.Errorf("%d notes about what it was made from", n)
		}
		d, entries := w.deeply(policy)
		if !d.InSync || entries[0].DestinationDigest != made || entries[0].SourceDigest != index.Digest.String() {
			w.t.Errorf("drift: %+v %+v", d, entries)
		}
		w.restart()
		w.cluster.ResetRequests()
		w.succeeds(policy)
		if puts := w.cluster.Requests().Of("PUT manifest"); len(puts) > 0 || w.item(policy, "v1").Outcome != replication.Unchanged {
			w.t.Errorf("a second run: %+v\n%s", w.item(policy, "v1"), puts)
		}
		// Somebody changes it.
		ts.Push(w.t, w.cluster, "library/app", "v1", index)
		if d, entries := w.deeply(policy); d.Drift != 1 || entries[0].State != replication.Different {
			w.t.Errorf("drift: %+v %+v", d, entries)
		}
		w.succeeds(policy)
		if w.at("library/app", "v1") != made {
			w.t.Error("it was not put back")
		}
	})
}

func TestADeletionFindsWhatAnIndexHasBecome(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("edge", rule.EventBased)
		w.wants(policy, rule.PlatformRewrite, "linux/arm64")
		w.run()
		index, untagged := ts.Index(w.t, 1), ts.Index(w.t, 2)
		w.push("library/app", "v1", index)
		w.push("library/app", "v2", index)
		var made string
		ts.Eventually(w.t, "both tags are there", func() bool {
			made = w.at("library/app", "v1")
			return made != "" && w.at("library/app", "v2") == made
		})
		w.settled()
		w.deleteTag("library/app", "v1")
		w.vanishes("library/app", "v1")
		w.settled()
		if w.at("library/app", "v2") != made {
			w.t.Fatal("the other tag went too")
		}
		w.deleteArtifact("library/app", index, "v2")
		w.vanishes("library/app", "v2")
		w.settled()
		if w.at("library/app", made) != "" {
			w.t.Error("the index that was made is still there")
		}
		w.push("library/app", "", untagged)
		w.advance(settled)
		ts.Eventually(w.t, "the untagged index is there", func() bool {
			return w.number(`SELECT count(*) FROM portions WHERE source_digest = $1 AND complete`, untagged.Digest.String()) == 1
		})
		w.settled()
		if d, entries := w.deeply(policy); d.Drift != 0 {
			w.t.Errorf("drift: %+v", entries)
		}
		w.deleteArtifact("library/app", untagged)
		w.settled()
		if n := w.number(`SELECT count(*) FROM portions`); n != 0 {
			w.t.Errorf("%d notes are left, so it was not removed", n)
		}
	})
}

func TestTwoRulesThatMakeAnotherIndexOfOneTagSayWhoHasIt(t *testing.T) {
	onBoth(t, func(w *world) {
		first, second := w.policy("first", rule.Manual), w.policy("second", rule.Manual)
		w.wants(first, rule.PlatformRewrite, "linux/amd64")
		w.wants(second, rule.PlatformRewrite, "linux/arm64")
		ts.Push(w.t, w.home.Registry, "library/app", "v1", ts.Index(w.t, 1))
		ts.Push(w.t, w.home.Registry, "library/app", "one", ts.Index(w.t, 5, "linux/amd64"))
		w.run()
		w.succeeds(first)
		made := w.at("library/app", "v1")
		if e := w.start(second); e.Status != replication.Failed {
			w.t.Errorf("execution: %+v", e)
		}
		if got := w.item(second, "v1"); !strings.Contains(got.Reason, "the rule first puts other platforms of library/app under the tag v1") || w.at("library/app", "v1") != made {
			w.t.Errorf("item: %+v", got)
		}
		w.change(first, func(p *replication.Policy) { p.Enabled = false })
		w.succeeds(second)
		if w.at("library/app", "v1") == made {
			w.t.Error("the tag was not taken over")
		}
	})
}

func TestAPlanSaysWhatIsForOtherPlatforms(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
	image, index := ts.Image(t, 1, 1, 100), ts.Index(t, 2)
	ts.Push(t, source, "library/app", "image", image)
	ts.Push(t, source, "library/app", "multi", index)
	ts.Push(t, source, "library/app", "thing", ts.UnknownArtifact(t, 3))
	ts.Push(t, source, "library/app", ts.CosignTag(image.Digest), ts.CosignSignature(t, image))
	ts.Push(t, source, "library/app", ts.CosignTag(index.Digest), ts.CosignSignature(t, index))
	route := replication.Route{
		Rule:   rule.Rule{Name: "x", Override: true, Extras: rule.Extras{Platforms: []string{"linux/arm64"}, PlatformMode: rule.PlatformRewrite}},
		Source: side(t, source), Destination: side(t, target),
	}
	for round, want := range []map[string]string{
		{"multi": "copy", "thing": "copy", "image": "skip: it is not for the platforms that the rule wants (linux/arm64) but for linux/amd64",
			ts.CosignTag(image.Digest): "skip: it belongs to something that is for other platforms than the rule wants",
			ts.CosignTag(index.Digest): "skip: it belongs to an index that is another one at the destination, without the platforms that are left out"},
		{"multi": "skip", "thing": "skip", "image": "skip: it is not for", ts.CosignTag(image.Digest): "skip: it belongs", ts.CosignTag(index.Digest): "skip: it belongs"},
	} {
		plans := plan(t, route)
		for _, item := range plans[0].Items {
			got := string(item.Action)
			if item.Reason != "" {
				got += ": " + item.Reason
			}
			if !strings.HasPrefix(got, want[item.Reference]) || want[item.Reference] == "" {
				t.Errorf("round %d: %s: %s, want %s", round, item.Reference, got, want[item.Reference])
			}
		}
		var h hooks
		if err := route.Carry(t.Context(), &plans[0], h.hooks()); err != nil {
			t.Fatal(err)
		}
	}
	if pulled := ts.Pull(t, target, "library/app", "multi"); !pulled.Manifests[index.Children[1].Digest] || pulled.Manifests[index.Children[0].Digest] {
		t.Errorf("%+v", pulled)
	}
}

// Without books a run looks whether the children are there.
func TestARunWithoutBooksFindsWhatALaterOneWantsMore(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory(), ts.WithSparseIndexes())
	index := ts.Index(t, 1)
	ts.Push(t, source, "library/app", "v1", index)
	run := func(platforms ...string) replication.Item {
		route := replication.Route{
			Rule:   rule.Rule{Name: "x", Override: true, Extras: rule.Extras{Platforms: platforms}},
			Source: side(t, source), Destination: side(t, target), // as a new process has them
		}
		plans := plan(t, route)
		var h hooks
		if err := route.Carry(t.Context(), &plans[0], h.hooks()); err != nil {
			t.Fatal(err)
		}
		return plans[0].Items[0]
	}
	for _, c := range []struct {
		platforms []string
		want      replication.Outcome
	}{
		{[]string{"linux/amd64"}, replication.Copied},
		{[]string{"linux/amd64"}, replication.Unchanged},
		{[]string{"linux/amd64", "linux/arm64"}, replication.Copied},
		{[]string{"linux/arm64"}, replication.Unchanged},
	} {
		if got := run(c.platforms...); got.Outcome != c.want {
			t.Errorf("%v: %+v", c.platforms, got)
		}
	}
	if _, there := ts.Digest(t, target, "library/app", index.Children[1].Digest.String()); !there {
		t.Error("the platform is missing")
	}
}

func TestWhatARuleDoesNotWantAnyMoreForItsPlatformIsExtra(t *testing.T) {
	onBoth(t, func(w *world) {
		policy := w.policy("edge", rule.Manual)
		ts.Push(w.t, w.home.Registry, "library/app", "v1", ts.Image(w.t, 1, 1, 100))
		w.run()
		w.succeeds(policy)
		w.wants(policy, "", "linux/arm64")
		d, entries := w.deeply(policy)
		if d.Drift != 0 || len(entries) != 1 || entries[0].State != replication.Extra {
			w.t.Errorf("%+v %+v", d, entries)
		}
	})
}
