package api

import (
	"context"
	"net/http"
	"time"

	"github.com/lighterage/lighterage/internal/api/gen"
)

const (
	systemPause = time.Second      // between two looks at the settings while somebody watches
	systemBeat  = 15 * time.Second // how often who watches hears that there is nothing
)

// WatchSystem tells everybody who is logged in when settings change.
func (a *api) WatchSystem(ctx context.Context, _ gen.WatchSystemRequestObject) (gen.WatchSystemResponseObject, error) {
	if _, err := a.authenticated(ctx); err != nil {
		return nil, err
	}
	return systemAnswer{a: a, ctx: ctx}, nil
}

type systemAnswer struct {
	a   *api
	ctx context.Context // of the request: an answer is given nothing else
}

// VisitWatchSystemResponse implements gen.WatchSystemResponseObject.
func (e systemAnswer) VisitWatchSystemResponse(w http.ResponseWriter) error {
	ctx, cancel := e.a.whileListening(e.ctx)
	defer cancel()
	changed, err := e.a.watchSettings(ctx)
	if err != nil {
		return err
	}
	s := begin(w)
	s.event("ready", "", "{}")
	beat := time.NewTicker(systemBeat)
	defer beat.Stop()
	for {
		if s.send() != nil {
			return nil // the client is gone
		}
		select {
		case _, more := <-changed:
			if !more {
				return nil // the server ends, or the database is gone for now: the client comes again
			}
			s.event("system", "", "{}")
		case <-beat.C:
		}
	}
}

// watchSettings returns what has a value when settings or read-only mode have become
// others than they are now. It is closed when ctx ends or they cannot be read any more.
func (a *api) watchSettings(ctx context.Context) (<-chan struct{}, error) {
	before, err := a.o.Settings.version(ctx)
	if err != nil {
		return nil, err
	}
	changed := make(chan struct{}, 1)
	go func() {
		defer close(changed)
		ticker := time.NewTicker(systemPause)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			now, err := a.o.Settings.version(ctx)
			if err != nil {
				return
			}
			if now == before {
				continue
			}
			before = now
			select {
			case changed <- struct{}{}:
			default: // one that was not taken yet tells of this, too
			}
		}
	}()
	return changed, nil
}
