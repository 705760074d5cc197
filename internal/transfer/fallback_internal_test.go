package transfer

import (
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func d(text string) string { return digest.FromString(text).String() }

// The index under a fallback tag is anybody's; what is in it is kept.
func FuzzFallbackIndex(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"digest":"` + d("a") + `","x":1},5,null]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		index, err := parseIndex(ocispec.MediaTypeImageIndex, content)
		if err != nil {
			return
		}
		before := len(index.entries)
		add := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("new"), Size: 3}
		changed := index.merge([]ocispec.Descriptor{add}, nil)
		if changed && len(index.entries) != before+1 || !changed && len(index.entries) != before {
			t.Fatalf("%d entries of %d", len(index.entries), before)
		}
		m, err := index.manifest()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseIndex(m.MediaType, m.Content)
		if err != nil || again.merge([]ocispec.Descriptor{add}, nil) {
			t.Fatalf("%s: %v", m.Content, err)
		}
	})
}
