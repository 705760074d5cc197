package registry

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// project is the project in front of a repository's name.
func project(repository string) string {
	name, _, _ := strings.Cut(repository, "/")
	return name
}

// IsReadOnly reports whether a Harbor refused a change because it is in read-only
// mode: the same request passes when that ends.
func IsReadOnly(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusForbidden && slices.ContainsFunc(e.Codes, func(c Code) bool {
		return c.Code == "DENIED" && strings.Contains(c.Message, "read only")
	})
}

// lacks adds to a refusal which permission of Harbor's the account lacks, in the words
// of its form for robot accounts.
func (h *harbor) lacks(err error, permission, project string) error {
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Status != http.StatusForbidden || e.hint != "" || IsReadOnly(err) {
		return err
	}
	e.hint = fmt.Sprintf("%s lacks the permission %q of project %s", h.client.auth.account(), permission, project)
	return err
}

// lacking names the permissions of a Harbor that a request for some scopes needs; ""
// when they are of no project.
func lacking(scopes []scope) string {
	var parts []string
	for _, s := range scopes {
		name, ok := strings.CutPrefix(s.resource, "repository:")
		if !ok {
			continue
		}
		for _, action := range s.actions {
			if action == "delete" {
				parts = append(parts, fmt.Sprintf("%q of project %s", "artifact: delete", project(name)))
			} else {
				parts = append(parts, fmt.Sprintf("%q of project %s", "repository: "+action, project(name)))
			}
		}
	}
	return strings.Join(parts, " and ")
}

// IsGone reports whether a Harbor itself says that a project, repository or artifact is
// not there. A page of something in front of it, or a refusal, says nothing.
func IsGone(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusNotFound && e.has("NOT_FOUND")
}
