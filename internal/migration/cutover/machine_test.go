package cutover_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/lighterage/lighterage/internal/migration/cutover"
	"github.com/lighterage/lighterage/internal/tree"
)

// scene is a registry and what is kept of its migration, of which every call is noted.
type scene struct {
	t *testing.T

	mu     sync.Mutex
	kept   []byte // the state, as it was kept last
	wish   cutover.Wish
	calls  []string
	frozen bool
	served string // a place

	serve func(p cutover.Place) error
	thaw  func() error
	try   func(ctx context.Context) error
}

func newScene(t *testing.T, s cutover.State) *scene {
	c := &scene{t: t, frozen: s.Window.Open, served: s.Source.String()}
	must(t, c.Save(t.Context(), &s))
	return c
}

// note keeps a call.
func (c *scene) note(call string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, call)
}

func (c *scene) did() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

func (c *scene) state() (s cutover.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	must(c.t, json.Unmarshal(c.kept, &s))
	return s
}

func (c *scene) Save(_ context.Context, s *cutover.State) error {
	document, err := json.Marshal(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = document
	return err
}

func (c *scene) Wishes(context.Context) (cutover.Wish, bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wish, true, nil
}

func (c *scene) Fulfilled(ctx context.Context, s *cutover.State, _ cutover.Wish) error {
	c.mu.Lock()
	c.wish = cutover.WishNothing
	c.mu.Unlock()
	return c.Save(ctx, s)
}

func (c *scene) AccessKey(context.Context) (string, error) {
	return c.state().Destination.AccessKey, nil
}

func (c *scene) Open(ctx context.Context, p cutover.Place) (tree.Opened, error) {
	return tree.Open(ctx, tree.Location{Path: p.Path})
}

func (c *scene) OpenUntried(ctx context.Context, p cutover.Place) (tree.Opened, error) {
	return c.Open(ctx, p)
}

func (c *scene) Freeze(context.Context) error {
	c.note("freeze")
	c.frozen = true
	return nil
}

func (c *scene) Drain(context.Context) error { return nil }

func (c *scene) Thaw(context.Context) error {
	c.note("thaw")
	if c.thaw != nil {
		if err := c.thaw(); err != nil {
			return err
		}
	}
	c.frozen = false
	return nil
}

func (c *scene) Serve(_ context.Context, p cutover.Place) error {
	c.note("serve " + p.String())
	if !c.frozen {
		c.t.Errorf("the registry is told to serve %s while clients may write to it", p)
	}
	if c.serve != nil {
		if err := c.serve(p); err != nil {
			return err
		}
	}
	c.served = p.String()
	return nil
}

func (c *scene) Contents(context.Context) iter.Seq2[cutover.Content, error] {
	return func(func(cutover.Content, error) bool) {}
}

func (c *scene) Knows(context.Context, string, string) (bool, error) { return false, nil }

func (c *scene) Try(ctx context.Context, _, _ tree.Tree) ([]cutover.Pull, error) {
	if c.try != nil {
		return nil, c.try(ctx)
	}
	return nil, nil
}

// run drives the migration as a process does that goes on from what was kept, until done.
func (c *scene) run(until func() bool) {
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	s, ended := c.state(), make(chan struct{})
	go func() {
		defer close(ended)
		if err := cutover.NewMachine(c, c, &s, nil, slog.New(slog.DiscardHandler)).Run(ctx); err != nil {
			c.t.Errorf("the machine ends: %v", err)
		}
	}()
	for range 10_000 {
		if until() {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if !until() {
		c.t.Error("what is waited for does not happen")
	}
	cancel()
	<-ended
}

// inWindow is a migration between two folders, in a phase of the window.
func inWindow(t *testing.T, p cutover.Phase) cutover.State {
	s := fresh()
	s.Source, s.Destination = cutover.Place{Path: t.TempDir()}, cutover.Place{Path: t.TempDir()}
	s.Phase, s.Asked, s.Window = p, true, cutover.Window{Open: true, Began: time.Now()}
	return s
}

func TestAProcessThatIsKilledWhileItOpensTheRegistryAgainDoesNotSwitchUnderItsClients(t *testing.T) {
	for _, phase := range []cutover.Phase{cutover.Switch, cutover.Verify} {
		t.Run(string(phase), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inWindow(t, phase)
				c := newScene(t, s)
				c.serve = func(p cutover.Place) error {
					if p.Same(s.Destination) {
						return errors.New("a server does not reach it")
					}
					return nil
				}
				c.try = func(context.Context) error { return errors.New("nothing can be pulled") }
				var atThaw cutover.State
				c.thaw = func() error { atThaw = c.state(); return nil }
				c.run(func() bool { return c.state().Status == cutover.Failed && !c.state().Window.Open })

				// What was kept when clients could write again is what a new process finds.
				next := newScene(t, atThaw)
				next.frozen, next.served = false, s.Source.String()
				next.run(func() bool { return next.state().Status == cutover.Failed && !next.state().Window.Open })
				for _, call := range next.did() {
					if call == "serve "+s.Destination.String() {
						t.Errorf("the process that goes on has done %q", next.did())
					}
				}
			})
		})
	}
}

func TestAStoreThatNeverAnswersDoesNotKeepTheRegistryReadOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := inWindow(t, cutover.Switch)
		c := newScene(t, s)
		c.try = func(ctx context.Context) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
		c.run(func() bool { return c.state().Status == cutover.Failed && !c.state().Window.Open })
		if c.frozen || c.served != s.Source.String() {
			t.Errorf("frozen %v, and %s is served", c.frozen, c.served)
		}
	})
}

func TestAWindowThatCouldNotBeEndedIsEndedAsSoonAsItCan(t *testing.T) {
	for name, restart := range map[string]bool{"by the same process": false, "by the next one": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := inWindow(t, cutover.Verify)
				s.Served = true
				c := newScene(t, s)
				c.served = s.Destination.String()
				c.try = func(context.Context) error { return errors.New("nothing can be pulled") }
				var broken atomic.Bool
				broken.Store(true)
				c.serve = func(cutover.Place) error {
					if broken.Load() {
						return errors.New("a server does not answer")
					}
					return nil
				}
				c.run(func() bool {
					failed := c.state().Status == cutover.Failed && c.state().Problem.Advice != ""
					if failed && broken.Load() && !c.state().Window.Open {
						t.Error("the window is said to have ended, and the registry is read-only")
					}
					if failed && !restart {
						broken.Store(false)
					}
					return failed && (restart || !c.state().Window.Open)
				})
				broken.Store(false)
				c.run(func() bool { return !c.state().Window.Open })
				if got := c.state(); c.frozen || c.served != s.Source.String() || got.Served || got.Torn {
					t.Errorf("frozen %v, %s is served, state %+v", c.frozen, c.served, got)
				}
				c.mu.Lock()
				c.wish = cutover.WishRollback
				c.mu.Unlock()
				c.run(func() bool { return c.state().Status == cutover.RolledBack })
			})
		})
	}
}
