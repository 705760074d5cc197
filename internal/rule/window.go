package rule

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"

	"github.com/lighterage/lighterage/internal/problem"
)

// Choice is an artifact of which a rule wants something.
type Choice struct {
	Index int      // among the candidates
	Tags  []string // none: the artifact itself, which has no tags
}

// Select returns what the rule wants of one repository, given all that the repository
// holds, in the order of the candidates. It is Match and, beyond that, what depends on
// times and on what else is there: PushedSince and Newest. The error is a
// problem.BadRequest: the source does not tell what would be needed.
//
// Newest counts tags, and artifacts without tags. Those pushed last are the newest. If
// not all of those times are known, the highest versions are, provided that all tags
// are versions. Of what is equally new by time the higher version counts as newer, and
// then the text that comes later: a choice never depends on the order of a listing.
func (m *Matcher) Select(all []Candidate, now time.Time) ([]Choice, error) {
	var found []reference
	for i, c := range all {
		tags, ok := m.Match(c)
		if !ok {
			continue
		}
		if len(tags) == 0 {
			found = append(found, reference{index: i, text: c.Digest, pushed: c.PushTime})
		}
		for _, tag := range tags {
			found = append(found, reference{index: i, text: tag, tag: tag, pushed: c.pushed(tag)})
		}
	}
	found, err := m.since(found, all, now)
	if err == nil {
		found, err = m.newest(found, all)
	}
	if err != nil {
		return nil, err
	}
	return choices(found), nil
}

// reference is a tag, or an artifact without one, that Match lets through.
type reference struct {
	index   int
	text    string
	tag     string // "" for an untagged artifact
	pushed  time.Time
	version *semver.Version
}

func (r reference) name(all []Candidate) string {
	if r.tag == "" {
		return all[r.index].Repository + "@" + r.text
	}
	return all[r.index].Repository + ":" + r.text
}

func (m *Matcher) since(found []reference, all []Candidate, now time.Time) ([]reference, error) {
	if !m.selection.since.set() {
		return found, nil
	}
	from := m.selection.since.from(now)
	for _, r := range found {
		if r.pushed.IsZero() {
			return nil, problem.New(problem.BadRequest, "select.pushed_since: the source does not tell when %s was pushed", r.name(all))
		}
	}
	return slices.DeleteFunc(found, func(r reference) bool { return r.pushed.Before(from) }), nil
}

func (m *Matcher) newest(found []reference, all []Candidate) ([]reference, error) {
	most := m.selection.newest
	if most == 0 || len(found) <= most {
		return found, nil
	}
	timed := true
	for i := range found {
		found[i].version = version(found[i].tag)
		timed = timed && !found[i].pushed.IsZero()
	}
	if !timed {
		for _, r := range found {
			if r.version == nil {
				return nil, problem.New(problem.BadRequest,
					"select.newest: the source does not tell when tags were pushed, and %s is no version that could be put in order; leave it out, for example with select.semver", r.name(all))
			}
		}
	}
	slices.SortFunc(found, func(a, b reference) int {
		byTime := 0
		if timed {
			byTime = b.pushed.Compare(a.pushed)
		}
		return cmp.Or(byTime, compareVersions(b.version, a.version), strings.Compare(b.text, a.text))
	})
	found = found[:most]
	slices.SortFunc(found, func(a, b reference) int {
		return cmp.Or(cmp.Compare(a.index, b.index), strings.Compare(a.text, b.text))
	})
	return found, nil
}

// choices puts together what is of the same artifact.
func choices(found []reference) []Choice {
	var out []Choice
	for _, r := range found {
		if len(out) == 0 || out[len(out)-1].Index != r.index {
			out = append(out, Choice{Index: r.index})
		}
		if r.tag != "" {
			last := &out[len(out)-1]
			last.Tags = append(last.Tags, r.tag)
		}
	}
	return out
}

// version reads a tag as a version, nil if it is none. A leading v and missing parts
// are allowed; _ stands for the + of build metadata, which tags cannot have (Helm does so).
func version(tag string) *semver.Version {
	v, err := semver.NewVersion(strings.ReplaceAll(tag, "_", "+"))
	if err != nil {
		return nil
	}
	return v
}

// compareVersions orders versions by precedence; what is no version comes first.
func compareVersions(a, b *semver.Version) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	return a.Compare(b)
}
