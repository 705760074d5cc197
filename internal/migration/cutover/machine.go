package cutover

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/pace"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// Site is a registry whose storage is moved. Every method may be called again after it
// failed or the process was killed, and then ends what is left to be done.
type Site interface {
	// Open opens a place as a tree, with what is known of its secrets.
	Open(ctx context.Context, p Place) (tree.Opened, error)
	// OpenUntried opens a place to try it out.
	OpenUntried(ctx context.Context, p Place) (tree.Opened, error)
	// Freeze has the registry refuse every change from now on, on all servers.
	Freeze(ctx context.Context) error
	// Drain returns when nothing changes the storage any more, on all servers.
	Drain(ctx context.Context) error
	// Thaw ends what Freeze began.
	Thaw(ctx context.Context) error
	// Serve has all servers serve a place, and every server that is started later. The
	// registry is frozen. An error means that some may serve it and some may not.
	Serve(ctx context.Context, p Place) error
	// Contents yields what the registry's index says that the storage holds.
	Contents(ctx context.Context) iter.Seq2[Content, error]
	// Knows reports whether the index has a reference, a tag or a digest.
	Knows(ctx context.Context, repository, reference string) (bool, error)
	// Try pulls through the registry, which serves to, what is there, and pushes something,
	// which must then be in to. What cannot be pulled is an error of a Pull, unless from does
	// not have it either. It works on a frozen registry, and leaves nothing.
	Try(ctx context.Context, from, to tree.Tree) ([]Pull, error)
}

// Content is an artifact of a registry's index.
type Content struct {
	Repository, Digest string
	Tags, Blobs        []string
}

// Keeper keeps the state of one migration, and what people want of it.
type Keeper interface {
	// Save keeps the state. It fails when another process works on the migration.
	Save(ctx context.Context, s *State) error
	// Wishes returns what somebody wants, and whether the window may be opened.
	Wishes(ctx context.Context) (w Wish, asked bool, err error)
	// Fulfilled forgets a wish, and the leave to open the window, see State.Asked.
	Fulfilled(ctx context.Context, s *State, w Wish) error
	// AccessKey is that of the destination, of which there may be another by now.
	AccessKey(ctx context.Context) (string, error)
}

// Machine drives one migration.
type Machine struct {
	site   Site
	keeper Keeper
	log    *slog.Logger
	s      *State
	wake   <-chan struct{}

	journey   *journey  // what is open; nil: nothing
	reopening time.Time // before which no window that was left open is tried to be closed again

	mu sync.Mutex // of the state, while a copy goes on beside who keeps its progress
}

// NewMachine returns a machine that goes on with a migration where its state says. wake
// says that somebody may want something.
func NewMachine(site Site, keeper Keeper, s *State, wake <-chan struct{}, log *slog.Logger) *Machine {
	return &Machine{site: site, keeper: keeper, s: s, wake: wake, log: log}
}

// How often a machine looks for wishes and keeps its progress.
const (
	lookPause = 500 * time.Millisecond
	savePause = time.Second
	restPause = 2 * time.Second // while nothing is done; who asks this process wakes it

	reopenPause = 15 * time.Second // between attempts to end a window that was left open
	verifyTime  = 3 * time.Minute  // that pulls and a push may take: a store that does not answer must not keep the registry read-only
)

var errWish = errors.New("somebody wants something else")

// Run drives the migration until it is over or ctx ends. The error is that its state
// could not be read or kept: nothing is done that is not kept.
func (m *Machine) Run(ctx context.Context) error {
	defer m.leave()
	if m.s.Status == Running && m.s.Phase != Preflight {
		m.log.Info("the storage migration goes on", "id", m.s.ID, "phase", m.s.Phase, "direction", m.s.Direction)
	}
	m.restart()
	for {
		if err := m.heed(ctx); err != nil {
			return err
		}
		if err := m.reopen(ctx); err != nil {
			return err
		}
		switch {
		case m.s.Status.Over():
			return nil
		case m.s.Status != Running:
			select {
			case <-ctx.Done():
				return nil
			case <-m.wake:
			case <-time.After(restPause):
			}
			continue
		}
		err := m.work(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errWish):
		case isKept(err):
			return err
		case err != nil:
			if err := m.fail(ctx, err); err != nil {
				return err
			}
		}
	}
}

