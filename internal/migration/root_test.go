package migration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/problem"
)

const registryFolder = "docker/registry/v2"

func TestFindRootFindsTheOneRegistry(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, registry, path string // registry and path are below the volume
	}{
		{"the folder itself", "", ""},
		{"below a subPath", "registry", ""},
		{"four levels below", "a/b/c/d", ""},
		{"named too deep", "registry", "registry/docker/registry/v2"},
		{"named half as deep", "registry", "registry/docker"},
		{"a subPath named like the layout", "docker/registry", ""},
	}
	for _, c := range cases {
		volume := t.TempDir()
		for _, folder := range []string{filepath.Join(c.registry, registryFolder, "blobs"), "lost+found/" + registryFolder, ".snapshot/hourly/" + registryFolder, "other/things"} {
			if err := os.MkdirAll(filepath.Join(volume, folder), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		root, others, err := FindRoot(t.Context(), filepath.Join(volume, c.path)+"/")
		if err != nil || root != filepath.Join(volume, c.registry) || others != nil {
			t.Errorf("%s: %q, %q, %v", c.name, root, others, err)
		}
	}
}

func TestFindRootRefusesWhatIsNotClear(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name    string
		folders []string
		kind    problem.Kind
		want    string
	}{
		{"an empty volume", nil, problem.NotFound, "It has no folders at all. Is the volume mounted?"},
		{"something else", []string{"pgdata/base", "pgdata/\x1b[31m"}, problem.NotFound, "It has pgdata"},
		{"too deep", []string{"a/b/c/d/e/" + registryFolder}, problem.NotFound, "up to 4 levels below"},
		{"the first version's layout", []string{"docker/registry/v1"}, problem.NotFound, "It has docker"},
		{"two", []string{"new/" + registryFolder, "old/x/" + registryFolder}, problem.Conflict, "holds 2 registries"},
	}
	for _, c := range cases {
		volume := t.TempDir()
		for _, folder := range c.folders {
			if err := os.MkdirAll(filepath.Join(volume, folder), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		root, others, err := FindRoot(t.Context(), volume)
		if !problem.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), volume) || root != "" {
			t.Errorf("%s: %q, %v", c.name, root, err)
		}
		if wantOthers := c.kind == problem.Conflict; (len(others) == 2) != wantOthers {
			t.Errorf("%s: %q", c.name, others)
		}
		for _, other := range others {
			if !strings.Contains(err.Error(), other) {
				t.Errorf("%s: %v does not name %s", c.name, err, other)
			}
		}
	}
}

func TestFindRootDoesNotFollowLinks(t *testing.T) {
	t.Parallel()
	volume, other := t.TempDir(), t.TempDir()
	if err := os.MkdirAll(filepath.Join(other, registryFolder), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"elsewhere": other, "circle": volume} {
		if err := os.Symlink(target, filepath.Join(volume, name)); err != nil {
			t.Fatal(err)
		}
	}
	if root, _, err := FindRoot(t.Context(), volume); !problem.Is(err, problem.NotFound) {
		t.Errorf("%q, %v", root, err)
	}
	// What the user names may well be a link.
	if root, _, err := FindRoot(t.Context(), filepath.Join(volume, "elsewhere")); err != nil || root != filepath.Join(volume, "elsewhere") {
		t.Errorf("%q, %v", root, err)
	}
}

func TestFindRootRefusesWhatIsNoFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]problem.Kind{file: problem.BadRequest, file + "s": problem.NotFound} {
		if root, _, err := FindRoot(t.Context(), path); !problem.Is(err, kind) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q, %v", root, err)
		}
	}
}

func TestTheSearchForTheRootEnds(t *testing.T) {
	t.Parallel()
	volume := t.TempDir()
	for i := range 3 {
		for j := range 4 {
			if err := os.MkdirAll(filepath.Join(volume, fmt.Sprint(i), fmt.Sprint(j)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := rootSearch{most: 15}
	if err := s.search(t.Context(), volume); !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), "the first 15 folders") {
		t.Error(err)
	}
	if s = (rootSearch{most: 16}); s.search(t.Context(), volume) != nil || s.folders != 16 || len(s.found) != 0 {
		t.Errorf("%+v", s)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the user went home")
	cancel(gone)
	if _, _, err := FindRoot(ctx, volume); !errors.Is(err, gone) {
		t.Error(err)
	}
}
