package replication_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, ts.IgnoreLeaks()...) }

// side is a registry as one side of a route, with little patience for faults.
func side(t *testing.T, r *ts.Registry) *replication.Side {
	t.Helper()
	s, err := replication.NewSide("remote", registry.Endpoint{Provider: registry.ProviderDockerRegistry, URL: r.URL},
		registry.Options{Attempts: 2}, replication.Books{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Engine.Wait()
		s.Adapter.Client().Close()
	})
	return s
}

// plan collects a whole plan, in the order of source repositories.
func plan(t *testing.T, r replication.Route) []replication.RepositoryPlan {
	t.Helper()
	var plans []replication.RepositoryPlan
	for p, err := range r.Plan(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(p.Items, func(a, b replication.Item) int { return strings.Compare(a.Reference, b.Reference) })
		plans = append(plans, p)
	}
	slices.SortFunc(plans, func(a, b replication.RepositoryPlan) int {
		return strings.Compare(a.SourceRepository, b.SourceRepository)
	})
	return plans
}

func TestADestinationThatDoesNotAnswerKeepsNoPlanOfOthersBack(t *testing.T) {
	t.Parallel()
	const repositories = 40 // more than are planned at once
	source, hanging, healthy := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
	image := ts.Image(t, 1, 1, 100)
	for i := range repositories {
		ts.Push(t, source, fmt.Sprintf("library/app%d", i), "v1", image)
	}
	hold := ts.NewHold()
	t.Cleanup(hold.Release)
	hanging.Faults.Add(ts.Fault{Do: hold.Before()})
	r := replication.Route{Rule: rule.Rule{Override: true}, Source: side(t, source), Destination: side(t, hanging), More: []*replication.Side{side(t, healthy)}}
	r.Destination.ID, r.More[0].ID = 1, 2
	planned := map[int64]int{}
	for p, err := range r.Plan(t.Context()) {
		if err != nil || p.Err != nil {
			t.Fatal(err, p.Err)
		}
		if planned[p.DestinationID]++; planned[2] == repositories {
			hold.Release()
		} else if planned[1] > 0 {
			t.Fatal("the one that does not answer had to, before all was planned for the other")
		}
	}
	if planned[1] != repositories || planned[2] != repositories {
		t.Errorf("planned: %v", planned)
	}
}

// hooks keep books in memory.
type hooks struct {
	mu       sync.Mutex
	lines    []string
	placed   map[string]digest.Digest
	expected map[string]digest.Digest
}

func (h *hooks) hooks() replication.Hooks {
	h.placed = map[string]digest.Digest{}
	return replication.Hooks{
		Log: func(level, format string, args ...any) {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.lines = append(h.lines, level+" "+fmt.Sprintf(format, args...))
		},
		Progress: func(total, sent int64) {},
		Placed: func(_ context.Context, repository, reference string, d digest.Digest) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.placed[repository+":"+reference] = d
			return nil
		},
		Intended: func(context.Context, string, string, digest.Digest) error { return nil },
		Expected: func(_ context.Context, repository, reference string) ([]digest.Digest, string, error) {
			if d := h.expected[repository+":"+reference]; d != "" {
				return []digest.Digest{d}, "", nil
			}
			return nil, "", nil
		},
		Removed: func(context.Context, string, string) error { return nil },
	}
}

func TestAPlanSaysWhatWillBeDone(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
	same, old, recent := ts.Image(t, 1, 1, 100), ts.Image(t, 2, 1, 100), ts.Image(t, 3, 1, 100)
	for tag, image := range map[string]*ts.Artifact{"same": same, "new": recent, "changed": recent} {
		ts.Push(t, source, "team/app", tag, image)
	}
	ts.Push(t, target, "mirror/app", "same", same)
	ts.Push(t, target, "mirror/app", "changed", old)
	ts.Push(t, target, "mirror/app", "extra", old)
	target.ResetRequests()

	for _, tc := range []struct {
		override bool
		want     map[string]replication.Action
	}{
		{true, map[string]replication.Action{"same": "skip", "new": "copy", "changed": "overwrite"}},
		{false, map[string]replication.Action{"same": "skip", "new": "copy", "changed": "conflict"}},
	} {
		route := replication.Route{
			Rule:   rule.Rule{DestNamespace: "mirror", ReplaceCount: 1, Override: tc.override},
			Source: side(t, source), Destination: side(t, target),
		}
		plans := plan(t, route)
		if len(plans) != 1 || plans[0].Err != nil || plans[0].DestinationRepository != "mirror/app" {
			t.Fatalf("plans: %+v", plans)
		}
		for _, item := range plans[0].Items {
			if item.Action != tc.want[item.Reference] {
				t.Errorf("override %v: %s: %s, want %s", tc.override, item.Reference, item.Action, tc.want[item.Reference])
			}
		}
	}
	for _, r := range target.Requests() {
		if r.Method != http.MethodHead && r.Method != http.MethodGet {
			t.Errorf("planning wrote: %s %s", r.Method, r.Path)
		}
	}
}

