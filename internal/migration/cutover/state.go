package cutover

import (
	"slices"
	"time"

	"github.com/lighterage/lighterage/internal/migration"
)

// Status is how a migration is.
type Status string

// The states of a migration.
const (
	Running    Status = "running"
	Paused     Status = "paused"
	Waiting    Status = "waiting"  // for somebody to say that the window may be opened
	Failed     Status = "failed"   // see State.Problem; it can go on when that is mended
	Migrated   Status = "migrated" // the destination is served, and the way back is open
	Finished   Status = "finished"
	RolledBack Status = "rolled_back"
	Canceled   Status = "canceled"
)

// Over reports whether nothing more comes of a migration.
func (s Status) Over() bool { return s == Finished || s == RolledBack || s == Canceled }

// Phase is a step of the machine.
type Phase string

// The phases, in their order. A way back has them from Copy on.
const (
	Preflight Phase = "preflight"
	Copy      Phase = "copy"
	Delta     Phase = "delta"
	Ready     Phase = "ready" // what is new is little
	Freeze    Phase = "freeze"
	Drain     Phase = "drain"
	Final     Phase = "final"
	Check     Phase = "check"
	Switch    Phase = "switch"
	Verify    Phase = "verify"
	Thaw      Phase = "thaw"
	Done      Phase = "done"
)

var phases = []Phase{Preflight, Copy, Delta, Ready, Freeze, Drain, Final, Check, Switch, Verify, Thaw, Done}

// before reports whether p comes before other.
func (p Phase) before(other Phase) bool { return slices.Index(phases, p) < slices.Index(phases, other) }

// Direction is where the content goes.
type Direction string

// The directions.
const (
	Forward Direction = "forward"
	Back    Direction = "back"
)

// Wish is what somebody has asked a migration for, until it is done.
type Wish string

// The wishes.
const (
	WishNothing  Wish = ""
	WishPause    Wish = "pause"
	WishCancel   Wish = "cancel"
	WishRollback Wish = "rollback"
	WishResume   Wish = "resume"
	WishFinish   Wish = "finish"
)

// Options say how a migration goes.
type Options struct {
	Automatic   bool  `json:"automatic,omitempty"`
	Concurrency int   `json:"concurrency,omitempty"`
	Bandwidth   int64 `json:"bandwidth,omitempty"` // bytes a second, of copies outside of the window
	Deep        bool  `json:"deep,omitempty"`      // everything is read back before the window
	// Target is how long a look for what is new may take, and copying it, for the window to
	// be opened. Seconds.
	Target int `json:"target,omitempty"`
}

// State is all that is known of a migration. It holds no secrets.
type State struct {
	ID        int64     `json:"id"`
	Status    Status    `json:"status"`
	Phase     Phase     `json:"phase"`
	Direction Direction `json:"direction"`
	Wish      Wish      `json:"wish,omitempty"`
	// Asked is that the window may be opened.
	Asked bool `json:"asked,omitempty"`
	// Served is that the registry was told to serve the destination, and not told
	// otherwise since.
	Served bool `json:"served,omitempty"`
	// Torn is that the servers are being told: some may serve the one place, some the other.
	Torn bool `json:"torn,omitempty"`

	Source      Place   `json:"source"`
	Destination Place   `json:"destination"`
	Options     Options `json:"options"`

	Operator string    `json:"operator"`
	Created  time.Time `json:"created"`
	Updated  time.Time `json:"updated"`
	Ended    time.Time `json:"ended,omitzero"`

	Phases    []PhaseTimes          `json:"phases,omitempty"`
	Progress  Progress              `json:"progress"` // of the copy that goes on, or was the last
	Total     Total                 `json:"total"`    // of all copies in this direction
	Deltas    []DeltaTimes          `json:"deltas,omitempty"`
	Window    Window                `json:"window"`
	Rehearsed Rehearsal             `json:"rehearsed"` // the last check of everything before the window
	Checked   migration.CheckReport `json:"checked"`
	FullCheck float64               `json:"full_check,omitempty"` // seconds that the last check before the window took
	Findings  []Finding             `json:"findings,omitempty"`   // differences of the last check
	Damage    []Finding             `json:"damage,omitempty"`
	Artifacts Artifacts             `json:"artifacts"`
	Pulls     []Pull                `json:"pulls,omitempty"`
	Problem   *Problem              `json:"problem,omitempty"`
}

// PhaseTimes is when a phase began and ended.
type PhaseTimes struct {
	Name      Phase     `json:"name"`
	Direction Direction `json:"direction"`
	Began     time.Time `json:"began"`
	Ended     time.Time `json:"ended,omitzero"`
}

// Progress is how far the copy or check of a phase is.
type Progress struct {
	migration.Counts
	Rate        float64 `json:"rate"`         // bytes a second
	SecondsLeft float64 `json:"seconds_left"` // -1: not known
}

