package api

import (
	"context"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/replication"
)

func (a *api) GetReplicationDrift(ctx context.Context, r gen.GetReplicationDriftRequestObject) (gen.GetReplicationDriftResponseObject, error) {
	if _, err := a.require(ctx, "replication-policy", "read"); err != nil {
		return nil, err
	}
	query, err := listQuery("", r.Params.Sort, r.Params.Page, r.Params.PageSize)
	if err != nil {
		return nil, err
	}
	d, err := a.o.Replication.Drift(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	list, total, err := a.o.Replication.ListDrift(ctx, r.ID, replication.DriftFilter{
		State: replication.DriftState(r.Params.State), Destination: r.Params.RegistryID, DriftOnly: r.Params.DriftOnly,
	}, query)
	if err != nil {
		return nil, err
	}
	body := gen.ReplicationDrift{
		InSync: d.InSync, Drift: d.Drift, Waiting: d.Waiting, Counts: []gen.ReplicationDriftCount{},
		Items: make([]gen.ReplicationDriftItem, 0, len(list)),
		Check: gen.ReplicationDriftCheck{
			Asked: d.Check.Asked, Running: d.Check.Running, Done: d.Check.Done, Deep: d.Check.Deep, Error: d.Check.Error,
			StartTime: gen.Time{Time: d.Check.StartTime}, EndTime: gen.Time{Time: d.Check.EndTime},
		},
	}
	for _, c := range d.Counts {
		body.Counts = append(body.Counts, gen.ReplicationDriftCount{RegistryID: c.DestinationID, State: string(c.State), Count: c.Count, Drift: c.Drift})
	}
	for _, e := range list {
		body.Items = append(body.Items, gen.ReplicationDriftItem{
			RegistryID: e.DestinationID, SrcRepository: e.SourceRepository, DstRepository: e.DestinationRepository, Reference: e.Reference,
			State: string(e.State), Drift: e.Drift, SrcDigest: e.SourceDigest, DstDigest: e.DestinationDigest, Reason: e.Reason,
			VerifiedTime: gen.Time{Time: e.VerifiedTime}, DeepTime: gen.Time{Time: e.DeepTime},
		})
	}
	return gen.GetReplicationDrift200JSONResponse{
		Body: body, Headers: gen.GetReplicationDrift200ResponseHeaders(paging(ctx, total, query)),
	}, nil
}

func (a *api) VerifyReplicationDrift(ctx context.Context, r gen.VerifyReplicationDriftRequestObject) (gen.VerifyReplicationDriftResponseObject, error) {
	if _, err := a.require(ctx, "replication", "create"); err != nil {
		return nil, err
	}
	if r.Params.Deep && r.Params.Reconcile {
		return nil, problem.New(problem.BadRequest, "deep and reconcile cannot be asked for together")
	}
	var number int64
	var err error
	if r.Params.Reconcile {
		number, err = a.o.Replication.Reconcile(ctx, r.ID)
	} else {
		number, err = a.o.Replication.VerifyDrift(ctx, r.ID, r.Params.Deep)
	}
	if err != nil {
		return nil, err
	}
	return gen.VerifyReplicationDrift200JSONResponse{Number: number}, nil
}

func (a *api) RepairReplicationDrift(ctx context.Context, r gen.RepairReplicationDriftRequestObject) (gen.RepairReplicationDriftResponseObject, error) {
	if _, err := a.require(ctx, "replication", "create"); err != nil {
		return nil, err
	}
	execution, items, err := a.o.Replication.RepairDrift(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return gen.RepairReplicationDrift200JSONResponse{ExecutionID: execution, Items: items}, nil
}
