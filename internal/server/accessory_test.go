package server_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// Signatures, SBOMs and the like have no tag that a rule's filter could let
// through: they go where their subject goes (and nowhere else).
func TestAccessoriesFollowTheirSubjectThroughATagFilter(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		cluster func(t testing.TB, o ...ts.Option) *ts.Registry
		deletes bool // accessories can be deleted where the registry keeps the referrers itself
	}{{"distribution v3", ts.Distribution, false}, {"olareg", ts.Olareg, true}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			home := start(t, server.Config{DataDir: t.TempDir()})
			cluster := tc.cluster(t)
			home.eventRule("releases", home.endpoint("cluster", cluster), object{"filters": []object{{"type": "tag", "value": "v*"}}})
			image, index, other := ts.Image(t, 1, 1, 200), ts.Index(t, 2, "linux/amd64", "linux/arm64"), ts.Image(t, 3, 1, 200)
			ts.Push(t, home.registry(), "library/app", "dev", other)
			arrives(t, cluster, "library/app", "v1", ts.Push(t, home.registry(), "library/app", "v1", image))
			arrives(t, cluster, "library/app", "v2", ts.Push(t, home.registry(), "library/app", "v2", index))

			sbom := ts.Referrer(t, image, "application/spdx+json", 10)
			signature := ts.Referrer(t, sbom, "application/vnd.cncf.notary.signature", 11) // of the SBOM
			ofChild := ts.Referrer(t, index.Children[0], "application/spdx+json", 12)
			unwanted := ts.Referrer(t, other, "application/spdx+json", 13)
			for _, a := range []*ts.Artifact{unwanted, sbom, signature, ofChild} {
				ts.Push(t, home.registry(), "library/app", "", a)
			}
			cosign := ts.Push(t, home.registry(), "library/app", ts.CosignTag(image.Digest), ts.CosignSignature(t, image))
			attestation := ts.ReferrersTag(index.Digest) + ".att"
			attested := ts.Push(t, home.registry(), "library/app", attestation, ts.Image(t, 14, 1, 100))

			arrives(t, cluster, "library/app", ts.CosignTag(image.Digest), cosign)
			arrives(t, cluster, "library/app", attestation, attested)
			for _, a := range []*ts.Artifact{sbom, signature, ofChild} {
				arrives(t, cluster, "library/app", a.Digest.String(), a.Digest)
			}
			ts.Eventually(t, "the subject's referrers tell of it", func() bool {
				return slices.Contains(ts.Referrers(t, cluster, "library/app", image.Digest), sbom.Digest)
			})
			quiet(t, home)
			if _, there := ts.Digest(t, cluster, "library/app", unwanted.Digest.String()); there {
				t.Error("the accessory of an image that the rule does not want was copied")
			}

			home.do(http.MethodDelete, "/projects/library/repositories/app/artifacts/v1", nil, nil)
			vanishes(t, cluster, "library/app", "v1")
			vanishes(t, cluster, "library/app", ts.CosignTag(image.Digest))
			if tc.deletes {
				vanishes(t, cluster, "library/app", sbom.Digest.String())
				vanishes(t, cluster, "library/app", signature.Digest.String())
			}
			quiet(t, home)
			ts.Pull(t, cluster, "library/app", "v2")
		})
	}
}

// A manual run brings accessories that were pushed after their subject was copied,
// under the tags by which they are looked for.
func TestAManualRunBringsWhatWasSignedLater(t *testing.T) {
	t.Parallel()
	home := start(t, server.Config{DataDir: t.TempDir()})
	cluster := ts.Distribution(t)
	policy := home.create("/replication/policies", object{
		"name": "manual", "dest_registry": object{"id": home.endpoint("cluster", cluster)}, "enabled": true,
		"trigger": object{"type": "manual"}, "filters": []object{{"type": "tag", "value": "v*"}},
	})
	image, index := ts.Image(t, 1, 1, 200), ts.Index(t, 2, "linux/amd64", "linux/arm64")
	ts.Push(t, home.registry(), "library/app", "v1", image)
	ts.Push(t, home.registry(), "library/app", "v2", index)
	if e := home.run(policy); e.Status != "Succeed" {
		t.Fatalf("%+v", e)
	}
	cosign := ts.Push(t, home.registry(), "library/app", ts.CosignTag(image.Digest), ts.CosignSignature(t, image))
	sbom := ts.Referrer(t, image, "application/spdx+json", 10)
	ofChild := ts.Referrer(t, index.Children[1], "application/spdx+json", 11)
	ts.Push(t, home.registry(), "library/app", "", sbom)
	ts.Push(t, home.registry(), "library/app", "", ofChild)
	if e := home.run(policy); e.Status != "Succeed" {
		t.Fatalf("%+v", e)
	}
	if got, ok := ts.Digest(t, cluster, "library/app", ts.CosignTag(image.Digest)); !ok || got != cosign {
		t.Errorf("the signature's tag is %q", got)
	}
	for _, a := range []*ts.Artifact{sbom, ofChild} {
		if _, ok := ts.Digest(t, cluster, "library/app", a.Digest.String()); !ok {
			t.Errorf("the accessory %s is not there", a.Digest)
		}
	}
}

// quiet waits until no execution is under way.
func quiet(t *testing.T, a *instance) {
	t.Helper()
	ts.Eventually(t, "nothing is left to be done", func() bool {
		var running []execution
		a.do(http.MethodGet, "/replication/executions?status=InProgress&page_size=0", nil, &running)
		return len(running) == 0
	})
}
