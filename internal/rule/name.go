package rule

import (
	"regexp"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
)

// MaxRepositoryLength is how many characters a repository's name may have
// (distribution/reference: RepositoryNameTotalLengthMax).
const MaxRepositoryLength = 255

// The grammar of distribution-spec, "Pulling manifests". The expressions of
// distribution/reference cannot be used: they take the first component of a
// name for a host, in which capitals are allowed.
const pathComponent = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`

var (
	repositoryName = regexp.MustCompile(`^` + pathComponent + `(?:/` + pathComponent + `)*$`)
	tagName        = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

// ValidateRepositoryName checks a whole repository name, such as library/alpine.
func ValidateRepositoryName(name string) error {
	if len(name) > MaxRepositoryLength {
		return problem.New(problem.BadRequest, "the repository name %.40q... is longer than %d characters", name, MaxRepositoryLength)
	}
	if !repositoryName.MatchString(name) {
		return problem.New(problem.BadRequest, "invalid repository name: %s", name)
	}
	return nil
}

// ValidateTag checks a tag.
func ValidateTag(tag string) error {
	if !tagName.MatchString(tag) {
		return problem.New(problem.BadRequest, "invalid tag name: %s", tag)
	}
	return nil
}

// ValidateNamespace checks the namespace that a rule puts in front of names. It
// may have several path components.
func ValidateNamespace(namespace string) error {
	if len(namespace) > MaxRepositoryLength || !repositoryName.MatchString(namespace) {
		return problem.New(problem.BadRequest, "invalid destination namespace: %s", namespace)
	}
	return nil
}

// DestinationRepository returns the name that a source repository gets at the
// destination. Everything that has to do with a name there asks here. The error
// says as a problem.BadRequest why the repository can have none.
func (r Rule) DestinationRepository(source string) (string, error) {
	renaming, err := r.Rename.compile()
	if err != nil {
		return "", err
	}
	name := source
	switch {
	case renaming != nil:
		name, err = renaming.name(source)
	case r.DestNamespace != "":
		name, err = underNamespace(source, r.DestNamespace, r.ReplaceCount)
	}
	if err != nil {
		return "", err
	}
	if err := ValidateRepositoryName(name); err != nil {
		return "", problem.Wrap(problem.BadRequest, err, "destination of %s", source)
	}
	return name, nil
}

// NamesCollide reports whether the rule may give two repositories the same name at the
// destination. If not, none of them has to wait until all of them are known.
func (r Rule) NamesCollide() bool {
	if r.Rename != (Rename{}) {
		renaming, err := r.Rename.compile()
		return err != nil || !renaming.distinct()
	}
	return r.DestNamespace != "" && r.ReplaceCount != 0
}

// underNamespace replaces, of the components before the last one, replaceCount many
// from the left by the namespace:
//
//	a/b/c/img, namespace n:  -1 n/img   0 n/a/b/c/img   1 n/b/c/img   2 n/c/img   3 n/img   4 error
//
// A negative count replaces all of them.
func underNamespace(source, namespace string, replaceCount int8) (string, error) {
	components := strings.Split(source, "/")
	parents, last := components[:len(components)-1], components[len(components)-1]
	switch {
	case replaceCount < 0:
		parents = nil
	case int(replaceCount) > len(parents):
		return "", problem.New(problem.BadRequest,
			"the source repository %q contains only %d path components %v excepting the last one, but the destination namespace flattening level is %d",
			source, len(parents), parents, replaceCount)
	default:
		parents = parents[replaceCount:]
	}
	name := namespace + "/"
	for _, p := range parents {
		name += p + "/"
	}
	name += last
	if len(name) > MaxRepositoryLength {
		return "", problem.New(problem.BadRequest, "the destination of the source repository %q would have a name of %d characters, %d are allowed",
			source, len(name), MaxRepositoryLength)
	}
	return name, nil
}

// PathRule says how many path components a registry wants in a repository's
// name. Its text is Harbor's (supported_repository_path_component_type).
type PathRule string

// The path rules of the providers.
const (
	PathNoLimit    PathRule = "no_limitation"
	PathAtLeastTwo PathRule = "at_least_two" // Harbor: project and repository
	PathOnlyTwo    PathRule = "only_two"     // Docker Hub
)

// Check reports whether a registry with this path rule can have the repository.
func (p PathRule) Check(repository string) error {
	components := strings.Split(repository, "/")
	switch {
	case p == PathOnlyTwo && len(components) != 2:
		return problem.New(problem.BadRequest,
			"the destination repository %q contains %d path components %v, but the destination registry only supports 2",
			repository, len(components), components)
	case p == PathAtLeastTwo && len(components) < 2:
		return problem.New(problem.BadRequest,
			"the destination repository %q contains only %d path components %v, but the destination registry requires at least 2",
			repository, len(components), components)
	}
	return nil
}
