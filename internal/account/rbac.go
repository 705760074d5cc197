package account

import "slices"

// Role is what a member may do in a project. The numbers are Harbor's.
type Role int64

// Harbor's project roles (common/const.go).
const (
	ProjectAdmin Role = 1
	Developer    Role = 2
	Guest        Role = 3
	Maintainer   Role = 4
	LimitedGuest Role = 5
)

// String is the role's name in Harbor's API.
func (r Role) String() string {
	switch r {
	case ProjectAdmin:
		return "projectAdmin"
	case Developer:
		return "developer"
	case Guest:
		return "guest"
	case Maintainer:
		return "maintainer"
	case LimitedGuest:
		return "limitedGuest"
	default:
		return ""
	}
}

// Permission is one thing that may be done to one kind of resource.
type Permission struct {
	Resource string `json:"resource"`
	Action   string `json:"action"`
}

// self is the resource that stands for a project itself. Harbor's RBAC calls it
// "", its robots "project".
const self = ""

func projectResource(resource string) string {
	if resource == "project" || resource == "." {
		return self
	}
	return resource
}

// may is a list of permissions, grouped to be read: a resource and its actions.
func may(groups ...[]string) []Permission {
	var permissions []Permission
	for _, g := range groups {
		for _, action := range g[1:] {
			permissions = append(permissions, Permission{g[0], action})
		}
	}
	return permissions
}

// on is one group of may.
func on(resource string, actions ...string) []string {
	return append([]string{resource}, actions...)
}

// rolePermissions is what a role allows in its project (Harbor v2.15:
// common/rbac/project/rbac_role.go).
func rolePermissions(r Role) []Permission {
	switch r {
	case LimitedGuest:
		return limitedGuestPermissions()
	case Guest:
		return guestPermissions()
	case Developer:
		return developerPermissions()
	case Maintainer:
		return maintainerPermissions()
	case ProjectAdmin:
		return projectAdminPermissions()
	default:
		return nil
	}
}

func limitedGuestPermissions() []Permission {
	return may(
		on(self, "read"),
		on("quota", "read"),
		on("repository", "list", "read", "pull"),
		on("configuration", "read"),
		on("scan", "read"),
		on("sbom", "read"),
		on("scanner", "read"),
		on("tag", "list"),
		on("accessory", "list"),
		on("artifact", "read", "list"),
		on("artifact-addition", "read"),
	)
}

func guestPermissions() []Permission {
	return may(
		on(self, "read"),
		on("member", "read", "list"),
		on("label", "read", "list"),
		on("quota", "read"),
		on("repository", "read", "list", "pull"),
		on("configuration", "read"),
		on("robot", "read", "list"),
		on("scan", "read"),
		on("sbom", "read"),
		on("scanner", "read"),
		on("tag", "list"),
		on("accessory", "list"),
		on("artifact", "read", "list"),
		on("artifact-addition", "read"),
	)
}

func developerPermissions() []Permission {
	return may(
		on(self, "read"),
		on("member", "read", "list"),
		on("label", "read", "list"),
		on("quota", "read"),
		on("repository", "create", "read", "update", "list", "push", "pull"),
		on("tag-retention", "create", "read", "update", "delete", "list", "operate"),
		on("configuration", "read"),
		on("robot", "read", "list"),
		on("scan", "read"),
		on("sbom", "read"),
		on("scanner", "read"),
		on("artifact", "create", "read", "list"),
		on("artifact-addition", "read"),
		on("tag", "list", "create"),
		on("accessory", "list"),
		on("artifact-label", "create", "delete"),
		on("export-cve", "create", "read", "list"),
	)
}

func maintainerPermissions() []Permission {
	return may(
		on(self, "read"),
		on("member", "read", "list"),
		on("metadata", "read"),
		on("quota", "read"),
		on("label", "create", "read", "update", "delete", "list"),
		on("repository", "create", "read", "update", "delete", "list", "push", "pull"),
		on("tag-retention", "create", "read", "update", "delete", "list", "operate"),
		on("accessory", "list"),
		on("immutable-tag", "create", "update", "delete", "list"),
		on("configuration", "read"),
		on("robot", "read", "list"),
		on("notification-policy", "read", "list"),
		on("scan", "create", "read", "stop"),
		on("sbom", "create", "stop", "read"),
		on("scanner", "read"),
		on("artifact", "create", "read", "delete", "list"),
		on("artifact-addition", "read"),
		on("tag", "list", "create", "delete"),
		on("artifact-label", "create", "delete"),
		on("export-cve", "create", "read", "list"),
	)
}

func projectAdminPermissions() []Permission {
	return may(
		on(self, "read", "update", "delete"),
		on("member", "create", "read", "update", "delete", "list"),
		on("metadata", "create", "read", "update", "delete"),
		on("log", "list"),
		on("label", "create", "read", "update", "delete", "list"),
		on("quota", "read"),
		on("repository", "create", "read", "update", "delete", "list", "pull", "push"),
		on("tag-retention", "create", "read", "update", "delete", "list", "operate"),
		on("immutable-tag", "create", "update", "delete", "list"),
		on("configuration", "read", "update"),
		on("robot", "create", "read", "update", "delete", "list"),
		on("notification-policy", "create", "update", "delete", "list", "read"),
		on("scan", "create", "read", "stop"),
		on("sbom", "create", "stop", "read"),
		on("scanner", "read", "create"),
		on("artifact", "create", "read", "delete", "list"),
		on("artifact-addition", "read"),
		on("tag", "list", "create", "delete"),
		on("accessory", "list"),
		on("artifact-label", "create", "delete"),
		on("preheat-policy", "create", "read", "update", "delete", "list"),
		on("export-cve", "create", "read", "list"),
	)
}

