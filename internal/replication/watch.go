package replication

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Changes are what has become different since a watcher was last told.
type Changes struct {
	Executions []Execution // as they are now
	Policies   bool        // some rule was made, changed or deleted
	Registries bool        // some registry was, or its health was found out
	Drift      []int64     // rules whose verification was asked for, has begun or ended
}

const (
	watchInterval = time.Second      // how often the database is looked at while somebody watches
	watchBeat     = 15 * time.Second // how often a watcher hears that there is nothing
	watchRecent   = 100              // ids that may become visible after a greater one
	watchSlack    = 10 * time.Second // clocks of servers may differ by that
)

// Watch yields what changes until ctx ends, whichever server changes it: what is read
// after the first, empty, value and is brought up to date by the later ones is never
// out of date for long. Some of the later ones are empty too, so that the caller finds
// out whether anybody listens still. However many watch, the database is looked at once
// a second, and not at all when nobody does.
func (s *Service) Watch(ctx context.Context) iter.Seq2[Changes, error] {
	return func(yield func(Changes, error) bool) {
		w := s.watchers.join(s)
		defer s.watchers.leave(w)
		beat := time.NewTicker(watchBeat)
		defer beat.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-w.wake:
			case <-beat.C:
			}
			if changes, err := w.take(); !yield(changes, err) || err != nil {
				return
			}
		}
	}
}

// watchers are those who watch.
type watchers struct {
	mu   sync.Mutex
	all  map[*watcher]struct{}
	stop context.CancelFunc // ends the look-out
}

// watcher holds what one of them was not told yet.
type watcher struct {
	wake chan struct{}

	mu         sync.Mutex
	executions map[int64]Execution
	drift      map[int64]struct{}
	changes    Changes
	err        error
}

func (ws *watchers) join(s *Service) *watcher {
	w := &watcher{wake: make(chan struct{}, 1), executions: map[int64]Execution{}, drift: map[int64]struct{}{}}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.all) == 0 {
		ctx, cancel := context.WithCancel(context.Background())
		ws.all, ws.stop = map[*watcher]struct{}{}, cancel
		go s.lookOut(ctx)
	}
	ws.all[w] = struct{}{}
	return w
}

func (ws *watchers) leave(w *watcher) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	delete(ws.all, w)
	if len(ws.all) == 0 {
		ws.stop()
	}
}

// tell gives changes to those that have joined before the database was looked at; for
// the others they are the first sign that they are watching.
func (ws *watchers) tell(c Changes, err error, before map[*watcher]struct{}) {
	for w := range before {
		w.add(c, err)
	}
}

func (ws *watchers) present() map[*watcher]struct{} {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return maps.Clone(ws.all)
}

func (w *watcher) add(c Changes, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range c.Executions {
		w.executions[e.ID] = e
	}
	for _, id := range c.Drift {
		w.drift[id] = struct{}{}
	}
	w.changes.Policies = w.changes.Policies || c.Policies
	w.changes.Registries = w.changes.Registries || c.Registries
	w.err = err
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *watcher) take() (Changes, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.changes
	for _, e := range w.executions {
		c.Executions = append(c.Executions, e)
	}
	for id := range w.drift {
		c.Drift = append(c.Drift, id)
	}
	w.changes = Changes{}
	clear(w.executions)
	clear(w.drift)
	return c, w.err
}

// lookOut compares what the database says with what it said before.
func (s *Service) lookOut(ctx context.Context) {
	seen := &sight{}
	greeted := map[*watcher]struct{}{}
	every(ctx, watchInterval, func(ctx context.Context) {
		present := s.watchers.present()
		changes, err := seen.compare(ctx, s)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.log.Warn("changes of executions cannot be seen", "error", err)
		}
		quiet := err == nil && len(changes.Executions) == 0 && len(changes.Drift) == 0 && !changes.Policies && !changes.Registries
		if quiet { // but for those who are new
			maps.DeleteFunc(present, func(w *watcher, _ struct{}) bool { _, before := greeted[w]; return before })
		}
		s.watchers.tell(changes, err, present)
		maps.Copy(greeted, present)
		maps.DeleteFunc(greeted, func(w *watcher, _ struct{}) bool { _, there := s.watchers.present()[w]; return !there })
	})
}

// sight is what the database said when it was last looked at.
type sight struct {
	begun      bool
	last       int64 // the greatest id of an execution
	executions map[int64]Execution
	policies   string
	registries string
	drift      map[int64]string
}

// compare looks again; the first time nothing has changed.
func (v *sight) compare(ctx context.Context, s *Service) (Changes, error) {
	now := &sight{begun: true, executions: map[int64]Execution{}, drift: map[int64]string{}}
	err := s.o.DB.QueryRowContext(ctx, `SELECT (SELECT coalesce(max(id), 0) FROM executions),
		(SELECT count(*) || ' ' || coalesce(sum(update_time), 0) FROM replication_policies),
		(SELECT count(*) || ' ' || coalesce(sum(update_time + checked_time), 0) FROM registries)`).
		Scan(&now.last, &now.policies, &now.registries)
	if err != nil {
		return Changes{}, fmt.Errorf("look at executions: %w", err)
	}
	if err := now.readExecutions(ctx, s, v); err != nil {
		return Changes{}, fmt.Errorf("look at executions: %w", err)
	}
	if err := now.readDrift(ctx, s); err != nil {
		return Changes{}, fmt.Errorf("look at verifications: %w", err)
	}
	var c Changes
	if v.begun {
		c.Policies, c.Registries = now.policies != v.policies, now.registries != v.registries
		for id, e := range now.executions {
			if before, known := v.executions[id]; !known || before != e {
				c.Executions = append(c.Executions, e)
			}
		}
		for id, state := range now.drift {
			if v.drift[id] != state {
				c.Drift = append(c.Drift, id)
			}
		}
	}
	*v = *now
	return c, nil
}

// readExecutions reads those that run, that are new, and that have ended lately or
// since before.
func (v *sight) readExecutions(ctx context.Context, s *Service, before *sight) error {
	from := v.last - watchRecent
	if before.begun {
		from = min(from, before.last-watchRecent)
	}
	rows, err := s.o.DB.QueryContext(ctx, selectExecution+` WHERE status = 'InProgress' OR id > $1 OR end_time >= $2`,
		from, store.Millis(s.now().Add(-watchSlack)))
	if err != nil {
		return err
	}
	list, err := collect(rows, scanExecution)
	if err != nil {
		return err
	}
	for _, e := range list {
		v.executions[e.ID] = e
	}
	for id, e := range before.executions {
		if _, there := v.executions[id]; there || e.Status != InProgress {
			continue
		}
		ended, err := s.GetExecution(ctx, id)
		if problem.Is(err, problem.NotFound) {
			continue // gone with its rule, or swept
		}
		if err != nil {
			return err
		}
		v.executions[id] = ended
	}
	return nil
}

func (v *sight) readDrift(ctx context.Context, s *Service) error {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT policy_id, asked || ' ' || running || ' ' || done FROM drift_checks`)
	if err != nil {
		return err
	}
	_, err = collect(rows, func(row scanner) (id int64, err error) {
		var state string
		err = row.Scan(&id, &state)
		v.drift[id] = state
		return id, err
	})
	return err
}
