package migration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/layout"
)

const someHex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestDamageSaysWhatItMeansAndWhatToDo(t *testing.T) {
	t.Parallel()
	for kind, about := range damages {
		d := Damage{Kind: kind, Path: "docker/registry/v2/x", Repository: "library/app", Tag: "v1", Detail: "seen just now"}
		line := d.String()
		for _, part := range []string{about.severity.String() + ": " + string(kind) + ": ", "library/app:v1 (docker/registry/v2/x)", about.meaning, about.remedy, "[seen just now]"} {
			if !strings.Contains(line, part) {
				t.Errorf("%s: %q does not say %q", kind, line, part)
			}
		}
	}
}

func TestTheGuideKnowsAllKindsOfDamage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "migration.md"))
	if err != nil {
		t.Fatal(err)
	}
	for kind, about := range damages {
		rows := 0
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "|") && strings.Contains(line, "`"+string(kind)+"`") && strings.Contains(line, about.severity.String()) {
				rows++
			}
		}
		if rows != 1 {
			t.Errorf("%s, %s: %d rows", kind, about.severity, rows)
		}
	}
}

func TestDamageOfALinkFollowsFromItsPathOrNot(t *testing.T) {
	t.Parallel()
	layer := layout.File{Kind: layout.LayerLink, Repository: "a/b", Algorithm: "sha256", Hex: someHex}
	tag := layout.File{Kind: layout.TagLink, Repository: "a/b", Tag: "v1"}
	long := layout.File{Kind: layout.LayerLink, Repository: "a/b", Algorithm: "sha512", Hex: someHex + someHex}
	cases := []struct {
		file    layout.File
		content string
		kind    DamageKind
		worst   Severity
	}{
		{layer, "", EmptyLink, Damaged},
		{layer, "sha256:" + someHex + "\n", MalformedLink, Damaged},
		{layer, "sha256:" + strings.Repeat("0", 64), WrongLink, Damaged},
		{long, "", EmptyLink, Broken},
		{tag, "", EmptyLink, Broken},
		{tag, "latest", MalformedLink, Broken},
	}
	for _, c := range cases {
		_, err := c.file.Target([]byte(c.content))
		got := LinkDamage(c.file, err)
		if got.Kind != c.kind || got.Severity() != c.worst || got.Path != c.file.Path() || got.Repository != "a/b" || got.Tag != c.file.Tag {
			t.Errorf("%s with %q: %+v, severity %s", c.file.Path(), c.content, got, got.Severity())
		}
	}
}

func TestDamageNobodyNeedsIsNotBroken(t *testing.T) {
	t.Parallel()
	d := Damage{Kind: DigestMismatch, Path: layout.BlobPath("sha256", someHex)}
	if d.Severity() != Broken {
		t.Errorf("of a blob of which nothing is known: %s", d.Severity())
	}
	if d.Unneeded = true; d.Severity() != Damaged {
		t.Errorf("of a blob that no artifact needs: %s", d.Severity())
	}
	if d = (Damage{Kind: Junk, Unneeded: true}); d.Severity() != Note {
		t.Errorf("junk: %s", d.Severity())
	}
	if d = (Damage{Kind: "of a newer version"}); d.Severity() != Broken || d.Kind.Known() {
		t.Errorf("a kind that is not known: %s", d.Severity())
	}
}

func TestDamageSurvivesJSON(t *testing.T) {
	t.Parallel()
	want := Damage{Kind: EmptyLink, Path: "p", Repository: "r", Tag: "t", Digest: "sha256:" + someHex, Detail: "d", Repairable: true, Unneeded: true}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"kind":"empty-link"`, `"severity":"damaged"`, `"message":"damaged: empty-link: `} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s lacks %s", text, part)
		}
	}
	var got Damage
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var s Severity
	if err := json.Unmarshal([]byte(`"awful"`), &s); err == nil {
		t.Error("a severity that is none was accepted")
	}
}

func TestDamageLeavesTheTerminalAlone(t *testing.T) {
	t.Parallel()
	line := Damage{Kind: ForeignFile, Path: "docker/registry/v2/\x1b[2Jx\ny", Detail: "\r"}.String()
	if strings.ContainsAny(line, "\x1b\n\r") {
		t.Errorf("%q", line)
	}
}
