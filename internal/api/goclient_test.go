package api_test

import (
	"bytes"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	httptransport "github.com/go-openapi/runtime/client"
	"github.com/goharbor/go-client/pkg/harbor"
	v2client "github.com/goharbor/go-client/pkg/sdk/v2.0/client"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/artifact"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/configure"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/health"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/immutable"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/label"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/member"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/ping"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/project"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/quota"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/registry"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/replication"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/repository"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/robot"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/search"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/statistic"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/systeminfo"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client/user"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/models"

	"github.com/lighterage/lighterage/internal/testserver"
)

// goClient is the library that harbor-cli is made with. It takes no status that
// Harbor's specification does not have.
func goClient(t *testing.T, l *lighterage, username, password string) *v2client.HarborAPI {
	t.Helper()
	u, err := url.Parse(l.url + "/api/v2.0")
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	config := harbor.Config{URL: u, Transport: transport, AuthInfo: httptransport.BasicAuth(username, password)}
	return v2client.New(config.ToV2Config())
}

// lastID is the id in the Location of an answer.
func lastID(t *testing.T, location string) int64 {
	t.Helper()
	if !strings.HasPrefix(location, "/api/v2.0/") {
		t.Fatalf("Location is %q, want a path", location)
	}
	id, err := strconv.ParseInt(path.Base(location), 10, 64)
	if err != nil {
		t.Fatalf("Location %q: %v", location, err)
	}
	return id
}

func ptr[T any](v T) *T { return &v }

// ok returns the answer of a call that must succeed.
func ok[T any](t *testing.T) func(answer T, err error) T {
	return func(answer T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%T: %v", answer, err)
		}
		return answer
	}
}

