package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/store"
)

// auditPause is the time between two looks at an audit log that is watched.
const auditPause = time.Second

// WatchAuditLog tells how many entries have come since a list was read.
func (a *api) WatchAuditLog(ctx context.Context, r gen.WatchAuditLogRequestObject) (gen.WatchAuditLogResponseObject, error) {
	s, err := a.selection(ctx)
	if err != nil {
		return nil, err
	}
	query, err := store.ParseListQuery(r.Params.Q, "", 1, 0)
	if err != nil {
		return nil, err
	}
	mark, err := a.o.Audit.Mark(ctx, s, query)
	if r.Params.Since != "" {
		mark, err = audit.ParseMark(r.Params.Since)
	}
	if err != nil {
		return nil, err
	}
	return auditAnswer{a: a, ctx: ctx, selection: s, query: query, mark: mark}, nil
}

type auditAnswer struct {
	a         *api
	ctx       context.Context // of the request: an answer is given nothing else
	selection audit.Selection
	query     store.ListQuery
	mark      audit.Mark
}

// VisitWatchAuditLogResponse implements gen.WatchAuditLogResponseObject.
func (w auditAnswer) VisitWatchAuditLogResponse(response http.ResponseWriter) error {
	ctx, cancel := w.a.whileListening(w.ctx)
	defer cancel()
	s := begin(response)
	ticker := time.NewTicker(auditPause)
	defer ticker.Stop()
	told := int64(-1)
	for quiet := 0; ; quiet++ {
		now, err := w.a.o.Audit.Since(ctx, w.selection, w.query, w.mark)
		if err != nil {
			return nil // the database is gone for now: the client comes again
		}
		if now != told {
			s.event("entries", "", fmt.Sprintf(`{"new":%d}`, now))
			told = now
		}
		// A sign of life about every ten seconds is enough where nothing happens.
		if s.buffer.Len() > 0 || quiet%10 == 0 {
			if s.send() != nil {
				return nil // the client is gone
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}