// restart puts a migration that was killed at the beginning of what it was doing. In
// the window everything is looked at again, as nobody could write since.
func (m *Machine) restart() {
	if p := m.s.Phase; m.s.Status == Running && Freeze.before(p) && p.before(Switch) {
		m.s.Phase = Freeze
	}
	if m.s.Status == Running && m.s.Problem != nil { // it was failing, see fail
		m.s.Status = Failed
	}
}

// keepError is that the state could not be kept.
type keepError struct{ error }

func (e keepError) Unwrap() error { return e.error }

func isKept(err error) bool {
	_, ok := errors.AsType[keepError](err)
	return ok
}

func (m *Machine) save(ctx context.Context) error {
	m.s.Updated = time.Now().UTC()
	if err := m.keeper.Save(ctx, m.s); err != nil {
		return keepError{fmt.Errorf("keep the state of the storage migration: %w", err)}
	}
	return nil
}

// heed does what somebody wants, where it can be done at once.
func (m *Machine) heed(ctx context.Context) error {
	wish, asked, err := m.keeper.Wishes(ctx)
	if err != nil {
		return keepError{err}
	}
	m.s.Asked = asked || m.s.Direction == Back
	if m.s.Status == Waiting && asked {
		m.s.Status = Running
		m.enter(Delta) // what has been pushed while it waited
		if err := m.save(ctx); err != nil {
			return err
		}
	}
	if wish == WishNothing || m.s.Status == Running && m.s.committed() {
		return nil // what is being changed is changed to its end
	}
	m.s.Wish = wish
	switch wish {
	case WishPause:
		if err := m.open(ctx); err != nil {
			return m.fail(ctx, err)
		}
		m.s.Status = Paused
	case WishResume:
		if m.s.Status == Paused || m.s.Status == Failed {
			if m.s.Destination.AccessKey, err = m.keeper.AccessKey(ctx); err != nil {
				return keepError{err}
			}
			m.s.Status, m.s.Problem = Running, nil
			if m.s.Torn { // what was proven is long ago
				m.s.Phase = Freeze
			}
		}
	case WishFinish:
		if m.s.Status == Migrated {
			m.end(Finished)
		}
	case WishCancel, WishRollback:
		if err := m.turn(ctx, wish); err != nil {
			return m.fail(ctx, err)
		}
	}
	m.s.Wish = WishNothing
	if err := m.keeper.Fulfilled(ctx, m.s, wish); err != nil {
		return keepError{err}
	}
	m.log.Info("storage migration", "id", m.s.ID, "asked", wish, "status", m.s.Status, "phase", m.s.Phase)
	return nil
}

// turn leaves a migration that has not changed anything yet, or begins the way back.
func (m *Machine) turn(ctx context.Context, wish Wish) error {
	if m.s.Direction == Forward && (!m.s.Served || m.s.Torn) {
		if err := m.open(ctx); err != nil {
			return err
		}
		if wish == WishRollback {
			m.end(RolledBack)
		} else {
			m.end(Canceled)
		}
		return nil
	}
	if wish == WishCancel || m.s.Direction == Back {
		return nil
	}
	m.leave()
	s := m.s
	s.Status, s.Direction, s.Problem, s.Asked = Running, Back, nil, true
	s.Deltas, s.FullCheck, s.Progress, s.Checked, s.Findings, s.Damage, s.Pulls = nil, 0, Progress{}, migration.CheckReport{}, nil, nil, nil
	s.Total, s.Rehearsed = Total{}, Rehearsal{}
	m.enter(Copy)
	return nil
}

// open lets the registry be written to again, if this migration has kept it from that.
// What was found in the window counts no more, and that is kept before anybody can write:
// a process that is killed in between must not change the storage under who writes.
func (m *Machine) open(ctx context.Context) error {
	if !m.s.Window.Open {
		return nil
	}
	if m.s.Torn {
		if err := m.undo(ctx); err != nil {
			return &failure{"servers", fmt.Errorf("to go back to %s failed: %w", m.origin(), err),
				"The registry is read-only until all its servers serve one storage, which is tried again and again. Look at the servers' logs."}
		}
	}
	if !m.s.Phase.before(Freeze) {
		m.enter(Delta)
		if err := m.save(ctx); err != nil {
			return err
		}
	}
	if err := m.site.Thaw(ctx); err != nil {
		return &failure{"servers", err, "The registry may still be read-only, which is tried again and again to be ended. Look whether the database answers."}
	}
	m.s.Window.Open, m.s.Window.Ended = false, time.Now().UTC()
	return nil
}

