package server_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// Of a whole server the newest images go, under the names of the rule, with what belongs
// to them; nothing else does.
func TestAServerSendsTheNewestOfAKindUnderNewNames(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	var pushed []*ts.Artifact
	for i := range 4 {
		image := ts.Image(t, uint64(i), 1, 100)
		pushed = append(pushed, image)
		ts.Push(t, home.registry(), "library/team/app", fmt.Sprint("v", i), image)
	}
	for _, image := range pushed { // later than every image, and of none of the kinds
		ts.Push(t, home.registry(), "library/team/app", ts.CosignTag(image.Digest), ts.CosignSignature(t, image))
	}
	ts.Push(t, home.registry(), "library/team/app", "thing", ts.UnknownArtifact(t, 9))
	policy := home.eventRule("newest", home.endpoint("cluster", cluster), object{
		"select": object{"newest": 2, "artifact_types": []string{"IMAGE"}}, "rename": object{"template": "{path}"},
	})
	if e := home.run(policy); e.Status != "Succeed" {
		t.Errorf("%+v", e)
	}
	want := []string{ts.CosignTag(pushed[2].Digest), ts.CosignTag(pushed[3].Digest), "v2", "v3"}
	got := ts.Tags(t, cluster, "team/app")
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("there are %v, want %v", got, want)
	}
	// A push goes, and what it makes one too many stays.
	d := ts.Push(t, home.registry(), "library/team/app", "v4", ts.Image(t, 5, 1, 100))
	arrives(t, cluster, "team/app", "v4", d)
	if _, there := ts.Digest(t, cluster, "team/app", "v2"); !there {
		t.Error("v2 is gone")
	}
}

func TestEventsOfAServerGoByMediaTypes(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	policy := home.eventRule("things", home.endpoint("cluster", cluster), object{
		"select": object{"artifact_types": []string{"application/vnd.example.thing.v1"}},
	})
	ts.Push(t, home.registry(), "library/app", "image", ts.Image(t, 1, 1, 100))
	d := ts.Push(t, home.registry(), "library/app", "thing", ts.UnknownArtifact(t, 2))
	arrives(t, cluster, "library/app", "thing", d)
	if got := ts.Tags(t, cluster, "library/app"); !slices.Equal(got, []string{"thing"}) {
		t.Errorf("there are %v", got)
	}
	if all := home.executions(policy); len(all) != 1 {
		t.Errorf("executions: %+v", all)
	}
}

// A Harbor tells times and kinds too.
func TestAPullRuleSelectsByWhatAHarborTells(t *testing.T) {
	t.Parallel()
	source, home := start(t, server.Config{DataDir: t.TempDir()}), start(t, server.Config{DataDir: t.TempDir()})
	for i, tag := range []string{"b", "c", "a"} {
		ts.Push(t, source.registry(), "library/app", tag, ts.Image(t, uint64(i), 1, 100))
	}
	ts.Push(t, source.registry(), "library/app", "thing", ts.UnknownArtifact(t, 9))
	from := home.create("/registries", object{
		"name": "source", "url": source.url, "type": registry.ProviderHarbor,
		"credential": object{"type": "basic", "access_key": "admin", "access_secret": adminPassword},
	})
	for i, tc := range []struct {
		selects object
		want    []string
	}{
		{object{"newest": 2, "artifact_types": []string{"image"}}, []string{"a", "c"}},
		{object{"newest": 1}, []string{"thing"}},
		{object{"pushed_since": "1h"}, []string{"a", "b", "c", "thing"}},
		{object{"pushed_since": "2999-01-01"}, nil},
		{object{"artifact_types": []string{"application/vnd.example.thing.v1"}}, []string{"thing"}},
	} {
		to := fmt.Sprint("mirror", i)
		policy := home.create("/replication/policies", object{
			"name": to, "src_registry": object{"id": from}, "enabled": true, "override": true,
			"dest_namespace": to, "select": tc.selects,
		})
		if e := home.run(policy); e.Status != "Succeed" {
			t.Errorf("%v: %+v", tc.selects, e)
		}
		var got []string
		if tc.want != nil {
			got = ts.Tags(t, home.registry(), to+"/app")
			slices.Sort(got)
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%v: %v, want %v", tc.selects, got, tc.want)
		}
	}
}
