package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mittwald/goharbor-client/v5/apiv2"
	"github.com/mittwald/goharbor-client/v5/apiv2/model"
	"github.com/mittwald/goharbor-client/v5/apiv2/pkg/clients/label"
	"github.com/mittwald/goharbor-client/v5/apiv2/pkg/config"

	"github.com/lighterage/lighterage/internal/testserver"
)

// mittwaldClient is another library for Harbor's API, of an older version of it.
func mittwaldClient(t *testing.T, l *lighterage) *apiv2.RESTClient {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := apiv2.NewRESTClientForHostWithClient(l.url+"/api", "admin", adminPassword, config.Defaults(), &http.Client{Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestMittwaldClientManagesReplication(t *testing.T) {
	t.Parallel()
	l := start(t)
	plain := testserver.Distribution(t)
	c, ctx := mittwaldClient(t, l), t.Context()

	done(t, c.NewRegistry(ctx, &model.Registry{Name: "cluster", Type: "docker-registry", URL: plain.URL}))
	registry := ok[*model.Registry](t)(c.GetRegistryByName(ctx, "cluster"))
	done(t, c.UpdateRegistry(ctx, &model.RegistryUpdate{Description: ptr("changed")}, registry.ID))
	if r := ok[*model.Registry](t)(c.GetRegistryByID(ctx, registry.ID)); r.Description != "changed" || r.Status != "healthy" {
		t.Errorf("registry %+v", r)
	}
	if list := ok[[]*model.Registry](t)(c.ListRegistries(ctx)); len(list) != 1 {
		t.Errorf("%d registries", len(list))
	}
	done(t, c.NewReplicationPolicy(ctx, &model.Registry{ID: registry.ID}, &model.Registry{}, true, true, true,
		[]*model.ReplicationFilter{{Type: "name", Value: "library/**"}}, &model.ReplicationTrigger{Type: "event_based"}, "", "", "rule"))
	rule := ok[*model.ReplicationPolicy](t)(c.GetReplicationPolicyByName(ctx, "rule"))
	if rule.SrcRegistry.ID != 0 || rule.DestRegistry.ID != registry.ID || rule.Trigger.Type != "event_based" || !rule.ReplicateDeletion {
		t.Errorf("rule %+v", rule)
	}
	rule.Description = "changed"
	done(t, c.UpdateReplicationPolicy(ctx, rule, rule.ID))
	if list := ok[[]*model.ReplicationPolicy](t)(c.ListReplicationPolicies(ctx)); len(list) != 1 || list[0].Description != "changed" {
		t.Errorf("rules %+v", list)
	}
	testserver.Push(t, l.home, "library/app", "v1", testserver.Image(t, 1, 1, 1000))
	testserver.Eventually(t, "the push is replicated", func() bool {
		list := ok[[]*model.ReplicationExecution](t)(c.ListReplicationExecutions(ctx, &rule.ID, ptr("Succeed"), ptr("event_based")))
		return len(list) == 1
	})
	done(t, c.TriggerReplicationExecution(ctx, &model.StartReplicationExecution{PolicyID: rule.ID}))
	list := ok[[]*model.ReplicationExecution](t)(c.ListReplicationExecutions(ctx, &rule.ID, nil, ptr("manual")))
	if len(list) != 1 {
		t.Fatalf("%d manual executions", len(list))
	}
	testserver.Eventually(t, "the execution succeeds", func() bool {
		return ok[*model.ReplicationExecution](t)(c.GetReplicationExecutionByID(ctx, list[0].ID)).Status == "Succeed"
	})
	done(t, c.DeleteReplicationPolicyByID(ctx, rule.ID))
	done(t, c.DeleteRegistryByID(ctx, registry.ID))
}

func TestMittwaldClientManagesTheRest(t *testing.T) {
	t.Parallel()
	l := start(t)
	c, ctx := mittwaldClient(t, l), t.Context()

	done(t, c.NewProject(ctx, &model.ProjectReq{ProjectName: "team", Metadata: &model.ProjectMetadata{Public: "false"}}))
	project := ok[*model.Project](t)(c.GetProject(ctx, "team"))
	project.Metadata.Public = "true"
	done(t, c.UpdateProject(ctx, project, nil))
	if exists := ok[bool](t)(c.ProjectExists(ctx, "team")); !exists {
		t.Error("the project is not there")
	}
	if list := ok[[]*model.Project](t)(c.ListProjects(ctx, "team")); len(list) != 1 || list[0].Metadata.Public != "true" {
		t.Errorf("projects %+v", list)
	}
	testserver.Push(t, l.home, "team/app", "v1", testserver.Image(t, 1, 1, 1000))
	if r := ok[*model.Repository](t)(c.GetRepository(ctx, "team", "app")); r.ArtifactCount != 1 {
		t.Errorf("repository %+v", r)
	}
	done(t, c.UpdateRepository(ctx, "team", "app", &model.Repository{Description: "what it is"}))
	if list := ok[[]*model.Repository](t)(c.ListRepositories(ctx, "team")); len(list) != 1 {
		t.Errorf("%d repositories", len(list))
	}
	if list := ok[[]*model.Repository](t)(c.ListAllRepositories(ctx)); len(list) != 1 {
		t.Errorf("%d repositories", len(list))
	}
	if list := ok[[]*model.Artifact](t)(c.ListArtifacts(ctx, "team", "app")); len(list) != 1 {
		t.Errorf("%d artifacts", len(list))
	}
	done(t, c.CreateTag(ctx, "team", "app", "v1", &model.Tag{Name: "stable"}))
	if list := ok[[]*model.Tag](t)(c.ListTags(ctx, "team", "app", "v1")); len(list) != 2 {
		t.Errorf("%d tags", len(list))
	}
	done(t, c.DeleteTag(ctx, "team", "app", "v1", "stable"))
	done(t, c.CreateLabel(ctx, &model.Label{Name: "prod", Scope: "g"}))
	labels := ok[[]*model.Label](t)(c.ListLabels(ctx, "prod", nil, label.ScopeGlobal))
	if len(labels) != 1 {
		t.Fatalf("%d labels", len(labels))
	}
	done(t, c.UpdateLabel(ctx, labels[0].ID, &model.Label{Name: "production"}))
	done(t, c.AddArtifactLabel(ctx, "team", "app", "v1", labels[0]))
	if a := ok[*model.Artifact](t)(c.GetArtifact(ctx, "team", "app", "v1")); a.Digest == "" || len(a.Tags) != 1 {
		t.Errorf("artifact %+v", a)
	}
	done(t, c.RemoveLabel(ctx, "team", "app", "v1", labels[0].ID))
	done(t, c.DeleteLabel(ctx, labels[0].ID))

	done(t, c.NewUser(ctx, "ann", "ann@example.com", "Ann", "Passw0rd1", ""))
	ann := ok[*model.UserResp](t)(c.GetUserByName(ctx, "ann"))
	done(t, c.SetUserSysAdmin(ctx, ann.UserID, true))
	done(t, c.UpdateUserProfile(ctx, ann.UserID, &model.UserProfile{Email: "ann@example.org", Realname: "Ann"}))
	if u := ok[*model.UserResp](t)(c.GetUserByID(ctx, ann.UserID)); !u.SysadminFlag || u.Email != "ann@example.org" {
		t.Errorf("user %+v", u)
	}
	if list := ok[[]*model.UserResp](t)(c.ListUsers(ctx)); len(list) != 2 {
		t.Errorf("%d users", len(list))
	}
	ok[[]*model.UserSearchRespItem](t)(c.SearchUsers(ctx, "ann"))
	ok[*model.UserResp](t)(c.GetCurrentUserInfo(ctx))
	ok[[]*model.Permission](t)(c.GetCurrentUserPermisisons(ctx, true, "/project/1"))
	member := &model.ProjectMember{RoleID: 3, MemberUser: &model.UserEntity{UserID: ann.UserID, Username: "ann"}}
	done(t, c.AddProjectMember(ctx, "team", member))
	member.RoleID = 2
	done(t, c.UpdateProjectMember(ctx, "team", member))
	if list := ok[[]*model.ProjectMemberEntity](t)(c.ListProjectMembers(ctx, "team", "ann")); len(list) != 1 || list[0].RoleName != "developer" {
		t.Errorf("members %+v", list)
	}
	done(t, c.DeleteProjectMember(ctx, "team", member))
	done(t, c.DeleteUser(ctx, ann.UserID))

	made := ok[*model.RobotCreated](t)(c.NewRobotAccount(ctx, &model.RobotCreate{
		Name: "ci", Level: "system", Duration: -1, Permissions: []*model.RobotPermission{{
			Kind: "project", Namespace: "*", Access: []*model.Access{{Resource: "repository", Action: "pull"}},
		}},
	}))
	if !strings.HasPrefix(made.Name, "robot$") {
		t.Errorf("robot %+v", made)
	}
	robot := ok[*model.Robot](t)(c.GetRobotAccountByName(ctx, "ci"))
	robot.Description = "changed"
	done(t, c.UpdateRobotAccount(ctx, robot))
	ok[*model.RobotSec](t)(c.RefreshRobotAccountSecretByID(ctx, robot.ID, "Passw0rd3"))
	if list := ok[[]*model.Robot](t)(c.ListRobotAccounts(ctx)); len(list) != 1 || list[0].Description != "changed" {
		t.Errorf("robots %+v", list)
	}
	done(t, c.DeleteRobotAccountByID(ctx, robot.ID))

	done(t, c.DeleteArtifact(ctx, "team", "app", "v1"))
	done(t, c.DeleteRepository(ctx, "team", "app"))
	done(t, c.DeleteProject(ctx, "team"))
	ok[*model.ConfigurationsResponse](t)(c.GetConfigs(ctx))
	done(t, c.UpdateConfigs(ctx, &model.Configurations{ReadOnly: ptr(false)}))
	ok[*model.GeneralInfo](t)(c.GetSystemInfo(ctx))
	ok[*model.OverallHealthStatus](t)(c.GetHealth(ctx))
	ok[*model.Statistic](t)(c.GetStatistic(ctx))
	ok[string](t)(c.GetPing(ctx))
	ok[[]*model.Quota](t)(c.ListQuotas(ctx, nil, nil))
}
