package migration

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
)

// DamageKind is what is wrong with a file or an artifact. The words are stable:
// reports in JSON and scripts that read them use them.
type DamageKind string

// The kinds of damage. What each one means and what to do about it is in the table
// damages below, and in Damage.String.
const (
	EmptyLink          DamageKind = "empty-link"
	MalformedLink      DamageKind = "malformed-link"
	WrongLink          DamageKind = "wrong-link"
	DanglingTag        DamageKind = "dangling-tag"
	MissingBlob        DamageKind = "missing-blob"
	MissingLayerLink   DamageKind = "missing-layer-link"
	MissingChild       DamageKind = "missing-child"
	MissingSubject     DamageKind = "missing-subject"
	EmptyBlob          DamageKind = "empty-blob"
	DigestMismatch     DamageKind = "digest-mismatch"
	SizeMismatch       DamageKind = "size-mismatch"
	Unreadable         DamageKind = "unreadable"
	UnparsableManifest DamageKind = "unparsable-manifest"
	OrphanBlob         DamageKind = "orphan-blob"
	DanglingLayerLink  DamageKind = "dangling-layer-link"
	ForeignFile        DamageKind = "foreign"
	Junk               DamageKind = "junk"
	DirectoryMarker    DamageKind = "directory-marker"
	ForeignPrefix      DamageKind = "foreign-prefix"
)

// Severity is how bad a damage is. Higher is worse.
type Severity uint8

// The severities.
const (
	// Note: nothing is wrong with any artifact, but somebody may want to know.
	Note Severity = iota
	// Damaged: a file is wrong, but it can be repaired, or no artifact needs it.
	Damaged
	// Broken: an artifact cannot be pulled, and the tree itself has nothing to mend it with.
	Broken
)

var severityWords = [...]string{"note", "damaged", "broken"}

// String is the severity's word in reports.
func (s Severity) String() string { return severityWords[s] }

// MarshalText writes the severity's word.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the severity's word.
func (s *Severity) UnmarshalText(text []byte) error {
	for i, word := range severityWords {
		if string(text) == word {
			*s = Severity(i)
			return nil
		}
	}
	return fmt.Errorf("%.40q is no severity", text)
}

// damages says of each kind how bad it is, what it means and what to do. The
// meaning completes a sentence that begins with the file or artifact.
var damages = map[DamageKind]struct {
	severity Severity
	meaning  string
	remedy   string
}{
	EmptyLink:          {Broken, "the link is empty, and the registry answers 500 to whoever needs it", "push the tag or the image again"},
	MalformedLink:      {Broken, "the link holds something else than a digest, and the registry answers 500 to whoever needs it", "push the tag or the image again"},
	WrongLink:          {Broken, "the link holds another digest than its path", "find out who wrote it, and push the image again"},
	DanglingTag:        {Broken, "the tag stands for a manifest that the repository does not have: pulls of it fail", "push the tag again, or delete it; where tags are in Harbor's database it does no harm"},
	MissingBlob:        {Broken, "the blob is not there, and what needs it cannot be pulled", "push the image again, from a machine or registry that still has it"},
	MissingLayerLink:   {Broken, "the repository has no link to a blob that its image needs: the registry says that the blob is unknown", "push the image again"},
	MissingChild:       {Broken, "the index lists a manifest that the repository does not have: pulls for that platform fail", "push the whole index again; leave it if it was pushed with some platforms only"},
	MissingSubject:     {Note, "the artifact refers to a subject that the repository does not have, which is allowed", "nothing need be done"},
	EmptyBlob:          {Broken, "the blob is empty and should not be: the registry stopped while it wrote it", "remove the file, restart the registry or clear its cache, and push the image again; a push alone does not mend it"},
	DigestMismatch:     {Broken, "the content does not have the digest that its path says: its bytes have changed", "remove the file, restart the registry or clear its cache, and push the image again"},
	SizeMismatch:       {Broken, "the blob has another size than the manifest says", "if the file is cut off, remove it and push the image again; fsck --deep tells whether it is"},
	Unreadable:         {Broken, "it could not be read, so nothing can be said about it", "run as the registry's user, check the permissions and the disk, and look again"},
	UnparsableManifest: {Broken, "the manifest has the right bytes but cannot be understood, so what it needs is not known", "pull it and see whether anybody uses it"},
	OrphanBlob:         {Note, "no manifest needs the blob", "the registry's garbage collection removes it"},
	DanglingLayerLink:  {Note, "the link leads to a blob that is gone, which garbage collection leaves behind", "nothing need be done"},
	ForeignFile:        {Note, "no registry writes a file like this; it is not copied", "see what it is; it can be removed"},
	Junk:               {Note, "left over by an interrupted write, the file system or an upload; it is not copied", "nothing need be done"},
	DirectoryMarker:    {Damaged, "a key that ends with a slash: registries on S3 take it for a tag or an upload with an empty name", "remove the key"},
	ForeignPrefix:      {Note, "something that is not this registry's stands beside it; it is not read and not copied", "make sure that it is not the registry that was meant"},
}

