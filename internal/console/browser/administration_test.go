package browser_test

import (
	"net/http"
	"testing"
	"time"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// adminWords are the texts of the pages of users, robot accounts, labels, logs and settings.
type adminWords struct {
	words
	users, robots, labels, logs, settings, systemSettings, selectOne                                                                    string
	newUser, nameRequired, passwordRule, same, emailForm, userCreated, setAdmin, adminText, updated, resetPassword, passwordSet         string
	profile, profileSaved, about, closes                                                                                                string
	deleteWhat, userDeleted, changePassword, ownPasswordSet                                                                             string
	newRobot, robotName, robotForm, needProject, needRight, allProjects, robotCreated, secretTitle, refreshSecret, disable, robotUpdate string
	disabled, robotDeleted                                                                                                              string
	newLabel, labelRequired, labelCreated, labelUpdated, labelDeleted                                                                   string
	nothing, reset                                                                                                                      string
	readOnlyBox, readOnlyAsk, saved, number, unsaved                                                                                    string
	settingsEntry                                                                                                                       []string // of the log, by columns
}

func adminInBoth() []adminWords {
	return []adminWords{{
		words: english(), users: "Users", robots: "Robot Accounts", labels: "Labels", logs: "Logs", settings: "Configuration", systemSettings: "System Settings", selectOne: "Select ",
		newUser: "New User", nameRequired: "Username is required.", passwordRule: "8 to 128 characters", same: "The passwords are not the same.", emailForm: "Email should be a valid email address",
		userCreated: "User created successfully.", setAdmin: "Set as Admin", adminText: "Administrators may do everything", updated: "User updated successfully.", resetPassword: "Reset Password",
		passwordSet: "The password has been changed.", deleteWhat: "Projects and images that they made stay.", userDeleted: "User deleted successfully.",
		profile: "User Profile", profileSaved: "Your profile has been saved.", about: "About Lighterage", closes: "Close",
		changePassword: "Change Password", ownPasswordSet: "Your password has been changed.",
		newRobot: "New Robot Account", robotName: "Name is required.", robotForm: "Lower case letters, digits,", needProject: "Choose a project.", needRight: "Choose a permission.", allProjects: "All projects",
		robotCreated: "Robot account created successfully.", secretTitle: "The secret, shown only now", refreshSecret: "Refresh Secret", disable: "Disable", robotUpdate: "Robot account updated successfully.",
		disabled: "Disabled", robotDeleted: "Robot account deleted successfully.",
		newLabel: "New Label", labelRequired: "Label name is required.", labelCreated: "Label created successfully.", labelUpdated: "Label updated successfully.", labelDeleted: "Label deleted successfully.",
		nothing: "No entry is like this.", reset: "Reset",
		settingsEntry: []string{"admin", "configuration\nupdate configuration: read_only=false", "Configuration", "Update", "Succeeded"},
		readOnlyBox:   "Repository Read Only", readOnlyAsk: "Turn on read-only mode?", saved: "Configuration has been saved.", number: "Enter a whole number of at least 1.", unsaved: "There are changes that are not saved.",
	}, {
		words: chinese(), users: "用户管理", robots: "机器人账户", labels: "标签", logs: "日志", settings: "配置管理", systemSettings: "系统设置", selectOne: "选择 ",
		newUser: "创建用户", nameRequired: "用户名为必填项。", passwordRule: "密码长度为 8 至 128 个字符", same: "两次输入的密码不一致。", emailForm: "请输入正确的邮箱地址",
		userCreated: "成功创建用户。", setAdmin: "设置为管理员", adminText: "管理员拥有全部权限", updated: "成功更新用户。", resetPassword: "重置密码",
		passwordSet: "密码已更改，该用户的会话已结束。", deleteWhat: "其创建的项目和镜像会保留。", userDeleted: "成功删除用户。",
		profile: "用户设置", profileSaved: "已保存您的个人信息。", about: "关于 Lighterage", closes: "关闭",
		changePassword: "修改密码", ownPasswordSet: "您的密码已更改",
		newRobot: "添加机器人账户", robotName: "名称为必填项。", robotForm: "只能包含小写字母和数字", needProject: "请选择项目。", needRight: "请选择权限。", allProjects: "所有项目",
		robotCreated: "成功创建机器人账户。", secretTitle: "令牌仅在此时显示", refreshSecret: "刷新令牌", disable: "停用", robotUpdate: "成功更新机器人账户。",
		disabled: "停用", robotDeleted: "成功删除机器人账户。",
		newLabel: "新建标签", labelRequired: "标签名字为必填项。", labelCreated: "成功创建标签。", labelUpdated: "成功更新标签。", labelDeleted: "成功删除标签。",
		nothing: "没有符合条件的日志。", reset: "重置",
		settingsEntry: []string{"admin", "configuration\nupdate configuration: read_only=false", "配置", "更新", "成功"},
		readOnlyBox:   "仓库只读", readOnlyAsk: "启用只读模式？", saved: "配置已保存。", number: "请输入不小于 1 的整数。", unsaved: "有尚未保存的更改。",
	}}
}

func TestAdministratorsLookAfterAccountsLabelsSettingsAndTheLog(t *testing.T) {
	console := builtConsole(t)
	for _, w := range adminInBoth() {
		t.Run(w.tag, func(t *testing.T) {
			url := startServer(t, console)
			p := open(t, url, w.tag)
			p.login(w.words)
			looksAfterUsers(p, w)
			looksAfterRobots(p, w)
			looksAfterLabels(p, w)
			looksAfterSettings(p, w)
			looksAtTheLog(p, w)
			changesTheOwnProfile(p, w)
			changesTheOwnPassword(p, w)
		})
	}
}

// confirm answers a question with a button.
func (p *page) confirm(text string) {
	p.t.Helper()
	p.click(".ant-modal-confirm-btns button", text)
	p.until("the question is gone", `!find(".ant-modal-confirm-title", null)`)
}

func (p *page) pick(w adminWords, name string) {
	p.t.Helper()
	p.until(name+" is chosen", `(() => { const box = find('input[type="checkbox"]', `+quote(w.selectOne+name)+`) ?? [...document.querySelectorAll('input[type="checkbox"]')].find((e) => e.getAttribute("aria-label") === `+quote(w.selectOne+name)+`); if (!box) return false; if (!box.checked) box.click(); return box.checked; })()`)
}

func looksAfterUsers(p *page, w adminWords) {
	p.t.Helper()
	p.link(w.users)
	p.until("the administrator is listed", `find("td", "admin")`)
	p.accessible("users")
	p.button(w.newUser)
	p.button(w.ok)
	for _, text := range []string{w.nameRequired, w.emailForm, w.passwordRule} {
		p.shows(text)
	}
	p.typeInto("username", "dev")
	p.typeInto("email", "dev@example.com")
	p.typeInto("realname", "Dev")
	p.typeInto("password", "Dev123456")
	p.typeInto("confirm", "Dev1234567")
	p.button(w.ok)
	p.shows(w.same)
	p.accessible("the dialog of a user")
	p.typeInto("confirm", "Dev123456")
	p.button(w.ok)
	p.shows(w.userCreated)
	p.until("the user is listed", `find("td", "dev") && !find(".ant-modal-title", null)`)
	p.pick(w, "dev")
	p.button(w.setAdmin)
	p.shows(w.adminText)
	p.confirm(w.ok)
	p.shows(w.updated)
	p.button(w.resetPassword)
	p.typeInto("password", "Other12345")
	p.typeInto("confirm", "Other12345")
	p.accessible("the dialog of a password")
	p.button(w.ok)
	p.shows(w.passwordSet)
	p.until("the dialog is gone", `!find(".ant-modal-title", null)`)
	p.button(w.delete)
	p.shows(w.deleteWhat)
	p.confirm(w.delete)
	p.shows(w.userDeleted)
	p.until("the user is gone", `!find("td", "dev")`)
	p.pick(w, "admin")
	p.until("nobody deletes themselves", `find("button", `+quote(w.delete)+`).disabled && find("button", `+quote(w.resetPassword)+`).disabled`)
}

func looksAfterRobots(p *page, w adminWords) {
	p.t.Helper()
	p.link(w.robots)
	p.until("there is none", `document.querySelector(".ant-table-placeholder")`)
	p.accessible("robot accounts without any")
	p.button(w.newRobot)
	p.button(w.ok)
	p.shows(w.robotName)
	p.shows(w.needProject)
	p.typeInto("name", "Puller!")
	p.shows(w.robotForm)
	p.typeInto("name", "puller")
	p.click("label.ant-radio-wrapper", w.allProjects)
	p.accessible("the dialog of a robot account")
	p.button(w.ok)
	p.shows(w.robotCreated)
	p.shows(w.secretTitle)
	p.accessible("the secret of a robot account")
	secret, err := eval[string](p, `document.querySelector('[data-testid="secret"]').innerText.trim()`)
	if err != nil {
		p.t.Fatal(err)
	}
	robot := ts.Remote(p.url, "robot$puller", secret, "")
	if status := pings(p.t, robot); status != http.StatusOK {
		p.t.Errorf("the registry answers the robot with its secret with %d", status)
	}
	p.button(w.ok)
	p.until("it is listed", `find("td", "robot$puller") && !find(".ant-modal-title", null)`)
	p.pick(w, "robot$puller")
	p.button(w.refreshSecret)
	p.confirm(w.ok)
	p.shows(w.secretTitle)
	if status := pings(p.t, robot); status != http.StatusUnauthorized {
		p.t.Errorf("the registry answers the robot with its old secret with %d", status)
	}
	p.button(w.ok)
	p.until("the secret is gone", `!find(".ant-modal-title", null)`)
	p.button(w.disable)
	p.shows(w.robotUpdate)
	p.until("it is disabled", `find("td .ant-tag", `+quote(w.disabled)+`)`)
	p.accessible("robot accounts")
	p.button(w.delete)
	p.confirm(w.delete)
	p.shows(w.robotDeleted)
}

// pings is how a registry answers an account.
func pings(t *testing.T, r *ts.Registry) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.URL+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth(r.Username, r.Password)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func looksAfterLabels(p *page, w adminWords) {
	p.t.Helper()
	p.link(w.labels)
	p.accessible("labels without any")
	p.button(w.newLabel)
	p.button(w.ok)
	p.shows(w.labelRequired)
	p.typeInto("name", "released")
	p.accessible("the dialog of a label")
	p.button(w.ok)
	p.shows(w.labelCreated)
	p.until("it is listed", `find("td", "released") && !find(".ant-modal-title", null)`)
	p.pick(w, "released")
	p.button(w.edit)
	p.typeInto("description", "may run")
	p.button(w.ok)
	p.shows(w.labelUpdated)
	p.until("it is changed", `find("td", "may run") && !find(".ant-modal-title", null)`)
	p.button(w.delete)
	p.shows("released")
	p.confirm(w.delete)
	p.shows(w.labelDeleted)
}

func looksAfterSettings(p *page, w adminWords) {
	p.t.Helper()
	p.link(w.settings)
	p.until("the settings are there", `find("h1", `+quote(w.systemSettings)+`) && document.getElementById("session_timeout")`)
	p.accessible("settings")
	p.until("nothing is to be saved", `find("button", `+quote(w.save)+`).disabled`)
	p.typeInto("session_timeout", "")
	p.button(w.save)
	p.shows(w.number)
	p.typeInto("session_timeout", "90")
	p.check(w.readOnlyBox, true)
	p.shows(w.unsaved)
	p.button(w.save)
	p.shows(w.readOnlyAsk)
	p.confirm(w.ok)
	p.shows(w.saved)
	p.until("everybody is told", `document.querySelector('[data-testid="read-only"]')`)
	kept := get(p.t, p.url+"/api/v2.0/configurations")
	for name, want := range map[string]any{"read_only": true, "session_timeout": float64(90)} {
		if item, _ := kept[name].(map[string]any); item["value"] != want {
			p.t.Errorf("the server keeps %s as %v, want %v", name, item["value"], want)
		}
	}
	p.check(w.readOnlyBox, false)
	p.button(w.save)
	p.until("nobody is told any more", `!document.querySelector('[data-testid="read-only"]')`)
}

func looksAtTheLog(p *page, w adminWords) {
	p.t.Helper()
	ts.Push(p.t, ts.Remote(p.url, "admin", adminPassword, ""), "library/app", "v1", ts.DockerImage(p.t, 1))
	p.link(w.logs)
	p.until("the last change of the settings is there, and who made it", `[...document.querySelectorAll(".ant-table-row")].some((row) => {
		const cells = [...row.querySelectorAll("td")].map((c) => c.innerText.trim());
		return `+quote(w.settingsEntry)+`.every((text, i) => cells[i] === text) && cells[5] !== "";
	})`)
	p.accessible("logs")
	p.goTo("/harbor/logs?search=library/app&operation=create")
	p.until("the push is found", `[...document.querySelectorAll(".ant-table-row")].some((r) => r.innerText.includes("library/app") && r.innerText.includes("admin"))`)
	p.goTo("/harbor/logs?user=nobody")
	p.shows(w.nothing)
	p.button(w.reset)
	p.until("all is there again", `document.querySelectorAll(".ant-table-row").length > 5`)
	p.goTo("/harbor/logs?from=2001-01-01T00:00&until=2001-01-02T00:00")
	p.shows(w.nothing)
	p.goTo("/harbor/logs?from=" + time.Now().AddDate(0, 0, -1).UTC().Format("2006-01-02T15:04"))
	p.until("what was done since yesterday is there", `document.querySelectorAll(".ant-table-row").length > 5`)
}

func changesTheOwnProfile(p *page, w adminWords) {
	p.t.Helper()
	p.menu(w.account, w.about)
	p.shows("Apache-2.0")
	p.accessible("what is told of the program")
	p.button(w.closes)
	p.until("the dialog is gone", `!find(".ant-modal-title", null)`)
	p.menu(w.account, w.profile)
	p.until("the name is shown and cannot be changed", `document.getElementById("profile-name")?.value === "admin" && document.getElementById("profile-name").disabled`)
	p.accessible("the own profile")
	p.typeInto("email", "nobody")
	p.typeInto("realname", "")
	p.button(w.ok)
	p.shows(w.emailForm)
	p.typeInto("email", "master@example.com")
	p.typeInto("realname", "Master")
	p.button(w.ok)
	p.shows(w.profileSaved)
	p.menu(w.account, w.profile)
	p.until("it is kept", `[...document.querySelectorAll(".ant-modal input")].some((e) => e.value === "master@example.com")`)
	p.button(w.ok)
	p.until("the dialog is gone", `!find(".ant-modal-title", null)`)
}

func changesTheOwnPassword(p *page, w adminWords) {
	p.t.Helper()
	p.menu(w.account, w.changePassword)
	p.typeInto("old", "Wrong12345")
	p.typeInto("password", "Other12345")
	p.typeInto("confirm", "Other12345")
	p.expect("403 (Forbidden)")
	p.button(w.ok)
	p.until("a wrong one is refused", `find(".ant-modal .ant-alert-error", null)`)
	p.typeInto("old", adminPassword)
	p.button(w.ok)
	p.shows(w.ownPasswordSet)
}
