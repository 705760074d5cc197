package rule_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

func renaming(regexp, template string) rule.Rule {
	return rule.Rule{Name: "x", Extras: rule.Extras{Rename: rule.Rename{Regexp: regexp, Template: template}}}
}

func TestRenamedRepositories(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		regexp, template, source string
		want, err                string
	}{
		{"", "{repository}", "a/b/c", "a/b/c", ""},
		{"", "mirror/{repository}", "a/b/c", "mirror/a/b/c", ""},
		{"", "{path}", "a/b/c", "b/c", ""}, // without the project
		{"", "{name}", "a/b/c", "c", ""},
		{"", "{project}-mirror/{path}", "a/b/c", "a-mirror/b/c", ""},
		{"", "x/{project}_{name}", "a/b/c", "x/a_c", ""},
		{"", "{project}/{name}", "img", "img/img", ""},
		{"", "all", "a/b", "all", ""},
		{"", "{path}", "img", "", `rename.template makes "" of the source repository "img", which cannot be the name of a repository`},
		{"", "x/{path}", "img", "", `rename.template makes "x/" of the source repository "img"`},
		{`([^/]+)/(.+)`, "$2/$1", "a/b/c", "b/c/a", ""},
		{`([^/]+)/(.+)`, "${2}x/$1_y", "a/b", "bx/a_y", ""},
		{`(?P<team>[^/]+)/(?P<rest>.+)`, "${team}-prod/${rest}", "a/b/c", "a-prod/b/c", ""},
		{`(?:library|apps)/(.*)`, "prod/$1", "apps/web", "prod/web", ""},
		{`library/.*`, "m/$0", "library/x", "m/library/x", ""},
		{`lib(-old)?/(.*)`, "new$1/$2", "lib/a", "new/a", ""},
		{`library/(.*)`, "prod/$1", "apps/web", "", `rename.regex does not match the source repository "apps/web": it has no name at the destination`},
		{`brary/(.*)`, "prod/$1", "library/web", "", `rename.regex does not match the source repository "library/web"`},
		{`library/(.*)`, "prod/$1", "library/", "", `rename.template makes "prod/"`},
		{"", strings.Repeat("a", 250) + "/{name}", "a/bcdefgh", "", "rename.template makes"},
	} {
		r := renaming(c.regexp, c.template)
		if err := r.Validate(); err != nil {
			t.Errorf("%q, %q: %v", c.regexp, c.template, err)
			continue
		}
		got, err := r.DestinationRepository(c.source)
		if got != c.want || (err != nil) != (c.err != "") || err != nil && (!problem.Is(err, problem.BadRequest) || !strings.HasPrefix(err.Error(), c.err)) {
			t.Errorf("%q, %q of %s: %q, %v; want %q, %s", c.regexp, c.template, c.source, got, err, c.want, c.err)
		}
	}
}

