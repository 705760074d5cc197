package browser_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// manyRows is how many executions, and how many tasks of one of them, there are.
const manyRows = 10_000

// busyServer is a server with a rule that has run very often, and the last time in very many
// repositories. It returns the address and that last execution.
func busyServer(t *testing.T) (url string, last int64) {
	t.Helper()
	dir := t.TempDir()
	url, _ = startServerIn(t, builtConsole(t), dir, "127.0.0.1:0")
	call(t, http.MethodPost, url+"/api/v2.0/registries", map[string]any{"name": "cluster1", "type": "docker-registry", "url": ts.Distribution(t).URL})
	call(t, http.MethodPost, url+"/api/v2.0/replication/policies", map[string]any{"name": "busy", "dest_registry": map[string]any{"id": 1}, "enabled": true, "trigger": map[string]any{"type": "manual"}})
	db := storetest.OpenURL(t, "sqlite:"+filepath.Join(dir, "lighterage.db"))
	begun := time.Now().Add(-manyRows * time.Minute)
	err := db.InTx(t.Context(), func(tx *store.Tx) error {
		for i := range manyRows {
			status, failed := "Succeed", 0
			if i%1000 == 0 {
				status, failed = "Failed", 1
			}
			at := store.Millis(begun.Add(time.Duration(i) * time.Minute))
			err := tx.QueryRowContext(t.Context(), `INSERT INTO executions (policy_id, trigger_type, status, told_status, planned, total, succeed, failed, start_time, end_time)
				VALUES (1, 'manual', $1, $1, TRUE, 1, $2, $3, $4, $5) RETURNING id`, status, 1-failed, failed, at, at+1000).Scan(&last)
			if err != nil {
				return err
			}
		}
		for i := range manyRows {
			status := "Succeed"
			if i%1000 == 0 {
				status = "Failed"
			}
			_, err := tx.ExecContext(t.Context(), `INSERT INTO tasks (execution_id, status, operation, resource_type, src_repository, dest_repository, dest_registry_id, items, bytes_total, bytes_sent, start_time, end_time)
				VALUES ($1, $2, 'copy', 'image', $3, $3, 1, '[{"reference":"v1","action":"copy"}]', 1000, 1000, $4, $4)`, last, status, fmt.Sprintf("library/app%05d", i), store.Millis(time.Now()))
			if err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(t.Context(), `UPDATE executions SET total = $2, succeed = $2 WHERE id = $1`, last, manyRows)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return url, last
}

// drawnRows is how many rows of tables are drawn.
func (p *page) drawnRows() int {
	p.t.Helper()
	n, err := eval[int](p, `document.querySelectorAll(".ant-table-tbody .ant-table-row").length`)
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

// longestTask is how long the page did not answer at most, since it was loaded. Milliseconds.
func (p *page) longestTask() float64 {
	p.t.Helper()
	longest, err := eval[float64](p, `new Promise((done) => {
		let longest = 0;
		const o = new PerformanceObserver((l) => { for (const e of l.getEntries()) longest = Math.max(longest, e.duration); });
		o.observe({type: "longtask", buffered: true});
		requestAnimationFrame(() => setTimeout(() => { o.disconnect(); done(longest); }));
	})`)
	if err != nil {
		p.t.Fatal(err)
	}
	return longest
}

func TestTenThousandExecutionsAndTasksArePaged(t *testing.T) {
	w := english()
	url, last := busyServer(t)
	p := open(t, url, w.tag)
	p.login(w)
	p.goTo("/harbor/replications?rule=1")
	p.shows("of 10,000 items")
	if n := p.drawnRows(); n > 20 {
		t.Errorf("%d rows are drawn for a page of executions", n)
	}
	p.click(".ant-pagination-item", "667")
	p.until("the last page is there, with the first execution", `find("td a", "1") && location.search.includes("p=667")`)
	p.chooseLabelled("Status", w.failed)
	p.shows("of 10 items")
	p.until("all of them have failed", `[...document.querySelectorAll(".ant-table-tbody .ant-table-row .ant-tag")].slice(-10).every((e) => e.innerText.trim() === `+quote(w.failed)+`)`)
	t.Logf("executions: the page did not answer for %.0f ms at most", p.longestTask())
	p.accessible("many executions")

	p.goTo(fmt.Sprintf("/harbor/replications/%d/tasks?page=400&page_size=25", last))
	p.shows("9,976 - 10,000 of 10,000 items")
	if n := p.drawnRows(); n != 25 {
		t.Errorf("%d rows are drawn for a page of 25 tasks", n)
	}
	p.chooseLabelled("Status", w.failed)
	p.shows("1 - 10 of 10 items")
	p.shows("library/app09000")
	p.goTo(fmt.Sprintf("/harbor/replications/%d/tasks?page_size=100", last))
	p.until("the largest page is there", `document.querySelectorAll(".ant-table-tbody .ant-table-row").length === 100`)
	t.Logf("100 tasks: the page did not answer for %.0f ms at most", p.longestTask())
	p.goTo("/harbor/overview")
	p.until("the day is summed up", `document.querySelector('[data-testid="activity"]')?.innerText.includes("10,000 tasks")`)
}

// chooseLabelled picks an option of a select that is known by its label only.
func (p *page) chooseLabelled(label, option string) {
	p.t.Helper()
	p.until("the select "+label+" has an id", `(() => { const e = [...document.querySelectorAll('input[role="combobox"]')].filter((i) => i.getAttribute("aria-label") === `+quote(label)+`).pop(); if (e) e.id = "chosen"; return e; })()`)
	p.choose("chosen", strings.TrimSpace(option))
}