// reopen ends a window that a failure or a crash has left open: nobody else would.
func (m *Machine) reopen(ctx context.Context) error {
	stopped := m.s.Status != Running && !m.s.Status.Over()
	if !m.s.Window.Open || !stopped && !m.s.Phase.before(Freeze) || time.Now().Before(m.reopening) {
		return nil
	}
	m.reopening = time.Now().Add(reopenPause)
	if m.s.Phase == Thaw && !m.s.Torn { // the change is made, and only this is left of it
		m.s.Status, m.s.Problem = Running, nil
		return nil
	}
	err := m.open(ctx)
	if isKept(err) {
		return err
	}
	if err != nil {
		if ctx.Err() == nil {
			m.log.Error("the registry is still read-only", "id", m.s.ID, "error", err)
		}
		if m.s.Status == Running && ctx.Err() == nil {
			return m.fail(ctx, err)
		}
	}
	key, err := m.keeper.AccessKey(ctx) // there may be another by now, and it would be written over
	if err != nil {
		return keepError{err}
	}
	m.s.Destination.AccessKey = key
	return m.save(ctx)
}

// end is when nothing more comes.
func (m *Machine) end(status Status) {
	m.leave()
	m.s.Status, m.s.Ended = status, time.Now().UTC()
	if n := len(m.s.Phases); n > 0 && m.s.Phases[n-1].Ended.IsZero() {
		m.s.Phases[n-1].Ended = m.s.Ended
	}
}

// mostPhases is how many phases are remembered.
const mostPhases = 200

// enter begins a phase.
func (m *Machine) enter(p Phase) {
	now := time.Now().UTC()
	if n := len(m.s.Phases); n > 0 && m.s.Phases[n-1].Ended.IsZero() {
		m.s.Phases[n-1].Ended = now
	}
	m.s.Phase = p
	m.s.Phases = append(m.s.Phases, PhaseTimes{Name: p, Direction: m.s.Direction, Began: now})
	if n := len(m.s.Phases); n > mostPhases {
		m.s.Phases = slices.Clone(m.s.Phases[n-mostPhases:])
	}
	m.log.Info("storage migration", "id", m.s.ID, "phase", p, "direction", m.s.Direction)
}

// fail stops the migration until somebody has mended what is wrong. The registry is as
// usable as before the phase, and in particular not read-only.
func (m *Machine) fail(ctx context.Context, err error) error {
	m.leave()
	f := explain(err)
	if !m.s.Window.Open {
		m.s.Status = Failed
	} // else it is told when clients can write again
	m.s.Problem = &Problem{Code: f.code, Message: f.err.Error(), Advice: f.advice, Phase: m.s.Phase, Time: time.Now().UTC()}
	m.log.Error("the storage migration stops", "id", m.s.ID, "phase", m.s.Phase, "error", f.err)
	if m.s.Phase == Switch || m.s.Phase == Verify {
		m.s.Torn = true // until all servers serve the origin again
	}
	// Before anything follows: another process may work on the migration by now.
	if err := m.save(ctx); err != nil {
		return err
	}
	if m.s.Phase == Thaw { // the change is made
		m.s.Status = Failed
		return m.save(ctx)
	}
	m.reopening = time.Now().Add(reopenPause)
	if err := m.open(ctx); isKept(err) {
		return err
	} else if err != nil {
		m.s.Problem.Message += "; and " + err.Error()
		m.s.Problem.Advice = explain(err).advice
	}
	m.s.Status = Failed
	return m.save(ctx)
}

// undo has the registry serve what it did before the phase: nobody has written since.
func (m *Machine) undo(ctx context.Context) error {
	if err := m.site.Serve(ctx, m.origin()); err != nil {
		return err
	}
	m.s.Served, m.s.Torn = m.s.Direction == Back, false
	return nil
}

func (m *Machine) origin() Place {
	if m.s.Direction == Back {
		return m.s.Destination
	}
	return m.s.Source
}

func (m *Machine) target() Place {
	if m.s.Direction == Back {
		return m.s.Source
	}
	return m.s.Destination
}

