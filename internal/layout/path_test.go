package layout_test

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/layout"
)

var (
	hex256 = strings.Repeat("0123456789abcdef", 4)
	hex384 = strings.Repeat("0123456789abcdef", 6)
	hex512 = strings.Repeat("0123456789abcdef", 8)
)

const (
	blobs        = "docker/registry/v2/blobs/"
	repositories = "docker/registry/v2/repositories/"
)

// paths are one of every kind at least, and what each is.
var paths = []struct {
	path string
	file layout.File
}{
	{blobs + "sha256/01/" + hex256 + "/data", layout.File{Kind: layout.Blob, Algorithm: "sha256", Hex: hex256}},
	{blobs + "sha384/01/" + hex384 + "/data", layout.File{Kind: layout.Blob, Algorithm: "sha384", Hex: hex384}},
	{blobs + "sha512/01/" + hex512 + "/data", layout.File{Kind: layout.Blob, Algorithm: "sha512", Hex: hex512}},
	{repositories + "app/_layers/sha256/" + hex256 + "/link",
		layout.File{Kind: layout.LayerLink, Repository: "app", Algorithm: "sha256", Hex: hex256}},
	{repositories + "library/team-1/app__x/_layers/sha512/" + hex512 + "/link",
		layout.File{Kind: layout.LayerLink, Repository: "library/team-1/app__x", Algorithm: "sha512", Hex: hex512}},
	{repositories + "Mirror.example/app/_layers/sha256/" + hex256 + "/link",
		layout.File{Kind: layout.LayerLink, Repository: "Mirror.example/app", Algorithm: "sha256", Hex: hex256}},
	{repositories + "library/app/_manifests/revisions/sha256/" + hex256 + "/link",
		layout.File{Kind: layout.RevisionLink, Repository: "library/app", Algorithm: "sha256", Hex: hex256}},
	{repositories + "library/app/_manifests/tags/v1.0/current/link",
		layout.File{Kind: layout.TagLink, Repository: "library/app", Tag: "v1.0"}},
	{repositories + "library/app/_manifests/tags/_uploads/current/link",
		layout.File{Kind: layout.TagLink, Repository: "library/app", Tag: "_uploads"}},
	{repositories + "library/app/_manifests/tags/index/index/sha256/" + hex256 + "/link",
		layout.File{Kind: layout.TagHistory, Repository: "library/app", Tag: "index", Algorithm: "sha256", Hex: hex256}},
	{repositories + "tags/current/_manifests/tags/current/current/link",
		layout.File{Kind: layout.TagLink, Repository: "tags/current", Tag: "current"}},
	{repositories + "app/_uploads/0195-ab/data",
		layout.File{Kind: layout.Upload, Repository: "app", Rest: "0195-ab/data"}},
	{repositories + "app/_uploads/0195-ab/startedat",
		layout.File{Kind: layout.Upload, Repository: "app", Rest: "0195-ab/startedat"}},
	{repositories + "app/_uploads/0195-ab/hashstates/sha256/1048576",
		layout.File{Kind: layout.Upload, Repository: "app", Rest: "0195-ab/hashstates/sha256/1048576"}},
	{repositories + "app/_uploads/_layers/sha256/" + hex256 + "/link",
		layout.File{Kind: layout.Upload, Repository: "app", Rest: "_layers/sha256/" + hex256 + "/link"}},
}

func TestPathsAreTakenApartAndPutTogether(t *testing.T) {
	t.Parallel()
	for _, tt := range paths {
		if got := layout.Parse(tt.path); got != tt.file {
			t.Errorf("%s: got %+v, want %+v", tt.path, got, tt.file)
		}
		if got := tt.file.Path(); got != tt.path {
			t.Errorf("%+v: got %s, want %s", tt.file, got, tt.path)
		}
	}
}

