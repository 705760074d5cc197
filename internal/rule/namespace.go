package rule

import (
	"slices"
	"strings"
)

// Namespaces returns the first components that repositories wanted by the rule can have,
// when its name filters name them: then a registry with many need not be listed whole.
// They need not exist.
func (m *Matcher) Namespaces() (names []string, literal bool) {
	for _, pattern := range m.names {
		if names, ok := namespaces(pattern); ok {
			return names, true
		}
	}
	for _, pattern := range m.selection.names {
		some, ok := namespaces(pattern)
		if !ok {
			return nil, false
		}
		for _, name := range some {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names, len(names) > 0
}

func namespaces(pattern string) (names []string, literal bool) {
	for _, simple := range expand(pattern) {
		first, _, _ := strings.Cut(simple, "/")
		if first == "" || strings.ContainsAny(first, `*?[\`) {
			return nil, false
		}
		if !slices.Contains(names, first) {
			names = append(names, first)
		}
	}
	return names, true
}
