package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/store"
)

// harborVersion is the version of Harbor whose API this is. Clients read it to
// find out what they can ask for.
const harborVersion = "v2.15.2"

func (a *api) serveVersion(w http.ResponseWriter, r *http.Request) {
	if !readOnlyMethod(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write([]byte(`{"version":"v2.0"}` + "\n"))
}

// serveSpec shows the specification of this API.
func serveSpec(w http.ResponseWriter, r *http.Request) {
	if !readOnlyMethod(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/yaml; charset=utf-8")
	_, _ = w.Write(specText)
}

func readOnlyMethod(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	writeError(w, problem.NotAllowed, "method "+r.Method+" is not allowed, but [GET,HEAD] are")
	return false
}

func (a *api) GetPing(context.Context, gen.GetPingRequestObject) (gen.GetPingResponseObject, error) {
	return gen.GetPing200TextResponse("Pong"), nil
}

// GetHealth answers 200 whatever the health is, as Harbor does.
func (a *api) GetHealth(ctx context.Context, _ gen.GetHealthRequestObject) (gen.GetHealthResponseObject, error) {
	const healthy, unhealthy = "healthy", "unhealthy"
	body := gen.GetHealth200JSONResponse{Status: healthy, Components: []gen.ComponentHealthStatus{}}
	components := []Component{{Name: "core"}}
	if a.o.Health != nil {
		components = a.o.Health(ctx)
	}
	for _, c := range components {
		w := gen.ComponentHealthStatus{Name: c.Name, Status: healthy}
		if c.Err != nil {
			// Everybody can ask: what is wrong is in the log, not in the answer.
			a.o.Log.WarnContext(ctx, "unhealthy", "component", c.Name, "error", c.Err)
			w.Status, w.Error, body.Status = unhealthy, c.Name+" does not work, see the server's log", unhealthy
		}
		body.Components = append(body.Components, w)
	}
	return body, nil
}

func (a *api) GetSystemInfo(ctx context.Context, _ gen.GetSystemInfoRequestObject) (gen.GetSystemInfoResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	banner, err := a.textSetting(ctx, "banner_message")
	if err != nil {
		return nil, err
	}
	mode, no := "db_auth", false
	body := gen.GetSystemInfo200JSONResponse{
		AuthMode: &mode, BannerMessage: &banner, OidcProviderName: new(string), PrimaryAuthMode: &no, SelfRegistration: &no,
	}
	if !p.Authenticated() {
		return body, nil
	}
	restriction, err := a.textSetting(ctx, "project_creation_restriction")
	if err != nil {
		return nil, err
	}
	notify, err := a.o.Settings.Get(ctx, "notification_enable")
	if err != nil {
		return nil, err
	}
	var (
		external = a.externalURL(ctx)
		host     = hostOf(external)
		version  = harborVersion + "-lighterage." + a.o.Version
		readOnly = a.o.Settings.ReadOnly()
		hasRoot  = len(a.o.Certificate) > 0
		events   = notify == true
		provider = ""
	)
	if a.o.StorageProvider != nil {
		provider = a.o.StorageProvider()
	}
	body.CurrentTime = &gen.Time{Time: a.o.Clock()}
	body.ExternalURL, body.RegistryURL, body.HarborVersion = &external, &host, &version
	body.HasCaRoot, body.NotificationEnable, body.ReadOnly = &hasRoot, &events, &readOnly
	body.ProjectCreationRestriction, body.RegistryStorageProviderName = &restriction, &provider
	return body, nil
}

func (a *api) textSetting(ctx context.Context, name string) (string, error) {
	value, err := a.o.Settings.Get(ctx, name)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(value), nil
}

// externalURL is the address under which clients reach the server.
func (a *api) externalURL(ctx context.Context) string {
	if a.o.ExternalURL != "" {
		return strings.TrimSuffix(a.o.ExternalURL, "/")
	}
	r := requestOf(ctx)
	return r.scheme + "://" + r.host
}

// hostOf is what goes in front of a repository in docker pull.
func hostOf(external string) string {
	u, err := url.Parse(external)
	if err != nil {
		return external
	}
	return u.Host
}

// originOf is an address without path, as browsers send it in Origin.
func originOf(external string) string {
	u, err := url.Parse(external)
	if err != nil {
		return external
	}
	return u.Scheme + "://" + u.Host
}

func (a *api) GetVolumes(ctx context.Context, _ gen.GetVolumesRequestObject) (gen.GetVolumesResponseObject, error) {
	if _, err := a.require(ctx, "system-volumes", "read"); err != nil {
		return nil, err
	}
	var volume gen.Storage
	if a.o.Volume != nil {
		var err error
		if volume.Free, volume.Total, err = a.o.Volume(); err != nil {
			return nil, fmt.Errorf("measure the storage: %w", err)
		}
	}
	return gen.GetVolumes200JSONResponse{Storage: []gen.Storage{volume}}, nil
}

func (a *api) GetCert(context.Context, gen.GetCertRequestObject) (gen.GetCertResponseObject, error) {
	if len(a.o.Certificate) == 0 {
		return nil, problem.New(problem.NotFound, "cert not found")
	}
	return gen.GetCert200ApplicationOctetStreamResponse{
		Body: bytes.NewReader(a.o.Certificate), ContentLength: int64(len(a.o.Certificate)),
	}, nil
}

// GetStatistic counts what the caller may see; the totals are for administrators.
func (a *api) GetStatistic(ctx context.Context, _ gen.GetStatisticRequestObject) (gen.GetStatisticResponseObject, error) {
	p, err := a.authenticated(ctx)
	if err != nil {
		return nil, err
	}
	projects, _, err := a.o.Accounts.ListProjects(ctx, p, account.ProjectQuery{})
	if err != nil {
		return nil, err
	}
	public, private := []int64{}, []int64{}
	for _, project := range projects {
		if project.Public {
			public = append(public, project.ID)
		} else {
			private = append(private, project.ID)
		}
	}
	inPublic, err := a.o.Index.Statistics(ctx, public)
	if err != nil {
		return nil, err
	}
	inPrivate, err := a.o.Index.Statistics(ctx, private)
	if err != nil {
		return nil, err
	}
	body := gen.GetStatistic200JSONResponse{
		PublicProjectCount: int64(len(public)), PublicRepoCount: inPublic.Repositories,
		PrivateProjectCount: int64(len(private)), PrivateRepoCount: inPrivate.Repositories,
	}
	if p.SysAdmin {
		all, err := a.o.Index.Statistics(ctx, nil)
		if err != nil {
			return nil, err
		}
		body.TotalProjectCount, body.TotalRepoCount, body.TotalStorageConsumption = int64(len(projects)), all.Repositories, all.Bytes
	}
	return body, nil
}

// Search finds projects and repositories by a part of their name.
func (a *api) Search(ctx context.Context, r gen.SearchRequestObject) (gen.SearchResponseObject, error) {
	p, err := a.caller(ctx)
	if err != nil {
		return nil, err
	}
	visible, _, err := a.o.Accounts.ListProjects(ctx, p, account.ProjectQuery{})
	if err != nil {
		return nil, err
	}
	body := gen.Search200JSONResponse{Project: []gen.Project{}, Repository: []gen.SearchRepository{}}
	byID := map[int64]account.Project{}
	ids := []int64{}
	for _, project := range visible {
		byID[project.ID] = project
		ids = append(ids, project.ID)
		if strings.Contains(project.Name, r.Params.Q) {
			body.Project = append(body.Project, wireProject(p, project))
		}
	}
	query := store.ListQuery{}
	if r.Params.Q != "" {
		query.Conditions = []store.Condition{contains("name", r.Params.Q)}
	}
	repositories, _, err := a.o.Index.ListRepositories(ctx, 0, ids, query)
	if err != nil {
		return nil, err
	}
	for _, repository := range repositories {
		body.Repository = append(body.Repository, wireFound(repository, byID[repository.ProjectID]))
	}
	return body, nil
}

func wireFound(r home.Repository, project account.Project) gen.SearchRepository {
	return gen.SearchRepository{
		RepositoryName: r.Name, ProjectID: r.ProjectID, ProjectName: project.Name, ProjectPublic: project.Public,
		ArtifactCount: r.ArtifactCount, PullCount: r.PullCount,
	}
}

func (a *api) ListQuotas(ctx context.Context, _ gen.ListQuotasRequestObject) (gen.ListQuotasResponseObject, error) {
	if _, err := a.require(ctx, "quota", "list"); err != nil {
		return nil, err
	}
	return gen.ListQuotas200JSONResponse{Body: []gen.Quota{}}, nil
}
