package server

import (
	"context"

	"github.com/lighterage/lighterage/internal/api"
	"github.com/lighterage/lighterage/internal/migration/inspection"
	"github.com/lighterage/lighterage/internal/problem"
)

// inspections are looks at the storage of the embedded registry.
func (s *server) inspections(c Config, settings *api.Settings, files *storageService) *inspection.Service {
	looks := inspection.New(inspection.Options{
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
	files.looks = looks
	return looks
}

// looksList is what is known of looks at the storage.
type looksList interface {
	List(ctx context.Context) ([]inspection.Inspection, error)
}

// notMending refuses while links are being mended, or are going to be: what is mended
// behind a copy would be told as a difference.
func notMending(ctx context.Context, looks looksList) error {
	all, err := looks.List(ctx)
	if err != nil {
		return err
	}
	for _, one := range all {
		if one.Repair && !one.Status.Ended() {
			return problem.New(problem.Conflict, "links of the storage are being mended (look %d): wait until that has ended, or stop it", one.ID)
		}
	}
	return nil
}