func TestANewRepositoryCostsTwoQuestionsForAllItsTags(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
	image := ts.Image(t, 1, 1, 100)
	ts.Push(t, source, "team/app", "v0", image)
	for i := range 30 {
		ts.PutTag(t, source, "team/app", fmt.Sprintf("v%d", i+1), image)
	}
	plan(t, replication.Route{Source: side(t, source), Destination: side(t, target)})
	if n := target.Requests().Count("HEAD manifest", "GET tags"); n != 2 {
		t.Errorf("%d questions to an empty destination about 31 tags:\n%s", n, target.Requests())
	}
}

func TestCarryCopiesWhatThePlanSaysAndTellsWhatItPlaced(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
	d := ts.Push(t, source, "team/app", "v1", ts.Index(t, 1, "linux/amd64", "linux/arm64"))
	route := replication.Route{Source: side(t, source), Destination: side(t, target)}
	plans := plan(t, route)
	h := &hooks{}
	if err := route.Carry(t.Context(), &plans[0], h.hooks()); err != nil {
		t.Fatal(err)
	}
	if got := plans[0].Items[0]; got.Outcome != replication.Copied || got.BytesSent == 0 {
		t.Errorf("item: %+v", got)
	}
	if h.placed["team/app:v1"] != d {
		t.Errorf("placed: %v", h.placed)
	}
	ts.Pull(t, target, "team/app", "v1")
}

func TestOneDamagedImageDoesNotKeepTheOthersBack(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t), ts.Distribution(t, ts.WithMemory())
	broken := ts.Image(t, 1, 1, 1000)
	ts.Push(t, source, "team/app", "broken", broken)
	ts.Push(t, source, "team/app", "good", ts.Image(t, 2, 1, 1000))
	lost := broken.Blobs[len(broken.Blobs)-1].Digest
	source.LoseBlob(t, lost)
	route := replication.Route{Source: side(t, source), Destination: side(t, target)}
	plans := plan(t, route)
	err := route.Carry(t.Context(), &plans[0], (&hooks{}).hooks())
	if err == nil || !strings.Contains(err.Error(), "team/app:broken") || !strings.Contains(err.Error(), lost.Encoded()[:12]) {
		t.Errorf("the error names not both image and blob: %v", err)
	}
	ts.Pull(t, target, "team/app", "good")
	for _, item := range plans[0].Items {
		want := replication.Copied
		if item.Reference == "broken" {
			want = replication.Lost
		}
		if item.Outcome != want {
			t.Errorf("%s: %s (%s)", item.Reference, item.Outcome, item.Reason)
		}
	}
}

func TestWhatTheSourceStillHasIsNotDeleted(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
	image := ts.Image(t, 1, 1, 100)
	d := ts.Push(t, source, "team/app", "back", image)
	for _, tag := range []string{"back", "gone", "moved"} {
		ts.Push(t, target, "team/app", tag, image)
	}
	other := ts.Push(t, target, "team/app", "moved", ts.Image(t, 2, 1, 100))
	route := replication.Route{Source: side(t, source), Destination: side(t, target)}
	p := replication.RepositoryPlan{SourceRepository: "team/app", DestinationRepository: "team/app"}
	for _, tag := range []string{"back", "gone", "moved", "never"} {
		p.Items = append(p.Items, replication.Item{Reference: tag, Digest: d.String(), Action: replication.ActionDelete})
	}
	if err := route.Carry(t.Context(), &p, (&hooks{}).hooks()); err != nil {
		t.Fatal(err)
	}
	want := []replication.Outcome{replication.Kept, replication.Deleted, replication.Foreign, replication.Absent}
	for i, item := range p.Items {
		if item.Outcome != want[i] {
			t.Errorf("%s: %s (%s), want %s", item.Reference, item.Outcome, item.Reason, want[i])
		}
	}
	if got, _ := ts.Digest(t, target, "team/app", "moved"); got != other {
		t.Errorf("moved is %s, want %s", got, other)
	}
	ts.Pull(t, target, "team/app", "back")
}

