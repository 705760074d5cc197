package rule_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

func TestDestinationRepository(t *testing.T) {
	t.Parallel()
	tooFew := func(source string, parents string, n, count int) string {
		return fmt.Sprintf("the source repository %q contains only %d path components %s excepting the last one, "+
			"but the destination namespace flattening level is %d", source, n, parents, count)
	}
	for _, c := range []struct {
		source, namespace string
		count             int8
		want, err         string
	}{
		{"a/b/c/img", "n", -1, "n/img", ""},
		{"a/img", "n", -1, "n/img", ""},
		{"img", "n", -1, "n/img", ""},
		{"a/b/c/img", "n", -7, "n/img", ""},
		{"a/b/c/img", "n", 0, "n/a/b/c/img", ""},
		{"a/img", "n", 0, "n/a/img", ""},
		{"img", "n", 0, "n/img", ""},
		{"a/b/c/img", "n", 1, "n/b/c/img", ""},
		{"a/img", "n", 1, "n/img", ""},
		{"img", "n", 1, "", tooFew("img", "[]", 0, 1)},
		{"a/b/c/img", "n", 2, "n/c/img", ""},
		{"a/img", "n", 2, "", tooFew("a/img", "[a]", 1, 2)},
		{"a/b/c/img", "n", 3, "n/img", ""},
		{"a/img", "n", 3, "", tooFew("a/img", "[a]", 1, 3)},
		{"a/b/c/img", "n", 4, "", tooFew("a/b/c/img", "[a b c]", 3, 4)},
		{"img", "n", 2, "", tooFew("img", "[]", 0, 2)},
		{"img", "n", 3, "", tooFew("img", "[]", 0, 3)},
		{"a/img", "n", 4, "", tooFew("a/img", "[a]", 1, 4)},
		{"img", "n", 4, "", tooFew("img", "[]", 0, 4)},
		{"a/b/c/img", "x/n", 1, "x/n/b/c/img", ""},
		{"a/b/c/img", "n", 127, "", tooFew("a/b/c/img", "[a b c]", 3, 127)},
		{"a/b/c/img", "", -1, "a/b/c/img", ""},
		{"a/b/c/img", "", 9, "a/b/c/img", ""},
		{"img", "", 1, "img", ""},
		// Recorded from Harbor: the flattening matrix.
		{"mx/a/b/svc", "f99", -1, "f99/svc", ""},
		{"mx/a/b/svc", "f0", 0, "f0/mx/a/b/svc", ""},
		{"mx/a/b/svc", "f1", 1, "f1/a/b/svc", ""},
		{"mx/a/b/svc", "f2", 2, "f2/b/svc", ""},
		{"mx/a/b/svc", "f3", 3, "f3/svc", ""},
		{"mx/a/b/svc", "f4", 4, "", `the source repository "mx/a/b/svc" contains only 3 path components [mx a b] excepting the last one, ` +
			`but the destination namespace flattening level is 4`},
		{"mx/a/b/svc", "x/y/z", 2, "x/y/z/b/svc", ""},
		{"mx/a/b/svc", "legacy", rule.FlattenAll, "legacy/svc", ""},
		{"mx/app-two", "collide", -1, "collide/app-two", ""},
		{"a/" + strings.Repeat("b", 252), "n", 0, "", "would have a name of 256 characters, 255 are allowed"},
	} {
		got, err := rule.Rule{DestNamespace: c.namespace, ReplaceCount: c.count}.DestinationRepository(c.source)
		if got != c.want {
			t.Errorf("%s, %q, %d: %q, want %q", c.source, c.namespace, c.count, got, c.want)
		}
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s, %q, %d: %v", c.source, c.namespace, c.count, err)
		case c.err != "" && (!problem.Is(err, problem.BadRequest) || !strings.HasSuffix(err.Error(), c.err)):
			t.Errorf("%s, %q, %d: error %v, want %s", c.source, c.namespace, c.count, err, c.err)
		}
	}
}

