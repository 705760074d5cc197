package browser_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// ruleWords are the texts of the dialog of a rule in one language.
type ruleWords struct {
	words
	incomplete, needsDestination, matches, copied, conflicts, overwritten, nothing, everyRepository, beginsWith, noProject, nextRuns, more string
	badSince, badPlatform, badNewest, renameAlone, missingParenthesis, unreachable                                                         string
	makePlan, runPlan, kept, nothingToDo, started                                                                                          string
}

func ruleLanguages() map[string]ruleWords {
	return map[string]ruleWords{
		"English": {
			words: english(), incomplete: "What it does is shown here once the form has:", needsDestination: "a destination registry", matches: "2 tags match, in 2 repositories.",
			copied: "2 copied", conflicts: "1 conflicts", overwritten: "1 overwritten", nothing: "Nothing matches.", everyRepository: "All tags, in every repository of the project library.",
			beginsWith: "All tags that begin with “v”, in the repository library/app.", noProject: "Did you mean */app or **/app?", nextRuns: "(UTC)", more: "More than Harbor",
			badSince: "An age (36h, 30d, 2w)", badPlatform: "amd64 is no platform", badNewest: "A whole number from 1", renameAlone: "Namespace and renaming exclude each other",
			missingParenthesis: "missing closing )", unreachable: "refuses connections",
			makePlan: "Make a plan", runPlan: "Carry out exactly this", kept: "Plan 1, kept until", nothingToDo: "There is nothing to be done", started: "Execution 1 started.",
		},
		"Chinese": {
			words: chinese(), incomplete: "表单填写以下内容后", needsDestination: "目标仓库", matches: "匹配 2 个镜像仓库中的 2 个 Tag。",
			copied: "2 复制", conflicts: "1 冲突", overwritten: "1 覆盖", nothing: "没有匹配的内容。", everyRepository: "项目 library 的所有镜像仓库中的所有 Tag。",
			beginsWith: "镜像仓库 library/app 中，以“v”开头的所有 Tag。", noProject: "您是否想写 */app 或 **/app？", nextRuns: "(UTC)", more: "Harbor 之外的更多设置",
			badSince: "请输入时长（36h、30d、2w）", badPlatform: "amd64 不是平台", badNewest: "请输入 1 到 1,000,000 的整数", renameAlone: "名称空间与重命名不能同时使用",
			missingParenthesis: "缺少右括号 )", unreachable: "拒绝连接",
			makePlan: "生成计划", runPlan: "按此计划执行", kept: "计划 1，保留至", nothingToDo: "无需执行", started: "执行 1",
		},
	}
}

// ruleServer has two repositories, a cluster, and an endpoint where nobody listens.
func ruleServer(t *testing.T, url string) *ts.Registry {
	t.Helper()
	cluster := ts.Distribution(t)
	home := ts.Remote(url, "admin", adminPassword, "")
	ts.Push(t, home, "library/app", "v1", ts.DockerImage(t, 1))
	ts.Push(t, home, "library/team/alpine", "3.20", ts.DockerImage(t, 2))
	for name, address := range map[string]string{"cluster1": cluster.URL, "cluster9": "http://127.0.0.1:9"} {
		call(t, http.MethodPost, url+"/api/v2.0/registries", map[string]any{"name": name, "type": "docker-registry", "url": address})
	}
	return cluster
}

// previews waits until the preview is done and has a text.
func (p *page) previews(text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("the preview says %q", text), `(() => { const e = document.querySelector('[data-testid="preview"]'); return e && e.innerText.includes(`+quote(text)+`) && !e.querySelector('[data-done="false"]'); })()`)
}

// wrong waits for a message at a field.
func (p *page) wrong(id, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%s is told %q", id, text), `document.getElementById(`+quote(id)+`)?.closest(".ant-form-item").querySelector(".ant-form-item-explain-error")?.innerText.includes(`+quote(text)+`)`)
}