func TestPathsThatTheRegistryWouldNotWriteAreForeign(t *testing.T) {
	t.Parallel()
	upper, short := strings.ToUpper(hex256), hex256[:63]
	for _, path := range []string{
		"", "/", ".", "..", "docker", "docker/registry/v2", "docker/registry/v2/", blobs, repositories, repositories + "app",

		// Elsewhere.
		"/" + blobs + "sha256/01/" + hex256 + "/data",
		"storage/" + blobs + "sha256/01/" + hex256 + "/data",
		"./" + blobs + "sha256/01/" + hex256 + "/data",
		"docker//registry/v2/blobs/sha256/01/" + hex256 + "/data",
		"docker/registry/v1/blobs/sha256/01/" + hex256 + "/data",
		"Docker/registry/v2/blobs/sha256/01/" + hex256 + "/data",
		"docker/registry/v2/blob/sha256/01/" + hex256 + "/data",
		"docker/registry/v2/repositories",
		"lost+found/x", ".snapshot/docker/registry/v2/blobs/sha256/01/" + hex256 + "/data",

		// Blobs.
		blobs + "sha256/01/" + hex256,
		blobs + "sha256/01/" + hex256 + "/",
		blobs + "sha256/01/" + hex256 + "/data/",
		blobs + "sha256/01/" + hex256 + "/data/x",
		blobs + "sha256/01/" + hex256 + "/data.tmp",
		blobs + "sha256/01/" + hex256 + "/data.0195-ab.tmp",
		blobs + "sha256/01/" + hex256 + "/.nfs000012",
		blobs + "sha256/01/" + hex256 + "/Data",
		blobs + "sha256/01/" + hex256 + "//data",
		blobs + "sha256/01//" + hex256 + "/data",
		blobs + "sha256/" + hex256 + "/data",
		blobs + "sha256/02/" + hex256 + "/data",
		blobs + "sha256/0/" + hex256 + "/data",
		blobs + "sha256/012/" + hex256 + "/data",
		blobs + "sha256//" + hex256 + "/data",
		blobs + "sha256/01/" + short + "/data",
		blobs + "sha256/01/" + hex256 + "0/data",
		blobs + "sha256/01/" + upper + "/data",
		blobs + "sha256/01/" + strings.Replace(hex256, "f", "g", 1) + "/data",
		blobs + "sha256/01/0/data",
		blobs + "sha256///data",
		blobs + "sha256/..//data",
		blobs + "SHA256/01/" + hex256 + "/data",
		blobs + "sha512/01/" + hex256 + "/data",
		blobs + "sha256/01/" + hex512 + "/data",
		blobs + "md5/01/" + hex256[:32] + "/data",
		blobs + "/01/" + hex256 + "/data",
		blobs + "sha256:" + hex256,
		blobs + "sha256/01/" + hex256 + "/data\x00",
		blobs + "sha256/01/" + hex256 + "\\data",

		// Layer links.
		repositories + "app/_layers/sha256/" + hex256,
		repositories + "app/_layers/sha256/" + hex256 + "/link/",
		repositories + "app/_layers/sha256/" + hex256 + "/link.tmp",
		repositories + "app/_layers/sha256/" + hex256 + "/data",
		repositories + "app/_layers/sha256/01/" + hex256 + "/link",
		repositories + "app/_layers/sha256/" + short + "/link",
		repositories + "app/_layers/sha256/" + upper + "/link",
		repositories + "app/_layers/" + hex256 + "/link",
		repositories + "app/_layers//" + hex256 + "/link",
		repositories + "app/_layer/sha256/" + hex256 + "/link",
		repositories + "app/_Layers/sha256/" + hex256 + "/link",
		repositories + "app//_layers/sha256/" + hex256 + "/link",
		repositories + "app/../app/_layers/sha256/" + hex256 + "/link",
		repositories + "app/./_layers/sha256/" + hex256 + "/link",
		repositories + "../_layers/sha256/" + hex256 + "/link",
		repositories + "_layers/sha256/" + hex256 + "/link",
		repositories + "/_layers/sha256/" + hex256 + "/link",
		repositories + "app/_layers/_layers/sha256/" + hex256 + "/link",
		repositories + "_app/_layers/sha256/" + hex256 + "/link",
		repositories + "lib/_app/_layers/sha256/" + hex256 + "/link",
		repositories + "App/_layers/sha256/" + hex256 + "/link",
		repositories + "lib/App/_layers/sha256/" + hex256 + "/link",
		repositories + "app_/_layers/sha256/" + hex256 + "/link",
		repositories + "a b/_layers/sha256/" + hex256 + "/link",
		repositories + "localhost:5000/app/_layers/sha256/" + hex256 + "/link",
		repositories + strings.Repeat("a", 256) + "/_layers/sha256/" + hex256 + "/link",

		// Revisions and tags.
		repositories + "app/_manifests/revisions/sha256/" + hex256,
		repositories + "app/_manifests/revisions/sha256/" + hex256 + "/link/",
		repositories + "app/_manifests/revisions/sha256/" + hex256 + "/signatures/sha256/" + hex256 + "/link",
		repositories + "app/_manifests/revision/sha256/" + hex256 + "/link",
		repositories + "app/_manifests/sha256/" + hex256 + "/link",
		repositories + "app/_manifests/link",
		repositories + "app/_manifests/tags/link",
		repositories + "app/_manifests/tags/current/link",
		repositories + "app/_manifests/tags//current/link",
		repositories + "app/_manifests/tags/v1/link",
		repositories + "app/_manifests/tags/v1/current",
		repositories + "app/_manifests/tags/v1/current/",
		repositories + "app/_manifests/tags/v1/current/link/",
		repositories + "app/_manifests/tags/v1/current/link.0195.tmp",
		repositories + "app/_manifests/tags/v1/current/data",
		repositories + "app/_manifests/tags/v1//current/link",
		repositories + "app/_manifests/tags/v1/current/current/link",
		repositories + "app/_manifests/tags/.v1/current/link",
		repositories + "app/_manifests/tags/-v1/current/link",
		repositories + "app/_manifests/tags/../current/link",
		repositories + "app/_manifests/tags/v1+2/current/link",
		repositories + "app/_manifests/tags/v1 /current/link",
		repositories + "app/_manifests/tags/" + strings.Repeat("v", 129) + "/current/link",
		repositories + "app/_manifests/tags/v1/index/sha256/" + hex256,
		repositories + "app/_manifests/tags/v1/index/sha256/" + short + "/link",
		repositories + "app/_manifests/tags/v1/index/link",
		repositories + "app/_manifests/tags/v1/Index/sha256/" + hex256 + "/link",

		// Uploads.
		repositories + "app/_uploads",
		repositories + "app/_uploads/",
		repositories + "app/_uploads//data",
		repositories + "app/_uploads/0195/data/",
		repositories + "app/_uploads/0195//data",
		repositories + "app/_uploads/../_layers/sha256/" + hex256 + "/link",
		repositories + "app/_uploads/0195/./data",
		repositories + "app/_uploads/..",
		repositories + "app/_uploads-old/0195/data",
		repositories + "_uploads/0195/data",
	} {
		if got := layout.Parse(path); got != (layout.File{}) {
			t.Errorf("%q: got %+v, want a foreign file", path, got)
		}
	}
	if got := (layout.File{}).Path(); got != "" {
		t.Errorf("the path of a foreign file is %q", got)
	}
}

func TestKindsSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	sha256 := digest.Digest("sha256:" + hex256)
	tests := []struct {
		kind    layout.Kind
		word    string
		link    bool
		mutable bool
		digest  digest.Digest
	}{
		{layout.Foreign, "foreign file", false, true, ""},
		{layout.Blob, "blob", false, false, sha256},
		{layout.LayerLink, "layer link", true, false, sha256},
		{layout.RevisionLink, "revision link", true, false, sha256},
		{layout.TagHistory, "tag history link", true, false, sha256},
		{layout.TagLink, "tag", true, true, ""},
		{layout.Upload, "upload", false, true, ""},
	}
	for _, tt := range tests {
		f := layout.File{Kind: tt.kind, Repository: "app"}
		if tt.digest != "" {
			f.Algorithm, f.Hex = "sha256", hex256
		}
		if f.Kind.String() != tt.word || f.IsLink() != tt.link || f.Mutable() != tt.mutable || f.Digest() != tt.digest {
			t.Errorf("%s: link %t, mutable %t, digest %s; want %s: %t, %t, %s",
				f.Kind, f.IsLink(), f.Mutable(), f.Digest(), tt.word, tt.link, tt.mutable, tt.digest)
		}
	}
}

func TestEveryFileHasItsPath(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := files().Draw(t, "file")
		path := f.Path()
		if got := layout.Parse(path); got != f {
			t.Fatalf("%s: got %+v, want %+v", path, got, f)
		}
		if strings.HasPrefix(path, "/") || strings.Contains(path, "//") || !strings.HasPrefix(path, layout.Root) {
			t.Fatalf("the path %s", path)
		}
	})
}

