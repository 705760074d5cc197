package browser_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

// logWords are the texts of the page of logs.
type logWords struct {
	words
	kept, forEver, without, off   string
	one, two                      string // new entries
	user, resource, from          string // fields
	allTypes, allResults, failed  string
	robot, ofAll, ofFailed, ofOne string
	nothing, reset                string
}

func logsInBoth() []logWords {
	return []logWords{{
		words: english(), kept: "Entries are kept for 90 days.", forEver: "Entries are kept for ever.", without: "Not recorded: Artifact (Pull), User (Log in).", off: "Nothing is being recorded",
		one: "1 new entry", two: "2 new entries", user: "Username is", resource: "Resource contains", from: "From",
		allTypes: "All resource types", allResults: "All results", failed: "Failed", robot: "Robot account", ofAll: "1 - 15 of 10,000 items", ofFailed: "1 - 10 of 10 items", ofOne: "1 - 1 of 1 item",
		nothing: "No entry is like this.", reset: "Reset",
	}, {
		words: chinese(), kept: "日志保留 90 天。", forEver: "日志永久保留。", without: "未记录：Artifact（拉取）、用户（登录）。", off: "当前未记录日志",
		one: "1 条新日志", two: "2 条新日志", user: "用户名", resource: "资源包含", from: "起始",
		allTypes: "所有资源类型", allResults: "所有结果", failed: "失败", robot: "机器人账户", ofAll: "1 - 15 共计 10,000 条记录", ofFailed: "1 - 10 共计 10 条记录", ofOne: "1 - 1 共计 1 条记录",
		nothing: "没有符合条件的日志。", reset: "重置",
	}}
}

