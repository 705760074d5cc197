package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/api/gen"
)

// projectPause is the time between two looks at a project that is watched.
const projectPause = time.Second

// WatchProject tells what changes in a project.
func (a *api) WatchProject(ctx context.Context, r gen.WatchProjectRequestObject) (gen.WatchProjectResponseObject, error) {
	p, project, err := a.requireProject(ctx, r.ProjectNameOrID, r.Params.XIsResourceName, "repository", "list")
	if err != nil {
		return nil, err
	}
	return projectAnswer{a: a, ctx: ctx, project: project.ID, member: a.o.Accounts.Can(ctx, p, project.ID, "repository", "read")}, nil
}

type projectAnswer struct {
	a       *api
	ctx     context.Context // of the request: an answer is given nothing else
	project int64
	member  bool // and so told about replication
}

// VisitWatchProjectResponse implements gen.WatchProjectResponseObject.
func (w projectAnswer) VisitWatchProjectResponse(response http.ResponseWriter) error {
	ctx, cancel := w.a.whileListening(w.ctx)
	watch := w.watchReplication(ctx)
	defer func() { cancel(); <-watch.ended }()
	select {
	case <-watch.begun:
	case <-ctx.Done():
		return nil
	}
	version, err := w.a.o.Index.Version(ctx, w.project)
	if err != nil {
		return err
	}
	s := begin(response)
	s.event("ready", "", "{}")
	ticker := time.NewTicker(projectPause)
	defer ticker.Stop()
	for quiet := 0; ; quiet++ {
		// A sign of life about every ten seconds is enough where nothing happens.
		if s.buffer.Len() > 0 || quiet%10 == 0 {
			if s.send() != nil {
				return nil // the client is gone
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-watch.failed:
			return nil // the service has logged it; the client comes again
		case <-ticker.C:
		}
		now, err := w.a.o.Index.Version(ctx, w.project)
		if err != nil {
			return nil // the database is gone for now: the client comes again
		}
		if now != version {
			s.event("contents", "", "{}")
		}
		version = now
		select {
		case <-watch.changed:
			s.event("replication", "", "{}")
		default:
		}
	}
}

// replicationWatch tells members that something was replicated or verified.
type replicationWatch struct {
	begun   chan struct{} // closed when what happens from now on is told
	changed chan struct{} // has one when something has happened since it was taken out
	failed  chan struct{} // closed when no more can be told
	ended   chan struct{} // closed when nothing runs any more
}

func (w projectAnswer) watchReplication(ctx context.Context) replicationWatch {
	watch := replicationWatch{begun: make(chan struct{}), changed: make(chan struct{}, 1), failed: make(chan struct{}), ended: make(chan struct{})}
	if !w.member {
		close(watch.begun)
		close(watch.ended)
		return watch
	}
	go func() {
		defer close(watch.ended)
		begin := sync.OnceFunc(func() { close(watch.begun) })
		defer begin()
		for c, err := range w.a.o.Replication.Watch(ctx) {
			if err != nil {
				close(watch.failed)
				return
			}
			begin()
			if len(c.Executions) == 0 && len(c.Drift) == 0 && !c.Policies {
				continue
			}
			select {
			case watch.changed <- struct{}{}:
			default:
			}
		}
	}()
	return watch
}
