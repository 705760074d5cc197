package oci

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const anIndex = `{"schemaVersion":2,"x-unheard-of":{"b":1,"a":[2]},"manifests":[%s],"annotations":{"k":"v"}}`

func entry(name string) string {
	return `{"mediaType":"` + ocispec.MediaTypeImageManifest + `","digest":"` + d(name) + `","size":1,"x-own":"` + name + `"}`
}

func TestEntriesAreTheIndexAsItIs(t *testing.T) {
	t.Parallel()
	content := fmt.Sprintf(anIndex, strings.Join([]string{entry("a"), entry("b"), entry("a")}, ","))
	entries, err := Entries([]byte(content))
	if err != nil || len(entries) != 3 || entries[2].Digest.String() != d("a") {
		t.Errorf("%v, %v", entries, err)
	}
	if entries, err := Entries([]byte(`{"layers":[]}`)); err != nil || entries != nil {
		t.Errorf("an image lists %v, %v", entries, err)
	}
	for _, bad := range []string{`[]`, fmt.Sprintf(anIndex, `{"digest":"x"}`), fmt.Sprintf(anIndex, `{"digest":"`+d("a")+`","size":-1}`)} {
		if _, err := Entries([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestASmallerIndexKeepsAllElse(t *testing.T) {
	t.Parallel()
	content := []byte(fmt.Sprintf(anIndex, strings.Join([]string{entry("a"), entry("b"), entry("c")}, ", ")))
	other := ocispec.Descriptor{Digest: digest.Digest(d("other")), Size: 77}
	got, err := Without(content, []bool{true, false, true}, map[digest.Digest]ocispec.Descriptor{digest.Digest(d("c")): other})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"annotations":{"k":"v"},"manifests":[` + entry("a") + `,{"digest":"` + d("other") + `","mediaType":"` + ocispec.MediaTypeImageManifest +
		`","size":77,"x-own":"c"}],"schemaVersion":2,"x-unheard-of":{"b":1,"a":[2]}}`
	if string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	again, err := Without(content, []bool{true, false, true}, map[digest.Digest]ocispec.Descriptor{digest.Digest(d("c")): other})
	if err != nil || string(again) != string(got) {
		t.Errorf("the second time: %s, %v", again, err)
	}
}

func TestAnIndexThatReadersUnderstandDifferentlyIsNotMadeSmaller(t *testing.T) {
	t.Parallel()
	for _, content := range []string{
		`{"Manifests":[` + entry("a") + `]}`,
		`{"manifests":[` + entry("a") + `],"MANIFESTS":[` + entry("a") + `,` + entry("b") + `]}`,
		`{"manifests":[{"Digest":"` + d("a") + `"}]}`,
		`{}`, `[]`, ``,
	} {
		entries, _ := Entries([]byte(content))
		if _, err := Without([]byte(content), make([]bool, len(entries)+1), nil); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", content, err)
		}
		keep := make([]bool, len(entries))
		for i := range keep {
			keep[i] = true
		}
		if made, err := Without([]byte(content), keep, nil); err == nil {
			t.Errorf("%s became %s", content, made)
		}
	}
}

func TestAttestationsBelongToWhatTheyName(t *testing.T) {
	t.Parallel()
	about := map[string]string{annotationReference: d("a")}
	unknown := &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	for _, c := range []struct {
		entry ocispec.Descriptor
		want  string
	}{
		{ocispec.Descriptor{Platform: unknown, Annotations: about}, d("a")},
		{ocispec.Descriptor{Annotations: about}, d("a")},
		{ocispec.Descriptor{Platform: unknown}, ""},
		{ocispec.Descriptor{Platform: &ocispec.Platform{OS: "linux", Architecture: "amd64"}, Annotations: about}, ""},
	} {
		if got := AttestationOf(c.entry); got.String() != c.want {
			t.Errorf("%+v: %q", c.entry, got)
		}
	}
}

func TestWhatIsASignature(t *testing.T) {
	t.Parallel()
	bundle := func(predicate string) ocispec.Descriptor {
		r := ocispec.Descriptor{ArtifactType: sigstoreBundle}
		if predicate != "" {
			r.Annotations = map[string]string{annotationPredicate: predicate}
		}
		return r
	}
	for _, c := range []struct {
		referrer ocispec.Descriptor
		want     bool
	}{
		{ocispec.Descriptor{ArtifactType: notationSignature}, true},
		{ocispec.Descriptor{ArtifactType: cosignSignature}, true},
		{bundle(""), true},
		{bundle(cosignPredicate), true},
		{bundle("https://slsa.dev/provenance/v1"), false},
		{ocispec.Descriptor{ArtifactType: "application/spdx+json"}, false},
		{ocispec.Descriptor{}, false},
	} {
		if got := IsSignature(c.referrer); got != c.want {
			t.Errorf("%+v: %v", c.referrer, got)
		}
	}
}

// Whatever an index says, one that is made smaller lists what was kept and nothing else.
func FuzzWithout(f *testing.F) {
	f.Add([]byte(fmt.Sprintf(anIndex, entry("a")+","+entry("b"))), uint64(1))
	f.Fuzz(func(t *testing.T, content []byte, keeps uint64) {
		entries, err := Entries(content)
		if err != nil {
			return
		}
		keep := make([]bool, len(entries))
		want := []string{}
		for i := range keep {
			if keep[i] = keeps>>(i%64)&1 == 1; keep[i] {
				want = append(want, string(entries[i].Digest))
			}
		}
		made, err := Without(content, keep, nil)
		if err != nil {
			return
		}
		got, err := Entries(made)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%s lists %v, %v; want %v", made, got, err, want)
		}
		for i := range got {
			if string(got[i].Digest) != want[i] {
				t.Fatalf("%s lists %s, want %s", made, got[i].Digest, want[i])
			}
		}
	})
}
