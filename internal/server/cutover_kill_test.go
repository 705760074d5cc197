package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// trap is what a process writes its log to, which kills it when a line holds some words.
type trap struct {
	mu     sync.Mutex
	words  string // "": nothing kills it
	cmd    *exec.Cmd
	text   bytes.Buffer
	sprung chan struct{}
}

func (p *trap) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text.Write(text)
	if p.words != "" && bytes.Contains(text, []byte(p.words)) {
		p.words = ""
		_ = p.cmd.Process.Kill()
		close(p.sprung)
	}
	return len(text), nil
}

// TestAMigrationSurvivesKillsInEveryPhase kills the server as soon as it says that a phase
// has begun, in each phase of the way there and of the way back, while a client pushes.
func TestAMigrationSurvivesKillsInEveryPhase(t *testing.T) {
	if testing.Short() {
		t.Skip("short")
	}
	t.Parallel()
	store := ts.S3(t)
	dir, listen := t.TempDir(), ts.Address(t)
	var running *process
	var log *trap
	begin := func(words string) {
		t.Helper()
		log = &trap{words: words, sprung: make(chan struct{})}
		var err error
		if running, err = tryProcess(t, dir, listen, "", func(cmd *exec.Cmd) { log.cmd, cmd.Stderr = cmd, log }); err != nil && words == "" {
			t.Fatalf("the server did not start: %v", err)
		}
		running.url = "http://" + listen
	}
	t.Cleanup(func() {
		running.kill()
		if t.Failed() {
			t.Log(log.text.String())
		}
	})
	begin("")
	for i := range 3 {
		ts.Push(t, running.registry(), "library/app", fmt.Sprintf("v%d", i), ts.Image(t, uint64(i), 3, 30_000))
	}
	p := pushing(t, running.api, "library/busy")
	// through says that a way is begun, then kills the server in each phase of it.
	through := func(direction, status string, ask func(), phases ...string) {
		t.Helper()
		for i, phase := range phases {
			running.kill()
			begin(fmt.Sprintf("phase=%s direction=%s", phase, direction))
			if i == 0 {
				ask()
			}
			<-log.sprung
		}
		running.kill()
		begin("")
		m := running.becomes(status)
		if m.Window.ReadOnly {
			t.Errorf("the registry is read-only after %s", status)
		}
	}
	through("forward", "migrated", func() {
		running.tryAsk(http.MethodPost, "/storage/migration", object{"destination": destinationOf(store, "images"), "automatic": true})
	}, "preflight", "copy", "delta", "freeze", "drain", "final", "check", "switch", "verify", "thaw")
	ts.Push(t, running.registry(), "library/app", "there", ts.Image(t, 77, 2, 1000))
	through("back", "rolled_back", func() { running.tryAsk(http.MethodPut, "/storage/migration/rollback", nil) },
		"copy", "delta", "freeze", "drain", "final", "check", "switch", "verify", "thaw")
	p.end()
	home := running.registry()
	p.agrees(t, home, "library/busy")
	for _, tag := range []string{"v0", "v1", "v2", "there"} {
		ts.Pull(t, home, "library/app", tag)
	}
	ts.Push(t, home, "library/app", "open", ts.Image(t, 78, 2, 1000))
	if strings.Contains(log.text.String(), store.SecretKey) {
		t.Error("the log holds the secret key")
	}
}

// tryAsk asks a server that may be killed before it answers.
func (a *api) tryAsk(method, path string, body any) {
	if answer, err := a.attempt(method, path, body); err == nil {
		_ = answer.Body.Close()
	}
}
