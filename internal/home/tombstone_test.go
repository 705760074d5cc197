package home_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/oci"
)

// bury moves a tag to a tombstone, and deletes it with or after its tag.
func (f *fixture) bury(tag string, removes digest.Digest, tagFirst bool) {
	f.t.Helper()
	stone := f.push("library/app", tag, "tombstone of "+tag, 1, func(m *ocispec.Manifest) {
		m.ArtifactType = oci.TombstoneType
		m.Annotations[oci.TombstoneRemoves] = removes.String()
	})
	if standing, err := f.Standing(f.t.Context(), "library/app", tag); err != nil || standing != "" {
		f.t.Errorf("%s stands for %q, %v", tag, standing, err)
	}
	if tagFirst {
		f.remove("library/app", stone, tag)
	}
	f.remove("library/app", stone, "")
}

// Another server's way to remove a tag looks like a removal of the tag, and nothing else.
func TestATombstoneIsNoPushButADeletionOfItsTag(t *testing.T) {
	each(t, func(f *fixture) {
		d := f.push("library/app", "v1", "a", 1)
		f.push("library/app", "v2", "a", 1)
		f.push("library/app", "keep", "a", 1)
		if standing, err := f.Standing(f.t.Context(), "library/app", "v1"); err != nil || standing != d.String() {
			f.t.Errorf("v1 stands for %q, %v", standing, err)
		}
		f.exec(`DELETE FROM events`)
		f.bury("v1", d, true)
		f.bury("v2", d, false)
		events, err := f.Events(f.t.Context(), 10)
		f.must(err)
		var got []string
		for _, e := range events {
			got = append(got, fmt.Sprint(e.Type, e.Tags, e.Digest == d.String(), " ", e.Artifact))
		}
		if want := []string{"delete_tag[v1] true IMAGE", "delete_tag[v2] true IMAGE"}; !slices.Equal(got, want) {
			f.t.Errorf("events %q, want %q", got, want)
		}
		if standing, err := f.Standing(f.t.Context(), "library/app", "keep"); err != nil || standing != d.String() {
			f.t.Errorf("keep stands for %q, %v", standing, err)
		}
	})
}