// Known reports whether the kind is one of those above.
func (k DamageKind) Known() bool { _, ok := damages[k]; return ok }

// Severity is how bad damage of the kind is where nothing softens it, see
// Damage.Severity.
func (k DamageKind) Severity() Severity {
	d, ok := damages[k]
	if !ok {
		return Broken
	}
	return d.severity
}

// Damage is one thing that is not as it should be in a tree.
type Damage struct {
	Kind       DamageKind    `json:"kind"`
	Path       string        `json:"path,omitempty"`       // of the file that is wrong, or is missing
	Repository string        `json:"repository,omitempty"` // where it was noticed; "" for blobs of which nothing else is known
	Tag        string        `json:"tag,omitempty"`
	Digest     digest.Digest `json:"digest,omitempty"`   // of the blob or manifest that it is about
	Manifest   digest.Digest `json:"manifest,omitempty"` // the manifest that needs it, or that is it
	Detail     string        `json:"detail,omitempty"`   // what exactly was found
	Repairable bool          `json:"repairable,omitempty"`
	Unneeded   bool          `json:"unneeded,omitempty"` // no artifact needs the file
}

// LinkDamage says what is wrong with the link at path f, given the error of
// layout.File.Target on its content. It is repairable when the right content follows
// from the path; that of a tag may still follow from the tag's history.
func LinkDamage(f layout.File, err error) Damage {
	d := Damage{Kind: MalformedLink, Path: f.Path(), Repository: f.Repository, Tag: f.Tag, Digest: f.Digest(), Detail: err.Error()}
	switch {
	case errors.Is(err, layout.ErrEmptyLink):
		d.Kind, d.Detail = EmptyLink, ""
	case errors.Is(err, layout.ErrWrongLink):
		d.Kind = WrongLink
	}
	_, d.Repairable = f.LinkContent()
	return d
}

// Severity is how bad the damage is.
func (d Damage) Severity() Severity {
	s := d.Kind.Severity()
	if d.Repairable || d.Unneeded {
		return min(s, Damaged)
	}
	return s
}

// subject names what the damage is about: an artifact where one is known.
func (d Damage) subject() string {
	var b strings.Builder
	b.WriteString(d.Repository)
	if d.Tag != "" {
		b.WriteString(":" + d.Tag)
	}
	if about := cmp.Or(d.Manifest, d.Digest); about != "" {
		if b.Len() > 0 {
			b.WriteString("@")
		}
		b.WriteString(about.String())
	}
	if b.Len() > 0 && d.Path != "" {
		b.WriteString(" (" + printable(d.Path) + ")")
	} else {
		b.WriteString(printable(d.Path))
	}
	return b.String()
}

// printable quotes what could play tricks with a terminal: files may have any name.
func printable(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// String says in one line what is wrong, what it means and what to do.
func (d Damage) String() string {
	about, ok := damages[d.Kind]
	if !ok {
		about.meaning, about.remedy = string(d.Kind), "see a newer version of this program for what it means"
	}
	switch {
	case d.Repairable:
		about.remedy = "fsck --repair-links mends it"
	case d.Unneeded:
		about.remedy = "no artifact needs it: garbage collection removes it"
	}
	detail := ""
	if d.Detail != "" {
		detail = " [" + printable(d.Detail) + "]"
	}
	return fmt.Sprintf("%s: %s: %s: %s%s; %s", d.Severity(), d.Kind, d.subject(), about.meaning, detail, about.remedy)
}

// MarshalJSON adds the severity and the sentence of String to the fields.
func (d Damage) MarshalJSON() ([]byte, error) {
	type fields Damage
	return json.Marshal(struct {
		fields
		Severity Severity `json:"severity"`
		Message  string   `json:"message"`
	}{fields(d), d.Severity(), d.String()})
}
