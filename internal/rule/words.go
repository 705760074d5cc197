package rule

import (
	"fmt"
	"strings"
)

// Describe says in words what a rule selects, such as "repositories library/**; tags v*;
// with the labels release, tested; images only". A rule that leaves nothing out selects
// "everything: no filter is set".
func Describe(r Rule) string {
	var parts []string
	for _, f := range r.Filters {
		if text := f.inWords(); text != "" {
			parts = append(parts, text)
		}
	}
	parts = append(parts, r.Select.inWords()...)
	if parts == nil {
		return "everything: no filter is set"
	}
	return strings.Join(parts, "; ")
}

// SelectsEverything reports whether nothing in a rule leaves anything out.
func SelectsEverything(r Rule) bool {
	for _, f := range r.Filters {
		if f.inWords() != "" {
			return false
		}
	}
	return r.Select.IsZero()
}

// inWords is "" for a filter that lets everything through.
func (f Filter) inWords() string {
	excludes := f.Decoration == Excludes
	text := f.Text()
	switch {
	case f.Type == FilterName && text != "" && text != "**":
		return "repositories " + text
	case f.Type == FilterTag && text != "" && excludes:
		return "without tags " + text
	case f.Type == FilterTag && text != "" && text != "**":
		return "tags " + text
	case f.Type == FilterLabel && len(f.Labels()) > 0:
		return labelsInWords(f.Labels(), excludes)
	case f.Type == FilterResource && text == ResourceImage:
		return "images only"
	}
	return ""
}

func labelsInWords(labels []string, excludes bool) string {
	switch list := strings.Join(labels, ", "); {
	case len(labels) == 1 && excludes:
		return "without the label " + list
	case excludes:
		return "without all of the labels " + list + " together"
	case len(labels) == 1:
		return "with the label " + list
	default:
		return "with the labels " + list
	}
}

func (s Selection) inWords() (parts []string) {
	list := func(before string, values []string) {
		if len(values) > 0 {
			parts = append(parts, before+strings.Join(values, " or "))
		}
	}
	text := func(before, value string) {
		if value != "" {
			parts = append(parts, before+value)
		}
	}
	list("repositories ", s.Names)
	list("without repositories ", s.ExcludeNames)
	text("repositories that match the regular expression ", s.NameRegexp)
	list("tags ", s.Tags)
	list("without tags ", s.ExcludeTags)
	text("tags that match the regular expression ", s.TagRegexp)
	text("versions ", s.Semver)
	list("of the type ", s.ArtifactTypes)
	text("pushed since ", s.PushedSince)
	if s.Newest > 0 {
		parts = append(parts, fmt.Sprintf("of each repository the newest %d", s.Newest))
	}
	return parts
}
