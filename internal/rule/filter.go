package rule

import (
	"encoding/json"

	"github.com/lighterage/lighterage/internal/problem"
)

// FilterType says what of an artifact a filter looks at.
type FilterType string

// The filters.
const (
	FilterName     FilterType = "name"     // the whole repository name, with the project
	FilterTag      FilterType = "tag"      // each tag
	FilterLabel    FilterType = "label"    // the names of the artifact's labels
	FilterResource FilterType = "resource" // what the artifact is: image or artifact
)

// Decorations of a tag or label filter. The empty one means Matches.
const (
	Matches  = "matches"
	Excludes = "excludes"
)

// Values of a resource filter.
const (
	ResourceImage    = "image"    // container images, and indexes of them
	ResourceArtifact = "artifact" // everything, images too
)

// Filter is one condition of a rule, in the form that Harbor's API gives it.
type Filter struct {
	Type       FilterType `json:"type"`
	Value      any        `json:"value"` // a pattern or word, []string for labels
	Decoration string     `json:"decoration,omitempty"`
}

// UnmarshalJSON reads a filter and makes a list of strings a []string. A value
// of another type is kept as it is: Validate says what is wrong with it.
func (f *Filter) UnmarshalJSON(b []byte) error {
	type plain Filter
	var p plain
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	*f = Filter(p)
	if labels, ok := stringList(f.Value); ok {
		f.Value = labels
	}
	return nil
}

// Text returns the value of a name, tag or resource filter, "" of a label filter.
func (f Filter) Text() string {
	text, _ := f.Value.(string)
	return text
}

// Labels returns the names that a label filter lists, nil for other filters.
func (f Filter) Labels() []string {
	labels, _ := stringList(f.Value)
	return labels
}

func stringList(value any) ([]string, bool) {
	switch list := value.(type) {
	case []string:
		return list, true
	case []any:
		all := make([]string, 0, len(list))
		for _, v := range list {
			s, ok := v.(string)
			if !ok {
				return nil, false
			}
			all = append(all, s)
		}
		return all, true
	}
	return nil, false
}

// Validate checks the filter as Harbor does, and its pattern too.
func (f Filter) Validate() error {
	switch f.Type {
	case FilterName, FilterTag, FilterResource:
		if err := f.validateText(); err != nil {
			return err
		}
	case FilterLabel:
		if _, ok := stringList(f.Value); !ok {
			return problem.New(problem.BadRequest, "the type of label filter value isn't string slice")
		}
	default:
		return problem.New(problem.BadRequest, "invalid filter type")
	}
	if f.Decoration != "" && f.Decoration != Matches && f.Decoration != Excludes {
		return problem.New(problem.BadRequest, "invalid filter decoration, :%s", f.Decoration)
	}
	return nil
}

func (f Filter) validateText() error {
	text, ok := f.Value.(string)
	if !ok {
		return problem.New(problem.BadRequest, "the type of filter value isn't string")
	}
	if f.Type == FilterResource && text != ResourceImage && text != ResourceArtifact {
		return problem.New(problem.BadRequest, "invalid resource filter: %s", text)
	}
	if f.Type != FilterTag && f.Decoration != "" {
		return problem.New(problem.BadRequest, "only tag and label filter support decoration")
	}
	if f.Type == FilterResource {
		return nil
	}
	if err := checkPattern(text); err != nil {
		return problem.New(problem.BadRequest, "invalid pattern %q of the %s filter: %v", text, f.Type, err)
	}
	return nil
}
