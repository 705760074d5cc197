package server_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// refused runs a server that must not start and returns why.
func refused(t *testing.T, c server.Config) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c.Listen, c.Ready = "127.0.0.1:0", func(server.Info) { stop() } // one that starts ends with nil
	err := server.Run(ctx, c)
	if !problem.Is(err, problem.Precondition) {
		t.Fatalf("the server ended with %v, want a refusal", err)
	}
	return err.Error()
}

func TestAMovedDataFolderGoesOn(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "before")
	home := start(t, server.Config{DataDir: dir})
	d := ts.Push(t, home.registry(), "library/app", "v1", ts.Image(t, 1, 1, 100))
	home.Stop()
	moved := filepath.Join(t.TempDir(), "after")
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	again := start(t, server.Config{DataDir: moved})
	if p := ts.Pull(t, again.registry(), "library/app", "v1"); p.Digest != d {
		t.Errorf("pulled %s, want %s", p.Digest, d)
	}
}

func TestAnotherStorageNeedsToBeMeant(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := start(t, server.Config{DataDir: dir})
	ts.Push(t, home.registry(), "library/app", "v1", ts.Image(t, 1, 1, 100))
	home.Stop()
	other := t.TempDir()
	if text := refused(t, server.Config{DataDir: dir, Storage: other}); !strings.Contains(text, "--reindex") {
		t.Errorf("no way out is told: %s", text)
	}
	empty := start(t, server.Config{DataDir: dir, Storage: other, Reindex: true})
	if tags := ts.Tags(t, empty.registry(), "library/app"); len(tags) != 0 {
		t.Errorf("tags that the storage does not have: %v", tags)
	}
	empty.Stop()
	start(t, server.Config{DataDir: dir, Storage: other}) // once was enough
}

func TestALostKeyIsNotReplacedBehindTheOperatorsBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, server.Config{DataDir: dir}).Stop()
	key := filepath.Join(dir, "secret.key")
	kept, err := os.ReadFile(key)
	if err == nil {
		err = os.Remove(key)
	}
	if err != nil {
		t.Fatal(err)
	}
	if text := refused(t, server.Config{DataDir: dir}); !strings.Contains(text, key) {
		t.Errorf("the file is not named: %s", text)
	}
	if _, err := os.Stat(key); err == nil {
		t.Error("a new key was made")
	}
	if err := os.WriteFile(key, kept, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, server.Config{DataDir: dir})
}

func TestAFirstStartThatFailsKeepsNoPasswordToItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := server.Config{DataDir: dir, Storage: "s3://bucket?unknown=option", Listen: "127.0.0.1:0"}
	if err := server.Run(t.Context(), c); !problem.Is(err, problem.BadRequest) {
		t.Fatalf("the server ended with %v", err)
	}
	shown := func() string {
		ctx, stop := context.WithCancel(t.Context())
		var password string
		err := server.Run(ctx, server.Config{DataDir: dir, Listen: "127.0.0.1:0", Ready: func(i server.Info) {
			password = i.GeneratedPassword
			stop()
		}})
		if err != nil {
			t.Fatal(err)
		}
		return password
	}
	if shown() == "" {
		t.Error("the start after it shows no password, and nobody can log in")
	}
	if again := shown(); again != "" {
		t.Errorf("one more start shows %q", again)
	}
}

func TestASecondServerIsKeptFromTheDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, server.Config{DataDir: dir})
	if text := refused(t, server.Config{DataDir: dir}); !strings.Contains(text, "another lighterage") {
		t.Errorf("the reason is not told: %s", text)
	}
	first.do(http.MethodGet, "/projects", nil, nil)
	first.Stop()
	start(t, server.Config{DataDir: dir})
}
