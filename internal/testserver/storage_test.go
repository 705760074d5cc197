package testserver_test

import (
	"testing"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestARegistryKeepsItsFilesInAStore(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Registry{"v3": ts.Distribution, "v2.8": ts.DistributionV2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t)
			image := ts.Image(t, 1, 2, 1000)
			r := start(t, ts.WithStore(store, "/harbor"))
			ts.Push(t, r, "library/app", "v1", image)
			if pulled := ts.Pull(t, r, "library/app", "v1"); pulled.Digest != image.Digest || r.Root != "" {
				t.Errorf("pulled %s, its folder is %q", pulled.Digest, r.Root)
			}
			tag := "harbor/docker/registry/v2/repositories/library/app/_manifests/tags/v1/current/link"
			if content, there := store.Get(tag); !there || string(content) != image.Digest.String() {
				t.Errorf("the store has %q for the tag", content)
			}
			if keys := store.Keys(""); len(keys) != len(store.Keys("harbor/docker/registry/v2/")) {
				t.Errorf("keys elsewhere: %q", keys)
			}
			frozen := start(t, ts.WithStore(store, "/harbor"), ts.WithReadOnly())
			ts.Pull(t, frozen, "library/app", "v1")
			if err := ts.TryPush(t.Context(), frozen, "library/app", "v2", ts.Image(t, 2, 1, 100)); err == nil {
				t.Error("a registry that is read-only took a push")
			}
		})
	}
}
