// Package browser_test uses the console as people do: in a real Chromium, against a
// real server.
package browser_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

const (
	root          = "../../.."
	adminPassword = "Harbor12345"
)

// builtConsole is the console of these sources.
func builtConsole(t *testing.T) fs.FS {
	t.Helper()
	dist := filepath.Join(root, "internal", "console", "dist")
	if exec.CommandContext(t.Context(), filepath.Join(root, "scripts", "has-node.sh")).Run() == nil {
		// The tests of other packages build nothing of it, so there is no other one at it.
		out, err := exec.CommandContext(t.Context(), "make", "-C", root, "console-where-possible").CombinedOutput()
		if err != nil {
			t.Fatalf("build the console: %v\n%s", err, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dist, "index.html")); err != nil {
		ts.Unavailable(t, "the console, which needs Node.js 20.19 or later to be built")
	}
	return os.DirFS(dist)
}

// chromium is the browser's program.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	ts.Unavailable(t, "Chromium (apt-get install chromium)")
	return ""
}

// startServer runs a server with the console and returns its address.
func startServer(t *testing.T, console fs.FS) string {
	t.Helper()
	url, _ := startServerIn(t, console, t.TempDir(), "127.0.0.1:0")
	return url
}

// startServerIn runs a server on a folder that may have served before, until the test or
// what it returns ends it.
func startServerIn(t *testing.T, console fs.FS, dir, listen string) (url string, stop func()) {
	t.Helper()
	ready, ended := make(chan server.Info, 1), make(chan error, 1)
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		ended <- server.Run(ctx, server.Config{
			DataDir: dir, Listen: listen, AdminPassword: adminPassword, Version: "v1.2.3", Console: console,
			Ready: func(i server.Info) { ready <- i },
		})
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	t.Cleanup(stop)
	select {
	case i := <-ready:
		return i.URL, stop
	case err := <-ended:
		ended <- nil
		t.Fatalf("the server did not start: %v", err)
		return "", nil
	}
}

// page is a tab of a browser.
type page struct {
	t   *testing.T
	ctx context.Context
	url string // of the server

	mu         sync.Mutex
	complaints []string // of the browser
	expected   []string // parts of those that belong to a test
	received   int64    // bytes, as they came over the wire
	answers    int      // to requests
}

// open starts a browser that speaks a language.
func open(t *testing.T, url, language string, more ...chromedp.ExecAllocatorOption) *page {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("lang", language), chromedp.Flag("accept-lang", language), chromedp.Env("LANGUAGE="+language), chromedp.WindowSize(1440, 1000),
		chromedp.WSURLReadTimeout(time.Minute))
	options = append(options, more...)
	allocated, free := chromedp.NewExecAllocator(context.Background(), options...)
	p := &page{t: t, url: url}
	ctx, end := chromedp.NewContext(allocated, chromedp.WithListener(p.listen))
	p.ctx = ctx
	t.Cleanup(func() { end(); free() })
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	t.Cleanup(p.checkComplaints)
	return p
}

func (p *page) listen(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			p.complaints = append(p.complaints, fmt.Sprintf("%s: %s (%s)", e.Entry.Source, e.Entry.Text, e.Entry.URL))
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		p.complaints = append(p.complaints, text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			var words []string
			for _, a := range e.Args {
				words = append(words, strings.Trim(string(a.Value), `"`)+a.Description)
			}
			p.complaints = append(p.complaints, "console: "+strings.Join(words, " "))
		}
	case *network.EventLoadingFinished:
		p.received += int64(e.EncodedDataLength)
		p.answers++
	}
}

// expect says that the browser may complain of something.
func (p *page) expect(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expected = append(p.expected, part)
}

// checkComplaints fails the test for each error that the browser had to tell of: a
// script that failed, a style that the security policy refused, a file that is not there.
func (p *page) checkComplaints() {
	p.mu.Lock()
	defer p.mu.Unlock()
complaints:
	for _, c := range p.complaints {
		for _, part := range p.expected {
			if strings.Contains(c, part) {
				continue complaints
			}
		}
		p.t.Errorf("the browser complains: %s", c)
	}
}

func (p *page) run(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatalf("%v\non the page:\n%s", err, p.text())
	}
}

func (p *page) goTo(path string) {
	p.t.Helper()
	p.run(chromedp.Navigate(p.url + path))
}

// eval returns what a script says.
func eval[T any](p *page, script string) (T, error) {
	ctx, cancel := context.WithTimeout(p.ctx, 30*time.Second)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
}

func (p *page) text() string {
	text, err := eval[string](p, `document.body.innerText + "\n" + [...document.querySelectorAll("input")].map((i) => i.id + "=" + i.value).join(" ")`)
	if err != nil {
		return err.Error()
	}
	return text
}

func quote(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts and numbers have a JSON form
	}
	return string(text)
}

// helpers find what a person would find: by its text.
const helpers = `
window.seen = (e) => { const r = e.getBoundingClientRect(); const s = getComputedStyle(e); return r.width > 0 && r.height > 0 && s.visibility !== "hidden"; };
window.label = (e) => (e.innerText || "").replace(/\s+/g, " ").trim() || e.getAttribute("aria-label") || "";
window.find = (selector, text) => [...document.querySelectorAll(selector)].filter((e) => seen(e) && !e.closest("[inert]") && (text === null || label(e) === text || e.getAttribute("aria-label") === text)).pop();
`

