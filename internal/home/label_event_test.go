package home_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/lighterage/lighterage/internal/home"
)

// changes takes all events and returns those of labels.
func (f *fixture) changes() []string {
	f.t.Helper()
	events, err := f.Events(f.t.Context(), 1000)
	f.must(err)
	var found []string
	for _, e := range events {
		if e.Type == home.LabelArtifact {
			found = append(found, fmt.Sprint(e.Repository, e.Tags, e.FormerLabels, " to ", e.Labels, " ", e.Artifact))
		}
	}
	f.exec(`DELETE FROM events`)
	return found
}

func (f *fixture) label(name string, scope home.Scope, project int64) int64 {
	f.t.Helper()
	id, err := f.CreateLabel(f.t.Context(), home.Label{Name: name, Scope: scope, ProjectID: project})
	f.must(err)
	return id
}

func TestAChangeOfLabelsIsAnEvent(t *testing.T) {
	each(t, func(f *fixture) {
		ctx := f.t.Context()
		f.push("library/app", "v1", "a", 1)
		f.push("library/app", "v1.0", "a", 1)
		f.push("library/web", "v2", "b", 1)
		release, hold := f.label("release", home.GlobalScope, 0), f.label("hold", home.GlobalScope, 0)
		ours := f.label("release", home.ProjectScope, 1)
		f.changes()
		for _, step := range []struct {
			what   string
			change func() error
			want   []string
		}{
			{"a label is added", func() error { return f.AddLabel(ctx, "library/app", "v1", release) },
				[]string{"library/app[v1 v1.0] [] to [release] IMAGE"}},
			{"another one", func() error { return f.AddLabel(ctx, "library/app", "v1", hold) },
				[]string{"library/app[v1 v1.0] [release] to [hold release] IMAGE"}},
			{"one of a name that it has", func() error { return f.AddLabel(ctx, "library/app", "v1", ours) }, nil},
			{"one of two of a name is removed", func() error { return f.RemoveLabel(ctx, "library/app", "v1", release) }, nil},
			{"the other one too", func() error { return f.RemoveLabel(ctx, "library/app", "v1", ours) },
				[]string{"library/app[v1 v1.0] [hold release] to [hold] IMAGE"}},
			{"another artifact gets one", func() error { return f.AddLabel(ctx, "library/web", "v2", hold) },
				[]string{"library/web[v2] [] to [hold] IMAGE"}},
			{"a label gets another colour", func() error { return f.UpdateLabel(ctx, home.Label{ID: hold, Name: "hold", Color: "#fff"}) }, nil},
			{"a label gets another name", func() error { return f.UpdateLabel(ctx, home.Label{ID: hold, Name: "wait"}) },
				[]string{"library/app[v1 v1.0] [hold] to [wait] IMAGE", "library/web[v2] [hold] to [wait] IMAGE"}},
			{"a label that nothing has is deleted", func() error { return f.DeleteLabel(ctx, ours) }, nil},
			{"a label is deleted", func() error { return f.DeleteLabel(ctx, hold) },
				[]string{"library/app[v1 v1.0] [wait] to [] IMAGE", "library/web[v2] [wait] to [] IMAGE"}},
		} {
			f.must(step.change())
			if got := f.changes(); !slices.Equal(got, step.want) {
				f.t.Errorf("%s: %q, want %q", step.what, got, step.want)
			}
		}
		// What fails has changed nothing.
		if err := f.AddLabel(ctx, "library/app", "v1", 999); err == nil {
			f.t.Error("a label that is not there was added")
		}
		if err := f.RemoveLabel(ctx, "library/app", "v1", release); err == nil {
			f.t.Error("a label that it has not was removed")
		}
		if got := f.changes(); got != nil {
			f.t.Errorf("after failures: %q", got)
		}
	})
}

// A rule may want two labels: whoever adds the second one must say that both are there.
func TestTheLastOfManyChangesOfLabelsTellsAllLabels(t *testing.T) {
	each(t, func(f *fixture) {
		f.push("library/app", "v1", "a", 1)
		const many = 8
		var ids []int64
		for i := range many {
			ids = append(ids, f.label(fmt.Sprint("l", i), home.GlobalScope, 0))
		}
		var all sync.WaitGroup
		for _, id := range ids {
			all.Go(func() {
				if err := f.AddLabel(f.t.Context(), "library/app", "v1", id); err != nil {
					f.t.Error(err)
				}
			})
		}
		all.Wait()
		events, err := f.Events(f.t.Context(), 100)
		f.must(err)
		most := 0
		for _, e := range events {
			most = max(most, len(e.Labels))
		}
		if most != many {
			f.t.Errorf("no event tells of more than %d of %d labels", most, many)
		}
	})
}
