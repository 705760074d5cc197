package kube

import (
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/problem"
)

// Whoever goes on with a move that somebody else has changed since stops.
func TestAStateThatSomebodyElseChangedIsNotOverwritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := &mover{Cluster: w.Cluster, release: onVolume(), state: Migration{Version: stateVersion, Phase: PhaseStage}}
	one.state.keep(one.release)
	if err := one.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := &mover{Cluster: w.Cluster, release: onVolume()}
	if err := other.load(t.Context()); err != nil || other.state.Phase != PhaseStage {
		t.Fatalf("%+v, %v", other.state, err)
	}
	other.state.Phase = PhaseFinal
	if err := other.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := one.save(t.Context()); !problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), "harbor-to-s3") {
		t.Errorf("%v", err)
	}
	if err := one.load(t.Context()); err != nil || one.state.Phase != PhaseFinal {
		t.Errorf("%+v, %v", one.state, err)
	}
	newer := &mover{Cluster: w.Cluster, release: onVolume(), state: Migration{Version: stateVersion + 1, revision: one.state.revision}}
	if err := newer.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := one.load(t.Context()); !problem.Is(err, problem.Precondition) || !strings.Contains(err.Error(), "another release of this program") {
		t.Errorf("the state of another release: %v", err)
	}
}

// A holder that is gone without a word keeps the lock for some seconds, and no longer.
func TestALockOutlivesItsHolderForSomeSeconds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gone := &lock{Cluster: w.Cluster, name: "a-to-s3", holder: "gone"}
	if err := gone.take(t.Context()); err != nil {
		t.Fatal(err)
	}
	held, unlock, err := w.lock(t.Context(), "a-to-s3")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.write(t.Context(), gone.holder); err == nil {
		t.Error("the former holder prolongs the lock of another")
	}
	if held.Err() != nil {
		t.Errorf("the lock is lost: %v", held.Err())
	}
	unlock()
	again := &lock{Cluster: w.Cluster, name: "a-to-s3", holder: "again"}
	if err := again.take(t.Context()); err != nil {
		t.Errorf("what was given back is not free: %v", err)
	}
}