// lists types the entries of a field that has several.
func (p *page) lists(id string, entries ...string) {
	p.t.Helper()
	for _, entry := range entries {
		p.typeInto(id, entry)
		p.run(chromedp.KeyEvent(kb.Enter))
		p.until(entry+" is an entry of "+id, `[...document.getElementById(`+quote(id)+`).closest(".ant-select").querySelectorAll(".ant-select-selection-item")].some((i) => i.innerText.trim() === `+quote(entry)+`)`)
	}
}

func TestTheDialogOfARuleShowsWhatItWouldDoWhileOneTypes(t *testing.T) {
	console := builtConsole(t)
	for name, w := range ruleLanguages() {
		t.Run(name, func(t *testing.T) {
			url := startServer(t, console)
			cluster := ruleServer(t, url)
			ts.Push(t, cluster, "library/app", "v1", ts.DockerImage(t, 9)) // somebody else's
			p := open(t, url, w.tag)
			p.login(w.words)
			p.goTo("/harbor/replications?new=1")
			p.previews(w.incomplete)
			p.previews(w.needsDestination)
			p.typeInto("name", "new")
			p.choose("destinations", "cluster1")
			p.previews(w.matches)
			p.previews(w.overwritten)
			p.typeInto("filterName", "library/**")
			p.shows(w.everyRepository)
			p.check(w.override, false)
			p.previews(w.conflicts)
			p.check(w.override, true)
			p.typeInto("namespace", "mirror")
			p.previews("mirror/app")
			p.previews(w.copied)
			p.until("the example is one of this registry", `document.querySelector('[data-testid="becomes"]').innerText.match(/mirror\/(app|team\/alpine)/)`)
			p.accessible("the dialog of a rule with a preview")
			p.typeInto("namespace", "")
			p.typeInto("filterName", "app")
			p.shows(w.noProject)
			p.previews(w.nothing)
			p.typeInto("filterName", "library/app")
			p.typeInto("filterTag", "v*")
			p.shows(w.beginsWith)
			p.choose("trigger", w.scheduled)
			p.typeInto("cron", "0 30 2 * * *")
			p.until("the next runs are told", `document.querySelector('[data-testid="next-runs"]')?.innerText.includes(`+quote(w.nextRuns)+`)`)
			p.expect("400 (Bad Request)")
			p.choose("destinations", "cluster9", "cluster1") // and so cluster9 alone
			p.previews(w.unreachable)
		})
	}
}

