package rule

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/lighterage/lighterage/internal/problem"
)

// Limits of a selection. All of it is tried on every name and tag of a registry.
const (
	maxPatterns     = 1000
	maxRegexpLength = 1024
	maxNewest       = 1_000_000
)

// selection is a Selection ready to be matched.
type selection struct {
	names, excludeNames []string // patterns
	nameRegexp          *expression
	tags, excludeTags   []string // patterns
	tagRegexp           *expression
	versions            *semver.Constraints
	newest              int
	since               since
	kinds, mediaTypes   []string // Harbor's words and media types, in small letters
}

// compile checks the selection and makes it ready. The error names the field.
func (s Selection) compile() (*selection, error) {
	out := &selection{names: s.Names, excludeNames: s.ExcludeNames, tags: s.Tags, excludeTags: s.ExcludeTags, newest: s.Newest}
	for _, list := range []struct {
		field    string
		patterns []string
	}{{"names", s.Names}, {"exclude_names", s.ExcludeNames}, {"tags", s.Tags}, {"exclude_tags", s.ExcludeTags}} {
		if err := checkPatterns(list.patterns); err != nil {
			return nil, wrong("select."+list.field, err)
		}
	}
	var err error
	if out.nameRegexp, err = compileExpression(s.NameRegexp); err != nil {
		return nil, wrong("select.name_regex", err)
	}
	if out.tagRegexp, err = compileExpression(s.TagRegexp); err != nil {
		return nil, wrong("select.tag_regex", err)
	}
	if s.Semver != "" {
		if out.versions, err = semver.NewConstraint(s.Semver); err != nil {
			return nil, wrong("select.semver", fmt.Errorf("%q is no range of versions such as >=1.2 <2: %w", s.Semver, err))
		}
	}
	if s.Newest < 0 || s.Newest > maxNewest {
		return nil, wrong("select.newest", fmt.Errorf("%d is not between 0 (all) and %d", s.Newest, maxNewest))
	}
	if out.since, err = parseSince(s.PushedSince); err != nil {
		return nil, wrong("select.pushed_since", err)
	}
	if err := out.addTypes(s.ArtifactTypes); err != nil {
		return nil, wrong("select.artifact_types", err)
	}
	return out, nil
}

// wrong is a mistake in a field of a rule.
func wrong(field string, err error) error {
	return problem.New(problem.BadRequest, "%s: %v", field, err)
}

func checkPatterns(patterns []string) error {
	if len(patterns) > maxPatterns {
		return fmt.Errorf("more than %d patterns", maxPatterns)
	}
	for i, p := range patterns {
		if p == "" {
			return fmt.Errorf("pattern %d is empty", i+1)
		}
		if err := checkPattern(p); err != nil {
			return fmt.Errorf("invalid pattern %q: %w", p, err)
		}
	}
	return nil
}

var (
	typeWord  = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9._-]*$`)
	mediaType = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]*/[a-zA-Z0-9][a-zA-Z0-9!#$&^_.+-]*$`) // RFC 6838, 4.2
)

// addTypes tells media types from Harbor's words by their slash. Which words there
// are is open: Harbor makes some of the media type of an artifact's config.
func (s *selection) addTypes(types []string) error {
	if len(types) > maxPatterns {
		return fmt.Errorf("more than %d types", maxPatterns)
	}
	for _, t := range types {
		switch {
		case mediaType.MatchString(t):
			s.mediaTypes = append(s.mediaTypes, strings.ToLower(t))
		case typeWord.MatchString(t):
			s.kinds = append(s.kinds, strings.ToLower(t))
		default:
			return fmt.Errorf("%q is neither a word such as IMAGE or CHART nor a media type", t)
		}
	}
	return nil
}

func (s *selection) wantsRepository(name string) bool {
	return (len(s.names) == 0 || anyMatches(s.names, name)) && !anyMatches(s.excludeNames, name) && s.nameRegexp.matches(name)
}

// wantsTag tells of one tag, "" stands for having none.
func (s *selection) wantsTag(tag string) bool {
	switch {
	case len(s.tags) > 0 && !anyMatches(s.tags, tag), anyMatches(s.excludeTags, tag), !s.tagRegexp.matches(tag):
		return false
	case s.accessoriesFollow() && IsAccessoryTag(tag):
		return false
	case s.versions != nil:
		v := version(tag)
		return v != nil && s.versions.Check(v)
	}
	return true
}

// wantsType tells whether an artifact is of one of the types.
func (s *selection) wantsType(c Candidate) bool {
	if len(s.kinds) == 0 && len(s.mediaTypes) == 0 {
		return true
	}
	if slices.Contains(s.kinds, strings.ToLower(c.ResourceType)) {
		return true
	}
	return slices.ContainsFunc(c.MediaTypes, func(t string) bool { return slices.Contains(s.mediaTypes, strings.ToLower(t)) })
}

// accessoriesFollow reports whether accessories are never selected for themselves,
// but go with what they belong to. A signature is not what somebody means who asks
// for the three newest tags, though it is pushed after its image.
func (s *selection) accessoriesFollow() bool {
	return s.newest > 0 || s.since.set() || len(s.kinds) > 0 || len(s.mediaTypes) > 0
}

func (s *selection) looksAtTags() bool {
	return len(s.tags) > 0 || len(s.excludeTags) > 0 || s.tagRegexp != nil || s.versions != nil
}

func anyMatches(patterns []string, s string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, s) })
}

// anyLiterals returns what a list of patterns matches, when all of them can be told
// by reading them.
func anyLiterals(patterns []string) (all []string, ok bool) {
	for _, p := range patterns {
		some, ok := literals(p)
		if !ok {
			return nil, false
		}
		all = append(all, some...)
	}
	return all, len(patterns) > 0
}

// accessoryTag is a tag under which a registry without referrers keeps what belongs
// to an image: cosign's signatures, attestations and SBOMs (cosign: SIGNATURE_SPEC.md,
// "Tag-based discovery") and lists of referrers (distribution-spec, "Referrers tag schema").
var accessoryTag = regexp.MustCompile(`^sha(?:256-[0-9a-f]{64}|512-[0-9a-f]{64,128})(?:\.(?:sig|att|sbom))?$`)

// IsAccessoryTag reports whether a tag says by its form that it is about another artifact.
func IsAccessoryTag(tag string) bool { return accessoryTag.MatchString(tag) }
