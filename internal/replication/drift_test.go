package replication_test

import (
	"testing"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// verified has a rule verified and returns how it stands.
func (w *world) verified(policy int64, deep bool) replication.Drift {
	w.t.Helper()
	number, err := w.VerifyDrift(w.t.Context(), policy, deep)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.answered(policy, number)
}

func (w *world) answered(policy, number int64) (d replication.Drift) {
	w.t.Helper()
	ts.Eventually(w.t, "the verification ends", func() bool {
		var err error
		if d, err = w.Drift(w.t.Context(), policy); err != nil {
			w.t.Fatal(err)
		}
		return d.Check.Done >= number
	})
	return d
}

// stand is how a reference stands.
func (w *world) stand(policy int64, repository, reference string) (found replication.DriftEntry) {
	w.t.Helper()
	list, _, err := w.ListDrift(w.t.Context(), policy, replication.DriftFilter{}, store.ListQuery{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range list {
		if e.SourceRepository == repository && e.Reference == reference {
			return e
		}
	}
	return replication.DriftEntry{}
}

func TestDriftFindsWhatWasChangedAtTheDestinationAndRepairMendsIt(t *testing.T) {
	onBoth(t, func(w *world) {
		w.run()
		id := w.policy("all", rule.EventBased)
		a, b, c := ts.Image(w.t, 1, 2, 300), ts.Image(w.t, 2, 2, 300), ts.Image(w.t, 3, 2, 300)
		w.push("library/app", "v1", a)
		w.push("library/app", "v2", b)
		w.push("library/app", "v3", c)
		w.arrives("library/app", "v1", a)
		w.arrives("library/app", "v2", b)
		w.arrives("library/app", "v3", c)
		w.settled()
		if e := w.stand(id, "library/app", "v1"); e.State != replication.InSync || e.SourceDigest != a.Digest.String() || e.VerifiedTime.IsZero() {
			w.t.Errorf("after its task v1 is %+v", e)
		}
		if d := w.verified(id, false); !d.InSync || d.Count(replication.InSync) != 3 {
			w.t.Errorf("after the pushes: %+v", d)
		}

		ts.Delete(w.t, w.cluster, "library/app", a.Digest.String())
		ts.PutTag(w.t, w.cluster, "library/app", "v2", c)
		d := w.verified(id, false)
		if d.InSync || d.Count(replication.Missing) != 1 || d.Count(replication.Different) != 1 || d.Drift != 2 {
			w.t.Errorf("after the destination was meddled with: %+v", d)
		}
		if e := w.stand(id, "library/app", "v2"); e.State != replication.Different || e.DestinationDigest != c.Digest.String() || e.SourceDigest != b.Digest.String() {
			w.t.Errorf("v2 is %+v", e)
		}
		execution, items, err := w.RepairDrift(w.t.Context(), id)
		if err != nil || items != 2 {
			w.t.Fatalf("repair: %d items, %v", items, err)
		}
		if e := w.ended(execution); e.Status != replication.Succeed {
			w.t.Errorf("the repair %s", e.Status)
		}
		if w.at("library/app", "v1") != a.Digest.String() || w.at("library/app", "v2") != b.Digest.String() {
			w.t.Error("the repair has not brought back what was there")
		}
		if d := w.verified(id, false); !d.InSync {
			w.t.Errorf("after the repair: %+v", d)
		}
		if _, items, err := w.RepairDrift(w.t.Context(), id); err != nil || items != 0 {
			w.t.Errorf("a repair of nothing: %d items, %v", items, err)
		}
	})
}

func TestDeepDriftFindsALostBlob(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.run()
		id := w.policy("all", rule.Manual)
		a := ts.Image(w.t, 1, 2, 300)
		w.push("library/app", "v1", a)
		w.start(id)
		w.cluster.LoseBlob(w.t, a.Blobs[1].Digest)
		w.cluster.Restart() // what it remembers of its files goes with the process
		if d := w.verified(id, false); !d.InSync {
			w.t.Errorf("tags alone: %+v", d)
		}
		if d := w.verified(id, true); d.InSync || d.Count(replication.Missing) != 1 {
			w.t.Errorf("with every blob: %+v", d)
		}
		execution, _, err := w.RepairDrift(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		w.ended(execution)
		if got := ts.Pull(w.t, w.cluster, "library/app", "v1"); got.Digest != a.Digest {
			w.t.Errorf("after the repair v1 is %s", got.Digest)
		}
		if d := w.verified(id, true); !d.InSync {
			w.t.Errorf("after the repair: %+v", d)
		}
	})
}

func TestDriftKnowsNothingOfWhatCouldNotBeListed(t *testing.T) {
	onBoth(t, func(w *world) {
		w.run()
		id := w.policy("all", rule.EventBased)
		a := ts.Image(w.t, 1, 2, 300)
		w.push("library/app", "v1", a)
		w.arrives("library/app", "v1", a)
		w.settled()
		w.home.interfere(func(string) error { return errListingEnds })
		d := w.verified(id, false)
		if d.InSync || d.Count(replication.NotVerified) != 1 || d.Check.Error == "" {
			w.t.Errorf("after a listing that ended early: %+v", d)
		}
		w.home.interfere(nil)
		if d := w.verified(id, false); !d.InSync {
			w.t.Errorf("after a whole one: %+v", d)
		}
	})
}

func TestDriftKnowsNothingOfARegistryThatHasAnotherURL(t *testing.T) {
	onBoth(t, func(w *world) {
		w.run()
		id := w.policy("all", rule.Manual)
		a := ts.Image(w.t, 1, 2, 300)
		w.push("library/app", "v1", a)
		w.start(id)
		if d := w.verified(id, false); !d.InSync {
			w.t.Fatalf("after a run: %+v", d)
		}
		other := ts.Distribution(w.t, ts.WithMemory())
		if err := w.UpdateEndpoint(w.t.Context(), w.endpoint, replication.EndpointUpdate{URL: &other.URL}); err != nil {
			w.t.Fatal(err)
		}
		d, err := w.Drift(w.t.Context(), id)
		if err != nil || d.InSync || d.Count(replication.NotVerified) != 1 {
			w.t.Errorf("before anybody looked: %+v, %v", d, err)
		}
		if d := w.verified(id, false); d.InSync || d.Count(replication.Missing) != 1 {
			w.t.Errorf("verified: %+v", d)
		}
	})
}

func TestReconcileFindsWhatNoEventTold(t *testing.T) {
	onBoth(t, func(w *world) {
		w.run()
		id := w.policy("all", rule.EventBased)
		kept, gone, never := ts.Image(w.t, 1, 2, 300), ts.Image(w.t, 2, 2, 300), ts.Image(w.t, 3, 2, 300)
		w.push("library/app", "kept", kept)
		w.push("library/app", "gone", gone)
		w.arrives("library/app", "kept", kept)
		w.arrives("library/app", "gone", gone)
		w.settled()
		ts.Push(w.t, w.home.Registry, "library/other", "v1", never) // and nobody recorded it
		w.home.forget("library/app", "gone")
		w.home.forget("library/app", gone.Digest.String())
		number, err := w.Reconcile(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		w.answered(id, number)
		w.arrives("library/other", "v1", never)
		w.vanishes("library/app", "gone")
		w.settled()
		if d := w.verified(id, false); !d.InSync {
			w.t.Errorf("after the reconcile: %+v", d)
		}
	})
}

func TestReconcileDeletesNothingWhenTheSourceIsEmptyOrFails(t *testing.T) {
	onBoth(t, func(w *world) {
		w.run()
		id := w.policy("all", rule.EventBased)
		a := ts.Image(w.t, 1, 2, 300)
		w.push("library/app", "v1", a)
		w.arrives("library/app", "v1", a)
		w.settled()
		reconcile := func() replication.Drift {
			number, err := w.Reconcile(w.t.Context(), id)
			if err != nil {
				w.t.Fatal(err)
			}
			d := w.answered(id, number)
			w.settled()
			if got := w.at("library/app", "v1"); got != a.Digest.String() {
				w.t.Fatalf("v1 is %q at the destination", got)
			}
			return d
		}
		w.home.interfere(func(string) error { return errListing })
		if d := reconcile(); d.Count(replication.NotVerified) != 1 {
			w.t.Errorf("a repository that cannot be listed: %+v", d)
		}
		w.home.interfere(nil)
		w.home.forget("library/app", "v1")
		if d := reconcile(); d.Count(replication.Extra) != 1 || d.Check.Error == "" {
			w.t.Errorf("a source that lists nothing: %+v", d)
		}
	})
}

func TestReconcileAsksBeforeManyDeletions(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.run()
		id := w.policy("all", rule.EventBased)
		a := ts.Image(w.t, 1, 1, 100)
		w.push("library/keep", "v1", a)
		tags := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"}
		for _, tag := range tags {
			w.push("library/app", tag, a)
		}
		for _, tag := range tags {
			w.arrives("library/app", tag, a)
		}
		w.settled()
		for _, tag := range tags {
			w.home.forget("library/app", tag)
		}
		number, err := w.Reconcile(w.t.Context(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		d := w.answered(id, number)
		w.settled()
		if d.Check.Error == "" || d.Count(replication.Extra) != int64(len(tags)) || w.at("library/app", "a") == "" {
			w.t.Fatalf("%d deletions were not held back: %+v", len(tags), d)
		}
		execution, items, err := w.RepairDrift(w.t.Context(), id) // somebody confirms it
		if err != nil || items != int64(len(tags)) {
			w.t.Fatalf("repair: %d items, %v", items, err)
		}
		if e := w.ended(execution); e.Status != replication.Succeed || w.at("library/app", "a") != "" {
			w.t.Errorf("the repair %s, and a is %q", e.Status, w.at("library/app", "a"))
		}
	})
}

func TestARetryLeavesAloneWhatAVerificationFoundSince(t *testing.T) {
	onBoth(t, func(w *world) {
		w.run()
		id := w.policy("all", rule.Manual)
		a, b, other := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100), ts.Image(w.t, 3, 1, 100)
		w.push("library/app", "a", a)
		w.push("library/app", "b", b)
		fault := w.cluster.Faults.Add(ts.Fault{Method: "PUT", Path: "/manifests/b$", Do: ts.Status(400)})
		e := w.start(id)
		if e.Status != replication.Failed || w.at("library/app", "a") != a.Digest.String() {
			w.t.Fatalf("%+v", e)
		}
		w.push("library/app", "a", other)
		if d := w.verified(id, false); d.Count(replication.Different) != 1 || d.Count(replication.Missing) != 1 {
			w.t.Fatalf("%+v", d)
		}
		found := w.stand(id, "library/app", "a")
		fault.Remove()
		if _, err := w.RetryExecution(w.t.Context(), e.ID); err != nil {
			w.t.Fatal(err)
		}
		if e := w.ended(e.ID); e.Status != replication.Succeed {
			w.t.Fatalf("%+v", e)
		}
		if got := w.stand(id, "library/app", "a"); got != found || got.State != replication.Different {
			w.t.Errorf("a was %+v and is %+v", found, got)
		}
		if got := w.stand(id, "library/app", "b"); got.State != replication.InSync {
			w.t.Errorf("b is %+v", got)
		}
		if d := w.verified(id, false); d.InSync || d.Drift != 1 {
			w.t.Errorf("verified once more: %+v", d)
		}
	})
}

func TestAnAttemptThatIsCutShortTellsWhatItHasDone(t *testing.T) {
	for name, cut := range map[string]func(w *world, execution int64){
		"stopped": func(w *world, execution int64) {
			if err := w.Stop(w.t.Context(), execution); err != nil {
				w.t.Fatal(err)
			}
		},
		"shut down": func(w *world, _ int64) { w.stop(); w.open() },
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(w *world) {
				w.run()
				id := w.policy("all", rule.Manual)
				a, b := ts.Image(w.t, 1, 1, 100), ts.Image(w.t, 2, 1, 100)
				w.push("library/app", "a", a)
				w.push("library/app", "b", b)
				hold := ts.NewHold()
				w.t.Cleanup(hold.Release)
				w.cluster.Faults.Add(ts.Fault{Method: "PUT", Path: "/manifests/b$", Do: hold.Before()})
				execution, err := w.Start(w.t.Context(), id, replication.Manual)
				if err != nil {
					w.t.Fatal(err)
				}
				ts.Eventually(w.t, "a is copied and b is not", func() bool {
					return hold.Waiting() > 0 && w.number(`SELECT count(*) FROM task_logs WHERE text LIKE 'copied %'`) == 1
				})
				cut(w, execution)
				ts.Eventually(w.t, "it is known how a stands", func() bool {
					return w.stand(id, "library/app", "a").State == replication.InSync
				})
				if got := w.stand(id, "library/app", "b"); got.State != "" {
					w.t.Errorf("b is %+v", got)
				}
			})
		})
	}
}
