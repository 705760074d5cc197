package layout_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/layout"
)

func TestALinkLeadsToItsDigest(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("f", 64)
	layer := layout.File{Kind: layout.LayerLink, Repository: "app", Algorithm: "sha256", Hex: hex256}
	alias := layout.File{Kind: layout.LayerLink, Repository: "app", Algorithm: "sha512", Hex: hex512}
	revision := layout.File{Kind: layout.RevisionLink, Repository: "app", Algorithm: "sha256", Hex: hex256}
	history := layout.File{Kind: layout.TagHistory, Repository: "app", Tag: "v1", Algorithm: "sha256", Hex: hex256}
	tag := layout.File{Kind: layout.TagLink, Repository: "app", Tag: "v1"}
	tests := []struct {
		name    string
		file    layout.File
		content string
		err     error
	}{
		{"a layer's own digest", layer, "sha256:" + hex256, nil},
		{"a revision's own digest", revision, "sha256:" + hex256, nil},
		{"a tag's former digest", history, "sha256:" + hex256, nil},
		{"any digest of a tag", tag, "sha256:" + other, nil},
		{"a SHA-512 digest of a tag", tag, "sha512:" + hex512, nil},
		{"an alias of a SHA-256 digest", alias, "sha256:" + other, nil},
		{"an alias of itself", alias, "sha512:" + hex512, nil},

		{"nothing", layer, "", layout.ErrEmptyLink},
		{"nothing in a tag", tag, "", layout.ErrEmptyLink},
		{"another digest", layer, "sha256:" + other, layout.ErrWrongLink},
		{"another revision", revision, "sha256:" + other, layout.ErrWrongLink},
		{"another former digest", history, "sha256:" + other, layout.ErrWrongLink},
		{"another algorithm", layer, "sha512:" + hex512, layout.ErrWrongLink},
		{"a line's end after it", layer, "sha256:" + hex256 + "\n", layout.ErrMalformedLink},
		{"a blank before it", tag, " sha256:" + hex256, layout.ErrMalformedLink},
		{"a part of it", layer, "sha256:" + hex256[:30], layout.ErrMalformedLink},
		{"the algorithm only", tag, "sha256:", layout.ErrMalformedLink},
		{"no algorithm", tag, hex256, layout.ErrMalformedLink},
		{"upper case", tag, "sha256:" + strings.ToUpper(hex256), layout.ErrMalformedLink},
		{"zero bytes", tag, strings.Repeat("\x00", 71), layout.ErrMalformedLink},
		{"much too much", tag, strings.Repeat("x", 100_000), layout.ErrMalformedLink},
	}
	for _, tt := range tests {
		got, err := tt.file.Target([]byte(tt.content))
		if !errors.Is(err, tt.err) || err == nil && string(got) != tt.content || err != nil && got != "" {
			t.Errorf("%s: got %q, %v; want %v", tt.name, got, err, tt.err)
		}
		if err != nil && len(err.Error()) > 500 {
			t.Errorf("%s: the error has %d bytes", tt.name, len(err.Error()))
		}
	}
}

func TestTheContentOfALinkFollowsFromItsPath(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := files().Draw(t, "file")
		content, known := f.LinkContent()
		if want := f.IsLink() && !f.Mutable() && f.Algorithm == "sha256"; known != want {
			t.Fatalf("the content of %s is known: %t", f.Path(), known)
		}
		if !known {
			return
		}
		if d, err := f.Target([]byte(content)); err != nil || d != f.Digest() || len(content) != 71 {
			t.Fatalf("%s holds %q, which leads to %s, %v", f.Path(), content, d, err)
		}
		// No part of it is taken for the whole.
		if d, err := f.Target([]byte(content[:rapid.IntRange(0, 70).Draw(t, "part")])); err == nil {
			t.Fatalf("a part of the link is taken for %s", d)
		}
	})
}

func FuzzTarget(f *testing.F) {
	for _, p := range paths {
		f.Add(p.path, "sha256:"+hex256)
		f.Add(p.path, "sha512:"+hex512+"\n")
		f.Add(p.path, "")
	}
	f.Fuzz(func(t *testing.T, path, content string) {
		file := layout.Parse(path)
		if !file.IsLink() {
			return
		}
		want, known := file.LinkContent()
		got, err := file.Target([]byte(content))
		valid := digest.Digest(content).Validate() == nil
		switch {
		case err == nil && (string(got) != content || !valid || known && content != want):
			t.Errorf("%s: %q leads to %s", path, content, got)
		case err != nil && valid && (!known || content == want):
			t.Errorf("%s: %q leads nowhere: %v", path, content, err)
		case (content == "") != errors.Is(err, layout.ErrEmptyLink):
			t.Errorf("%s: %q: %v", path, content, err)
		}
	})
}
