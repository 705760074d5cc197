package api

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strings"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/migration/inspection"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// Inspections are looks at what the home registry stores.
type Inspections interface {
	Start(ctx context.Context, operator string, r inspection.Request) (int64, error)
	Stop(ctx context.Context, id int64) error
	List(ctx context.Context) ([]inspection.Inspection, error)
	Get(ctx context.Context, id int64) (inspection.Inspection, error)
	Findings(ctx context.Context, id int64, f inspection.FindingFilter, q store.ListQuery) ([]inspection.Finding, int64, error)
	// Watch yields the newest look when it has changed; nil at first if there is none.
	Watch(ctx context.Context) iter.Seq2[*inspection.Inspection, error]
}

// inspections returns the looks at the storage if the caller may do something with them.
func (a *api) inspections(ctx context.Context, action string) (Inspections, string, error) {
	p, err := a.require(ctx, "storage", action)
	if err != nil {
		return nil, "", err
	}
	if a.o.Inspections == nil {
		return nil, "", problem.New(problem.Precondition, "a Harbor is home, and keeps its images by itself: there is no storage here")
	}
	return a.o.Inspections, p.Name, nil
}

func (a *api) GetStorageUsage(ctx context.Context, _ gen.GetStorageUsageRequestObject) (gen.GetStorageUsageResponseObject, error) {
	if _, _, err := a.inspections(ctx, "read"); err != nil {
		return nil, err
	}
	u, err := a.o.Index.Usage(ctx)
	if err != nil {
		return nil, err
	}
	body := gen.GetStorageUsage200JSONResponse{
		Repositories: u.Repositories, Artifacts: u.Artifacts, Tags: u.Tags, Blobs: u.Blobs, Bytes: u.Bytes,
		SharedBlobs: u.SharedBlobs, SharedBytes: u.SharedBytes, SeparateBytes: u.SeparateBytes,
		Biggest: make([]gen.StorageRepository, 0, len(u.Biggest)),
	}
	for _, r := range u.Biggest {
		body.Biggest = append(body.Biggest, gen.StorageRepository{Name: r.Name, Artifacts: r.Artifacts, Tags: r.Tags, Bytes: r.Bytes, OwnBytes: r.OwnBytes})
	}
	return body, nil
}

func (a *api) ListStorageFscks(ctx context.Context, _ gen.ListStorageFscksRequestObject) (gen.ListStorageFscksResponseObject, error) {
	s, _, err := a.inspections(ctx, "read")
	if err != nil {
		return nil, err
	}
	list, err := s.List(ctx)
	if err != nil {
		return nil, err
	}
	body := make(gen.ListStorageFscks200JSONResponse, 0, len(list))
	for _, i := range list {
		body = append(body, wireFsck(i))
	}
	return body, nil
}

func (a *api) StartStorageFsck(ctx context.Context, r gen.StartStorageFsckRequestObject) (gen.StartStorageFsckResponseObject, error) {
	s, operator, err := a.inspections(ctx, "update")
	if err != nil {
		return nil, err
	}
	id, err := s.Start(ctx, operator, inspection.Request{Deep: r.Body.Deep, Repair: r.Body.RepairLinks})
	if err != nil {
		return nil, err
	}
	return gen.StartStorageFsck201Response{Headers: gen.StartStorageFsck201ResponseHeaders{
		Location: fmt.Sprintf("%s/storage/fsck/%d", basePath, id),
	}}, nil
}

