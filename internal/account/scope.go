package account

import (
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/lighterage/lighterage/internal/problem"
)

// Scope is access to one thing in a registry, asked for or granted in a token.
type Scope struct {
	Type    string   `json:"type"` // repository or registry
	Name    string   `json:"name"` // library/alpine, catalog
	Actions []string `json:"actions"`
}

const (
	maxScopes      = 128
	maxScopeLength = 1024 // bytes
)

// parseScopes reads the scope parameters of a token request. One may hold several
// scopes with spaces between them; several for one thing are one.
func parseScopes(parameters []string) ([]Scope, error) {
	var scopes []Scope
	for _, parameter := range parameters {
		for text := range strings.FieldsSeq(parameter) {
			scope, err := ParseScope(text)
			if err != nil {
				return nil, err
			}
			scopes = mergeScope(scopes, scope)
			if len(scopes) > maxScopes {
				return nil, problem.New(problem.BadRequest, "more than %d scopes", maxScopes)
			}
		}
	}
	return scopes, nil
}

func mergeScope(scopes []Scope, scope Scope) []Scope {
	for i := range scopes {
		if scopes[i].Type == scope.Type && scopes[i].Name == scope.Name {
			for _, action := range scope.Actions {
				if !slices.Contains(scopes[i].Actions, action) {
					scopes[i].Actions = append(scopes[i].Actions, action)
				}
			}
			return scopes
		}
	}
	return append(scopes, scope)
}

// ParseScope reads type:name:action,action (distribution: docs/spec/auth/scope.md).
// The name may contain colons (a host with a port); the actions may be missing.
// Anything else is a problem.BadRequest.
func ParseScope(text string) (Scope, error) {
	malformed := func(why string) (Scope, error) {
		return Scope{}, problem.New(problem.BadRequest, "malformed scope %q: %s", clip(text), why)
	}
	if len(text) > maxScopeLength {
		return malformed("it is too long")
	}
	kind, rest, found := strings.Cut(text, ":")
	name, actions, foundActions := cutLast(rest, ":")
	if !found || !foundActions {
		return malformed("want type:name:actions")
	}
	// A class, as in repository(plugin), says nothing about permissions.
	if class, isClass := strings.CutSuffix(kind, ")"); isClass {
		kind, _, _ = strings.Cut(class, "(")
	}
	if !isWord(kind) {
		return malformed("the type is not made of letters and digits")
	}
	if kind == "repository" && !isRepositoryName(name) || name == "" {
		return malformed("the name is not the name of a repository")
	}
	scope := Scope{Type: kind, Name: name, Actions: []string{}}
	if actions == "" {
		return scope, nil
	}
	for action := range strings.SplitSeq(actions, ",") {
		if action != "*" && !isWord(action) {
			return malformed("an action is not made of letters")
		}
		if !slices.Contains(scope.Actions, action) {
			scope.Actions = append(scope.Actions, action)
		}
	}
	return scope, nil
}

// String is the reverse of ParseScope.
func (s Scope) String() string {
	return s.Type + ":" + s.Name + ":" + strings.Join(s.Actions, ",")
}

func (s Scope) allows(action string) bool {
	if slices.Contains(s.Actions, action) {
		return true
	}
	everything := slices.Contains(s.Actions, "*")
	return everything && (s.Type == "registry" || slices.Contains(repositoryActions(), action))
}

// repositoryActions are what "*" stands for (Harbor: common/security/v2token).
func repositoryActions() []string { return []string{"pull", "push", "delete"} }

// isRepositoryName accepts what the distribution spec does, with or without a host.
func isRepositoryName(name string) bool {
	named, err := reference.Parse(name)
	if err != nil {
		return false
	}
	_, isNamed := named.(reference.Named)
	return isNamed && reference.IsNameOnly(named.(reference.Named)) && named.String() == name
}

func isWord(text string) bool {
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return text != ""
}

func clip(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return text[:most] + "..."
}