func TestDestinationIsAlwaysARepository(t *testing.T) {
	t.Parallel()
	name := rapid.StringMatching(`[a-z0-9]{1,5}([._-][a-z0-9]{1,3})?(/[a-z0-9]{1,5}){0,4}`)
	rapid.Check(t, func(t *rapid.T) {
		source, namespace := name.Draw(t, "source"), name.Draw(t, "namespace")
		count := rapid.Int8().Draw(t, "count")
		got, err := rule.Rule{DestNamespace: namespace, ReplaceCount: count}.DestinationRepository(source)
		parents := strings.Count(source, "/")
		if tooMany := int(count) > parents; tooMany != (err != nil) {
			t.Fatalf("%d of %d components are replaced: %v", count, parents, err)
		}
		if err != nil {
			return
		}
		if err := rule.ValidateRepositoryName(got); err != nil {
			t.Fatal(err)
		}
		kept := 0
		if count >= 0 {
			kept = parents - int(count)
		}
		if want := strings.Count(namespace, "/") + 1 + kept; strings.Count(got, "/") != want || !strings.HasPrefix(got, namespace+"/") {
			t.Fatalf("%s, %s, %d: %s", source, namespace, count, got)
		}
	})
}

func TestRepositoryNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "library/alpine", "a/b/c/d", "a.b_c__d---e", "0", strings.Repeat("a", 255)} {
		if err := rule.ValidateRepositoryName(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "/", "/a", "a/", "a//b", "A", "UPPER/case", "a b", "a:b", "a..b", "a___b", "-a", "a-", "a/_b", "ä", "a\n", strings.Repeat("a", 256)} {
		if err := rule.ValidateRepositoryName(name); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTags(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"latest", "v1.0-rc_1", "_", "UPPER", strings.Repeat("a", 128)} {
		if err := rule.ValidateTag(tag); err != nil {
			t.Error(err)
		}
	}
	for _, tag := range []string{"", ".a", "-a", "a/b", "a:b", "a b", "a\n", "ä", strings.Repeat("a", 129)} {
		if err := rule.ValidateTag(tag); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%q: %v", tag, err)
		}
	}
}

func TestPathRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule       rule.PathRule
		repository string
		err        string
	}{
		{rule.PathNoLimit, "a", ""},
		{rule.PathNoLimit, "a/b/c", ""},
		{"", "a", ""},
		{rule.PathAtLeastTwo, "a/b", ""},
		{rule.PathAtLeastTwo, "a/b/c", ""},
		{rule.PathAtLeastTwo, "a", `the destination repository "a" contains only 1 path components [a], but the destination registry requires at least 2`},
		{rule.PathOnlyTwo, "a/b", ""},
		{rule.PathOnlyTwo, "a/b/c", `the destination repository "a/b/c" contains 3 path components [a b c], but the destination registry only supports 2`},
	} {
		err := c.rule.Check(c.repository)
		if c.err == "" && err != nil || c.err != "" && (!problem.Is(err, problem.BadRequest) || err.Error() != c.err) {
			t.Errorf("%s and %s: %v, want %q", c.rule, c.repository, err, c.err)
		}
	}
}

// The public grammar takes the first component for a host where it can. With a
// host in front it is the grammar of repositories alone.
func FuzzRepositoryName(f *testing.F) {
	for _, name := range []string{"library/alpine", "a__b", "a___b", "UPPER/case", "a//b", ""} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		_, public := reference.WithName("host.example/" + name)
		if own := rule.ValidateRepositoryName(name); (own == nil) != (public == nil) {
			t.Errorf("%q: %v, distribution/reference says %v", name, own, public)
		}
	})
}

func FuzzDestinationRepository(f *testing.F) {
	f.Add("a/b/c/img", "n", int8(1))
	f.Add("", "/", int8(-128))
	f.Fuzz(func(t *testing.T, source, namespace string, count int8) {
		got, err := rule.Rule{DestNamespace: namespace, ReplaceCount: count}.DestinationRepository(source)
		if err == nil && namespace != "" && !strings.HasPrefix(got, namespace+"/") {
			t.Errorf("%q, %q, %d: %q", source, namespace, count, got)
		}
	})
}
