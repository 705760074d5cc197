package rule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
)

// maxTemplateLength bounds what is read for each repository.
const maxTemplateLength = 1024

// renaming is a Rename ready to give names.
type renaming struct {
	source *expression // nil: every repository
	parts  []templatePart
}

// templatePart is a piece of a template: text, the value of a placeholder, or what a
// group has captured.
type templatePart struct {
	text        string
	placeholder string // one of placeholders
	group       int    // -1: none
}

// placeholders are what a template can say of the source repository.
var placeholders = []string{"repository", "project", "path", "name"}

// compile checks the wish and makes it ready; nil for none. The error names the field.
func (n Rename) compile() (*renaming, error) {
	switch {
	case n == Rename{}:
		return nil, nil
	case n.Template == "":
		return nil, wrong("rename.template", errors.New("is missing: rename.regex says which repositories are renamed, and the template how"))
	case len(n.Template) > maxTemplateLength:
		return nil, wrong("rename.template", fmt.Errorf("longer than %d characters", maxTemplateLength))
	}
	source, err := compileExpression(n.Regexp)
	if err != nil {
		return nil, wrong("rename.regex", err)
	}
	r := &renaming{source: source}
	if r.parts, err = r.parse(n.Template); err != nil {
		return nil, wrong("rename.template", err)
	}
	if group, unused := r.unusedGroup(); unused {
		return nil, wrong("rename.regex", fmt.Errorf("the template does not use the group %s; write (?:...) for a group that captures nothing", group))
	}
	// With the plainest values there are, a template that can ever make a name makes one.
	sample := r.fill(func(templatePart) string { return "x" })
	if ValidateRepositoryName(sample) != nil {
		return nil, wrong("rename.template", fmt.Errorf("%q can never be the name of a repository", n.Template))
	}
	return r, nil
}

// parse takes a template apart.
func (r *renaming) parse(template string) (parts []templatePart, err error) {
	for rest := template; rest != ""; {
		special := strings.IndexAny(rest, "{}$")
		if special < 0 {
			return append(parts, templatePart{text: rest, group: -1}), nil
		}
		if special > 0 {
			parts = append(parts, templatePart{text: rest[:special], group: -1})
			rest = rest[special:]
		}
		var part templatePart
		switch {
		case rest[0] == '{':
			part, rest, err = readPlaceholder(rest)
		case rest[0] == '$':
			part, rest, err = r.readGroup(rest)
		default:
			err = errors.New("a } has no matching {")
		}
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

func readPlaceholder(rest string) (templatePart, string, error) {
	word, after, found := strings.Cut(rest[1:], "}")
	if !found {
		return templatePart{}, "", errors.New("a { has no matching }")
	}
	if !slices.Contains(placeholders, word) {
		return templatePart{}, "", fmt.Errorf("unknown placeholder {%s}; there are {repository}, {project}, {path} and {name}", word)
	}
	return templatePart{placeholder: word, group: -1}, after, nil
}

// readGroup reads $1, ${1} or ${name}. A number ends where its digits end, so that
// $1_x is the first group and _x.
func (r *renaming) readGroup(rest string) (templatePart, string, error) {
	word, after := rest[1:], ""
	if strings.HasPrefix(word, "{") {
		var found bool
		if word, after, found = strings.Cut(word[1:], "}"); !found {
			return templatePart{}, "", errors.New("a ${ has no matching }")
		}
	} else {
		digits := len(word) - len(strings.TrimLeft(word, "0123456789"))
		if digits == 0 {
			return templatePart{}, "", errors.New("a $ needs a number or a {name} behind it")
		}
		word, after = word[:digits], word[digits:]
	}
	if r.source == nil {
		return templatePart{}, "", fmt.Errorf("$%s needs rename.regex, whose groups it means", word)
	}
	groups := r.source.whole.NumSubexp()
	group, err := strconv.Atoi(word)
	if err != nil {
		group = r.source.whole.SubexpIndex(word)
	}
	if group < 0 || group > groups {
		return templatePart{}, "", fmt.Errorf("rename.regex has no group %s; it has %d", word, groups)
	}
	return templatePart{group: group}, after, nil
}

func (r *renaming) unusedGroup() (group string, unused bool) {
	if r.source == nil {
		return "", false
	}
	whole := r.source.whole
	for i := 1; i <= whole.NumSubexp(); i++ {
		if slices.ContainsFunc(r.parts, func(p templatePart) bool { return p.group == i }) {
			continue
		}
		if name := whole.SubexpNames()[i]; name != "" {
			return name, true
		}
		return strconv.Itoa(i), true
	}
	return "", false
}

// fill writes the template with these values.
func (r *renaming) fill(value func(templatePart) string) string {
	var b strings.Builder
	for _, p := range r.parts {
		if p.placeholder == "" && p.group < 0 {
			b.WriteString(p.text)
		} else {
			b.WriteString(value(p))
		}
	}
	return b.String()
}

// name names a repository at the destination.
func (r *renaming) name(source string) (string, error) {
	var captured []string
	if r.source != nil {
		if captured = r.source.whole.FindStringSubmatch(source); captured == nil {
			return "", problem.New(problem.BadRequest, "rename.regex does not match the source repository %q: it has no name at the destination", source)
		}
	}
	project, path, _ := strings.Cut(source, "/")
	values := map[string]string{"repository": source, "project": project, "path": path, "name": source[strings.LastIndexByte(source, '/')+1:]}
	name := r.fill(func(p templatePart) string {
		if p.group >= 0 {
			return captured[p.group]
		}
		return values[p.placeholder]
	})
	if err := ValidateRepositoryName(name); err != nil {
		return "", problem.New(problem.BadRequest, "rename.template makes %q of the source repository %q, which cannot be the name of a repository", name, source)
	}
	return name, nil
}

// distinct reports whether the template keeps the names of different repositories
// apart for certain: it has the whole name in it.
func (r *renaming) distinct() bool {
	whole := slices.ContainsFunc(r.parts, func(p templatePart) bool { return p.placeholder == "repository" || p.group == 0 })
	others := slices.ContainsFunc(r.parts, func(p templatePart) bool { return p.placeholder != "repository" && p.placeholder != "" || p.group > 0 })
	return whole && !others
}