func TestMistakesInARenaming(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ regexp, template, want string }{
		{"a", "", "rename.template: is missing"},
		{"", "{repo}", "rename.template: unknown placeholder {repo}; there are {repository}, {project}, {path} and {name}"},
		{"", "{}", "rename.template: unknown placeholder {}"},
		{"", "{name", "rename.template: a { has no matching }"},
		{"", "name}", "rename.template: a } has no matching {"},
		{"", "$1", "rename.template: $1 needs rename.regex"},
		{"a(.)", "$2$1", "rename.template: rename.regex has no group 2; it has 1"},
		{"a(.)", "${x}$1", "rename.template: rename.regex has no group x"},
		{"a(.)", "${1", "rename.template: a ${ has no matching }"},
		{"a(.)", "$x", "rename.template: a $ needs a number or a {name} behind it"},
		{"a(.)", "$1$", "rename.template: a $ needs"},
		{"a(.)", "${}$1", "rename.template: rename.regex has no group "},
		{"a(.)", "$99999999999999999999", "rename.template: rename.regex has no group 9999"},
		{"a(.)(.)", "$2", "rename.regex: the template does not use the group 1; write (?:...)"},
		{"a(?P<x>.)", "b", "rename.regex: the template does not use the group x"},
		{"a(", "b", "rename.regex: error parsing regexp"},
		{"", "/{name}", `rename.template: "/{name}" can never be the name of a repository`},
		{"", "{project}//{name}", "rename.template: "},
		{"", "{project}/", "rename.template: "},
		{"", "Mirror/{name}", "rename.template: "},
		{"", "a b/{name}", "rename.template: "},
		{"", strings.Repeat("a", 256), "rename.template: "},
		{"", strings.Repeat("{name}", 300), "rename.template: longer than 1024 characters"},
	} {
		r := renaming(c.regexp, c.template)
		if err := r.Validate(); !problem.Is(err, problem.BadRequest) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q, %q: %v, want %q", c.regexp, c.template, err, c.want)
		}
		if _, err := r.DestinationRepository("a/b"); err == nil {
			t.Errorf("%q, %q names a repository all the same", c.regexp, c.template)
		}
	}
	both := renaming("", "{name}")
	both.DestNamespace = "n"
	if err := both.Validate(); !problem.Is(err, problem.BadRequest) || !strings.HasPrefix(err.Error(), "rename: it cannot be together with dest_namespace (n)") {
		t.Errorf("with a namespace: %v", err)
	}
}

// A rule that says that its names do not collide keeps all names apart.
func TestNamesThatCannotCollideDoNot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule    rule.Rule
		collide bool
	}{
		{rule.Rule{}, false},
		{rule.Rule{ReplaceCount: rule.FlattenAll}, false}, // without a namespace it means nothing
		{rule.Rule{DestNamespace: "n"}, false},
		{rule.Rule{DestNamespace: "n", ReplaceCount: 1}, true},
		{rule.Rule{DestNamespace: "n", ReplaceCount: rule.FlattenAll}, true},
		{renaming("", "m/{repository}"), false},
		{renaming("a.*", "m/$0"), false},
		{renaming("", "{path}"), true},
		{renaming("", "{project}/{path}"), true}, // a and a/ are the same
		{renaming("", "{repository}-{name}"), true},
		{renaming("a/(.*)", "b/$1"), true},
	} {
		if c.rule.NamesCollide() != c.collide {
			t.Errorf("%+v: %t", c.rule, !c.collide)
		}
	}
	name := rapid.StringMatching(`[a-c]{1,2}(/[a-c]{1,2}){0,3}`)
	rapid.Check(t, func(t *rapid.T) {
		r := rapid.SampledFrom([]rule.Rule{
			{}, {DestNamespace: "n"}, {DestNamespace: "n", ReplaceCount: 1}, renaming("", "m/{repository}"), renaming("[ab].*", "$0/x"), renaming("", "{path}"), renaming("", "{project}/{name}"),
		}).Draw(t, "rule")
		a, b := name.Draw(t, "one"), name.Draw(t, "other")
		at, errA := r.DestinationRepository(a)
		bt, errB := r.DestinationRepository(b)
		if errA == nil && errB == nil && a != b && at == bt && !r.NamesCollide() {
			t.Fatalf("%+v makes %s of %s and of %s", r, at, a, b)
		}
	})
}

func FuzzRename(f *testing.F) {
	f.Add(`([^/]+)/(.+)`, "$2/${1}", "a/b")
	f.Add("", "{project}/{name}", "a")
	f.Add("(?P<x>.*)", "${x}", "a/b/c")
	f.Add("a", "${", "")
	f.Fuzz(func(t *testing.T, regexp, template, source string) {
		r := renaming(regexp, template)
		if err := r.Validate(); err != nil {
			if !problem.Is(err, problem.BadRequest) {
				t.Errorf("%v", err)
			}
			return
		}
		got, err := r.DestinationRepository(source)
		if err == nil && rule.ValidateRepositoryName(got) != nil {
			t.Errorf("%q, %q of %q: %q", regexp, template, source, got)
		}
	})
}