// manyEntries fills the log with ten thousand entries, one a minute, of which each thousandth
// failed. The latest is that of library/app10000, an hour ago. Logins are not recorded.
func manyEntries(t *testing.T, dir string) {
	t.Helper()
	db := storetest.OpenURL(t, "sqlite:"+filepath.Join(dir, "lighterage.db"))
	err := db.InTx(t.Context(), func(tx *store.Tx) error {
		_, err := tx.ExecContext(t.Context(), fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
			INSERT INTO audit_logs (project_id, username, resource, resource_type, operation, operation_description, operation_result, op_time)
			SELECT 1, CASE WHEN i = 5000 THEN 'ann' ELSE 'robot$ci' END, printf('library/app%%05d:v1', i), 'artifact', 'create', printf('push artifact: library/app%%05d:v1', i), i %% 1000 <> 0, $1 + i * 60000 FROM n`, many),
			time.Now().Add(-time.Hour-many*time.Minute).UnixMilli())
		if err != nil {
			return err
		}
		return store.SetSetting(t.Context(), tx, "disabled_audit_log_event_types", "pull_artifact,login_user")
	})
	if err != nil {
		t.Fatal(err)
	}
}

// asked is how many requests for pages of the log the page has made since it was loaded.
func (p *page) asked() int {
	p.t.Helper()
	n, err := eval[int](p, `performance.getEntriesByType("resource").filter((e) => /auditlog-exts(\?|$)/.test(e.name)).length`)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// find types into a field that is known by its label, and searches.
func (p *page) findBy(label, text string) {
	p.t.Helper()
	p.until("the field "+label+" has an id", `(() => { const e = find("input", `+quote(label)+`); if (e) e.id = "finder"; return e; })()`)
	p.typeInto("finder", text)
	p.run(chromedp.KeyEvent("\r"))
	p.until("the field is there no longer by that id", `(() => { document.getElementById("finder")?.removeAttribute("id"); return true; })()`)
}

func TestTenThousandEntriesOfTheLogArePagedFilteredAndFollowed(t *testing.T) {
	console := builtConsole(t)
	for _, w := range logsInBoth() {
		t.Run(w.tag, func(t *testing.T) {
			dir := t.TempDir()
			url, _ := startServerIn(t, console, dir, "127.0.0.1:0")
			manyEntries(t, dir)
			p := open(t, url, w.tag)
			p.login(w.words)
			p.goTo("/harbor/logs")
			p.rows(15, "library/app10000")
			p.shows(w.ofAll)
			p.shows(w.kept)
			p.shows(w.without)
			if n := p.asked(); n != 1 {
				t.Errorf("the first page was asked for %d times", n)
			}
			p.click(".ant-pagination-item a", "667")
			p.rows(10, "library/app00010")
			p.until("the address says so", `location.search.includes("page=667")`)
			if n := p.asked(); n != 2 {
				t.Errorf("two pages were asked for in %d requests", n)
			}

			// What comes meanwhile is told, and shown when it is asked for.
			label := func(name string) {
				call(t, http.MethodPost, url+"/api/v2.0/labels", map[string]any{"name": name, "scope": "g"})
			}
			label("first")
			p.until("a new entry is told", `find("button", `+quote(w.one)+`)`)
			label("second")
			p.until("two new entries are told", `find("button", `+quote(w.two)+`)`)
			p.rows(10, "library/app00010")
			if n := p.asked(); n != 2 {
				t.Errorf("what is read moves under the reader: %d requests", n)
			}
			p.accessible("the log with new entries")
			p.button(w.two)
			p.rows(15, "second")
			p.until("nothing is new any more, and the address is that of the first page", `!find("button", `+quote(w.two)+`) && !location.search.includes("page")`)
			if n := p.asked(); n != 3 {
				t.Errorf("the new entries took %d requests", n-2)
			}

			p.chooseLabelled(w.allResults, w.failed)
			p.rows(10, "library/app10000")
			p.shows(w.ofFailed)
			p.button(w.reset)
			p.rows(15, "second")
			p.findBy(w.user, "ann")
			p.rows(1, "library/app05000")
			p.shows(w.ofOne)
			// New entries of others are none here.
			label("third")
			p.findBy(w.resource, "nothing like it")
			p.shows(w.nothing)
			p.showsNot(w.one)
			p.button(w.reset)
			p.rows(15, "third")
			p.until("the fields are empty", `find("input", `+quote(w.user)+`).value === "" && find("input", `+quote(w.resource)+`).value === ""`)
			p.chooseLabelled(w.allTypes, w.robot)
			p.shows(w.nothing)
			p.button(w.reset)
			p.rows(15, "third")
			t.Logf("the page did not answer for %.0f ms at most", p.longestTask())
			p.accessible("many entries")
		})
	}
}

func TestTimesInTheAddressOfTheLogCarryAZone(t *testing.T) {
	w := logsInBoth()[0]
	dir := t.TempDir()
	url, _ := startServerIn(t, builtConsole(t), dir, "127.0.0.1:0")
	db := storetest.OpenURL(t, "sqlite:"+filepath.Join(dir, "lighterage.db"))
	at := time.Now().UTC().Truncate(24 * time.Hour).Add(-36 * time.Hour)
	err := db.InTx(t.Context(), func(tx *store.Tx) error {
		for i := range 24 { // one an hour
			_, err := tx.ExecContext(t.Context(), `INSERT INTO audit_logs (username, resource, resource_type, operation, op_time) VALUES ('ann', $1, 'label', 'create', $2)`,
				fmt.Sprintf("hour%02d", i), at.Add(time.Duration(i)*time.Hour).UnixMilli())
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p := open(t, url, w.tag, chromedp.Env("TZ=Asia/Shanghai")) // 8 hours ahead
	p.login(w.words)
	form := func(at time.Time) string { return at.Format("2006-01-02T15:04") }
	from := `find("label.moment", ` + quote(w.from) + `)?.querySelector("input").value`

	// As addresses were: without a zone, of the reader's.
	p.goTo("/harbor/logs?user=ann&from=" + form(at.Add(8*time.Hour+20*time.Hour)))
	p.rows(4, "hour23")
	p.until("the same is chosen", from+` === `+quote(form(at.Add(28*time.Hour))))
	// As they are.
	p.goTo("/harbor/logs?user=ann&from=" + form(at.Add(21*time.Hour)) + "Z")
	p.rows(3, "hour23")
	p.until("it is chosen in the reader's zone", from+` === `+quote(form(at.Add(29*time.Hour))))
	// As other tools write them.
	p.goTo("/harbor/logs?user=ann&from=" + strings.ReplaceAll(at.Add(22*time.Hour).In(time.FixedZone("", 3600)).Format("2006-01-02T15:04:05Z07:00"), "+", "%2B"))
	p.rows(2, "hour23")
	p.until("it is chosen in the reader's zone", from+` === `+quote(form(at.Add(30*time.Hour))))
	// What is chosen is in the address for every reader.
	p.until("a time is chosen", `(() => {
		const e = find("label.moment", `+quote(w.from)+`)?.querySelector("input");
		if (!e) return false;
		Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(e, `+quote(form(at.Add(31*time.Hour)))+`);
		e.dispatchEvent(new Event("input", {bubbles: true}));
		return true;
	})()`)
	p.rows(1, "hour23")
	p.until("the address has it in UTC", `new URLSearchParams(location.search).get("from") === `+quote(form(at.Add(23*time.Hour))+"Z"))
	p.goTo("/harbor/logs?user=ann&from=yesterday")
	p.rows(15, "hour23")
}

func TestTheLogSaysHowLongEntriesAreKeptAndWhetherThereAreAny(t *testing.T) {
	console := builtConsole(t)
	for _, w := range logsInBoth() {
		t.Run(w.tag, func(t *testing.T) {
			url := startServer(t, console)
			p := open(t, url, w.tag)
			p.login(w.words)
			p.goTo("/harbor/logs")
			p.shows(w.kept)
			p.showsNot(w.off)
			call(t, http.MethodPut, url+"/api/v2.0/configurations", map[string]any{"audit_log_retention_days": 0, "skip_audit_log_database": true})
			p.goTo("/harbor/logs")
			p.shows(w.forEver)
			p.shows(w.off)
			p.showsNot(w.kept)
			p.accessible("the log that is off")
		})
	}
}
