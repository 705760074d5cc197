package browser_test

import "testing"

// unsavedWords are the texts of the question that stands before what is lost.
type unsavedWords struct {
	words
	settings, users, title, leave, stay, sessionTimeout, secret, usage string
}

func unsavedInBoth() []unsavedWords {
	return []unsavedWords{
		{words: english(), settings: "Configuration", users: "Users", title: "Leave without saving?", leave: "Leave", stay: "Stay", sessionTimeout: "System Settings: Session Timeout (Minutes)", secret: "The secret key of the destination", usage: "Usage"},
		{words: chinese(), settings: "配置管理", users: "用户管理", title: "不保存就离开？", leave: "离开", stay: "留在此页", sessionTimeout: "系统设置：会话过期时间（分钟）", secret: "目标存储的秘密密钥", usage: "用量"},
	}
}

func TestWhatWasTypedIsAskedAboutBeforeItsPageGoes(t *testing.T) {
	console := builtConsole(t)
	url := startServer(t, console)
	for _, w := range unsavedInBoth() {
		t.Run(w.tag, func(t *testing.T) {
			p := open(t, url, w.tag)
			p.expect("404 (Not Found)") // no migration yet
			p.login(w.words)
			p.link(w.users)
			p.until("it is the page of users", `location.pathname === "/harbor/users"`)
			p.link(w.settings)
			p.typeInto("session_timeout", "45")
			p.until("the browser would ask, too", `!dispatchEvent(new Event("beforeunload", {cancelable: true}))`)
			stays := func(how string) {
				t.Helper()
				p.shows(w.title)
				p.shows(w.sessionTimeout)
				p.confirm(w.stay)
				p.until("what was typed is there after "+how, `location.pathname === "/harbor/configs/setting" && document.getElementById("session_timeout").value === "45"`)
			}
			p.link(w.users)
			p.shows(w.title)
			p.accessible("the question before what is lost")
			stays("a link")
			p.back()
			stays("the browser's back button")
			p.menu(w.account, w.logOut)
			stays("a logout")
			p.until("the session goes on", `fetch("/api/v2.0/users/current").then((r) => r.ok)`)

			p.back()
			p.shows(w.title)
			p.confirm(w.leave)
			// The address alone is that already while the question stands.
			p.until("it is gone back", `location.pathname === "/harbor/users" && document.getElementById("session_timeout") === null`)
			p.link(w.settings)
			p.until("what was typed is gone", `document.getElementById("session_timeout")?.value === "60"`)
			p.link(w.users)
			p.until("nothing is asked where nothing is lost", `location.pathname === "/harbor/users" && !find(".ant-modal-confirm-title", null)`)

			p.goTo("/harbor/storage?tab=migration")
			p.typeInto("bucket", "images")
			p.typeInto("secretKey", "typed-secret")
			p.until("the browser would ask, too", `!dispatchEvent(new Event("beforeunload", {cancelable: true}))`)
			p.click(".ant-tabs-tab-btn", w.usage)
			p.shows(w.secret)
			p.confirm(w.stay)
			p.until("the secret is there", `document.getElementById("secretKey").value === "typed-secret"`)
			p.typeInto("secretKey", "")
			p.until("nothing would be lost", `dispatchEvent(new Event("beforeunload", {cancelable: true}))`)
			p.link(w.users)
			p.until("a draft that is kept is not asked about", `location.pathname === "/harbor/users"`)
		})
	}
}

// back presses the browser's back button, and does not wait for a page: it may stay.
func (p *page) back() {
	p.t.Helper()
	if _, err := eval[bool](p, `history.back(), true`); err != nil {
		p.t.Fatal(err)
	}
}
