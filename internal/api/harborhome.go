package api

import (
	"context"
	"strings"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/home/harbor"
	"github.com/lighterage/lighterage/internal/problem"
)

// elsewhere are the paths of what a Harbor that is home has and this server has not.
var elsewhere = []string{
	"/configurations", "/labels", "/projects", "/quotas", "/repositories", "/robots", "/search", "/statistics", "/systeminfo/volumes", "/users",
}

// refuseWhatIsElsewhere refuses operations on what the home registry holds when home
// is a Harbor, which has to be asked itself.
func (a *api) refuseWhatIsElsewhere(pattern string) error {
	if a.o.Harbor == nil {
		return nil
	}
	_, path, _ := strings.Cut(pattern, " ")
	path = strings.TrimPrefix(path, basePath)
	if path == "/users/current" || path == "/users/current/permissions" {
		return nil
	}
	for _, prefix := range elsewhere {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return problem.New(problem.NotImplemented, "%s is kept by the home registry: ask %s", prefix[1:], a.o.Harbor.URL())
		}
	}
	return nil
}

func (a *api) harborHome(ctx context.Context, action string) (HarborHome, error) {
	if _, err := a.require(ctx, "registry", action); err != nil {
		return nil, err
	}
	if a.o.Harbor == nil {
		return nil, problem.New(problem.NotFound, "home is the embedded registry: a Harbor is made home by serve --home")
	}
	return a.o.Harbor, nil
}

func (a *api) GetHarborHome(ctx context.Context, _ gen.GetHarborHomeRequestObject) (gen.GetHarborHomeResponseObject, error) {
	h, err := a.harborHome(ctx, "read")
	if err != nil {
		return nil, err
	}
	body := gen.GetHarborHome200JSONResponse{URL: h.URL()}
	attachment, err := h.Attachment(ctx)
	if err != nil {
		return nil, err
	}
	if attachment != nil {
		body.Attachment = &gen.HarborAttachment{
			Projects: attachment.Projects, Address: attachment.Address,
			CloudEvents: attachment.CloudEvents, SkipCertVerify: attachment.SkipCertVerify,
		}
	}
	lacks, err := h.Permissions(ctx)
	if err == nil {
		err = h.Check(ctx)
	}
	if body.Healthy = err == nil; err != nil {
		body.Reason = err.Error()
	}
	for _, l := range lacks {
		body.Lacks = append(body.Lacks, gen.HarborLack{Permission: l.Permission, Projects: l.Projects, Need: l.Need})
	}
	return body, nil
}

func (a *api) AttachHarborHome(ctx context.Context, r gen.AttachHarborHomeRequestObject) (gen.AttachHarborHomeResponseObject, error) {
	h, err := a.harborHome(ctx, "update")
	if err != nil {
		return nil, err
	}
	wish := attachment(*r.Body)
	if wish.Address == "" {
		wish.Address = a.o.WebhookURL
	}
	done, err := h.Attach(ctx, wish)
	if err != nil {
		return nil, harborFailure(err)
	}
	return gen.AttachHarborHome200JSONResponse(wireAttached(done)), nil
}

func (a *api) DetachHarborHome(ctx context.Context, r gen.DetachHarborHomeRequestObject) (gen.DetachHarborHomeResponseObject, error) {
	h, err := a.harborHome(ctx, "update")
	if err != nil {
		return nil, err
	}
	wish := attachment(*r.Body)
	if wish.Address == "" {
		wish.Address = a.o.WebhookURL
	}
	done, err := h.Detach(ctx, wish)
	if err != nil {
		return nil, harborFailure(err)
	}
	return gen.DetachHarborHome200JSONResponse(wireAttached(done)), nil
}

// harborFailure lets the caller see what the Harbor said.
func harborFailure(err error) error {
	if problem.KindOf(err) != problem.Unknown {
		return err
	}
	return problem.Wrap(problem.Precondition, err, "the Harbor that is home does not do it")
}

func attachment(w gen.HarborAttachment) harbor.Attachment {
	return harbor.Attachment{Projects: w.Projects, Address: w.Address, CloudEvents: w.CloudEvents, SkipCertVerify: w.SkipCertVerify}
}

func wireAttached(done []harbor.Attached) []gen.HarborAttached {
	list := make([]gen.HarborAttached, 0, len(done))
	for _, d := range done {
		list = append(list, gen.HarborAttached{Project: d.Project, Action: d.Action, Reason: d.Reason})
	}
	return list
}
