package oci_test

import (
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/oci"
)

func TestTombstones(t *testing.T) {
	t.Parallel()
	removes := "sha256:" + strings.Repeat("a", 64)
	of := func(kind, digest string) string {
		return `{"schemaVersion":2,"artifactType":"` + kind + `","annotations":{"` + oci.TombstoneRemoves + `":"` + digest + `"}}`
	}
	for content, want := range map[string]bool{
		of(oci.TombstoneType, removes):                 true,
		of(oci.TombstoneType, "sha256:a"):              false,
		of(oci.TombstoneType, ""):                      false,
		of("application/vnd.example", removes):         false,
		`{"artifactType":"` + oci.TombstoneType + `"}`: false,
		`[]`: false,
		``:   false,
	} {
		d, is := oci.Tombstone([]byte(content))
		if is != want || is && d.String() != removes {
			t.Errorf("%s: %q, %v", content, d, is)
		}
	}
}
