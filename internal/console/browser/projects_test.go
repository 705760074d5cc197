package browser_test

import (
	"fmt"
	"net/http"
	"testing"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// projectWords are the texts of the pages of projects.
type projectWords struct {
	words
	projects, newProject, public, private, nameRequired, nameForm, exists, created, inTheWay, deleted, deleteWhat string
	members, configuration, newMember, userRequired, unknownUser, already, added, maintainer, roleChanged         string
	remove, removed, makePublic, changed, repositories, noRepositories, pushCommand, pushTitle, repositoryDeleted string
	labels, newLabel, labelRequired, labelExists, labelCreated, labelUpdated, labelDeleted, labelOff              string
	emptyMember, notFound                                                                                         string
}

func projectsInBoth() []projectWords {
	return []projectWords{{
		words: english(), projects: "Projects", newProject: "New Project", public: "Public", private: "Private", nameRequired: "Project name is required.",
		nameForm: "Lower case letters, digits and . _ -, beginning", exists: "The project named library already exists", created: "Project created successfully.",
		inTheWay: "library has 1 repository. Delete what is in it first.", deleted: "Project deleted successfully.", deleteWhat: "Its members, labels and robot accounts are deleted with it.",
		members: "Members", configuration: "Configuration", newMember: "New Member", userRequired: "User name is required.", unknownUser: "There is no such user.",
		already: "The user is a member of the project already.", added: "Member added successfully.", maintainer: "Maintainer", roleChanged: "The role was changed.",
		remove: "Remove", removed: "Member removed successfully.", makePublic: "Make the Project Public", changed: "The access level was changed.",
		repositories: "Repositories", noRepositories: "We couldn't find any repositories!", pushCommand: "Push Command", pushTitle: "Push to This Project",
		labels: "Labels", newLabel: "New Label", labelRequired: "Label name is required.", labelExists: "Label release already exists", labelCreated: "Label created successfully.",
		labelUpdated: "Label updated successfully.", labelDeleted: "Label deleted successfully.", labelOff: "It is taken off all artifacts that have it.",
		repositoryDeleted: "Repository deleted successfully.", emptyMember: "You are a member of no project yet.", notFound: "There is no such page",
	}, {
		words: chinese(), projects: "项目", newProject: "新建项目", public: "公开", private: "私有", nameRequired: "项目名称为必填项。",
		nameForm: "由小写字母、数字和 . _ - 组成，以字母或数字开头和结尾", exists: "名为 library 的项目已存在", created: "成功创建项目。",
		inTheWay: "library 中有 1 个镜像仓库。请先删除其中的内容。", deleted: "成功删除项目。", deleteWhat: "其成员、标签和机器人账户将一并删除。",
		members: "成员", configuration: "配置管理", newMember: "新建成员", userRequired: "用户名为必填项。", unknownUser: "用户不存在。",
		already: "该用户已是项目成员。", added: "成功新增成员。", maintainer: "维护人员", roleChanged: "角色已更改。",
		remove: "移除成员", removed: "成功移除成员。", makePublic: "设为公开项目", changed: "访问级别已更改。",
		repositories: "镜像仓库", noRepositories: "未发现任何镜像库!", pushCommand: "推送命令", pushTitle: "推送到此项目",
		labels: "标签", newLabel: "新建标签", labelRequired: "标签名字为必填项。", labelExists: "名为 release 的标签已存在", labelCreated: "成功创建标签。",
		labelUpdated: "成功更新标签。", labelDeleted: "成功删除标签。", labelOff: "它将从所有带有它的 Artifact 上移除",
		repositoryDeleted: "成功删除镜像仓库。", emptyMember: "您还不是任何项目的成员。", notFound: "页面不存在",
	}}
}

// user makes an account that is no administrator's.
func user(t *testing.T, url, name string) {
	t.Helper()
	call(t, http.MethodPost, url+"/api/v2.0/users", map[string]any{"username": name, "email": name + "@example.com", "realname": name, "password": "Dev123456"})
}

func TestAProjectIsMadeFilledSharedAndDeleted(t *testing.T) {
	console := builtConsole(t)
	for _, w := range projectsInBoth() {
		t.Run(w.tag, func(t *testing.T) {
			url := startServer(t, console)
			user(t, url, "dev")
			home := ts.Remote(url, "admin", adminPassword, "")
			ts.Push(t, home, "library/base/alpine", "v1", ts.DockerImage(t, 1))
			p := open(t, url, w.tag)
			p.login(w.words)
			p.link(w.projects)
			p.until("the projects are there", `find("td", "library")`)
			p.accessible("projects")
			newProject(p, w)
			shareProject(p, w)
			labelProject(p, w)
			emptyProject(p, w, home)
			deleteProjects(p, w)
		})
	}
}

func newProject(p *page, w projectWords) {
	p.t.Helper()
	p.button(w.newProject)
	p.button(w.ok)
	p.shows(w.nameRequired)
	p.typeInto("name", "Team A")
	p.shows(w.nameForm)
	p.typeInto("name", "library")
	p.expect("409 (Conflict)")
	p.button(w.ok)
	p.shows(w.exists)
	p.accessible("the dialog of a project")
	p.typeInto("name", "team-a")
	p.button(w.ok)
	p.shows(w.created)
	p.until("its page is shown", `find("h1", "team-a") && location.pathname.endsWith("/repositories")`)
	p.shows(w.noRepositories)
	p.shows("docker push")
	p.accessible("an empty project")
	p.button(w.pushCommand)
	p.shows(w.pushTitle)
	p.shows("helm push")
	p.accessible("the push commands")
	p.click("button", map[string]string{"en-US": "Close", "zh-CN": "关闭"}[w.tag])
	p.showsNot(w.pushTitle)
}

func shareProject(p *page, w projectWords) {
	p.t.Helper()
	p.click(".ant-tabs-tab-btn", w.members)
	p.until("its creator is a member", `find("td", "admin")`)
	p.button(w.newMember)
	p.button(w.ok)
	p.shows(w.userRequired)
	p.typeInto("member", "nobody")
	p.expect("404 (Not Found)")
	p.button(w.ok)
	p.shows(w.unknownUser)
	p.typeInto("member", "admin")
	p.expect("409 (Conflict)")
	p.button(w.ok)
	p.shows(w.already)
	p.accessible("the dialog of a member")
	p.typeInto("member", "dev")
	p.button(w.ok)
	p.shows(w.added)
	p.until("the member is listed", `find("td", "dev") && !document.querySelector(".ant-modal")`)
	p.accessible("members")
	role := p.roleSelect("dev", w)
	p.choose(role, w.maintainer)
	p.shows(w.roleChanged)
	p.click(`input[type="checkbox"]`, map[string]string{"en-US": "Select dev", "zh-CN": "选择 dev"}[w.tag])
	p.button(w.remove)
	p.click(".ant-modal-confirm-btns button", w.remove)
	p.shows(w.removed)
	p.until("the member is gone", `!find("td", "dev")`)
	p.click(".ant-tabs-tab-btn", w.configuration)
	p.click("button[role=switch]", w.public)
	p.shows(w.makePublic)
	p.click(".ant-modal-confirm-btns button", w.ok)
	p.shows(w.changed)
	p.until("it is public", `document.querySelector(".page-head .ant-tag").innerText === `+quote(w.public))
	p.accessible("the configuration of a project")
}

func labelProject(p *page, w projectWords) {
	p.t.Helper()
	p.click(".ant-tabs-tab-btn", w.labels)
	p.button(w.newLabel)
	p.button(w.ok)
	p.shows(w.labelRequired)
	p.typeInto("name", "release")
	p.typeInto("description", "May go to production")
	p.accessible("the dialog of a label")
	p.button(w.ok)
	p.shows(w.labelCreated)
	p.until("the label is listed", `find("td .ant-tag", "release") && !document.querySelector(".ant-modal")`)
	p.button(w.newLabel)
	p.typeInto("name", "release")
	p.button(w.ok)
	p.shows(w.labelExists)
	p.button(w.cancel)
	p.until("the dialog is gone", `!document.querySelector(".ant-modal")`)
	p.accessible("the labels of a project")
	p.click(`input[type="checkbox"]`, map[string]string{"en-US": "Select release", "zh-CN": "选择 release"}[w.tag])
	p.button(w.edit)
	p.typeInto("name", "stable")
	p.button(w.ok)
	p.shows(w.labelUpdated)
	p.until("it has another name", `find("td .ant-tag", "stable") && !document.querySelector(".ant-modal")`)
	p.button(w.delete)
	p.shows(w.labelOff)
	p.click(".ant-modal-confirm-btns button", w.delete)
	p.shows(w.labelDeleted)
	p.until("it is gone", `!find("td .ant-tag", "stable")`)
}

// roleSelect is the id of the field with the role of a member.
func (p *page) roleSelect(name string, w projectWords) string {
	p.t.Helper()
	label := map[string]string{"en-US": "Role of " + name, "zh-CN": name + " 的角色"}[w.tag]
	p.until("the role can be chosen", `document.querySelector('input[aria-label='+`+quote(quote(label))+`+']')`)
	id, err := eval[string](p, `document.querySelector('input[aria-label='+`+quote(quote(label))+`+']').id`)
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

func emptyProject(p *page, w projectWords, home *ts.Registry) {
	p.t.Helper()
	ts.Push(p.t, home, "team-a/deep/er/app", "v1", ts.DockerImage(p.t, 2))
	p.click(".ant-tabs-tab-btn", w.repositories)
	p.until("the repository is listed", `find("td", "team-a/deep/er/app")`)
	p.accessible("repositories")
	p.click(`input[type="checkbox"]`, map[string]string{"en-US": "Select team-a/deep/er/app", "zh-CN": "选择 team-a/deep/er/app"}[w.tag])
	p.button(w.delete)
	p.shows("team-a/deep/er/app")
	p.click(".ant-modal-confirm-btns button", w.delete)
	p.shows(w.repositoryDeleted)
	p.shows(w.noRepositories)
}

func deleteProjects(p *page, w projectWords) {
	p.t.Helper()
	p.goTo("/harbor/projects")
	selected := map[string]string{"en-US": "Select ", "zh-CN": "选择 "}[w.tag]
	p.click(`input[type="checkbox"]`, selected+"library")
	p.button(w.delete)
	p.shows(w.inTheWay)
	p.click(".ant-modal-confirm-btns button", w.cancel)
	p.click(`input[type="checkbox"]`, selected+"library")
	p.click(`input[type="checkbox"]`, selected+"team-a")
	p.button(w.delete)
	p.shows(w.deleteWhat)
	p.click(".ant-modal-confirm-btns button", w.delete)
	p.shows(w.deleted)
	p.until("it is gone", `!find("td", "team-a") && find("td", "library")`)
}

// loginAs logs in with an account that is no administrator's.
func (p *page) loginAs(w words, name string) {
	p.t.Helper()
	p.expect("401 (Unauthorized)")
	p.goTo("/")
	p.typeInto("user", name)
	p.typeInto("password", "Dev123456")
	p.button(w.logIn)
}

func TestWhoIsNoAdministratorBeginsWithTheProjectsAndMayDoWhatTheRoleAllows(t *testing.T) {
	w := projectsInBoth()[0]
	url := startServer(t, builtConsole(t))
	user(t, url, "guest")
	for _, name := range []string{"team-a", "secret"} {
		call(t, http.MethodPost, url+"/api/v2.0/projects", map[string]any{"project_name": name, "metadata": map[string]any{"public": "false"}})
	}
	call(t, http.MethodPost, url+"/api/v2.0/projects/team-a/members", map[string]any{"role_id": 3, "member_user": map[string]any{"username": "guest"}})
	ts.Push(t, ts.Remote(url, "admin", adminPassword, ""), "team-a/app", "v1", ts.DockerImage(t, 1))
	p := open(t, url, w.tag)
	p.loginAs(w.words, "guest")
	p.until("the projects are the first page", `find("h1", "Projects") && find("td", "team-a") && find("td", "library")`)
	p.until("what others have is not shown", `!find("td", "secret") && !find("a", "Registries") && !find("a", "Overview")`)
	p.link("team-a")
	p.until("a guest may look, and no more", `find("td", "team-a/app") && !find("button", "Push Command") && !find("button", "Delete")`)
	p.click(".ant-tabs-tab-btn", w.members)
	p.until("and sees who else is there", `find("td", "guest") && !find("button", "New Member")`)
	p.click(".ant-tabs-tab-btn", w.configuration)
	p.until("but cannot make it public", `document.querySelector("button[role=switch]").disabled`)
	p.expect("403 (Forbidden)")
	p.goTo(fmt.Sprintf("/harbor/projects/%d/repositories", 3))
	p.shows(w.notFound)
}
