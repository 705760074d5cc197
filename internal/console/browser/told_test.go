package browser_test

import "testing"

func TestReadOnlyModeIsToldToEverybodyAtOnce(t *testing.T) {
	url := startServer(t, builtConsole(t))
	call(t, "POST", url+"/api/v2.0/users", map[string]any{"username": "dev", "email": "dev@example.com", "realname": "Dev", "password": "Dev123456"})
	w := adminInBoth()[0]
	switches, reads := open(t, url, w.tag), open(t, url, w.tag)
	reads.expect("401 (Unauthorized)")
	reads.goTo("/")
	reads.typeInto("user", "dev")
	reads.typeInto("password", "Dev123456")
	reads.button(w.logIn)
	reads.until("dev looks at the projects", `location.pathname === "/harbor/projects" && find("h1", null)`)
	reads.until("nothing is said", `(window.still = true) && !document.querySelector('[data-testid="read-only"]')`)

	switches.login(w.words)
	other := open(t, url, w.tag)
	other.login(w.words)
	other.goTo("/harbor/configs/setting")
	other.typeInto("session_timeout", "45") // what somebody types while others save

	switches.goTo("/harbor/configs/setting")
	switches.check(w.readOnlyBox, true)
	switches.button(w.save)
	switches.confirm(w.ok)
	reads.until("dev sees it without loading the page again", `window.still && document.querySelector('[data-testid="read-only"]')`)
	other.until("another administrator's form shows it and keeps what was typed",
		`find("label.ant-checkbox-wrapper", `+quote(w.readOnlyBox)+`)?.querySelector("input").checked && document.getElementById("session_timeout").value === "45"`)
	other.shows(w.unsaved)
	other.accessible("the settings while others change them")

	switches.check(w.readOnlyBox, false)
	switches.typeInto("banner_message", "Maintenance at noon")
	switches.button(w.save)
	reads.until("dev sees the banner, and that pushes go again", `window.still && document.body.innerText.includes("Maintenance at noon") && !document.querySelector('[data-testid="read-only"]')`)
}