// publicPermissions is what everybody may do in a public project (Harbor:
// common/rbac/project/rbac_util.go).
func publicPermissions() []Permission {
	return may(
		on(self, "read"),
		on("label", "read", "list"),
		on("repository", "list", "pull"),
		on("scan", "read"),
		on("scanner", "read"),
		on("tag", "list"),
		on("artifact", "read", "list"),
		on("artifact-addition", "read"),
		on("accessory", "list"),
	)
}

// rights are the tables above in the form in which they are asked.
type rights struct {
	roles  map[Role]map[Permission]bool
	public map[Permission]bool
}

func newRights() rights {
	r := rights{roles: map[Role]map[Permission]bool{}, public: setOf(publicPermissions())}
	for _, role := range allRoles() {
		r.roles[role] = setOf(rolePermissions(role))
	}
	return r
}

func setOf(permissions []Permission) map[Permission]bool {
	set := map[Permission]bool{}
	for _, p := range permissions {
		set[p] = true
	}
	return set
}

// allRoles is in the order in which Harbor lists what roles may do.
func allRoles() []Role { return []Role{Guest, LimitedGuest, Developer, Maintainer, ProjectAdmin} }

// projectPermissions is everything that some role allows, in the order in which
// Harbor lists it.
func projectPermissions() []Permission {
	var all []Permission
	for _, role := range allRoles() {
		for _, p := range rolePermissions(role) {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}

// systemPermissions is what can be done outside of projects (Harbor:
// common/rbac/system/policies.go).
func systemPermissions() []Permission {
	return may(
		on("catalog", "read"),
		on("audit-log", "list"),
		on("project", "create", "read", "update", "delete", "list"),
		on("user", "create", "read", "update", "delete", "list"),
		on("user-group", "create", "read", "update", "delete", "list"),
		on("registry", "create", "read", "update", "delete", "list"),
		on("replication", "create", "read", "update", "list", "delete"),
		on("distribution", "create", "read", "update", "delete", "list"),
		on("garbage-collection", "create", "read", "update", "delete", "list"),
		on("scan-all", "create", "read", "update", "delete", "list", "stop"),
		on("system-volumes", "read"),
		on("ldap-user", "create", "list"),
		on("configuration", "read", "update"),
		on("jobservice-monitor", "read", "list", "stop"),
		on("security-hub", "read", "list"),
	)
}

// RobotSystemPermissions is what robots can be allowed outside of projects
// (Harbor: common/rbac/const.go).
func RobotSystemPermissions() []Permission {
	return may(
		on("audit-log", "list"),
		on("preheat-instance", "read", "create", "delete", "list", "update"),
		on("project", "list", "create"),
		on("replication-policy", "read", "create", "delete", "list", "update"),
		on("replication", "read", "create", "list"),
		on("replication-adapter", "list"),
		on("registry", "read", "create", "delete", "list", "update"),
		on("scan-all", "read", "update", "stop", "create"),
		on("system-volumes", "read"),
		on("garbage-collection", "read", "create", "list", "update", "stop"),
		on("purge-audit", "read", "create", "list", "update", "stop"),
		on("jobservice-monitor", "list", "stop"),
		on("scanner", "read", "create", "delete", "list", "update"),
		on("label", "read", "create", "delete", "update"),
		on("security-hub", "read", "list"),
		on("catalog", "read"),
		on("quota", "read", "list", "update"),
		on("robot", "create", "read", "list", "delete"),
		on("user", "create", "read", "update", "list", "delete"),
		on("ldap-user", "create", "list"),
		on("user-group", "create", "read", "update", "list", "delete"),
	)
}

// RobotProjectPermissions is what robots can be allowed in a project.
func RobotProjectPermissions() []Permission {
	return may(
		on("log", "list"),
		on("project", "read", "delete", "update"),
		on("metadata", "read", "create", "delete", "list", "update"),
		on("repository", "read", "update", "delete", "list", "pull", "push"),
		on("artifact", "read", "create", "list", "delete"),
		on("scan", "create", "read", "stop"),
		on("sbom", "create", "stop", "read"),
		on("tag", "create", "list", "delete"),
		on("accessory", "list"),
		on("artifact-addition", "read"),
		on("artifact-label", "create", "delete"),
		on("scanner", "create", "read"),
		on("preheat-policy", "read", "create", "delete", "list", "update"),
		on("immutable-tag", "create", "delete", "list", "update"),
		on("notification-policy", "read", "create", "delete", "list", "update"),
		on("tag-retention", "read", "create", "delete", "list", "update"),
		on("label", "read", "create", "delete", "list", "update"),
		on("quota", "read"),
		on("robot", "create", "read", "list", "delete"),
		on("export-cve", "create", "read"),
		on("member", "create", "read", "update", "list", "delete"),
	)
}