func TestAPathIsOfOneFileOrForeign(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		onlyOne(t, mutilate(t, files().Draw(t, "file").Path()))
	})
}

func TestNoTextBreaksParse(t *testing.T) {
	t.Parallel()
	prefixes := []string{"", layout.Blobs, layout.Repositories, layout.LayersFolder("a"), layout.RevisionsFolder("a"), layout.TagsFolder("a")}
	rapid.Check(t, func(t *rapid.T) {
		onlyOne(t, rapid.SampledFrom(prefixes).Draw(t, "prefix")+rapid.String().Draw(t, "rest"))
	})
}

func FuzzParse(f *testing.F) {
	for _, p := range paths {
		f.Add(p.path)
		f.Add(p.path + "/")
	}
	f.Fuzz(func(t *testing.T, path string) { onlyOne(t, path) })
}

// onlyOne fails the test unless path is foreign or the very path of what it is
// taken for.
func onlyOne(t interface{ Fatalf(string, ...any) }, path string) {
	file := layout.Parse(path)
	if file.Kind == layout.Foreign {
		if file != (layout.File{}) {
			t.Fatalf("%q is foreign, but has %+v", path, file)
		}
		return
	}
	if got := file.Path(); got != path {
		t.Fatalf("%q is taken for %+v, which is at %q", path, file, got)
	}
	if d := file.Digest(); d != "" && d.Validate() != nil {
		t.Fatalf("%q has the digest %q", path, d)
	}
	for component := range strings.SplitSeq(path, "/") {
		if component == "" || component == "." || component == ".." {
			t.Fatalf("%q leads elsewhere and is taken for %+v", path, file)
		}
	}
}

// mutilate changes a path in one place.
func mutilate(t *rapid.T, path string) string {
	at := rapid.IntRange(0, len(path)).Draw(t, "at")
	piece := rapid.SampledFrom([]string{"/", "_", ".", "..", "../", "A", "0", "a", "\x00", " ", "link", "data", "/_layers/", "ü"}).Draw(t, "piece")
	switch rapid.IntRange(0, 2).Draw(t, "what") {
	case 0:
		return path[:at] + piece + path[at:]
	case 1:
		return path[:at]
	default:
		to := rapid.IntRange(at, min(at+8, len(path))).Draw(t, "to")
		return path[:at] + piece + path[to:]
	}
}

// files generates files of every kind that has a path.
func files() *rapid.Generator[layout.File] {
	return rapid.Custom(func(t *rapid.T) layout.File {
		f := layout.File{Kind: rapid.SampledFrom([]layout.Kind{
			layout.Blob, layout.LayerLink, layout.RevisionLink, layout.TagHistory, layout.TagLink, layout.Upload,
		}).Draw(t, "kind")}
		if f.Kind != layout.Blob {
			f.Repository = repositoryNames().Draw(t, "repository")
		}
		switch f.Kind {
		case layout.TagHistory, layout.TagLink:
			f.Tag = rapid.StringMatching(`[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`).Draw(t, "tag")
		case layout.Upload:
			f.Rest = rapid.StringMatching(`[a-zA-Z0-9_=-]{3,40}/(data|startedat|hashstates/sha256/[0-9]{1,12})`).Draw(t, "rest")
		}
		if f.Kind != layout.TagLink && f.Kind != layout.Upload {
			f.Algorithm = rapid.SampledFrom([]string{"sha256", "sha384", "sha512"}).Draw(t, "algorithm")
			f.Hex = rapid.StringMatching(map[string]string{"sha256": `[0-9a-f]{64}`, "sha384": `[0-9a-f]{96}`, "sha512": `[0-9a-f]{128}`}[f.Algorithm]).Draw(t, "hex")
		}
		return f
	})
}

// repositoryNames generates names that a registry takes.
func repositoryNames() *rapid.Generator[string] {
	const component = `[a-z0-9]{1,6}(([._]|__|-{1,3})[a-z0-9]{1,6}){0,2}`
	return rapid.StringMatching(`([A-Za-z0-9]([A-Za-z0-9-]{0,4}[A-Za-z0-9])?(\.[A-Za-z0-9]{1,4}){0,2}/)?` + component + `(/` + component + `){0,3}`)
}
