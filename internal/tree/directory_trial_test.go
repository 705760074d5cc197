//go:build unix

package tree_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/tree"
)

// files are all paths below a folder.
func files(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, _ os.DirEntry, err error) error {
		if path != root {
			all = append(all, strings.TrimPrefix(path, root+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func writeFiles(t *testing.T, root string, names ...string) {
	t.Helper()
	for _, name := range names {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func openFolder(t *testing.T, path string) tree.Trier {
	t.Helper()
	d, err := tree.OpenForTrials(t.Context(), tree.Location{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d.(tree.Trier)
}

var folderKinds = []tree.TrialKind{tree.TrialFolder, tree.TrialWrite, tree.TrialOwner, tree.TrialSpace, tree.TrialNames, tree.TrialMounts,
	tree.TrialContent, tree.TrialStrangers, tree.TrialRates, tree.TrialClean}

func TestADirectoryDoesWhatARegistryNeeds(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("ab", 32)
	blob := "docker/registry/v2/blobs/sha256/ab/" + digest + "/data"
	for name, tc := range map[string]struct {
		there []string
		needs tree.TrialOptions
		want  []string
		value string
		says  string
	}{
		"empty":             {value: "empty"},
		"a registry":        {there: []string{blob}, value: "registry", want: []string{"~content"}},
		"a copy":            {there: []string{blob, ".lighterage/tree.json"}, value: "copy"},
		"strangers":         {there: []string{"docker/registry/v2/blobs/notes"}, value: "empty", want: []string{"~strangers"}, says: "docker/registry/v2/blobs/notes"},
		"too many bytes":    {needs: tree.TrialOptions{NeedBytes: 1 << 60}, value: "empty", want: []string{"free space (full)"}, says: "needed are"},
		"few enough things": {needs: tree.TrialOptions{NeedBytes: 10, NeedObjects: 10}, value: "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			writeFiles(t, root, tc.there...)
			before := files(t, root)
			tc.needs.Rates = name == "empty"
			got := run(t, t.Context(), openFolder(t, root), tc.needs)
			got.want(t, tc.want...)
			if len(got) != len(folderKinds) {
				t.Errorf("%d kinds, want %d:\n%s", len(got), len(folderKinds), got)
			}
			if got[tree.TrialContent].Value != tc.value || !strings.Contains(got.String(), tc.says) {
				t.Errorf("want %s, %q:\n%s", tc.value, tc.says, got)
			}
			if after := files(t, root); !slices.Equal(after, before) {
				t.Errorf("there are %q, before %q", after, before)
			}
		})
	}
}

func TestADirectoryThatIsNotThere(t *testing.T) {
	t.Parallel()
	above := t.TempDir()
	got := run(t, t.Context(), openFolder(t, filepath.Join(above, "a", "b")), tree.TrialOptions{})
	got.want(t, "~folder (missing)")
	if trial := got[tree.TrialFolder]; trial.Reason != tree.ReasonMissing || !strings.Contains(trial.Found, above) {
		t.Errorf("%+v", trial)
	}
	if left := files(t, above); len(left) > 0 {
		t.Errorf("there are %q", left)
	}
}

func TestADirectoryCannotBeWritten(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFiles(t, root, ".lighterage") // a file where a folder is to be
	got := run(t, t.Context(), openFolder(t, root), tree.TrialOptions{})
	if got[tree.TrialWrite].Result != tree.TrialFails || got[tree.TrialOwner].Needs != tree.TrialWrite || got[tree.TrialSpace].Result != tree.TrialWorks {
		t.Errorf("%s", got)
	}
}

func TestADirectoryLeadsElsewhere(t *testing.T) {
	t.Parallel()
	root, elsewhere := t.TempDir(), t.TempDir()
	writeFiles(t, elsewhere, "docker/registry/v2/x", "trial-A/canary")
	if err := os.Symlink(filepath.Join(elsewhere, "docker"), filepath.Join(root, "docker")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(elsewhere, filepath.Join(root, ".lighterage")); err != nil {
		t.Fatal(err)
	}
	got := run(t, t.Context(), openFolder(t, root), tree.TrialOptions{LeftOver: time.Nanosecond})
	if got[tree.TrialWrite].Result != tree.TrialFails || got[tree.TrialMounts].Result != tree.TrialFails {
		t.Errorf("%s", got)
	}
	if left := files(t, elsewhere); !slices.Contains(left, "trial-A/canary") {
		t.Errorf("what a link leads to was removed: %q", left)
	}
}

func TestTrialsOfADirectoryLeaveNothing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	writeFiles(t, root, ".lighterage/trial-OLD/x", ".lighterage/tree.json")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(root, ".lighterage/trial-OLD"), old, old); err != nil {
		t.Fatal(err)
	}
	stopped := errors.New("stopped")
	for _, kind := range folderKinds[:len(folderKinds)-1] {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := openFolder(t, root).Trials(ctx, tree.TrialOptions{Rates: true, OnTrial: func(trial tree.Trial) {
			if trial.Kind == kind {
				cancel(stopped)
			}
		}})
		if !errors.Is(err, stopped) {
			t.Errorf("%s: %v", kind, err)
		}
		cancel(nil)
		if left := files(t, root); !slices.Equal(left, []string{".lighterage", ".lighterage/tree.json"}) {
			t.Errorf("%s: there are %q", kind, left)
		}
	}
}
