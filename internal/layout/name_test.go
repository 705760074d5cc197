package layout_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/layout"
)

func TestRepositoryNames(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"a": true, "0": true, "app": true, "library/app": true, "a/b/c/d/e": true, "a.b": true, "a_b": true, "a__b": true, "a-b": true, "a---b": true,
		"mirror/docker.io/library/app": true, "Mirror/app": true, "registry.Example.com/app": true, "A-1.b/c": true,
		strings.Repeat("a", 255): true, strings.Repeat("a/", 127) + "a": true, "host/" + strings.Repeat("a", 255): true,

		"": false, "/": false, "/a": false, "a/": false, "a//b": false, ".": false, "..": false, "a/..": false, "a/../b": false, ".a": false, "a.": false,
		"_a": false, "a_": false, "-a": false, "a-": false, "a..b": false, "a___b": false, "a.-b": false, "a_-b": false, "a._b": false,
		"App": false, "a/App": false, "Mirror": false, "A/b/C": false, "A_b/c": false, "a b": false, "a:b": false, "host:5000/a": false, "[::1]/a": false,
		"A./b": false, "-A/b": false, "A-/b": false, "ä": false, "a\x00": false, "a\n": false, "a\\b": false, "a/_layers": false,
		strings.Repeat("a", 256): false, "host/" + strings.Repeat("a", 256): false, "a_b/" + strings.Repeat("a", 252): false,
	}
	for name, want := range tests {
		if got := layout.ValidRepository(name); got != want {
			t.Errorf("%q: %t, want %t", name, got, want)
		}
		sameAsReference(t, name)
	}
}

func TestRepositoryNamesAreThoseOfReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sameAsReference(t, rapid.StringMatching(`[a-zA-Z0-9._/:\[\]-]{0,20}`).Draw(t, "name"))
	})
	rapid.Check(t, func(t *rapid.T) {
		name := repositoryNames().Draw(t, "name")
		if !layout.ValidRepository(name) {
			t.Fatalf("%q is refused", name)
		}
		sameAsReference(t, mutilate(t, name))
	})
	rapid.Check(t, func(t *rapid.T) { // around the limit
		first := rapid.StringMatching(`[a-zA-Z._-]{0,3}/?`).Draw(t, "first")
		sameAsReference(t, first+strings.Repeat("a", rapid.IntRange(250, 260).Draw(t, "length")))
	})
}

// storable is what distribution's storage drivers take as a path.
var storable = regexp.MustCompile(`^[A-Za-z0-9._/-]+$`)

func sameAsReference(t interface{ Fatalf(string, ...any) }, name string) {
	_, err := reference.WithName(name)
	if want := err == nil && storable.MatchString(name); layout.ValidRepository(name) != want {
		t.Fatalf("%q is valid: %t, want %t (%v)", name, !want, want, err)
	}
}

func TestTagsAreThoseOfReference(t *testing.T) {
	t.Parallel()
	app, err := reference.WithName("app")
	if err != nil {
		t.Fatal(err)
	}
	check := func(t interface{ Fatalf(string, ...any) }, tag string) {
		_, err := reference.WithTag(app, tag)
		if layout.ValidTag(tag) != (err == nil) {
			t.Fatalf("%q is valid: %t; reference says %v", tag, layout.ValidTag(tag), err)
		}
	}
	for _, tag := range []string{"", "v1", "V1", "_", "_a", ".a", "-a", "a.", "a-", "a..b", "a b", "a/b", "a:b", "a+b", "ä", "a\n", "a\x00", strings.Repeat("a", 128), strings.Repeat("a", 129)} {
		check(t, tag)
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t, rapid.StringMatching(`[a-zA-Z0-9._-]{0,5}`).Draw(t, "tag"))
		check(t, mutilate(t, rapid.StringMatching(`[a-zA-Z0-9_][a-zA-Z0-9._-]{0,130}`).Draw(t, "tag")))
		check(t, rapid.String().Draw(t, "text"))
	})
}

func TestDigestsAreThoseOfGoDigest(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", ":", "sha256:", "sha256:" + hex256, "sha384:" + hex384, "sha512:" + hex512, "sha256:" + hex512, "sha512:" + hex256, "md5:" + hex256[:32],
		"sha256:" + strings.ToUpper(hex256), "sha256:" + hex256[:63], "sha256:" + hex256 + "0", "sha256:" + hex256[:63] + "g", "SHA256:" + hex256, " sha256:" + hex256,
	} {
		sameAsDigest(t, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		f := files().Filter(func(f layout.File) bool { return f.Hex != "" }).Draw(t, "file")
		sameAsDigest(t, string(f.Digest()))
		sameAsDigest(t, mutilate(t, string(f.Digest())))
	})
}

func sameAsDigest(t interface{ Fatalf(string, ...any) }, text string) {
	algorithm, hex, found := strings.Cut(text, ":")
	err := digest.Digest(text).Validate()
	if valid := found && layout.ValidDigest(algorithm, hex); valid != (err == nil) {
		t.Fatalf("%q is valid: %t; go-digest says %v", text, valid, err)
	}
}
