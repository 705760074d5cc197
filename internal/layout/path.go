package layout

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// The folders of a registry below its root directory. Each ends with a slash.
const (
	Root         = "docker/registry/v2/"
	Blobs        = Root + "blobs/"
	Repositories = Root + "repositories/"
)

// Kind is what a file is for.
type Kind uint8

// The kinds of files.
const (
	Foreign      Kind = iota // not of the layout
	Blob                     // blobs/<algorithm>/<first two of hex>/<hex>/data: a layer, a config or a manifest
	LayerLink                // repositories/<name>/_layers/<algorithm>/<hex>/link: the repository may serve this blob
	RevisionLink             // repositories/<name>/_manifests/revisions/<algorithm>/<hex>/link: the repository has this manifest
	TagHistory               // repositories/<name>/_manifests/tags/<tag>/index/<algorithm>/<hex>/link: the tag has stood for this manifest
	TagLink                  // repositories/<name>/_manifests/tags/<tag>/current/link: the tag stands for the digest in it
	Upload                   // repositories/<name>/_uploads/...: an upload that goes on, or was left
)

// String names the kind in the words of messages and reports.
func (k Kind) String() string {
	return [...]string{"foreign file", "blob", "layer link", "revision link", "tag history link", "tag", "upload"}[k]
}

// File is a path of the layout, taken apart.
type File struct {
	Kind       Kind
	Repository string // "" for blobs
	Tag        string // of tag links and tag history
	Algorithm  string // with Hex, the digest in the path: "sha256"; "" for tags and uploads
	Hex        string
	Rest       string // of uploads: what comes after _uploads/
}

// Digest is the digest in the path: the blob's own, or what the link points to. It
// is "" for tags and uploads.
func (f File) Digest() digest.Digest {
	if f.Hex == "" {
		return ""
	}
	return digest.Digest(f.Algorithm + ":" + f.Hex)
}

// Mutable reports whether the content may change after the file was written.
func (f File) Mutable() bool { return f.Kind == TagLink || f.Kind == Upload || f.Kind == Foreign }

// IsLink reports whether the file holds a digest.
func (f File) IsLink() bool {
	return f.Kind == LayerLink || f.Kind == RevisionLink || f.Kind == TagHistory || f.Kind == TagLink
}

// Path puts the path together. It is the inverse of Parse for every kind but
// Foreign, of which it is "".
func (f File) Path() string {
	switch f.Kind {
	case Blob:
		return BlobPath(f.Algorithm, f.Hex)
	case LayerLink:
		return LayersFolder(f.Repository) + f.Algorithm + "/" + f.Hex + "/link"
	case RevisionLink:
		return RevisionsFolder(f.Repository) + f.Algorithm + "/" + f.Hex + "/link"
	case TagHistory:
		return TagsFolder(f.Repository) + f.Tag + "/index/" + f.Algorithm + "/" + f.Hex + "/link"
	case TagLink:
		return TagsFolder(f.Repository) + f.Tag + "/current/link"
	case Upload:
		return Repositories + f.Repository + "/_uploads/" + f.Rest
	default:
		return ""
	}
}

// BlobPath is where the blob with a digest is kept.
func BlobPath(algorithm, hex string) string {
	return Blobs + algorithm + "/" + hex[:2] + "/" + hex + "/data"
}

// LayersFolder is where a repository's layer links are, with a slash at the end.
func LayersFolder(repository string) string { return Repositories + repository + "/_layers/" }

// RevisionsFolder is where a repository's revision links are, with a slash at the end.
func RevisionsFolder(repository string) string {
	return Repositories + repository + "/_manifests/revisions/"
}

// TagsFolder is where a repository's tags are, with a slash at the end.
func TagsFolder(repository string) string { return Repositories + repository + "/_manifests/tags/" }

// Parse takes a path apart. What is not exactly a path that the registry itself
// would write is Foreign: a marker that ends with a slash, a digest that is too
// short, an unfinished file beside a link.
func Parse(path string) File {
	if rest, ok := strings.CutPrefix(path, Blobs); ok {
		return parseBlob(rest)
	}
	if rest, ok := strings.CutPrefix(path, Repositories); ok {
		return parseRepositoryFile(rest)
	}
	return File{}
}

func parseBlob(rest string) File {
	algorithm, rest, _ := strings.Cut(rest, "/")
	shard, rest, _ := strings.Cut(rest, "/")
	hex, name, _ := strings.Cut(rest, "/")
	if name != "data" || !ValidDigest(algorithm, hex) || shard != hex[:2] {
		return File{}
	}
	return File{Kind: Blob, Algorithm: algorithm, Hex: hex}
}

func parseRepositoryFile(rest string) File {
	// A component of a repository's name never begins with an underscore.
	at := strings.Index(rest, "/_")
	if at < 0 || !ValidRepository(rest[:at]) {
		return File{}
	}
	f := File{Repository: rest[:at]}
	area, rest, _ := strings.Cut(rest[at+1:], "/")
	switch area {
	case "_layers":
		return f.linked(LayerLink, rest)
	case "_manifests":
		part, rest, _ := strings.Cut(rest, "/")
		switch part {
		case "revisions":
			return f.linked(RevisionLink, rest)
		case "tags":
			return f.tagged(rest)
		}
	case "_uploads":
		if validRest(rest) {
			f.Kind, f.Rest = Upload, rest
			return f
		}
	}
	return File{}
}

func (f File) tagged(rest string) File {
	tag, rest, _ := strings.Cut(rest, "/")
	if !ValidTag(tag) {
		return File{}
	}
	f.Tag = tag
	if rest == "current/link" {
		f.Kind = TagLink
		return f
	}
	if rest, ok := strings.CutPrefix(rest, "index/"); ok {
		return f.linked(TagHistory, rest)
	}
	return File{}
}

// linked completes f with what follows the folder of a kind of link.
func (f File) linked(kind Kind, rest string) File {
	algorithm, rest, _ := strings.Cut(rest, "/")
	hex, name, _ := strings.Cut(rest, "/")
	if name != "link" || !ValidDigest(algorithm, hex) {
		return File{}
	}
	f.Kind, f.Algorithm, f.Hex = kind, algorithm, hex
	return f
}
