package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/migration/cutover"
	"github.com/lighterage/lighterage/internal/problem"
)

// movedFile is left in a folder whose content was moved away, for a server whose database
// was lost: it would serve the folder as it was then.
func movedFile(p cutover.Place) string { return filepath.Join(p.Path, ".lighterage", "moved") }

// leaveMoved notes in a folder where its content has gone to.
func leaveMoved(from, to cutover.Place) error {
	if from.Path == "" {
		return nil
	}
	file := movedFile(from)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("note where the content has gone: %w", err)
	}
	text := fmt.Sprintf("%s since %s\n", to, time.Now().UTC().Format(time.RFC3339))
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("note where the content has gone: %w", err)
	}
	return nil
}

// forgetMoved removes the note of a folder that is served again.
func forgetMoved(p cutover.Place) error {
	if p.Path == "" {
		return nil
	}
	if err := os.Remove(movedFile(p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget where the content had gone: %w", err)
	}
	return nil
}

// refuseMoved refuses a folder whose content was moved away, of which the database knows
// nothing. To index it anew says that it is meant.
func refuseMoved(p cutover.Place, reindex bool) error {
	if p.Path == "" {
		return nil
	}
	text, err := os.ReadFile(movedFile(p))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look where the content of %s has gone: %w", p.Path, err)
	case reindex:
		return forgetMoved(p)
	}
	return problem.New(problem.Precondition,
		"the content of %s was moved to %s, and the database, which is another one than then, does not know of it: name that with --storage, or, if this folder is meant, start once with --reindex", p.Path, strings.TrimSpace(string(text)))
}
