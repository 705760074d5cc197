package api

import (
	"context"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/store"
)

// oldTypes are what the audit log was about before Harbor 2.13.
func oldTypes() []string { return []string{"artifact", "tag", "repository", "project"} }

func (a *api) ListAuditLogs(ctx context.Context, r gen.ListAuditLogsRequestObject) (gen.ListAuditLogsResponseObject, error) {
	s, err := a.selection(ctx)
	if err != nil {
		return nil, err
	}
	s.Types = oldTypes()
	entries, query, total, err := a.listAudit(ctx, s, r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	return gen.ListAuditLogs200JSONResponse{Body: wireOldEntries(entries), Headers: gen.ListAuditLogs200ResponseHeaders(paging(ctx, total, query))}, nil
}

func (a *api) ListAuditLogExts(ctx context.Context, r gen.ListAuditLogExtsRequestObject) (gen.ListAuditLogExtsResponseObject, error) {
	s, err := a.selection(ctx)
	if err != nil {
		return nil, err
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	mark, err := a.o.Audit.Mark(ctx, s, query) // first: what comes afterwards may be in the list, and is not missed
	if err != nil {
		return nil, err
	}
	entries, total, err := a.o.Audit.List(ctx, s, query)
	if err != nil {
		return nil, err
	}
	headers := paging(ctx, total, query)
	return gen.ListAuditLogExts200JSONResponse{
		Body:    wireEntries(entries),
		Headers: gen.ListAuditLogExts200ResponseHeaders{Link: headers.Link, XTotalCount: headers.XTotalCount, XLighterageMark: mark.String()},
	}, nil
}

func (a *api) GetLogs(ctx context.Context, r gen.GetLogsRequestObject) (gen.GetLogsResponseObject, error) {
	s, err := a.projectSelection(ctx, r.ProjectName)
	if err != nil {
		return nil, err
	}
	s.Types = oldTypes()
	entries, query, total, err := a.listAudit(ctx, s, r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	return gen.GetLogs200JSONResponse{Body: wireOldEntries(entries), Headers: gen.GetLogs200ResponseHeaders(paging(ctx, total, query))}, nil
}

func (a *api) GetLogExts(ctx context.Context, r gen.GetLogExtsRequestObject) (gen.GetLogExtsResponseObject, error) {
	s, err := a.projectSelection(ctx, r.ProjectName)
	if err != nil {
		return nil, err
	}
	entries, query, total, err := a.listAudit(ctx, s, r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	return gen.GetLogExts200JSONResponse{Body: wireEntries(entries), Headers: gen.GetLogExts200ResponseHeaders(paging(ctx, total, query))}, nil
}

func (a *api) ListAuditLogEventTypes(ctx context.Context, _ gen.ListAuditLogEventTypesRequestObject) (gen.ListAuditLogEventTypesResponseObject, error) {
	if _, err := a.authenticated(ctx); err != nil {
		return nil, err
	}
	body := gen.ListAuditLogEventTypes200JSONResponse{}
	for _, kind := range audit.Kinds() {
		body = append(body, gen.AuditLogEventType{EventType: string(kind)})
	}
	return body, nil
}

func (a *api) GetAuditLogRecording(ctx context.Context, _ gen.GetAuditLogRecordingRequestObject) (gen.GetAuditLogRecordingResponseObject, error) {
	if _, err := a.authenticated(ctx); err != nil {
		return nil, err
	}
	r, err := a.o.Audit.Recording(ctx)
	if err != nil {
		return nil, err
	}
	body := gen.GetAuditLogRecording200JSONResponse{Recorded: !r.Off, RetentionDays: r.Days, DisabledEventTypes: []string{}}
	for _, kind := range r.Without {
		body.DisabledEventTypes = append(body.DisabledEventTypes, string(kind))
	}
	return body, nil
}

// selection is what of the log the caller may see.
func (a *api) selection(ctx context.Context) (audit.Selection, error) {
	p, err := a.authenticated(ctx)
	if err != nil {
		return audit.Selection{}, err
	}
	ids, all, err := a.o.Accounts.LogProjects(ctx, p)
	if err != nil || all {
		return audit.Selection{}, err
	}
	return audit.Selection{Projects: ids}, nil
}

func (a *api) projectSelection(ctx context.Context, name string) (audit.Selection, error) {
	isName := true
	_, project, err := a.requireProject(ctx, name, &isName, "log", "list")
	if err != nil {
		return audit.Selection{}, err
	}
	return audit.Selection{Projects: []int64{project.ID}}, nil
}

func (a *api) listAudit(ctx context.Context, s audit.Selection, q, sort string, page, pageSize *int64) ([]audit.Entry, store.ListQuery, int64, error) {
	query, err := listQuery(q, sort, page, pageSize)
	if err != nil {
		return nil, query, 0, err
	}
	entries, total, err := a.o.Audit.List(ctx, s, query)
	return entries, query, total, err
}

func wireOldEntries(entries []audit.Entry) []gen.AuditLog {
	body := make([]gen.AuditLog, 0, len(entries))
	for _, e := range entries {
		body = append(body, gen.AuditLog{
			ID: e.ID, Username: e.Username, Resource: e.Resource, ResourceType: e.Kind.Type(), Operation: e.Kind.Operation(), OpTime: gen.Time{Time: e.Time},
		})
	}
	return body
}

func wireEntries(entries []audit.Entry) []gen.AuditLogExt {
	body := make([]gen.AuditLogExt, 0, len(entries))
	for _, e := range entries {
		body = append(body, gen.AuditLogExt{
			ID: e.ID, Username: e.Username, Resource: e.Resource, ResourceType: e.Kind.Type(), Operation: e.Kind.Operation(), OpTime: gen.Time{Time: e.Time},
			OperationDescription: e.Description, OperationResult: !e.Failed,
		})
	}
	return body
}