// DeltaTimes is one look at the live registry for what is new.
type DeltaTimes struct {
	Time    time.Time `json:"time"`
	Seconds float64   `json:"seconds"`
	Objects int64     `json:"objects"`
	Bytes   int64     `json:"bytes"`
}

// Rehearsal is a check of everything while the registry is in use.
type Rehearsal struct {
	migration.CheckReport
	Time time.Time `json:"time,omitzero"` // when it began; zero: there was none
}

// Window is the time in which a migration keeps the registry read-only.
type Window struct {
	Open  bool      `json:"open,omitempty"`
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
}

// Seconds is how long the window was open, or is so far.
func (w Window) Seconds(now time.Time) float64 {
	switch {
	case w.Began.IsZero():
		return 0
	case w.Open || w.Ended.IsZero():
		return now.Sub(w.Began).Seconds()
	}
	return w.Ended.Sub(w.Began).Seconds()
}

// mostFindings is how many findings of a kind are kept; all are counted.
const mostFindings = 100

// Finding is something that is not as it should be.
type Finding struct {
	Kind   string `json:"kind"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Artifacts is what a look for the artifacts of the home index has found.
type Artifacts struct {
	Manifests    int64 `json:"manifests"`
	Tags         int64 `json:"tags"`
	Broken       int64 `json:"broken"`        // not whole where they should be now, and whole where they were
	BrokenBefore int64 `json:"broken_before"` // whole in neither
}

// Pull is an image that was pulled through the registry.
type Pull struct {
	Repository string  `json:"repository"`
	Reference  string  `json:"reference"`
	Digest     string  `json:"digest"`
	New        bool    `json:"new,omitempty"` // it was pushed for that, and deleted again
	Blobs      int64   `json:"blobs"`
	Bytes      int64   `json:"bytes"`
	Seconds    float64 `json:"seconds"`
	Error      string  `json:"error,omitempty"`
}

// Problem is why a migration does not go on.
type Problem struct {
	Code    string    `json:"code"`
	Message string    `json:"message"`
	Advice  string    `json:"advice"`
	Phase   Phase     `json:"phase"`
	Time    time.Time `json:"time"`
}

// Estimate is how long the registry will be read-only, in seconds, -1: not known. It is
// what the last look for what is new took and the last check, which is what the window
// consists of.
func (s *State) Estimate() float64 {
	if len(s.Deltas) == 0 {
		return -1
	}
	return s.Deltas[len(s.Deltas)-1].Seconds*2 + s.FullCheck + fixedSeconds
}

// fixedSeconds is about what the rest of the window takes: requests that end, the
// change itself, and a few pulls.
const fixedSeconds = 2

// Action is something that can be asked of a migration.
type Action string

// The actions.
const (
	ActPause    Action = "pause"
	ActResume   Action = "resume"
	ActCutOver  Action = "cutover"
	ActCancel   Action = "cancel"
	ActRollback Action = "rollback"
	ActFinish   Action = "finish"
)

// Actions are what can be asked for now.
func (s *State) Actions() []Action {
	var list []Action
	add := func(a Action, can bool) {
		if can {
			list = append(list, a)
		}
	}
	leaving := s.Wish == WishCancel || s.Wish == WishRollback
	add(ActPause, (s.Status == Running || s.Status == Waiting) && !leaving && !s.committed())
	add(ActResume, s.Status == Paused || s.Status == Failed)
	add(ActCutOver, (s.Status == Running || s.Status == Waiting || s.Status == Paused) && !leaving && !s.Asked && s.Phase.before(Freeze))
	// One of the two: to leave what has not changed anything, or to bring back what has.
	switched := s.Served || s.Status == Running && s.committed()
	add(ActCancel, s.Direction == Forward && !s.Status.Over() && !switched && !leaving)
	add(ActRollback, s.Direction == Forward && !s.Status.Over() && switched && s.Wish != WishRollback)
	add(ActFinish, s.Status == Migrated && s.Wish == WishNothing)
	return list
}

// committed reports whether the change is being made: to stop in its middle would help
// nobody, and it ends within seconds.
func (s *State) committed() bool { return s.Phase == Switch || s.Phase == Verify || s.Phase == Thaw }

// Served is what a registry's content is served from.
type Served struct {
	Place Place
	Since time.Time // when it was moved there; zero: it was there from the start
	// CommandLine is the storage that the server was started with, if that is another.
	CommandLine string
	Servers     int // that serve it
}

// Tried is what a preflight has found.
type Tried struct {
	migration.PreflightReport
	Time time.Time
}

// Credential is a key for a destination in the place of one that is not accepted any more.
type Credential struct{ AccessKey, SecretKey string }

// DefaultTarget is Options.Target when none is given.
const DefaultTarget = 5
