package api

import (
	"context"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
)

func (a *api) ListReplicationPolicies(ctx context.Context, r gen.ListReplicationPoliciesRequestObject) (gen.ListReplicationPoliciesResponseObject, error) {
	if _, err := a.require(ctx, "replication-policy", "list"); err != nil {
		return nil, err
	}
	query, err := listQuery(r.Params.Q, r.Params.Sort, r.Params.Page, r.Params.PageSize, contains("name", r.Params.Name))
	if err != nil {
		return nil, err
	}
	policies, total, err := a.o.Replication.ListPolicies(ctx, query)
	if err != nil {
		return nil, err
	}
	body := make([]gen.ReplicationPolicy, 0, len(policies))
	for _, p := range policies {
		body = append(body, wirePolicy(p))
	}
	return gen.ListReplicationPolicies200JSONResponse{
		Body: body, Headers: gen.ListReplicationPolicies200ResponseHeaders(paging(ctx, total, query)),
	}, nil
}

func (a *api) CreateReplicationPolicy(ctx context.Context, r gen.CreateReplicationPolicyRequestObject) (gen.CreateReplicationPolicyResponseObject, error) {
	if _, err := a.require(ctx, "replication-policy", "create"); err != nil {
		return nil, err
	}
	p, err := policy(*r.Body)
	if err != nil {
		return nil, err
	}
	id, err := a.o.Replication.CreatePolicy(ctx, p)
	if err != nil {
		return nil, err
	}
	return created("replication/policies", id), nil
}

func (a *api) GetReplicationPolicy(ctx context.Context, r gen.GetReplicationPolicyRequestObject) (gen.GetReplicationPolicyResponseObject, error) {
	if _, err := a.require(ctx, "replication-policy", "read"); err != nil {
		return nil, err
	}
	p, err := a.o.Replication.GetPolicy(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return gen.GetReplicationPolicy200JSONResponse(wirePolicy(p)), nil
}

func (a *api) UpdateReplicationPolicy(ctx context.Context, r gen.UpdateReplicationPolicyRequestObject) (gen.UpdateReplicationPolicyResponseObject, error) {
	if _, err := a.require(ctx, "replication-policy", "update"); err != nil {
		return nil, err
	}
	p, err := policy(*r.Body)
	if err != nil {
		return nil, err
	}
	p.ID = r.ID
	if err := a.o.Replication.UpdatePolicy(ctx, p); err != nil {
		return nil, err
	}
	return gen.UpdateReplicationPolicy200Response{}, nil
}

func (a *api) DeleteReplicationPolicy(ctx context.Context, r gen.DeleteReplicationPolicyRequestObject) (gen.DeleteReplicationPolicyResponseObject, error) {
	if _, err := a.require(ctx, "replication-policy", "delete"); err != nil {
		return nil, err
	}
	if err := a.o.Replication.DeletePolicy(ctx, r.ID); err != nil {
		return nil, err
	}
	return gen.DeleteReplicationPolicy200Response{}, nil
}

// policy reads a rule. What is absent has the value that Harbor gives it.
func policy(w gen.ReplicationPolicy) (replication.Policy, error) {
	p := replication.Policy{Rule: rule.Rule{
		Name: w.Name, Description: w.Description, DestNamespace: w.DestNamespace, ReplaceCount: rule.FlattenAll,
		// Harbor documents replicate_deletion and reads only deletion: either counts here.
		Deletion: w.Deletion || w.ReplicateDeletion,
		Override: w.Override, Enabled: w.Enabled, Extras: extras(w),
	}}
	if w.DestNamespaceReplaceCount != nil {
		p.ReplaceCount = *w.DestNamespaceReplaceCount
	}
	if w.Speed != nil {
		p.Speed = max(0, *w.Speed)
	}
	if w.CopyByChunk != nil {
		p.CopyByChunk = *w.CopyByChunk
	}
	if w.SingleActiveReplication != nil {
		p.SingleActive = *w.SingleActiveReplication
	}
	if w.SrcRegistry != nil {
		p.Source.ID = w.SrcRegistry.ID
	}
	if w.DestRegistry != nil {
		p.Destination.ID = w.DestRegistry.ID
	}
	for _, more := range w.MoreDestRegistries {
		p.MoreDestinations = append(p.MoreDestinations, replication.Endpoint{ID: more.ID})
	}
	if t := w.Trigger; t != nil {
		p.Trigger = rule.TriggerType(t.Type)
		if t.TriggerSettings != nil {
			p.Cron, p.TimeZone = t.TriggerSettings.Cron, t.TriggerSettings.TimeZone
		}
		if t.Type == "" {
			return p, problem.New(problem.BadRequest, "invalid trigger type")
		}
	}
	for _, f := range w.Filters {
		value, err := filterValue(f.Value)
		if err != nil {
			return p, err
		}
		p.Filters = append(p.Filters, rule.Filter{Type: rule.FilterType(f.Type), Value: value, Decoration: f.Decoration})
	}
	return p, nil
}

// filterValue turns a JSON array of texts into a []string. Other values stay what
// they are: whether a filter may have them is the rule's business.
func filterValue(value any) (any, error) {
	list, ok := value.([]any)
	if !ok {
		return value, nil
	}
	texts := make([]string, 0, len(list))
	for _, item := range list {
		text, ok := item.(string)
		if !ok {
			return nil, problem.New(problem.BadRequest, "the type of label filter value isn't string slice")
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func wirePolicy(p replication.Policy) gen.ReplicationPolicy {
	source, destination := wireRegistry(p.Source), wireRegistry(p.Destination)
	w := gen.ReplicationPolicy{
		ID: p.ID, Name: p.Name, Description: p.Description, SrcRegistry: &source, DestRegistry: &destination,
		DestNamespace: p.DestNamespace, DestNamespaceReplaceCount: &p.ReplaceCount,
		Deletion: p.Deletion, ReplicateDeletion: p.Deletion, Override: p.Override, Enabled: p.Enabled,
		Speed: &p.Speed, CopyByChunk: &p.CopyByChunk, SingleActiveReplication: &p.SingleActive,
		CreationTime: gen.Time{Time: p.CreationTime}, UpdateTime: gen.Time{Time: p.UpdateTime},
	}
	for _, e := range p.MoreDestinations {
		w.MoreDestRegistries = append(w.MoreDestRegistries, wireRegistry(e))
	}
	wireExtras(&w, p.Extras)
	if !p.NextRun.IsZero() {
		w.NextRunTime = &gen.Time{Time: p.NextRun}
	}
	if p.Trigger != "" {
		w.Trigger = &gen.ReplicationTrigger{Type: string(p.Trigger)}
	}
	// Harbor echoes the settings of a trigger if the rule came with some; the
	// triggers that clients send with settings always have them here.
	if p.Trigger == rule.Scheduled || p.Trigger == rule.EventBased {
		w.Trigger.TriggerSettings = &gen.ReplicationTriggerSettings{Cron: p.Cron, TimeZone: p.TimeZone}
	}
	for _, f := range p.Filters {
		w.Filters = append(w.Filters, gen.ReplicationFilter{Type: string(f.Type), Value: f.Value, Decoration: f.Decoration})
	}
	return w
}

func wireItems(items []replication.Item) []gen.ReplicationItem {
	list := make([]gen.ReplicationItem, 0, len(items))
	for _, i := range items {
		list = append(list, gen.ReplicationItem{
			Reference: i.Reference, Digest: i.Digest, Action: string(i.Action), Outcome: string(i.Outcome),
			Size: i.Size, BytesSent: i.BytesSent, Reason: i.Reason, DstDigest: i.Stands,
		})
	}
	return list
}