func done(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestGoClientManagesReplication(t *testing.T) {
	t.Parallel()
	l := start(t)
	plain := testserver.Distribution(t)
	c := goClient(t, l, "admin", adminPassword)
	ctx := t.Context()

	types := ok[*registry.ListRegistryProviderTypesOK](t)(c.Registry.ListRegistryProviderTypes(ctx, registry.NewListRegistryProviderTypesParams()))
	if !slices.Contains(types.Payload, "docker-registry") || !slices.Contains(types.Payload, "harbor") || !slices.IsSorted(types.Payload) {
		t.Errorf("provider types %q", types.Payload)
	}
	ok[*registry.ListRegistryProviderInfosOK](t)(c.Registry.ListRegistryProviderInfos(ctx, registry.NewListRegistryProviderInfosParams()))
	ok[*registry.PingRegistryOK](t)(c.Registry.PingRegistry(ctx, registry.NewPingRegistryParams().WithRegistry(
		&models.RegistryPing{Type: ptr("docker-registry"), URL: ptr(plain.URL)})))
	created := ok[*registry.CreateRegistryCreated](t)(c.Registry.CreateRegistry(ctx, registry.NewCreateRegistryParams().WithRegistry(&models.Registry{
		Name: "cluster", Type: "docker-registry", URL: plain.URL,
		Credential: &models.RegistryCredential{Type: "basic", AccessKey: "u", AccessSecret: "secret"},
	})))
	id := lastID(t, created.Location)
	list := ok[*registry.ListRegistriesOK](t)(c.Registry.ListRegistries(ctx, registry.NewListRegistriesParams().WithPage(ptr[int64](0)).WithPageSize(ptr[int64](0)).WithName(ptr("clus"))))
	if list.XTotalCount != 1 || list.Payload[0].ID != id {
		t.Errorf("list of registries: %d, %+v", list.XTotalCount, list.Payload)
	}
	got := ok[*registry.GetRegistryOK](t)(c.Registry.GetRegistry(ctx, registry.NewGetRegistryParams().WithID(id))).Payload
	if got.Credential.AccessSecret != "*****" || got.Status != "healthy" {
		t.Errorf("registry %+v %+v", got, got.Credential)
	}
	// What harbor-cli does: it sends back the masked secret it has read.
	ok[*registry.UpdateRegistryOK](t)(c.Registry.UpdateRegistry(ctx, registry.NewUpdateRegistryParams().WithID(id).WithRegistry(
		&models.RegistryUpdate{Description: ptr("changed"), AccessSecret: ptr("*****")})))
	got = ok[*registry.GetRegistryOK](t)(c.Registry.GetRegistry(ctx, registry.NewGetRegistryParams().WithID(id))).Payload
	if got.Description != "changed" || got.Name != "cluster" {
		t.Errorf("updated registry %+v", got)
	}
	ok[*registry.GetRegistryInfoOK](t)(c.Registry.GetRegistryInfo(ctx, registry.NewGetRegistryInfoParams().WithID(0)))

	policy := &models.ReplicationPolicy{
		Name: "rule", DestRegistry: got, DestNamespace: "mirror", DestNamespaceReplaceCount: ptr[int8](0), Enabled: true, Override: true, Speed: ptr[int32](-1),
		Trigger: &models.ReplicationTrigger{Type: "manual", TriggerSettings: &models.ReplicationTriggerSettings{}},
		Filters: []*models.ReplicationFilter{{Type: "name", Value: "library/**"}, {Type: "tag", Value: "v*", Decoration: "excludes"}},
	}
	ruleID := lastID(t, ok[*replication.CreateReplicationPolicyCreated](t)(c.Replication.CreateReplicationPolicy(ctx,
		replication.NewCreateReplicationPolicyParams().WithPolicy(policy))).Location)
	policies := ok[*replication.ListReplicationPoliciesOK](t)(c.Replication.ListReplicationPolicies(ctx,
		replication.NewListReplicationPoliciesParams().WithPageSize(ptr[int64](0))))
	if policies.XTotalCount != 1 || policies.Payload[0].Filters[1].Decoration != "excludes" {
		t.Errorf("policies %+v", policies.Payload)
	}
	read := ok[*replication.GetReplicationPolicyOK](t)(c.Replication.GetReplicationPolicy(ctx, replication.NewGetReplicationPolicyParams().WithID(ruleID))).Payload
	read.Description = "changed"
	ok[*replication.UpdateReplicationPolicyOK](t)(c.Replication.UpdateReplicationPolicy(ctx,
		replication.NewUpdateReplicationPolicyParams().WithID(ruleID).WithPolicy(read)))

	testserver.Push(t, l.home, "library/app", "latest", testserver.Image(t, 1, 2, 1000))
	testserver.Push(t, l.home, "library/app", "v1", testserver.Image(t, 2, 1, 1000))
	execution := lastID(t, ok[*replication.StartReplicationCreated](t)(c.Replication.StartReplication(ctx,
		replication.NewStartReplicationParams().WithExecution(&models.StartReplicationExecution{PolicyID: ruleID}))).Location)
	testserver.Eventually(t, "the execution succeeds", func() bool {
		e := ok[*replication.GetReplicationExecutionOK](t)(c.Replication.GetReplicationExecution(ctx, replication.NewGetReplicationExecutionParams().WithID(execution)))
		return e.Payload.Status == "Succeed" && e.Payload.Succeed == 1
	})
	executions := ok[*replication.ListReplicationExecutionsOK](t)(c.Replication.ListReplicationExecutions(ctx,
		replication.NewListReplicationExecutionsParams().WithPolicyID(&ruleID).WithStatus(ptr("Succeed")).WithTrigger(ptr("manual"))))
	if executions.XTotalCount != 1 {
		t.Errorf("executions %+v", executions.Payload)
	}
	tasks := ok[*replication.ListReplicationTasksOK](t)(c.Replication.ListReplicationTasks(ctx,
		replication.NewListReplicationTasksParams().WithID(execution).WithPage(ptr[int64](0)).WithPageSize(ptr[int64](0))))
	if len(tasks.Payload) != 1 || tasks.Payload[0].DstResource != "mirror/library/app [1 item(s) in total]" {
		t.Fatalf("tasks %+v", tasks.Payload[0])
	}
	log := ok[*replication.GetReplicationLogOK](t)(c.Replication.GetReplicationLog(ctx,
		replication.NewGetReplicationLogParams().WithID(execution).WithTaskID(tasks.Payload[0].ID)))
	if !strings.Contains(log.Payload, "[INFO]") {
		t.Errorf("log %q", log.Payload)
	}
	ok[*replication.StopReplicationOK](t)(c.Replication.StopReplication(ctx, replication.NewStopReplicationParams().WithID(execution)))
	if tags := testserver.Tags(t, plain, "mirror/library/app"); strings.Join(tags, " ") != "latest" {
		t.Errorf("tags at the destination %q", tags)
	}
	ok[*replication.DeleteReplicationPolicyOK](t)(c.Replication.DeleteReplicationPolicy(ctx, replication.NewDeleteReplicationPolicyParams().WithID(ruleID)))
	ok[*registry.DeleteRegistryOK](t)(c.Registry.DeleteRegistry(ctx, registry.NewDeleteRegistryParams().WithID(id)))
}

func TestGoClientManagesContents(t *testing.T) {
	t.Parallel()
	l := start(t)
	c := goClient(t, l, "admin", adminPassword)
	ctx := t.Context()

	projectID := lastID(t, ok[*project.CreateProjectCreated](t)(c.Project.CreateProject(ctx, project.NewCreateProjectParams().WithProject(
		&models.ProjectReq{ProjectName: "team", Metadata: &models.ProjectMetadata{Public: "true"}, Public: ptr(true), StorageLimit: ptr[int64](-1)}))).Location)
	ok[*project.HeadProjectOK](t)(c.Project.HeadProject(ctx, project.NewHeadProjectParams().WithProjectName("team")))
	if _, err := c.Project.HeadProject(ctx, project.NewHeadProjectParams().WithProjectName("nobody")); err == nil {
		t.Error("there is a project nobody")
	}
	ok[*project.UpdateProjectOK](t)(c.Project.UpdateProject(ctx, project.NewUpdateProjectParams().WithProjectNameOrID("team").WithXIsResourceName(ptr(true)).WithProject(
		&models.ProjectReq{Metadata: &models.ProjectMetadata{AutoScan: ptr("true")}})))
	got := ok[*project.GetProjectOK](t)(c.Project.GetProject(ctx, project.NewGetProjectParams().WithProjectNameOrID(strconv.FormatInt(projectID, 10)).WithXIsResourceName(ptr(false)))).Payload
	if got.Name != "team" || got.Metadata.Public != "true" || *got.Metadata.AutoScan != "true" || got.CurrentUserRoleID != 1 {
		t.Errorf("project %+v %+v", got, got.Metadata)
	}
	projects := ok[*project.ListProjectsOK](t)(c.Project.ListProjects(ctx, project.NewListProjectsParams().WithName(ptr("tea"))))
	if projects.XTotalCount != 1 {
		t.Errorf("projects %+v", projects.Payload)
	}
	if !ok[*project.GetProjectDeletableOK](t)(c.Project.GetProjectDeletable(ctx, project.NewGetProjectDeletableParams().WithProjectNameOrID("team"))).Payload.Deletable {
		t.Error("an empty project is not deletable")
	}
	ok[*immutable.ListImmuRulesOK](t)(c.Immutable.ListImmuRules(ctx, immutable.NewListImmuRulesParams().WithProjectNameOrID("team")))

	image := testserver.Image(t, 1, 2, 1000)
	testserver.Push(t, l.home, "team/a/b", "v1", image)
	testserver.Push(t, l.home, "team/a/b", "list", testserver.Index(t, 2, "linux/amd64", "linux/arm64"))
	signature := testserver.Referrer(t, image, "application/vnd.example.signature", 3)
	testserver.Push(t, l.home, "team/a/b", "", signature)
	if n := len(ok[*repository.ListAllRepositoriesOK](t)(c.Repository.ListAllRepositories(ctx, repository.NewListAllRepositoriesParams())).Payload); n != 1 {
		t.Errorf("%d repositories", n)
	}
	ok[*repository.ListRepositoriesOK](t)(c.Repository.ListRepositories(ctx, repository.NewListRepositoriesParams().WithProjectName("team")))
	// The library encodes the slash once, so the caller does it once too.
	const name = "a%2Fb"
	ok[*repository.UpdateRepositoryOK](t)(c.Repository.UpdateRepository(ctx, repository.NewUpdateRepositoryParams().WithProjectName("team").WithRepositoryName(name).WithRepository(
		&models.Repository{Description: "what it is"})))
	r := ok[*repository.GetRepositoryOK](t)(c.Repository.GetRepository(ctx, repository.NewGetRepositoryParams().WithProjectName("team").WithRepositoryName(name))).Payload
	if r.Name != "team/a/b" || r.Description != "what it is" {
		t.Errorf("repository %+v", r)
	}
	artifacts := ok[*artifact.ListArtifactsOK](t)(c.Artifact.ListArtifacts(ctx, artifact.NewListArtifactsParams().WithProjectName("team").WithRepositoryName(name).
		WithWithTag(ptr(true)).WithWithAccessory(ptr(true)).WithPageSize(ptr[int64](100))))
	if artifacts.XTotalCount != 2 {
		t.Errorf("%d artifacts", artifacts.XTotalCount)
	}
	one := ok[*artifact.GetArtifactOK](t)(c.Artifact.GetArtifact(ctx, artifact.NewGetArtifactParams().WithProjectName("team").WithRepositoryName(name).WithReference("v1").WithWithAccessory(ptr(true)))).Payload
	if one.Digest != string(image.Digest) || len(one.Accessories) != 1 || one.Accessories[0].Digest != string(signature.Digest) {
		t.Errorf("artifact %+v", one)
	}
	ok[*artifact.ListAccessoriesOK](t)(c.Artifact.ListAccessories(ctx, artifact.NewListAccessoriesParams().WithProjectName("team").WithRepositoryName(name).WithReference("v1")))
	ok[*artifact.CreateTagCreated](t)(c.Artifact.CreateTag(ctx, artifact.NewCreateTagParams().WithProjectName("team").WithRepositoryName(name).WithReference("v1").WithTag(&models.Tag{Name: "stable"})))
	if n := len(ok[*artifact.ListTagsOK](t)(c.Artifact.ListTags(ctx, artifact.NewListTagsParams().WithProjectName("team").WithRepositoryName(name).WithReference(string(image.Digest)))).Payload); n != 2 {
		t.Errorf("%d tags", n)
	}
	ok[*artifact.DeleteTagOK](t)(c.Artifact.DeleteTag(ctx, artifact.NewDeleteTagParams().WithProjectName("team").WithRepositoryName(name).WithReference("v1").WithTagName("stable")))

	labelID := lastID(t, ok[*label.CreateLabelCreated](t)(c.Label.CreateLabel(ctx, label.NewCreateLabelParams().WithLabel(&models.Label{Name: "prod", Scope: "p", ProjectID: projectID}))).Location)
	ok[*label.UpdateLabelOK](t)(c.Label.UpdateLabel(ctx, label.NewUpdateLabelParams().WithLabelID(labelID).WithLabel(&models.Label{Name: "production"})))
	if l := ok[*label.GetLabelByIDOK](t)(c.Label.GetLabelByID(ctx, label.NewGetLabelByIDParams().WithLabelID(labelID))).Payload; l.Name != "production" || l.ProjectID != projectID {
		t.Errorf("label %+v", l)
	}
	ok[*label.ListLabelsOK](t)(c.Label.ListLabels(ctx, label.NewListLabelsParams().WithScope(ptr("p")).WithProjectID(&projectID)))
	ok[*artifact.AddLabelOK](t)(c.Artifact.AddLabel(ctx, artifact.NewAddLabelParams().WithProjectName("team").WithRepositoryName(name).WithReference("v1").WithLabel(&models.Label{ID: labelID})))
	ok[*artifact.RemoveLabelOK](t)(c.Artifact.RemoveLabel(ctx, artifact.NewRemoveLabelParams().WithProjectName("team").WithRepositoryName(name).WithReference("v1").WithLabelID(labelID)))
	ok[*label.DeleteLabelOK](t)(c.Label.DeleteLabel(ctx, label.NewDeleteLabelParams().WithLabelID(labelID)))

	summary := ok[*project.GetProjectSummaryOK](t)(c.Project.GetProjectSummary(ctx, project.NewGetProjectSummaryParams().WithProjectNameOrID("team"))).Payload
	if summary.RepoCount != 1 || summary.ProjectAdminCount != 1 || summary.Quota.Used["storage"] == 0 {
		t.Errorf("summary %+v %+v", summary, summary.Quota)
	}
	if found := ok[*search.SearchOK](t)(c.Search.Search(ctx, search.NewSearchParams().WithQ("a/b"))).Payload; len(found.Repository) != 1 || found.Repository[0].RepositoryName != "team/a/b" {
		t.Errorf("found %+v", found)
	}
	if n := ok[*statistic.GetStatisticOK](t)(c.Statistic.GetStatistic(ctx, statistic.NewGetStatisticParams())).Payload; n.TotalRepoCount != 1 || n.TotalProjectCount != 2 || n.TotalStorageConsumption == 0 {
		t.Errorf("statistics %+v", n)
	}
	if _, err := c.Project.DeleteProject(ctx, project.NewDeleteProjectParams().WithProjectNameOrID("team")); err == nil {
		t.Error("a project with a repository was deleted")
	} else if _, refused := err.(*project.DeleteProjectPreconditionFailed); !refused {
		t.Errorf("delete project: %v", err)
	}
	ok[*artifact.DeleteArtifactOK](t)(c.Artifact.DeleteArtifact(ctx, artifact.NewDeleteArtifactParams().WithProjectName("team").WithRepositoryName(name).WithReference("v1")))
	ok[*repository.DeleteRepositoryOK](t)(c.Repository.DeleteRepository(ctx, repository.NewDeleteRepositoryParams().WithProjectName("team").WithRepositoryName(name)))
	ok[*project.DeleteProjectOK](t)(c.Project.DeleteProject(ctx, project.NewDeleteProjectParams().WithProjectNameOrID("team")))
}

func TestGoClientManagesAccountsAndTheSystem(t *testing.T) {
	t.Parallel()
	l := start(t)
	c := goClient(t, l, "admin", adminPassword)
	ctx := t.Context()

	userID := lastID(t, ok[*user.CreateUserCreated](t)(c.User.CreateUser(ctx, user.NewCreateUserParams().WithUserReq(
		&models.UserCreationReq{Username: "ann", Email: "ann@example.com", Realname: "Ann", Password: "Passw0rd1"}))).Location)
	if n := ok[*user.ListUsersOK](t)(c.User.ListUsers(ctx, user.NewListUsersParams().WithQ(ptr("username=~an")))).XTotalCount; n != 1 {
		t.Errorf("%d users", n)
	}
	ok[*user.SearchUsersOK](t)(c.User.SearchUsers(ctx, user.NewSearchUsersParams().WithUsername("an")))
	ok[*user.UpdateUserProfileOK](t)(c.User.UpdateUserProfile(ctx, user.NewUpdateUserProfileParams().WithUserID(userID).WithProfile(&models.UserProfile{Email: "ann@example.org", Realname: "Ann B"})))
	ok[*user.SetUserSysAdminOK](t)(c.User.SetUserSysAdmin(ctx, user.NewSetUserSysAdminParams().WithUserID(userID).WithSysadminFlag(&models.UserSysAdminFlag{SysadminFlag: true})))
	if u := ok[*user.GetUserOK](t)(c.User.GetUser(ctx, user.NewGetUserParams().WithUserID(userID))).Payload; u.Email != "ann@example.org" || !u.SysadminFlag {
		t.Errorf("user %+v", u)
	}
	ok[*user.SetUserSysAdminOK](t)(c.User.SetUserSysAdmin(ctx, user.NewSetUserSysAdminParams().WithUserID(userID).WithSysadminFlag(&models.UserSysAdminFlag{})))
	ann := goClient(t, l, "ann", "Passw0rd1")
	ok[*user.UpdateUserPasswordOK](t)(ann.User.UpdateUserPassword(ctx, user.NewUpdateUserPasswordParams().WithUserID(userID).WithPassword(
		&models.PasswordReq{OldPassword: "Passw0rd1", NewPassword: "Passw0rd2"})))
	ann = goClient(t, l, "ann", "Passw0rd2")
	if u := ok[*user.GetCurrentUserInfoOK](t)(ann.User.GetCurrentUserInfo(ctx, user.NewGetCurrentUserInfoParams())).Payload; u.Username != "ann" {
		t.Errorf("current user %+v", u)
	}
	ok[*user.GetCurrentUserPermissionsOK](t)(ann.User.GetCurrentUserPermissions(ctx, user.NewGetCurrentUserPermissionsParams().WithScope(ptr("/project/1")).WithRelative(ptr(true))))
	if _, err := ann.Configure.GetConfigurations(ctx, configure.NewGetConfigurationsParams()); err == nil {
		t.Error("an ordinary user may read the configuration")
	} else if _, forbidden := err.(*configure.GetConfigurationsForbidden); !forbidden {
		t.Errorf("configuration as an ordinary user: %v", err)
	}

	memberID := lastID(t, ok[*member.CreateProjectMemberCreated](t)(c.Member.CreateProjectMember(ctx, member.NewCreateProjectMemberParams().WithProjectNameOrID("library").
		WithProjectMember(&models.ProjectMember{RoleID: 2, MemberUser: &models.UserEntity{Username: "ann"}}))).Location)
	ok[*member.UpdateProjectMemberOK](t)(c.Member.UpdateProjectMember(ctx, member.NewUpdateProjectMemberParams().WithProjectNameOrID("library").WithMid(memberID).WithRole(&models.RoleRequest{RoleID: 4})))
	if m := ok[*member.GetProjectMemberOK](t)(c.Member.GetProjectMember(ctx, member.NewGetProjectMemberParams().WithProjectNameOrID("library").WithMid(memberID))).Payload; m.RoleName != "maintainer" || m.EntityName != "ann" {
		t.Errorf("member %+v", m)
	}
	if n := ok[*member.ListProjectMembersOK](t)(c.Member.ListProjectMembers(ctx, member.NewListProjectMembersParams().WithProjectNameOrID("library"))).XTotalCount; n != 2 {
		t.Errorf("%d members", n)
	}
	ok[*member.DeleteProjectMemberOK](t)(c.Member.DeleteProjectMember(ctx, member.NewDeleteProjectMemberParams().WithProjectNameOrID("library").WithMid(memberID)))
	ok[*user.DeleteUserOK](t)(c.User.DeleteUser(ctx, user.NewDeleteUserParams().WithUserID(userID)))

	made := ok[*robot.CreateRobotCreated](t)(c.Robot.CreateRobot(ctx, robot.NewCreateRobotParams().WithRobot(&models.RobotCreate{
		Name: "ci", Level: "project", Duration: 30, Permissions: []*models.RobotPermission{{
			Kind: "project", Namespace: "library", Access: []*models.Access{{Resource: "repository", Action: "pull"}},
		}},
	})))
	if made.Payload.Name != "robot$library+ci" || made.Payload.Secret == "" || lastID(t, made.Location) != made.Payload.ID {
		t.Errorf("robot %+v", made.Payload)
	}
	r := ok[*robot.GetRobotByIDOK](t)(c.Robot.GetRobotByID(ctx, robot.NewGetRobotByIDParams().WithRobotID(made.Payload.ID))).Payload
	r.Description = "changed"
	ok[*robot.UpdateRobotOK](t)(c.Robot.UpdateRobot(ctx, robot.NewUpdateRobotParams().WithRobotID(r.ID).WithRobot(r)))
	if n := ok[*robot.ListRobotOK](t)(c.Robot.ListRobot(ctx, robot.NewListRobotParams().WithQ(ptr("Level=project,ProjectID=1")))).XTotalCount; n != 1 {
		t.Errorf("%d robots", n)
	}
	if s := ok[*robot.RefreshSecOK](t)(c.Robot.RefreshSec(ctx, robot.NewRefreshSecParams().WithRobotID(r.ID).WithRobotSec(&models.RobotSec{}))).Payload; s.Secret == "" || s.Secret == made.Payload.Secret {
		t.Error("the secret is not a new one")
	}
	ok[*robot.DeleteRobotOK](t)(c.Robot.DeleteRobot(ctx, robot.NewDeleteRobotParams().WithRobotID(r.ID)))

	if p := ok[*ping.GetPingOK](t)(c.Ping.GetPing(ctx, ping.NewGetPingParams())).Payload; p != "Pong" {
		t.Errorf("ping %q", p)
	}
	if h := ok[*health.GetHealthOK](t)(c.Health.GetHealth(ctx, health.NewGetHealthParams())).Payload; h.Status != "healthy" || len(h.Components) < 2 {
		t.Errorf("health %+v", h)
	}
	if s := ok[*systeminfo.GetSystemInfoOK](t)(c.Systeminfo.GetSystemInfo(ctx, systeminfo.NewGetSystemInfoParams())).Payload; *s.RegistryURL != l.host || *s.ExternalURL != l.url {
		t.Errorf("system info %+v", s)
	}
	if v := ok[*systeminfo.GetVolumesOK](t)(c.Systeminfo.GetVolumes(ctx, systeminfo.NewGetVolumesParams())).Payload; v.Storage[0].Total == 0 {
		t.Errorf("volumes %+v", v.Storage[0])
	}
	if _, err := c.Systeminfo.GetCert(ctx, systeminfo.NewGetCertParams(), &bytes.Buffer{}); err == nil {
		t.Error("there is a certificate")
	} else if _, missing := err.(*systeminfo.GetCertNotFound); !missing {
		t.Errorf("certificate: %v", err)
	}
	ok[*quota.ListQuotasOK](t)(c.Quota.ListQuotas(ctx, quota.NewListQuotasParams()))
	ok[*configure.UpdateConfigurationsOK](t)(c.Configure.UpdateConfigurations(ctx, configure.NewUpdateConfigurationsParams().WithConfigurations(
		&models.Configurations{ReadOnly: ptr(false), BannerMessage: ptr("hello"), TokenExpiration: ptr[int64](60)})))
	settings := ok[*configure.GetConfigurationsOK](t)(c.Configure.GetConfigurations(ctx, configure.NewGetConfigurationsParams())).Payload
	if settings.BannerMessage.Value != "hello" || settings.TokenExpiration.Value != 60 || settings.LdapTimeout.Value != 5 {
		t.Errorf("configuration %+v", settings)
	}
}
