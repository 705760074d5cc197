package layout

import "strings"

// Implied is the name of the file that the layout expects in each of the folders
// that are directly in folder, seen from there: "data" in those of
// "docker/registry/v2/blobs/sha256/ab/", "current/link" in those of tags. It is "" for
// folders that are not of this kind. folder ends with a slash. Whether the path of
// the file is one of the layout, Parse tells.
func Implied(folder string) string {
	if rest, ok := strings.CutPrefix(folder, Blobs); ok {
		if strings.Count(rest, "/") == 2 { // <algorithm>/<first two of hex>/
			return "data"
		}
		return ""
	}
	rest, ok := strings.CutPrefix(folder, Repositories)
	at := strings.Index(rest, "/_")
	if !ok || at < 0 {
		return ""
	}
	rest = rest[at+1:]
	if rest == "_manifests/tags/" {
		return "current/link"
	}
	if after, ok := strings.CutPrefix(rest, "_manifests/tags/"); ok {
		_, rest, _ = strings.Cut(after, "/") // <tag>/
		rest, ok = strings.CutPrefix(rest, "index/")
		return linkIf(ok && strings.Count(rest, "/") == 1)
	}
	if after, ok := strings.CutPrefix(rest, "_manifests/revisions/"); ok {
		return linkIf(strings.Count(after, "/") == 1) // <algorithm>/
	}
	after, ok := strings.CutPrefix(rest, "_layers/")
	return linkIf(ok && strings.Count(after, "/") == 1)
}

func linkIf(expected bool) string {
	if expected {
		return "link"
	}
	return ""
}
