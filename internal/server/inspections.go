package server

import (
	"context"
	"os"
	"strings"

	"github.com/lighterage/lighterage/internal/api"
	"github.com/lighterage/lighterage/internal/migration/inspection"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// inspections are looks at the storage of the embedded registry.
func (s *server) inspections(c Config, settings *api.Settings, files api.Storage) *inspection.Service {
	return inspection.New(inspection.Options{
		DB: s.db, Queue: s.queue, Log: c.Log, Open: c.openTree,
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

// openTree opens the files of the storage, beside the registry that serves them.
func (c Config) openTree(ctx context.Context) (tree.Opened, error) {
	text := c.Storage
	if strings.Contains(text, "://") {
		text, _ = takeOption(text, "v4auth") // trees know no other signatures
	}
	location, err := tree.ParseLocation(text, os.Getenv)
	if err != nil {
		return nil, problem.Wrap(problem.BadRequest, err, "storage")
	}
	return tree.Open(ctx, location)
}
