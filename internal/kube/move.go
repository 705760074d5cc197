package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
)

// Phase is a part of moving a Harbor. Its name stands in the state that is kept in the
// cluster, and is shown.
type Phase string

// The phases of a move, in the order of the ways there and back below.
const (
	PhaseStage   Phase = "stage"   // bring the images to the bucket while Harbor is in use
	PhasePause   Phase = "pause"   // pause what changes the storage by itself, wait for what runs
	PhaseFreeze  Phase = "freeze"  // switch read-only mode on
	PhaseFinal   Phase = "final"   // copy what is new, and check it
	PhaseSwitch  Phase = "switch"  // give the registry its new storage
	PhaseRollout Phase = "rollout" // wait until every pod has it
	PhaseFlush   Phase = "flush"   // have the registry forget what it cached of blobs
	PhasePull    Phase = "pull"    // pull images that were there before
	PhaseOpen    Phase = "open"    // switch read-only mode off
	PhasePush    Phase = "push"    // push an image, find it in the bucket, delete it
	PhaseResume  Phase = "resume"  // resume what was paused
	PhaseClear   Phase = "clear"   // delete the Jobs, which hold the volume
	PhaseReturn  Phase = "return"  // bring what was pushed since into the volume
	PhaseDone    Phase = "done"
)

// way is a phase and what does it. Each may be done again from its start.
type way struct {
	phase Phase
	do    func(*mover, context.Context) error
}

// there are the phases from the volume to the bucket.
var there = []way{
	{PhaseStage, (*mover).stage},
	{PhasePause, (*mover).pause},
	{PhaseFreeze, (*mover).freeze},
	{PhaseFinal, (*mover).final},
	{PhaseSwitch, (*mover).switchThere},
	{PhaseRollout, (*mover).rollOutThere},
	{PhaseFlush, (*mover).flush},
	{PhasePull, (*mover).pullOld},
	{PhaseOpen, (*mover).open},
	{PhasePush, (*mover).pushNew},
	{PhaseResume, (*mover).resume},
}

// backAgain are the phases from the bucket to the volume.
var backAgain = []way{
	{PhaseClear, (*mover).clear},
	{PhasePause, (*mover).pause},
	{PhaseFreeze, (*mover).freeze},
	{PhaseReturn, (*mover).bringBack},
	{PhaseSwitch, (*mover).switchBack},
	{PhaseRollout, (*mover).rollOutBack},
	{PhaseFlush, (*mover).flush},
	{PhasePull, (*mover).pullOld},
	{PhaseOpen, (*mover).open},
	{PhaseResume, (*mover).resume},
}

// MoveOptions say how a Harbor is moved.
type MoveOptions struct {
	// Target says where the images of a release are to go.
	Target  func(r *Release) (Target, error)
	Account Account
	// Access and Secret are the keys of the bucket; empty where the Secret is there.
	Access, Secret string

	// Window is what the copy in the window may take, see StageOptions.
	Window time.Duration
	Copies int
	// Patience is how long the jobs that run are waited for before the window.
	Patience time.Duration
	// Drain is how long is waited after read-only mode is on for the requests that came
	// in before.
	Drain time.Duration
	// Rollout is how long the pods of registry and core may take to be replaced.
	Rollout time.Duration
	// SkipFlush leaves the registry's cache of blobs as it is.
	SkipFlush bool
	// SkipPush pushes no image for trial.
	SkipPush bool
	// Adopt leaves the change of the storage to somebody else, such as Argo CD, and
	// waits for it.
	Adopt bool
	// Helm is the program that changes a Helm release; "" is as Adopt for those.
	Helm HelmProgram

	// Tell is told of each phase before it begins; Note of what somebody should know.
	Tell     func(Migration)
	Note     func(text string)
	Job      func(step Step, round int)
	Ended    func(step Step, o Outcome)
	Progress func(counts map[string]any)
}

// mover does one move. What it knows is in its state, which is written before and after
// each phase, so that another one can go on.
type mover struct {
	*Cluster
	o       MoveOptions
	release *Release
	harbor  *harborAPI
	state   Migration
}

// Move moves the storage of a release from its volume to a bucket, from wherever an
// earlier call ended. If it fails or is interrupted before the registry is given the
// bucket, Harbor is as it was before: writable, with its schedules. If later, Harbor
// stays read-only until Move goes on or Return brings it back, and the error says so.
func (c *Cluster) Move(ctx context.Context, name string, o MoveOptions) (Migration, error) {
	return c.moving(ctx, name, o, func(ctx context.Context, m *mover) error {
		if err := m.begin(ctx); err != nil {
			return err
		}
		return m.walk(ctx, there)
	})
}

// Return brings a release back to its volume, from wherever a move is: what was pushed
// since is brought into the volume first.
func (c *Cluster) Return(ctx context.Context, name string, o MoveOptions) (Migration, error) {
	return c.moving(ctx, name, o, func(ctx context.Context, m *mover) error {
		if m.state.Version == 0 {
			return problem.New(problem.NotFound, "no move of a Harbor to S3 is known in namespace %s: there is nothing to go back from", c.Namespace)
		}
		if err := m.connect(ctx); err != nil {
			return err
		}
		if m.state.Direction == Back && m.state.Phase == PhaseDone {
			return nil
		}
		if m.state.Direction == There && !m.state.Switched {
			return m.giveUp(ctx)
		}
		if err := m.turnBack(ctx); err != nil {
			return err
		}
		return m.walk(ctx, backAgain)
	})
}

