package api

import (
	"net/http"

	"github.com/lighterage/lighterage/internal/problem"
)

// ReadOnlyMessage is Harbor's answer to everything that would change something
// while the system is in read-only mode.
const ReadOnlyMessage = "The system is in read only mode. Any modification is prohibited."

// refuseWhenReadOnly refuses operations that change something. It spares the
// switch itself, tests of connections and plans of rules that are not saved, which
// change nothing, and, unlike Harbor, stopping an execution: who has frozen a registry
// must be able to quieten it. A migration of the storage is what it is frozen for.
func (a *api) refuseWhenReadOnly(method, operation string) error {
	switch method {
	case http.MethodGet, http.MethodHead:
		return nil
	}
	switch operation {
	case "updateConfigurations", "pingRegistry", "planReplication", "stopReplication",
		"preflightStorage", "startStorageMigration", "pauseStorageMigration", "resumeStorageMigration", "cutOverStorageMigration",
		"cancelStorageMigration", "rollBackStorageMigration", "finishStorageMigration",
		"startStorageFsck", "stopStorageFsck": // mending links is refused where it is begun
		return nil
	}
	if a.o.Harbor == nil && a.o.Settings.ReadOnly() {
		return problem.New(problem.Denied, ReadOnlyMessage)
	}
	return nil
}