func TestAListingThatFailsIsSaid(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
	ts.Push(t, source, "team/good", "v1", ts.Image(t, 1, 1, 100))
	ts.Push(t, source, "team/bad", "v1", ts.Image(t, 2, 1, 100))

	t.Run("of one repository: it alone", func(t *testing.T) {
		fault := source.Faults.Add(ts.Fault{Path: "/v2/team/bad/tags/list", Do: ts.Status(http.StatusInternalServerError)})
		defer fault.Remove()
		plans := plan(t, replication.Route{Source: side(t, source), Destination: side(t, target)})
		if len(plans) != 2 || plans[0].Err == nil || plans[1].Err != nil {
			t.Errorf("plans: %+v", plans)
		}
	})
	t.Run("of all: the plan ends", func(t *testing.T) {
		fault := source.Faults.Add(ts.Fault{Path: "/v2/_catalog", Do: ts.Status(http.StatusInternalServerError)})
		defer fault.Remove()
		var failure error
		for _, err := range (replication.Route{Source: side(t, source), Destination: side(t, target)}).Plan(t.Context()) {
			failure = err
		}
		if failure == nil || !strings.Contains(failure.Error(), "500") {
			t.Errorf("got %v", failure)
		}
	})
	t.Run("a reader that stops ends everything", func(t *testing.T) {
		for range (replication.Route{Source: side(t, source), Destination: side(t, target)}).Plan(t.Context()) {
			break
		}
	})
}

func TestAManifestIsDeletedAfterItsTags(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
	ts.Push(t, source, "team/app", "other", ts.Image(t, 2, 1, 100))
	image := ts.Image(t, 1, 1, 100)
	var d digest.Digest
	for _, tag := range []string{"v1", "v2"} {
		d = ts.Push(t, target, "team/app", tag, image)
	}
	route := replication.Route{Source: side(t, source), Destination: side(t, target)}
	p := replication.RepositoryPlan{SourceRepository: "team/app", DestinationRepository: "team/app"}
	for _, reference := range []string{d.String(), "v1", "v2"} {
		p.Items = append(p.Items, replication.Item{Reference: reference, Digest: d.String(), Action: replication.ActionDelete})
	}
	if err := route.Carry(t.Context(), &p, (&hooks{}).hooks()); err != nil {
		t.Fatal(err)
	}
	for _, item := range p.Items {
		if item.Outcome != replication.Deleted {
			t.Errorf("%s: %s (%s)", item.Reference, item.Outcome, item.Reason)
		}
	}
	if _, there := ts.Digest(t, target, "team/app", d.String()); there {
		t.Error("the manifest is still there")
	}
}

// A registry that is no Harbor tells tags only: no labels, and nothing without a tag.
func TestAPlainRegistryTellsNoLabelsAndNothingUntagged(t *testing.T) {
	t.Parallel()
	source, target := ts.Distribution(t, ts.WithMemory()), ts.Distribution(t, ts.WithMemory())
	ts.Push(t, source, "team/app", "v1", ts.Image(t, 1, 1, 100))
	ts.Push(t, source, "team/app", "", ts.Image(t, 2, 1, 100))
	for name, tc := range map[string]struct {
		filters []rule.Filter
		want    []string
	}{
		"no filter":        {nil, []string{"v1"}},
		"a label":          {[]rule.Filter{labelled("", "release")}, nil},
		"without a label":  {[]rule.Filter{labelled(rule.Excludes, "hold")}, []string{"v1"}},
		"tags but release": {[]rule.Filter{{Type: rule.FilterTag, Value: "release", Decoration: rule.Excludes}}, []string{"v1"}},
	} {
		var got []string
		for _, p := range plan(t, replication.Route{Rule: rule.Rule{Filters: tc.filters}, Source: side(t, source), Destination: side(t, target)}) {
			if p.Err != nil {
				t.Fatal(p.Err)
			}
			for _, item := range p.Items {
				got = append(got, item.Reference)
			}
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}