// moving runs do with the state of a move and the lock on it.
func (c *Cluster) moving(ctx context.Context, name string, o MoveOptions, do func(context.Context, *mover) error) (Migration, error) {
	m := &mover{Cluster: c, o: o}
	if o.Note == nil {
		m.o.Note = func(string) {}
	}
	if err := m.find(ctx, name); err != nil {
		return m.state, err
	}
	ctx, unlock, err := c.lock(ctx, m.name())
	if err != nil {
		return m.state, err
	}
	defer unlock()
	// What was read before the lock was there may be old.
	if err := m.load(ctx); err != nil {
		return m.state, err
	}
	err = do(ctx, m)
	if m.harbor != nil {
		m.harbor.client.CloseIdleConnections()
	}
	return m.state, err
}

// walk does the phases from the one that the state names.
func (m *mover) walk(ctx context.Context, ways []way) error {
	for i, w := range ways {
		if m.state.Phase != w.phase {
			continue
		}
		if m.o.Tell != nil {
			m.o.Tell(m.state)
		}
		began, frozen := time.Now(), m.state.Frozen
		if err := w.do(m, ctx); err != nil {
			return m.stop(ctx, fmt.Errorf("%s: %w", w.phase, err))
		}
		if frozen || m.state.Frozen {
			m.state.Window.add(w.phase, time.Since(began))
		}
		m.state.Phase, m.state.Problem = PhaseDone, ""
		if i+1 < len(ways) {
			m.state.Phase = ways[i+1].phase
		} else {
			m.state.Finished = now()
		}
		if err := m.save(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop keeps why a phase ended early. As long as the registry has the storage that it
// had before, Harbor is put back to how it was.
func (m *mover) stop(ctx context.Context, cause error) error {
	if lost := context.Cause(ctx); errors.Is(lost, errLockLost) {
		return lost // what is left to be done is another's affair
	}
	m.state.Problem = cause.Error()
	// The caller may be gone; this is not to be left undone for that.
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute+m.o.Rollout)
	defer cancel()
	first := PhaseStage
	if m.state.Direction == Back {
		first = backAgain[0].phase
	}
	if m.unchanged() {
		if err := m.putBack(after); err != nil {
			m.state.Problem = errors.Join(cause, err).Error()
			return errors.Join(cause, err, m.save(after), m.readOnlyNow())
		}
		m.state.Phase = first
	}
	return errors.Join(cause, m.save(after), m.readOnlyNow())
}

// unchanged reports whether the registry has the storage that it had before, and one
// that Harbor may be opened with.
func (m *mover) unchanged() bool {
	if m.state.Direction == Back {
		return m.state.Opened && !m.state.Undone
	}
	return !m.state.Switched
}

// readOnlyNow says that nobody can push, when that is so.
func (m *mover) readOnlyNow() error {
	if !m.state.Frozen {
		return nil
	}
	return problem.New(problem.Precondition, "Harbor %s IS READ-ONLY since %s: go on with the same command, or bring it back with a rollback", m.state.Release.Name, stamp(m.state.Window.From))
}

// putBack opens Harbor, and resumes what was paused.
func (m *mover) putBack(ctx context.Context) error {
	if err := m.open(ctx); err != nil {
		return fmt.Errorf("open Harbor again: %w", err)
	}
	if err := m.resume(ctx); err != nil {
		return fmt.Errorf("resume what was paused: %w", err)
	}
	return nil
}

// turnBack has a move go back from here, unless it does already.
func (m *mover) turnBack(ctx context.Context) error {
	if m.state.Direction == Back {
		return nil
	}
	if !m.state.Frozen {
		now, err := m.harbor.readOnly(ctx)
		if err != nil {
			return err
		}
		m.state.WasReadOnly = now.ReadOnly
	}
	m.state.Direction, m.state.Phase, m.state.Problem, m.state.Finished = Back, backAgain[0].phase, "", nil
	return m.save(ctx)
}

// giveUp ends a move in which the registry has not been given the bucket.
func (m *mover) giveUp(ctx context.Context) error {
	if err := m.putBack(ctx); err != nil {
		return errors.Join(err, m.readOnlyNow())
	}
	if err := m.clear(ctx); err != nil {
		return err
	}
	m.state.Direction, m.state.Phase, m.state.Problem, m.state.Finished = Back, PhaseDone, "", now()
	return m.save(ctx)
}

// follow has somebody be told of a Job while it goes on.
func (m *mover) following() Following { return Following{Progress: m.o.Progress, Note: m.o.Note} }

// job runs the Job of a step.
func (m *mover) job(ctx context.Context, step Step, round int) (Outcome, error) {
	return m.runJob(ctx, m.release.Job(step, m.state.Target), step, round)
}

func (m *mover) runJob(ctx context.Context, manifest map[string]any, step Step, round int) (Outcome, error) {
	if m.o.Job != nil {
		m.o.Job(step, round)
	}
	out, err := m.RunJob(ctx, manifest, m.following())
	if err != nil {
		return out, fmt.Errorf("run the Job %s: %w", m.release.JobName(step), err)
	}
	if m.o.Ended != nil {
		m.o.Ended(step, out)
	}
	return out, nil
}