// work does one phase, and breaks off when somebody wants something else.
func (m *Machine) work(ctx context.Context) error {
	if n := len(m.s.Phases); n == 0 || m.s.Phases[n-1].Name != m.s.Phase || !m.s.Phases[n-1].Ended.IsZero() {
		m.enter(m.s.Phase)
	}
	if err := m.save(ctx); err != nil {
		return err
	}
	if m.s.committed() {
		return m.phase(ctx)
	}
	doing, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go m.listen(doing, stop)
	err := m.phase(doing)
	if cause := context.Cause(doing); err != nil && ctx.Err() == nil && cause != nil {
		m.leave()
		return cause
	}
	return err
}

// listen ends what is done when there is a wish.
func (m *Machine) listen(ctx context.Context, stop context.CancelCauseFunc) {
	ticker := time.NewTicker(lookPause)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if wish, _, err := m.keeper.Wishes(ctx); err == nil && wish != WishNothing {
			stop(errWish)
			return
		}
	}
}

func (m *Machine) phase(ctx context.Context) error {
	switch m.s.Phase {
	case Preflight:
		return m.preflight(ctx)
	case Copy:
		return m.copy(ctx)
	case Delta:
		return m.delta(ctx)
	case Ready:
		m.enter(Delta)
		return nil
	case Freeze:
		return m.freeze(ctx)
	case Drain:
		return m.drain(ctx)
	case Final:
		return m.final(ctx)
	case Check:
		return m.check(ctx)
	case Switch:
		return m.change(ctx)
	case Verify:
		return m.verify(ctx)
	case Thaw:
		return m.thaw(ctx)
	}
	return fmt.Errorf("there is no phase %q", m.s.Phase)
}

// journey is what a machine has open between two places.
type journey struct {
	from, to tree.Opened
	journal  *migration.Journal
	damaged  map[string]bool // files of the origin that no copy can bring
}

// travel opens both ends, or returns what is open.
func (m *Machine) travel(ctx context.Context) (*journey, error) {
	if m.journey != nil {
		return m.journey, nil
	}
	from, err := m.site.Open(ctx, m.origin())
	if err != nil {
		return nil, err
	}
	to, err := m.site.Open(ctx, m.target())
	if err != nil {
		return nil, errors.Join(err, from.Close())
	}
	journal, err := migration.OpenJournal(ctx, to, to, from.String())
	if err != nil {
		return nil, errors.Join(err, from.Close(), to.Close())
	}
	m.journey = &journey{from: from, to: to, journal: journal, damaged: map[string]bool{}}
	return m.journey, nil
}

// leave closes what is open. The next phase reads the journal anew.
func (m *Machine) leave() {
	if m.journey != nil {
		_ = m.journey.from.Close()
		_ = m.journey.to.Close()
		m.journey = nil
	}
}

// copyOptions are those of all copies; live ones leave room for others.
func (m *Machine) copyOptions(j *journey, live bool) migration.CopyOptions {
	o := migration.CopyOptions{
		Concurrency: m.s.Options.Concurrency, Progress: &migration.Progress{}, MaxRemove: 1 << 30,
		OnDamage: func(d migration.Damage) {
			m.mu.Lock()
			defer m.mu.Unlock()
			if !j.damaged[d.Path] && len(m.s.Damage) < mostFindings {
				m.s.Damage = append(m.s.Damage, Finding{Kind: string(d.Kind), Name: d.Path, Reason: d.String()})
			}
			j.damaged[d.Path] = true
		},
	}
	if live && m.s.Options.Bandwidth > 0 {
		o.Bandwidth = pace.NewBandwidth(m.s.Options.Bandwidth)
	}
	return o
}

// failure is an error with what to do about it.
type failure struct {
	code   string
	err    error
	advice string
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// explain says of any error what can be done.
func explain(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	f := &failure{"internal", err, "Resume it. If it stops again in the same way, look at the server's log."}
	switch {
	case tree.RefusesCredentials(err), problem.Is(err, problem.Unauthorized), problem.Is(err, problem.Forbidden), problem.Is(err, problem.Denied):
		f.code, f.advice = "credentials", "The store does not accept the credentials. Mend them there, or resume with others."
	case tree.IsFatal(err), problem.Is(err, problem.Unknown):
		f.code, f.advice = "unreachable", "Look whether the destination answers and has room, and resume; what is copied stays."
	case problem.Is(err, problem.Conflict):
		f.code, f.advice = "copy", "Mend what the message says, and resume; what is copied stays."
	}
	return f
}