// until waits until a script says true.
func (p *page) until(what, script string) {
	p.t.Helper()
	deadline := time.Now().Add(time.Minute)
	var last error
	for {
		var ok bool
		if ok, last = eval[bool](p, helpers+"!!("+script+")"); ok {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("still not so: %s (%v)\non the page:\n%s", what, last, p.text())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// shows waits for a text.
func (p *page) shows(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%q is shown", text), "document.body.innerText.includes("+quote(text)+")")
}

func (p *page) showsNot(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%q is not shown", text), "!document.body.innerText.includes("+quote(text)+")")
}

// click presses what has a text, once it can be pressed. What lies over others, a
// dialog, is in the document behind them.
func (p *page) click(selector, text string) {
	p.t.Helper()
	found := "find(" + quote(selector) + ", " + quote(text) + ")"
	p.until(fmt.Sprintf("%s %q can be pressed", selector, text),
		"(() => { const e = "+found+"; if (!e || e.disabled || e.getAttribute('aria-disabled') === 'true') return false; e.scrollIntoView({block: 'center'}); e.click(); return true; })()")
}

func (p *page) button(text string) { p.t.Helper(); p.click("button, a.ant-btn", text) }
func (p *page) link(text string)   { p.t.Helper(); p.click("a, button.ant-btn-link", text) }

// menu chooses an entry of a menu that is opened by a button.
func (p *page) menu(button, entry string) {
	p.t.Helper()
	p.button(button)
	p.click(".ant-dropdown-menu-item", entry)
}

// typeInto replaces the text of a field by typing.
func (p *page) typeInto(id, text string) {
	p.t.Helper()
	p.until("the field "+id+" is there", `(() => { const e = document.getElementById(`+quote(id)+`); if (!e || e.disabled) return false; e.focus(); e.select(); return true; })()`)
	p.run(chromedp.KeyEvent(kb.Delete))
	if text != "" {
		p.run(chromedp.KeyEvent(text))
	}
	p.until(fmt.Sprintf("%s is %q", id, text), `document.getElementById(`+quote(id)+`).value === `+quote(text))
}

// choose picks options of a select by a part of their text.
func (p *page) choose(id string, options ...string) {
	p.t.Helper()
	for _, option := range options {
		p.until("the select "+id+" opens", `(() => {
			const e = document.getElementById(`+quote(id)+`);
			if (!e) return false;
			const box = e.closest(".ant-select");
			if (!box.classList.contains("ant-select-open")) { box.scrollIntoView({block: "center"}); for (const kind of ["mousedown", "mouseup", "click"]) e.dispatchEvent(new MouseEvent(kind, {bubbles: true, button: 0})); }
			return box.classList.contains("ant-select-open");
		})()`)
		p.until("the option "+option+" is chosen", `(() => {
			const e = [...document.querySelectorAll(".ant-select-dropdown:not(.ant-select-dropdown-hidden) .ant-select-item-option")].filter(seen).find((o) => o.innerText.includes(`+quote(option)+`));
			if (!e) return false;
			e.click();
			return true;
		})()`)
	}
	p.until("the select "+id+" closes", `(() => { document.activeElement?.blur(); return !document.getElementById(`+quote(id)+`).closest(".ant-select").classList.contains("ant-select-open"); })()`)
}

func (p *page) check(text string, want bool) {
	p.t.Helper()
	p.until(fmt.Sprintf("%q is %v", text, want), `(() => {
		const box = find("label.ant-checkbox-wrapper", `+quote(text)+`)?.querySelector("input");
		if (!box) return false;
		if (box.checked !== `+quote(want)+`) box.click();
		return box.checked === `+quote(want)+`;
	})()`)
}

// login logs in as the administrator.
func (p *page) login(w words) {
	p.t.Helper()
	p.expect("401 (Unauthorized)")
	p.goTo("/")
	p.typeInto("user", "admin")
	p.typeInto("password", adminPassword)
	p.button(w.logIn)
	p.until("it is logged in", `find("h1", `+quote(w.overview)+`)`)
}

// quiet waits until nothing moves or is fetched any more.
func (p *page) quiet() {
	p.t.Helper()
	p.until("the page is quiet", `!document.querySelector(".ant-spin-spinning, .ant-zoom-appear, .ant-zoom-enter, .ant-fade-enter, .ant-slide-up-enter, .ant-motion-collapse-active")`)
}

// accessible fails the test for what axe-core finds serious on the page.
func (p *page) accessible(where string) {
	p.t.Helper()
	p.quiet()
	script, err := os.ReadFile(filepath.Join(root, "web", "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		ts.Unavailable(p.t, "axe-core: %v", err)
	}
	if _, err := eval[bool](p, string(script)+";true"); err != nil {
		p.t.Fatal(err)
	}
	// What fades in has no contrast yet: motions are over first.
	found, err := eval[[]string](p, `(async () => {
		for (const a of document.getAnimations()) { try { a.finish(); } catch { a.cancel(); } }
		await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
		// Of an open select there is a list for screen readers without a name of its own; the select has one.
		const r = await axe.run({include: [document], exclude: [['[role="listbox"][id$="_list"]']]}, {resultTypes: ["violations"]});
		return r.violations.filter((v) => v.impact === "serious" || v.impact === "critical")
			.flatMap((v) => v.nodes.map((n) => v.id + ": " + v.help + ": " + n.html.slice(0, 300) + " " + (n.any[0]?.message ?? "")));
	})()`)
	if err != nil {
		p.t.Fatalf("axe on %s: %v", where, err)
	}
	for _, f := range found {
		p.t.Errorf("axe on %s: %s", where, f)
	}
}
