package server

import (
	"context"

	"github.com/lighterage/lighterage/internal/api"
	"github.com/lighterage/lighterage/internal/migration/inspection"
	"github.com/lighterage/lighterage/internal/problem"
)

// inspections are looks at the storage of the embedded registry.
func (s *server) inspections(c Config, settings *api.Settings, files *storageService) *inspection.Service {
	return inspection.New(inspection.Options{
		DB: s.db, Queue: s.queue, Log: c.Log, Open: files.openServed,
		MayRepair: func(ctx context.Context) error {
			if settings.ReadOnly() {
				return problem.New(problem.Denied, "the registry is in read-only mode, and mending links writes: look without it, or switch the mode off")
			}
			moving, err := files.Migration(ctx)
			if err == nil && !moving.Status.Over() {
				return problem.New(problem.Conflict, "the storage is being moved, and mending links would change what is copied: finish the migration first, or cancel it")
			}
			if problem.Is(err, problem.NotFound) {
				return nil
			}
			return err
		},
	})
}