func TestEverythingThatARuleCanSayIsInItsDialog(t *testing.T) {
	console := builtConsole(t)
	for name, w := range ruleLanguages() {
		t.Run(name, func(t *testing.T) {
			url := startServer(t, console)
			ruleServer(t, url)
			p := open(t, url, w.tag)
			p.login(w.words)
			p.goTo("/harbor/replications?new=1")
			p.typeInto("name", "all-of-it")
			p.choose("destinations", "cluster1")
			p.choose("trigger", w.eventBased)
			p.until("more is unfolded", `(() => { const e = document.querySelector('[data-testid="more"] [aria-expanded]'); if (e.getAttribute("aria-expanded") !== "true") e.click(); return e.getAttribute("aria-expanded") === "true"; })()`)
			p.typeInto("pushedSince", "yesterday")
			p.wrong("pushedSince", w.badSince)
			p.typeInto("pushedSince", "30d")
			p.typeInto("newest", "0")
			p.wrong("newest", w.badNewest)
			p.typeInto("newest", "3")
			p.lists("platforms", "amd64")
			p.wrong("platforms", w.badPlatform)
			p.until("it is taken out", `(() => { document.getElementById("platforms").closest(".ant-select").querySelector(".ant-select-selection-item-remove")?.click(); return !document.getElementById("platforms").closest(".ant-select").querySelector(".ant-select-selection-item"); })()`)
			p.lists("platforms", "linux/amd64", "linux/arm/v7")
			p.typeInto("namespace", "mirror")
			p.typeInto("renameTemplate", "$1-copy")
			p.wrong("renameTemplate", w.renameAlone)
			p.typeInto("namespace", "")
			p.typeInto("renameRegex", "(.+")
			p.expect("400 (Bad Request)")
			p.previews(w.missingParenthesis)
			p.button(w.save)
			p.wrong("renameRegex", w.missingParenthesis)
			p.accessible("the dialog of a rule with everything")
			p.typeInto("renameRegex", "(.+)")
			p.lists("names", "library/**", "apps/{a,b}")
			p.lists("excludeTags", "*-rc*")
			p.typeInto("semver", ">=1.2 <2")
			p.typeInto("tagRegex", `v?\d.*`)
			p.lists("artifactTypes", "IMAGE")
			p.choose("accessories", map[string]string{"en-US": "None", "zh-CN": "不复制"}[w.tag])
			p.click("label.ant-radio-wrapper", map[string]string{"en-US": "Rewrite: a smaller one is made, with another digest. Its signatures stay behind.", "zh-CN": "重写：生成较小的索引，摘要不同。其签名不会复制。"}[w.tag])
			p.check(map[string]string{"en-US": "Bring what was there before", "zh-CN": "同时复制之前已有的内容"}[w.tag], true)
			p.button(w.save)
			p.shows(w.ruleCreated)
			rule := get(t, url+"/api/v2.0/replication/policies/1")
			want := map[string]any{
				"accessories": "none", "platforms": []any{"linux/amd64", "linux/arm/v7"}, "platform_mode": "rewrite", "include_existing": true,
				"rename": map[string]any{"template": "$1-copy", "regex": "(.+)"},
				"select": map[string]any{
					"names": []any{"library/**", "apps/{a,b}"}, "exclude_tags": []any{"*-rc*"}, "semver": ">=1.2 <2", "tag_regex": `v?\d.*`, "newest": 3.0,
					"pushed_since": "30d", "artifact_types": []any{"IMAGE"},
				},
			}
			for field, value := range want {
				if quote(rule[field]) != quote(value) {
					t.Errorf("%s is %v, want %v", field, rule[field], value)
				}
			}
			p.goTo("/harbor/replications?edit=1")
			p.until("it is unfolded, since it says something", `document.getElementById("renameRegex")?.value === "(.+)" && seen(document.getElementById("renameRegex"))`)
			p.typeInto("semver", "")
			p.button(w.save)
			p.until("it is saved", `!find(".ant-modal-title", null)`)
			selected, _ := get(t, url+"/api/v2.0/replication/policies/1")["select"].(map[string]any)
			if _, there := selected["semver"]; there || selected["newest"] != 3.0 {
				t.Errorf("%v", selected)
			}
		})
	}
}

func TestAPlanIsShownAndCarriedOutAsItIs(t *testing.T) {
	console := builtConsole(t)
	for name, w := range ruleLanguages() {
		t.Run(name, func(t *testing.T) {
			url := startServer(t, console)
			cluster := ruleServer(t, url)
			call(t, http.MethodPost, url+"/api/v2.0/replication/policies", map[string]any{
				"name": "planned", "dest_registry": map[string]any{"id": idOf(t, url, "cluster1")}, "enabled": true, "override": true, "trigger": map[string]any{"type": "manual"},
			})
			p := open(t, url, w.tag)
			p.login(w.words)
			p.goTo("/harbor/replications?rule=1&tab=plan")
			p.button(w.makePlan)
			p.shows(w.kept)
			p.shows("library/team/alpine:3.20")
			p.accessible("a plan")
			p.button(w.runPlan)
			p.click(".ant-modal-confirm-btns button", w.runPlan)
			p.shows(w.started)
			arrived(t, cluster, "library/app", "v1")
			arrived(t, cluster, "library/team/alpine", "3.20")
			p.button(w.makePlan)
			p.shows(w.nothingToDo)
			p.until("there is nothing to be carried out", `find("button", `+quote(w.runPlan)+`).disabled`)
		})
	}
}

func idOf(t *testing.T, url, registry string) int {
	t.Helper()
	all := list(t, url+"/api/v2.0/registries")
	i := slices.IndexFunc(all, func(r map[string]any) bool { return strings.EqualFold(fmt.Sprint(r["name"]), registry) })
	if i < 0 {
		t.Fatalf("there is no registry %s", registry)
	}
	return int(all[i]["id"].(float64))
}