func (a *api) GetStorageFsck(ctx context.Context, r gen.GetStorageFsckRequestObject) (gen.GetStorageFsckResponseObject, error) {
	s, _, err := a.inspections(ctx, "read")
	if err != nil {
		return nil, err
	}
	i, err := s.Get(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return gen.GetStorageFsck200JSONResponse(wireFsck(i)), nil
}

func (a *api) StopStorageFsck(ctx context.Context, r gen.StopStorageFsckRequestObject) (gen.StopStorageFsckResponseObject, error) {
	s, _, err := a.inspections(ctx, "update")
	if err != nil {
		return nil, err
	}
	return gen.StopStorageFsck200Response{}, s.Stop(ctx, r.ID)
}

func (a *api) ListStorageFindings(ctx context.Context, r gen.ListStorageFindingsRequestObject) (gen.ListStorageFindingsResponseObject, error) {
	s, _, err := a.inspections(ctx, "read")
	if err != nil {
		return nil, err
	}
	query, err := listQuery("", "", r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	filter := inspection.FindingFilter{Kind: r.Params.Kind, Repository: r.Params.Repository, Repairable: r.Params.Repairable}
	if r.Params.Severity != "" {
		filter.Severities = strings.Split(r.Params.Severity, ",")
	}
	list, total, err := s.Findings(ctx, r.ID, filter, query)
	if err != nil {
		return nil, err
	}
	body := make([]gen.StorageFsckFinding, 0, len(list))
	for _, f := range list {
		d := f.Damage
		body = append(body, gen.StorageFsckFinding{
			Severity: f.Severity, Kind: string(d.Kind), Message: f.Message, Path: d.Path, Repository: d.Repository, Tag: d.Tag, Digest: d.Digest.String(),
			Manifest: d.Manifest.String(), Detail: d.Detail, Repairable: d.Repairable, Unneeded: d.Unneeded, Target: f.Target,
		})
	}
	return gen.ListStorageFindings200JSONResponse{
		Body: body, Headers: gen.ListStorageFindings200ResponseHeaders(paging(ctx, total, query)),
	}, nil
}

func wireFsck(i inspection.Inspection) gen.StorageFsck {
	p := i.Progress
	w := gen.StorageFsck{
		ID: i.ID, Operator: i.Operator, Deep: i.Deep, RepairLinks: i.Repair, Status: string(i.Status), Error: i.Error,
		CreationTime: gen.Time{Time: i.Created}, StartTime: gen.Time{Time: i.Began}, EndTime: gen.Time{Time: i.Ended},
		Progress: gen.StorageFsckProgress{
			Repairing: p.Repairing, Repositories: p.Repositories, Tags: p.Tags, Manifests: p.Revisions, Links: p.Links, Blobs: p.Blobs,
			Bytes: p.Bytes, HashedBytes: p.HashedBytes, Damage: p.Damage,
		},
	}
	if i.Report != nil {
		report := wireFsckReport(*i.Report)
		w.Report = &report
	}
	return w
}

func wireFsckReport(r inspection.Report) gen.StorageFsckReport {
	w := gen.StorageFsckReport{
		Tree: r.Tree, Repositories: r.Repositories, Tags: r.Tags, Manifests: r.Revisions, Links: r.Links, Blobs: r.Blobs, Bytes: r.Bytes,
		HashedBytes: r.HashedBytes, Unneeded: r.Unneeded, UnneededBytes: r.UnneededBytes, Uploads: r.Uploads, UploadBytes: r.UploadBytes,
		Junk: r.Junk, Foreign: r.Foreign, Broken: r.Broken, Damaged: r.Damaged, Notes: r.Notes, BrokenManifests: r.BrokenRevisions,
		Repairable: r.Repairable, Kinds: make(map[string]int64, len(r.Damage)), Incomplete: r.Incomplete, Clean: r.Clean, Seconds: r.Seconds,
		Findings: r.Found, FindingsKept: r.Kept,
	}
	for kind, n := range r.Damage {
		w.Kinds[string(kind)] = n
	}
	if r.Repair != nil {
		w.Mended = r.Repair.Repaired
	}
	return w
}

// WatchStorageFsck tells how a look goes on.
func (a *api) WatchStorageFsck(ctx context.Context, _ gen.WatchStorageFsckRequestObject) (gen.WatchStorageFsckResponseObject, error) {
	s, _, err := a.inspections(ctx, "read")
	if err != nil {
		return nil, err
	}
	return fsckEvents{a: a, ctx: ctx, inspections: s}, nil
}

type fsckEvents struct {
	a           *api
	ctx         context.Context // of the request: an answer is given nothing else
	inspections Inspections
}

// VisitWatchStorageFsckResponse implements gen.WatchStorageFsckResponseObject.
func (e fsckEvents) VisitWatchStorageFsckResponse(w http.ResponseWriter) error {
	ctx, cancel := e.a.whileListening(e.ctx)
	defer cancel()
	s := begin(w)
	first := true
	for i, err := range e.inspections.Watch(ctx) {
		if err != nil {
			return nil // the service has logged it; the client comes again
		}
		if first {
			s.event("ready", "", "{}")
			first = false
		}
		if i != nil {
			data, err := json.Marshal(wireFsck(*i))
			if err != nil {
				return err
			}
			s.event("fsck", "", string(data))
		}
		if s.send() != nil {
			return nil // the client is gone
		}
	}
	return nil
}
