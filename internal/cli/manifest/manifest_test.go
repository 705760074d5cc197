package manifest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/cli/manifest"
)

// folder writes files: name, content, ...
func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func names(docs []manifest.Document) []string {
	var all []string
	for _, d := range docs {
		all = append(all, d.Kind+" "+d.Name)
	}
	return all
}

func TestFoldersAreReadWithAllThatIsBelowThem(t *testing.T) {
	t.Parallel()
	dir := folder(t,
		"b.yaml", "kind: B\nname: one\n---\n---\n# nothing\n---\nkind: B\nname: two\n",
		"a/c.yml", "kind: C\nname: 12\nspec:\n",
		"a/d.json", `{"kind": "D", "name": "d", "spec": {"x": 1}}`,
		"notes.txt", "kind: X", ".hidden/e.yaml", "kind: E\nname: e\n", ".f.yaml", "kind: F\nname: f\n")
	docs, err := manifest.Read([]string{dir, "-"}, strings.NewReader("kind: S\nname: stdin\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"C 12", "D d", "B one", "B two", "S stdin"}, names(docs)); diff != "" {
		t.Error(diff)
	}
	if docs[3].Line != 7 || docs[4].Where() != "-:1" {
		t.Errorf("they begin at %s and %s", docs[3].Where(), docs[4].Where())
	}
}

func TestMistakesInDocumentsAreToldWithTheirLines(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ content, want string }{
		"no mapping":       {"- a\n", "f.yaml:1: want kind, name and spec"},
		"no kind":          {"\nname: x\n", "f.yaml:2: kind is missing"},
		"no name":          {"kind: X\n", "f.yaml:1: name is missing"},
		"empty name":       {"kind: X\nname: ''\n", "f.yaml:2: name: want a text"},
		"no name but null": {"kind: X\nname:\n", "f.yaml:2: name: want a text"},
		"name is a list":   {"kind: X\nname: [a]\n", "f.yaml:2: name: want a text"},
		"spec is a text":   {"kind: X\nname: x\nspec: all\n", "f.yaml:3: spec: want fields"},
		"another field":    {"kind: X\nname: x\nmetadata: {}\n", `f.yaml:3: unknown field "metadata"`},
		"no YAML":          {"kind: X\n\tname: x\n", "f.yaml: line 2"},
		"twice":            {"kind: X\nname: x\n---\nkind: X\nname: x\n", "f.yaml:4: X x: it is at "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, "f.yaml", tc.content)
			if _, err := manifest.Read([]string{dir}, nil); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
	if _, err := manifest.Read([]string{t.TempDir()}, nil); err == nil || !strings.Contains(err.Error(), "there are no") {
		t.Errorf("an empty folder: %v", err)
	}
}

type inner struct {
	AccessKey    string `json:"access_key"`
	AccessSecret string `json:"access_secret"`
}

type spec struct {
	ID     int64             `json:"id"`
	Name   string            `json:"name"`
	Flag   *bool             `json:"flag"`
	Small  *int8             `json:"small"`
	Inner  *inner            `json:"inner"`
	List   []inner           `json:"list"`
	Words  []string          `json:"words"`
	Free   any               `json:"free"`
	Labels map[string]string `json:"labels"`
}

func decode(t *testing.T, body string) (spec, string, error) {
	t.Helper()
	dir := folder(t, "f.yaml", "kind: X\nname: x\nspec:\n"+body, "secret.txt", "from a file\n", "empty.txt", "\n")
	docs, err := manifest.Read([]string{filepath.Join(dir, "f.yaml")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var s spec
	var extra string
	err = docs[0].Decode(&s, manifest.Rules{
		ReadOnly: []string{"id"}, Extra: map[string]any{"project": &extra}, Secrets: []string{"access_secret"},
		Getenv: func(name string) string { return map[string]string{"SET": "from the environment"}[name] },
	})
	return s, extra, err
}

func TestASpecIsReadInTheFieldsOfTheAPI(t *testing.T) {
	t.Parallel()
	s, extra, err := decode(t, `  name: 007
  flag: true
  small: -1
  inner: {access_key: a, accessSecretFrom: {env: SET}}
  list:
  - {access_key: b, accessSecretFrom: {file: secret.txt}}
  - access_key: c
  words: [x, 1]
  free: [1, two]
  labels: {public: true}
  project: p
`)
	if err != nil {
		t.Fatal(err)
	}
	yes, small := true, int8(-1)
	want := spec{
		Name: "007", Flag: &yes, Small: &small, Inner: &inner{"a", "from the environment"}, List: []inner{{"b", "from a file"}, {"c", ""}},
		Words: []string{"x", "1"}, Free: []any{1.0, "two"}, Labels: map[string]string{"public": "true"},
	}
	if diff := cmp.Diff(want, s); diff != "" || extra != "p" {
		t.Errorf("project %q, %s", extra, diff)
	}
}

func TestMistakesInASpecAreToldWithTheirLines(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ body, want string }{
		"unknown":            {"  nam: x\n", "f.yaml:4: X x: spec.nam: unknown field (did you mean name?)"},
		"unknown below":      {"  inner:\n    key: x\n", "f.yaml:5: X x: spec.inner.key: unknown field"},
		"unknown in a list":  {"  list:\n  - {}\n  - key: x\n", "f.yaml:6: X x: spec.list[1].key: unknown field"},
		"read-only":          {"  id: 3\n", "f.yaml:4: X x: spec.id: a file cannot set it"},
		"no number":          {"  small: many\n", "f.yaml:4: X x: spec.small: cannot unmarshal"},
		"too large":          {"  small: 300\n", "f.yaml:4: X x: spec.small: cannot unmarshal"},
		"no list":            {"  words: x\n", "f.yaml:4: X x: spec.words: want a list"},
		"no fields":          {"  inner: x\n", "f.yaml:4: X x: spec.inner: want fields"},
		"unset variable":     {"  inner: {accessSecretFrom: {env: UNSET}}\n", "the environment variable UNSET is not set"},
		"no such file":       {"  inner: {accessSecretFrom: {file: nowhere}}\n", "nowhere: no such file"},
		"an empty file":      {"  inner: {accessSecretFrom: {file: empty.txt}}\n", "empty.txt is empty"},
		"from both":          {"  inner: {accessSecretFrom: {file: secret.txt, env: SET}}\n", "want {env: NAME} or {file: PATH}"},
		"from nowhere":       {"  inner: {accessSecretFrom: {vault: x}}\n", "want {env: NAME} or {file: PATH}"},
		"contains itself":    {"  free: &a [*a]\n", "contains itself"},
		"contains itself ()": {"  list: &a\n  - *a\n", "want fields"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := decode(t, tc.body); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %s", err, tc.want)
			}
		})
	}
	_, _, err := decode(t, "  nam: x\n  small: many\n")
	if err == nil || strings.Count(err.Error(), "\n") != 1 {
		t.Errorf("not both mistakes are told: %v", err)
	}
}
