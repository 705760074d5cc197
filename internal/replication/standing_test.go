package replication_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// standings are how a tag of home stands at each destination.
func (w *world) standings(repository, reference string) []replication.Standing {
	w.t.Helper()
	a, err := w.home.Artifact(w.t.Context(), repository, reference)
	if err != nil {
		w.t.Fatal(err)
	}
	all, err := w.Standings(w.t.Context(), repository, []replication.StandingOf{{Artifact: a}})
	if err != nil {
		w.t.Fatal(err)
	}
	return all[a.Digest]
}

// stands waits until a tag stands somewhere as a test wants.
func (w *world) stands(repository, reference string, is func(replication.Standing) bool) (found replication.Standing) {
	w.t.Helper()
	ts.Eventually(w.t, "the tag stands as it should", func() bool {
		for _, n := range w.standings(repository, reference) {
			if is(n) {
				found = n
				return true
			}
		}
		return false
	})
	return found
}

func in(state replication.StandingState) func(replication.Standing) bool {
	return func(n replication.Standing) bool { return n.State == state }
}

const (
	inSync      = replication.StandingState(replication.InSync)
	different   = replication.StandingState(replication.Different)
	notVerified = replication.StandingState(replication.NotVerified)
)

func TestAStandingSaysSinceWhenADestinationHasSomethingAndWhyItHasNot(t *testing.T) {
	onBoth(t, func(w *world) {
		w.run()
		id := w.policy("pushes", rule.EventBased)
		a, b := ts.Image(t, 1, 2, 300), ts.Image(t, 2, 2, 300)
		w.push("library/app", "v1", a)
		w.arrives("library/app", "v1", a)
		w.settled()
		n := w.stands("library/app", "v1", in(inSync))
		if n.PolicyID != id || n.PolicyName != "pushes" || !n.PolicyEnabled || n.DestinationID != w.endpoint || n.DestinationName != "cluster" ||
			n.DestinationRepository != "library/app" || n.Reference != "v1" || n.Digest != a.Digest.String() || n.Drift {
			t.Errorf("after its replication: %+v", n)
		}
		if n.Since.IsZero() || n.VerifiedTime.IsZero() || n.TaskID != 0 {
			t.Errorf("since when: %+v", n)
		}

		w.cluster.Stop()
		w.push("library/app", "v1", b)
		failing := w.stands("library/app", "v1", in(replication.StandsFailing))
		if failing.Reason == "" || failing.NextAttemptTime.IsZero() || failing.ExecutionID == 0 || failing.TaskID == 0 || failing.Digest != a.Digest.String() || !failing.Drift {
			t.Errorf("while the destination is down: %+v", failing)
		}
		w.cluster.Restart()
		if err := w.RetryTask(t.Context(), failing.ExecutionID, failing.TaskID); err != nil {
			t.Fatal(err)
		}
		w.arrives("library/app", "v1", b)
		w.settled()
		again := w.stands("library/app", "v1", in(inSync))
		if again.Digest != b.Digest.String() || again.Since.Before(n.Since) || again.TaskID != 0 {
			t.Errorf("after the destination came back: %+v", again)
		}
	})
}

func TestAStandingOfAManualRuleTellsWhatTheRuleHasNotLookedAtYet(t *testing.T) {
	onBoth(t, func(w *world) {
		w.run()
		id := w.policy("by hand", rule.Manual, rule.Filter{Type: rule.FilterTag, Value: "v*"})
		a, b := ts.Image(t, 1, 2, 300), ts.Image(t, 2, 2, 300)
		w.push("library/app", "v1", a)
		w.push("library/app", "latest", b)
		n := w.stands("library/app", "v1", in(notVerified))
		if n.Reason == "" || !n.Drift || n.DestinationRepository != "library/app" || !n.Since.IsZero() || !n.VerifiedTime.IsZero() {
			t.Errorf("before the rule was run: %+v", n)
		}
		if got := w.standings("library/app", "latest"); len(got) != 0 {
			t.Errorf("a tag that no rule selects: %+v", got)
		}
		w.start(id)
		if n := w.stands("library/app", "v1", in(inSync)); n.Digest != a.Digest.String() {
			t.Errorf("after the run: %+v", n)
		}
		w.push("library/app", "v1", b)
		if n := w.stands("library/app", "v1", in(different)); n.Digest != a.Digest.String() || !n.Drift || !strings.Contains(n.Reason, "pushed again") {
			t.Errorf("after another push: %+v", n)
		}
		w.change(id, func(p *replication.Policy) { p.Enabled = false })
		if n := w.stands("library/app", "v1", in(different)); n.PolicyEnabled {
			t.Errorf("of a rule that is disabled: %+v", n)
		}
		w.push("library/other", "v1", b)
		if got := w.standings("library/other", "v1"); len(got) != 0 {
			t.Errorf("a disabled rule selects %+v", got)
		}
	})
}

