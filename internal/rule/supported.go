package rule

import "github.com/lighterage/lighterage/internal/problem"

// Unsupported reports the first wish of a valid rule that this version cannot
// fulfil, as a problem.BadRequest that names the field. Such a rule is refused:
// carrying it out without the wish would not be what its author asked for.
func Unsupported(r Rule) error {
	if len(r.Platforms) > 0 || r.PlatformMode != "" {
		return problem.New(problem.BadRequest, "platforms: this version cannot fulfil it; leave it out")
	}
	if r.Accessories == AccessoriesSignedOnly {
		return problem.New(problem.BadRequest, "accessories: this version does not look for signatures before it copies (%s); use %s or %s",
			AccessoriesSignedOnly, AccessoriesAll, AccessoriesNone)
	}
	return nil
}
