package layout_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/layout"
)

func TestFoldersImplyTheirFile(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		layout.Blobs + "sha256/ab/":                          "data",
		layout.LayersFolder("lib/app") + "sha256/":           "link",
		layout.RevisionsFolder("lib/app") + "sha512/":        "link",
		layout.TagsFolder("lib/app"):                         "current/link",
		layout.TagsFolder("lib/app") + "v1/index/sha256/":    "link",
		layout.TagsFolder("lib/app") + "index/index/sha256/": "link",
		"":                       "",
		layout.Root:              "",
		layout.Blobs:             "",
		layout.Blobs + "sha256/": "",
		layout.Blobs + "sha256/ab/" + hex256 + "/":                "",
		layout.Repositories:                                       "",
		layout.Repositories + "lib/":                              "",
		layout.Repositories + "lib/app/":                          "",
		layout.Repositories + "lib/app/_manifests/":               "",
		layout.Repositories + "lib/app/_uploads/":                 "",
		layout.Repositories + "lib/app/_uploads/0195/":            "",
		layout.LayersFolder("lib/app"):                            "",
		layout.LayersFolder("lib/app") + "sha256/" + hex256 + "/": "",
		layout.RevisionsFolder("lib/app"):                         "",
		layout.TagsFolder("lib/app") + "v1/":                      "",
		layout.TagsFolder("lib/app") + "v1/index/":                "",
		layout.TagsFolder("lib/app") + "v1/current/":              "",
		layout.TagsFolder("lib/app") + "v1/other/sha256/":         "",
		layout.TagsFolder("lib/app") + "v1/index/sha256/x/":       "",
		layout.Repositories + "_manifests/tags/":                  "",
		"other/blobs/sha256/ab/":                                  "",
	}
	for folder, want := range tests {
		if got := layout.Implied(folder); got != want {
			t.Errorf("%s: got %q, want %q", folder, got, want)
		}
	}
}

// What is implied is what Parse knows, and nothing that Parse knows is left out but
// uploads.
func TestWhatIsImpliedIsOfTheLayout(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		path := files().Draw(t, "file").Path()
		kind := layout.Parse(path).Kind
		found := false
		for at := range len(path) {
			if path[at] != '/' {
				continue
			}
			if file := layout.Implied(path[:at+1]); file != "" {
				_, rest, _ := strings.Cut(path[at+1:], "/")
				found = found || rest == file
			}
		}
		if found != (kind != layout.Upload) {
			t.Fatalf("%s, a %s, is implied: %t", path, kind, found)
		}
	})
}
