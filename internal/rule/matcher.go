package rule

import (
	"slices"
	"strings"
	"time"
)

// Candidate is an artifact that a rule may select. For an accessory (signature,
// SBOM, ...) it is the subject's tags and labels that count, so the caller asks
// about the subject.
type Candidate struct {
	Repository string
	Digest     string
	Tags       []string
	Labels     []string // names
	// ResourceType is ResourceImage or another word, in small or capital letters.
	// The empty one is not an image: who lists a registry for a rule that
	// NeedsType has to find it out.
	ResourceType string
	// MediaTypes are those by which the artifact is known: of its config, of its
	// manifest, and its artifactType. Who lists for a rule that NeedsType tells them.
	MediaTypes []string
	// PushTime is when the artifact was pushed, and TagTimes when each tag was put on
	// it; PushTime counts for those that are missing there. Zero: not known.
	PushTime time.Time
	TagTimes map[string]time.Time
	// Accessory says that it belongs to another artifact of the repository.
	Accessory bool
}

// pushed is when a tag of the candidate was pushed.
func (c Candidate) pushed(tag string) time.Time {
	if at := c.TagTimes[tag]; !at.IsZero() {
		return at
	}
	return c.PushTime
}

// Matcher decides which artifacts a rule selects. It never changes and may be used
// by many goroutines.
type Matcher struct {
	names     []string // patterns
	tags      []tagFilter
	labels    []labelFilter
	image     bool // images only
	bare      bool // no accessories
	follow    bool // accessories go with what they belong to, which may be left out
	signed    bool // only what has a signature
	selection *selection
}

type tagFilter struct {
	pattern  string
	excludes bool
}

type labelFilter struct {
	labels   []string
	excludes bool
}

// Compile makes a Matcher of what a rule selects. All of its filters and the wishes of
// its selection must agree to an artifact. The error is what Rule.Validate says of them.
func Compile(r Rule) (*Matcher, error) {
	m := &Matcher{bare: r.Accessories == AccessoriesNone, follow: r.SignedOnly() || len(r.Platforms) > 0, signed: r.SignedOnly()}
	for _, f := range r.Filters {
		if err := f.Validate(); err != nil {
			return nil, err
		}
		excludes := f.Decoration == Excludes
		switch {
		case f.Type == FilterName && f.Text() != "":
			m.names = append(m.names, f.Text())
		case f.Type == FilterTag && f.Text() != "":
			m.tags = append(m.tags, tagFilter{f.Text(), excludes})
		case f.Type == FilterLabel && len(f.Labels()) > 0:
			m.labels = append(m.labels, labelFilter{slices.Clone(f.Labels()), excludes})
		case f.Type == FilterResource && f.Text() == ResourceImage:
			m.image = true
		}
	}
	selection, err := r.Select.compile()
	if err != nil {
		return nil, err
	}
	m.selection = selection
	return m, nil
}

// Match returns which of the candidate's tags the rule wants. ok is false when it
// does not want the artifact at all. An artifact without tags that is wanted
// gives no tags and ok; it is copied by its digest.
//
// Match tells what can be told of an artifact for itself. A rule that NeedsTimes may
// want less: see Select.
func (m *Matcher) Match(c Candidate) (tags []string, ok bool) {
	if !m.MatchRepository(c.Repository) || m.image && !strings.EqualFold(c.ResourceType, ResourceImage) {
		return nil, false
	}
	for _, f := range m.labels {
		if f.carriedBy(c.Labels) == f.excludes {
			return nil, false
		}
	}
	if !m.selection.wantsType(c) || c.Accessory && (m.bare || m.follow || m.selection.accessoriesFollow()) {
		return nil, false
	}
	return m.MatchTags(c.Tags)
}

// LeavesAccessories reports whether the rule leaves accessories behind, whatever they
// belong to.
func (m *Matcher) LeavesAccessories() bool { return m.bare }

// SignedOnly reports whether the rule wants only what has a signature, which is not for
// Match to tell.
func (m *Matcher) SignedOnly() bool { return m.signed }

