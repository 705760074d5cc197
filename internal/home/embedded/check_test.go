package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestAStorageThatLostEverythingIsNotReady(t *testing.T) {
	t.Parallel()
	h := start(t)
	if err := h.Check(t.Context()); err != nil {
		t.Errorf("a new registry: %v", err)
	}
	ts.Push(t, h.remote, repo, "v1", ts.Image(t, 1, 1, 100))
	if err := h.Check(t.Context()); err != nil {
		t.Errorf("with an image: %v", err)
	}
	content := filepath.Join(h.dir, "docker")
	if err := os.Rename(content, content+".elsewhere"); err != nil {
		t.Fatal(err)
	}
	if err := h.Check(t.Context()); !errors.Is(err, errEmptyStorage) {
		t.Errorf("without its volume: %v", err)
	}
	if err := os.Rename(content+".elsewhere", content); err != nil {
		t.Fatal(err)
	}
	if err := h.Check(t.Context()); err != nil {
		t.Errorf("mounted again: %v", err)
	}
}
