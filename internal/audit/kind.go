package audit

import (
	"fmt"
	"slices"
	"strings"
)

// Kind is a type of entries: what is done to what, as the settings call it, such as
// create_user and pull_artifact.
type Kind string

// What the registry and sessions record.
const (
	CreateArtifact Kind = "create_artifact"
	DeleteArtifact Kind = "delete_artifact"
	PullArtifact   Kind = "pull_artifact"
	CreateTag      Kind = "create_tag"
	DeleteTag      Kind = "delete_tag"
	LoginUser      Kind = "login_user"
	LogoutUser     Kind = "logout_user"
)

// Kinds are all that there are. Nothing of another kind is recorded: what records asks
// KindOf, which knows no others. Those that Harbor has too are in its words.
func Kinds() []Kind {
	return []Kind{
		CreateArtifact, DeleteArtifact, PullArtifact, "update_artifact", CreateTag, DeleteTag, "update_repository", "delete_repository",
		"create_project", "update_project", "delete_project", "create_member", "update_member", "delete_member",
		LoginUser, LogoutUser, "create_user", "update_user", "delete_user", "create_robot", "update_robot", "delete_robot",
		"update_configuration", "create_label", "update_label", "delete_label",
		"create_registry", "update_registry", "delete_registry",
		"create_replication_policy", "update_replication_policy", "delete_replication_policy",
		"start_replication", "stop_replication", "release_replication",
		"create_notification", "update_notification", "delete_notification",
		"attach_harbor", "detach_harbor",
		"start_storage_fsck", "stop_storage_fsck",
		"start_storage_migration", "pause_storage_migration", "resume_storage_migration", "cutover_storage_migration",
		"cancel_storage_migration", "rollback_storage_migration", "finish_storage_migration",
	}
}

// KindOf returns the kind of an operation on a type of resource.
func KindOf(operation, resource string) (Kind, error) {
	k := Kind(operation + "_" + resource)
	if !slices.Contains(Kinds(), k) {
		return "", fmt.Errorf("%s is no kind of entry of the audit log", k)
	}
	return k, nil
}

// Operation is what is done: create, delete, pull, ...
func (k Kind) Operation() string {
	operation, _, _ := strings.Cut(string(k), "_")
	return operation
}

// Type is that of the resource: artifact, user, ...
func (k Kind) Type() string {
	_, resource, _ := strings.Cut(string(k), "_")
	return resource
}

// words are the kind as descriptions of entries begin.
func (k Kind) words() string { return strings.ReplaceAll(string(k), "_", " ") }
