package browser_test

import (
	"fmt"
	"net/http"
	"testing"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

func TestTheOverviewShowsWhatNeedsAttentionFirstAndTheLastDay(t *testing.T) {
	console := builtConsole(t)
	for name, w := range map[string]struct {
		words
		fails, waits, oldest, decide, title, table, hour, day string
	}{
		"English": {english(), "It began to fail", "1 task has not been done yet.", "The oldest push came", "Decide about deletions", "The last 24 hours", "As a table", "Hour", "failed."},
		"Chinese": {chinese(), "起一直失败。", "1 个任务尚未完成。", "最早的推送在", "处理删除操作", "最近 24 小时", "以表格显示", "时段", "个失败。"},
	} {
		t.Run(name, func(t *testing.T) {
			url := startServer(t, console)
			cluster := ts.Distribution(t)
			for name, address := range map[string]string{"cluster1": cluster.URL, "cluster9": "http://127.0.0.1:9"} {
				call(t, http.MethodPost, url+"/api/v2.0/registries", map[string]any{"name": name, "type": "docker-registry", "url": address})
			}
			execution := held(t, url, cluster, idOf(t, url, "cluster1"), "gone", "v1")
			call(t, http.MethodPost, url+"/api/v2.0/replication/policies", map[string]any{
				"name": "to-nowhere", "dest_registry": map[string]any{"id": idOf(t, url, "cluster9")}, "enabled": true, "trigger": map[string]any{"type": "event_based"},
				"filters": []any{map[string]any{"type": "name", "value": "library/app"}},
			})
			ts.Push(t, ts.Remote(url, "admin", adminPassword, ""), "library/app", "v1", ts.DockerImage(t, 1))
			p := open(t, url, w.tag)
			p.login(w.words)
			p.shows(w.waits)
			p.shows(w.oldest)
			p.shows(w.fails)
			p.until("what fails is first, and what waits for somebody second", `(() => {
				const rows = [...document.querySelectorAll(".ant-table-tbody .ant-table-row")].map((r) => r.innerText);
				return rows[0]?.includes("to-nowhere") && rows[1]?.includes("follows-gone");
			})()`)
			p.shows(w.title)
			p.until("the day is summed up, and drawn", `(() => {
				const e = document.querySelector('[data-testid="activity"]');
				return e.innerText.includes(`+quote(w.day)+`) && [...e.querySelectorAll('svg[role="img"]')].every((s) => s.getAttribute("aria-label").includes(`+quote(w.day)+`) && [...s.querySelectorAll("rect")].some((r) => Number(r.getAttribute("height")) > 2 && r.getAttribute("fill") !== "transparent"));
			})()`)
			p.click("summary", w.table)
			p.until("there is a row for each hour", `find(".chart-table th", `+quote(w.hour)+`) && document.querySelectorAll(".chart-table tbody tr").length === 24`)
			p.accessible("the overview of a day")
			p.button(w.decide)
			p.until("the button leads to what is to be decided", fmt.Sprintf(`location.pathname === "/harbor/replications/%d/tasks" && find('[data-testid="held"]', null)`, execution))
		})
	}
}
