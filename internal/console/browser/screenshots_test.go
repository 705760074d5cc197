package browser_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// TestScreenshots writes pictures of every page into the folder that the environment
// names, for people to look at: "make screenshots".
func TestScreenshots(t *testing.T) {
	folder := os.Getenv("LIGHTERAGE_SCREENSHOTS")
	if folder == "" {
		t.Skip("pictures are taken by make screenshots")
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	console := builtConsole(t)
	empty, full := startServer(t, console), startServer(t, console)
	waiting := held(t, full, world(t, full), 1, "retired", "v1.0", "v1.1", "v2.0")
	for _, w := range []words{english(), chinese()} {
		for _, theme := range []string{"light", "dark"} {
			for _, size := range []struct {
				name          string
				width, height int64
			}{{"wide", 1440, 900}, {"narrow", 390, 844}} {
				name := fmt.Sprintf("%s-%s-%s", w.tag[:2], theme, size.name)
				t.Run(name, func(t *testing.T) {
					first := open(t, empty, w.tag)
					first.run(chromedp.EmulateViewport(size.width, size.height))
					first.dress(theme)
					first.picture(folder, name+"-01-sign-in")
					first.login(w)
					first.picture(folder, name+"-02-overview-empty")
					first.goTo("/harbor/registries")
					first.picture(folder, name+"-03-registries-empty")

					p := open(t, full, w.tag)
					p.run(chromedp.EmulateViewport(size.width, size.height))
					p.dress(theme)
					p.login(w)
					p.expect("404 (Not Found)")
					for i, path := range []string{
						"/harbor/overview",
						"/harbor/registries",
						"/harbor/registries?new=1",
						"/harbor/registries?edit=2",
						"/harbor/replications",
						"/harbor/replications?rule=1",
						"/harbor/replications?rule=2",
						"/harbor/replications?rule=1&tab=drift",
						"/harbor/replications?rule=1&tab=plan",
						"/harbor/replications?new=1",
						"/harbor/replications?edit=2",
						"/harbor/replications/1/tasks",
						"/harbor/replications/2/tasks",
						"/harbor/replications/1/tasks?log=1",
						fmt.Sprintf("/harbor/replications/%d/tasks", waiting),
						"/harbor/replications/99/tasks",
						"/harbor/users",
						"/harbor/users?new=1",
						"/harbor/robot-accounts",
						"/harbor/robot-accounts?new=1",
						"/harbor/labels",
						"/harbor/labels?new=1",
						"/harbor/configs/setting",
						"/harbor/logs",
						"/harbor/storage",
						"/harbor/storage?tab=check",
						"/harbor/storage?tab=migration",
						"/harbor/nothing",
						"/harbor/projects",
						"/harbor/projects?new=1",
						"/harbor/projects/1/repositories",
						"/harbor/projects/2/repositories",
						"/harbor/projects/1/repositories?push=1",
						"/harbor/projects/2/members",
						"/harbor/projects/2/members?new=1",
						"/harbor/projects/2/labels?new=1",
						"/harbor/projects/1/configs",
						"/harbor/projects/1/repositories/base%2Fnginx/artifacts-tab",
						"/harbor/projects/1/repositories/base%2Fnginx/artifacts-tab/artifacts/" + ts.Index(t, 50).Digest.String(),
						"/harbor/projects/1/repositories/app0/artifacts-tab/artifacts/" + ts.DockerImage(t, 1).Digest.String(),
					} {
						p.goTo(path)
						p.until("something is there", `document.querySelector("main")?.innerText.length > 10`)
						if strings.Contains(path, "new=1") || strings.Contains(path, "edit=") {
							p.until("the dialog is open, and has looked at what it shows", `find(".ant-modal-title", null) && !document.querySelector('[data-testid="plan"][data-done="false"]')`)
						}
						p.picture(folder, fmt.Sprintf("%s-%02d%s", name, i+4, filename(path)))
					}
				})
			}
		}
	}
}

// dress chooses a theme before the first page.
func (p *page) dress(theme string) {
	p.t.Helper()
	p.expect("401 (Unauthorized)")
	p.goTo("/")
	if _, err := eval[bool](p, `(localStorage.setItem("theme", `+quote(theme)+`), location.reload(), true)`); err != nil {
		p.t.Fatal(err)
	}
	p.until("the theme is on", `document.documentElement.dataset.theme === `+quote(theme)+` && document.getElementById("user")`)
}

func (p *page) picture(folder, name string) {
	p.t.Helper()
	p.quiet()
	if _, err := eval[bool](p, `new Promise((done) => setTimeout(() => { document.getAnimations().forEach((a) => { try { a.finish(); } catch { /* it never ends */ } }); done(true); }, 400))`); err != nil {
		p.t.Fatal(err)
	}
	picture, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), picture, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func filename(path string) string {
	name := ""
	for _, c := range path[len("/harbor"):] {
		switch c {
		case '/', '?', '&', '=', '%', ':':
			name += "-"
		default:
			name += string(c)
		}
	}
	const longest = 60 // digests say nothing
	return name[:min(len(name), longest)]
}
