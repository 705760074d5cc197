package embedded

import (
	"context"
	"errors"
	"fmt"
)

// errEmptyStorage is what a volume looks like that is not mounted.
var errEmptyStorage = errors.New("storage: nothing is in it, and the index knows repositories: is the volume mounted?")

// Check reports whether the storage answers. An empty storage does, as long as
// nothing was put into it.
func (r *Registry) Check(ctx context.Context) error {
	_, err := r.tree().driver.Stat(ctx, "/docker")
	if err == nil {
		return nil
	}
	if !isPathNotFound(err) {
		return fmt.Errorf("storage: %w", err)
	}
	known, err := r.index.RepositoryNames(ctx, "", 1)
	if err != nil {
		return err
	}
	if len(known) > 0 {
		return errEmptyStorage
	}
	return nil
}