func TestAStandingOfARuleThatCannotReachItsDestinationFails(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.run()
		id := w.policy("by hand", rule.Manual)
		w.push("library/app", "v1", ts.Image(t, 1, 2, 300))
		w.cluster.Stop()
		w.start(id)
		if n := w.stands("library/app", "v1", in(replication.StandsFailing)); n.Reason == "" {
			t.Errorf("no reason: %+v", n)
		}
	})
}

func TestWhatGoesWithSomethingElseIsSelectedByNoRule(t *testing.T) {
	onSQLite(t, func(w *world) {
		w.policy("by hand", rule.Manual)
		a := ts.Image(t, 1, 2, 300)
		w.push("library/app", "v1", a)
		child, err := w.home.Artifact(t.Context(), "library/app", a.Digest.String())
		if err != nil {
			t.Fatal(err)
		}
		child.Tags = nil
		for _, follows := range []bool{false, true} {
			got, err := w.Standings(t.Context(), "library/app", []replication.StandingOf{{Artifact: child, Follows: follows}})
			if err != nil || (len(got[child.Digest]) == 0) != follows {
				t.Errorf("follows %t: %+v, %v", follows, got, err)
			}
		}
	})
}

// However much is known, an answer is looked up and not searched for.
func TestStandingsAreReadByIndexes(t *testing.T) {
	onSQLite(t, func(w *world) {
		for _, q := range []struct {
			query string
			args  []any
		}{
			{replication.StandingDrift("(1, 1), (1, 2)", "$2, $3"), []any{"library/app", "v1", "v2"}},
			{replication.StandingTasks, []any{"library/app"}},
		} {
			rows, err := w.db.QueryContext(t.Context(), `EXPLAIN QUERY PLAN `+q.query, q.args...)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = rows.Close() }()
			for rows.Next() {
				var id, parent, unused int64
				var detail string
				if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(detail, "SCAN ") && !strings.Contains(detail, "CONSTANT") && detail != "SCAN x" {
					t.Errorf("%s\nin\n%s", detail, q.query)
				}
			}
			if err := rows.Err(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestStandingsOfManyTagsAreAllTold(t *testing.T) {
	onBoth(t, func(w *world) {
		id := w.policy("by hand", rule.Manual)
		a := ts.Image(t, 1, 2, 300)
		w.push("library/app", "v1", a)
		artifact, err := w.home.Artifact(t.Context(), "library/app", "v1")
		if err != nil {
			t.Fatal(err)
		}
		tags := 1000
		artifact.Tags = nil
		for i := range tags {
			artifact.Tags = append(artifact.Tags, "t"+string(store.JSON(i)))
		}
		text, err := json.Marshal(artifact.Tags)
		if err != nil {
			t.Fatal(err)
		}
		each := `json_each($1)`
		if w.db.Dialect() == store.PostgreSQL {
			each = `(SELECT jsonb_array_elements_text($1::jsonb) AS value) x`
		}
		w.write(`INSERT INTO drift (policy_id, registry_id, src_repository, reference, dest_repository, state, is_drift, src_digest, dest_digest, seen_time)
			SELECT $2, $3, 'library/app', value, 'library/app', 'in_sync', FALSE, $4, $4, 1 FROM `+each, string(text), id, w.endpoint, a.Digest.String())
		got, err := w.Standings(t.Context(), "library/app", []replication.StandingOf{{Artifact: artifact}})
		if err != nil || len(got[artifact.Digest]) != tags {
			t.Fatalf("%d standings, %v", len(got[artifact.Digest]), err)
		}
		for i, n := range got[artifact.Digest] {
			if n.State != inSync || n.Reference != artifact.Tags[i] {
				t.Fatalf("standing %d: %+v", i, n)
			}
		}
	})
}