// MatchTags is Match for what looks at tags alone.
func (m *Matcher) MatchTags(tags []string) (wanted []string, ok bool) {
	if len(tags) == 0 {
		return nil, m.wantsTag("")
	}
	for _, tag := range tags {
		if m.wantsTag(tag) {
			wanted = append(wanted, tag)
		}
	}
	return wanted, len(wanted) > 0
}

// wantsTag tells of one tag; an untagged artifact counts as one with the tag "".
func (m *Matcher) wantsTag(tag string) bool {
	for _, f := range m.tags {
		if matches(f.pattern, tag) == f.excludes {
			return false
		}
	}
	return !(m.bare && IsAccessoryTag(tag)) && m.selection.wantsTag(tag)
}

func (f labelFilter) carriedBy(labels []string) bool {
	for _, label := range f.labels {
		if !slices.Contains(labels, label) {
			return false
		}
	}
	return true
}

// MatchRepository reports whether the rule may want something of a repository.
func (m *Matcher) MatchRepository(name string) bool {
	for _, pattern := range m.names {
		if !matches(pattern, name) {
			return false
		}
	}
	return m.selection.wantsRepository(name)
}

// matches is MatchPattern for a pattern that was validated, which has no error.
func matches(pattern, s string) bool {
	matched, _ := MatchPattern(pattern, s)
	return matched
}

// HasTagFilter reports whether the rule looks at tags.
func (m *Matcher) HasTagFilter() bool { return len(m.tags) > 0 || m.selection.looksAtTags() }

// HasLabelFilter reports whether the rule looks at labels.
func (m *Matcher) HasLabelFilter() bool { return len(m.labels) > 0 }

// NeedsType reports whether Match needs the candidate's ResourceType and MediaTypes.
func (m *Matcher) NeedsType() bool { return m.image || m.NeedsKind() }

// NeedsKind reports whether it is not enough for Match to tell images from all else: it
// needs Harbor's word as the ResourceType, and MediaTypes.
func (m *Matcher) NeedsKind() bool {
	return len(m.selection.kinds) > 0 || len(m.selection.mediaTypes) > 0
}

// NeedsTimes reports whether what the rule wants depends on when something was pushed,
// or on what else there is: whether Select may choose less than Match.
func (m *Matcher) NeedsTimes() bool { return m.selection.newest > 0 || m.selection.since.set() }

// Repositories returns the names of all repositories that the rule can want, when
// its filters name them: then no catalog has to be read. They need not exist.
func (m *Matcher) Repositories() (names []string, literal bool) {
	for _, pattern := range m.names {
		if all, ok := literals(pattern); ok {
			return m.wantedOf(all), true
		}
	}
	if all, ok := anyLiterals(m.selection.names); ok {
		return m.wantedOf(all), true
	}
	if all, ok := m.selection.nameRegexp.literals(); ok {
		return m.wantedOf(all), true
	}
	return nil, false
}

func (m *Matcher) wantedOf(all []string) (names []string) {
	for _, name := range all {
		if ValidateRepositoryName(name) == nil && m.MatchRepository(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// LiteralTags returns all tags that the rule can want, when its filters name
// them: then no list of tags has to be read. They need not exist.
func (m *Matcher) LiteralTags() (tags []string, literal bool) {
	for _, f := range m.tags {
		if all, ok := literals(f.pattern); ok && !f.excludes && m.areTags(all) {
			return m.wantedTagsOf(all), true
		}
	}
	if all, ok := anyLiterals(m.selection.tags); ok && m.areTags(all) {
		return m.wantedTagsOf(all), true
	}
	if all, ok := m.selection.tagRegexp.literals(); ok {
		return m.wantedTagsOf(all), true
	}
	return nil, false
}

// areTags reports whether tags are all that these texts can stand for: with "" the rule
// wants untagged artifacts too.
func (m *Matcher) areTags(all []string) bool { return !slices.Contains(all, "") || !m.wantsTag("") }

func (m *Matcher) wantedTagsOf(all []string) (tags []string) {
	for _, tag := range all {
		if ValidateTag(tag) == nil && m.wantsTag(tag) && !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	return tags
}
