package rule

import (
	"regexp"

	"github.com/lighterage/lighterage/internal/problem"
)

// maxPlatforms is more than there are.
const maxPlatforms = 100

var platformName = regexp.MustCompile(`^[a-zA-Z0-9_.-]+/[a-zA-Z0-9_.-]+(/[a-zA-Z0-9_.-]+)?$`)

func (r Rule) validatePlatforms() error {
	if len(r.Platforms) > maxPlatforms {
		return problem.New(problem.BadRequest, "platforms: more than %d", maxPlatforms)
	}
	for _, name := range r.Platforms {
		if !platformName.MatchString(name) {
			return problem.New(problem.BadRequest, "platforms: %q is no platform such as linux/amd64 or linux/arm/v7", name)
		}
	}
	switch r.PlatformMode {
	case "", PlatformSparse, PlatformRewrite:
	default:
		return problem.New(problem.BadRequest, "platform_mode: %q is neither %s nor %s", r.PlatformMode, PlatformSparse, PlatformRewrite)
	}
	if r.PlatformMode == PlatformRewrite && len(r.Platforms) == 0 {
		return problem.New(problem.BadRequest, "platform_mode: %s needs platforms", r.PlatformMode)
	}
	return nil
}

// RewritesIndexes reports whether an index may have another digest at the destination.
func (r Rule) RewritesIndexes() bool {
	return len(r.Platforms) > 0 && r.PlatformMode == PlatformRewrite
}

// SignedOnly reports whether only what has a signature is copied.
func (r Rule) SignedOnly() bool { return r.Accessories == AccessoriesSignedOnly }
