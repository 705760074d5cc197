package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/lighterage/lighterage/internal/api/gen"
)

// WatchStorage tells how a migration goes on.
func (a *api) WatchStorage(ctx context.Context, _ gen.WatchStorageRequestObject) (gen.WatchStorageResponseObject, error) {
	s, _, err := a.storage(ctx, "read")
	if err != nil {
		return nil, err
	}
	return storageAnswer{a: a, ctx: ctx, storage: s}, nil
}

type storageAnswer struct {
	a       *api
	ctx     context.Context // of the request: an answer is given nothing else
	storage Storage
}

// VisitWatchStorageResponse implements gen.WatchStorageResponseObject.
func (e storageAnswer) VisitWatchStorageResponse(w http.ResponseWriter) error {
	ctx, cancel := e.a.whileListening(e.ctx)
	defer cancel()
	s := begin(w)
	first := true
	for state, err := range e.storage.Watch(ctx) {
		if err != nil {
			return nil // it is logged where it happened; the client comes again
		}
		if first {
			s.event("ready", "", "{}")
			first = false
		}
		if state != nil {
			data, err := json.Marshal(wireMigration(*state, e.a.o.Clock()))
			if err != nil {
				return err
			}
			s.event("migration", "", string(data))
		}
		if s.send() != nil {
			return nil // the client is gone
		}
	}
	return nil
}
