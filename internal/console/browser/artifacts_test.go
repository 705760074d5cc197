package browser_test

import (
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// artifactWords are the texts of the pages of artifacts.
type artifactWords struct {
	words
	selectIt, labels, addTag, tagRequired, tagForm, tagExists, tagAdded, removeTag, lastTag, tagRemoved   string
	inSync, notVerified, notRun, different, signed, deleteTitle, deletesTag, deletesAccessory, deleted    string
	standings, platforms, history, accessories, copyDigest, close, noMatch, describe, described, notFound string
	filter                                                                                                string
}

func artifactsInBoth() []artifactWords {
	return []artifactWords{{
		words: english(), selectIt: "Select ", labels: "Labels", addTag: "Add Tag", tagRequired: "Tag name is required.", tagForm: "beginning with a letter, digit or _",
		tagExists: "Tag v1.0 already exists under the repository", tagAdded: "Tag added successfully.", removeTag: "Remove Tag", lastTag: "The artifact stays without a tag",
		tagRemoved: "Tag deleted successfully.", inSync: "cluster1: in sync", notVerified: "cluster1: not verified", notRun: "The rule was neither run nor verified since it was pushed.",
		different: "cluster1: different", signed: "Signed", deleteTitle: "Confirm Artifact Deletion", deletesTag: "Deleted with it: the tags v2.0.", deletesAccessory: "Deleted with it: 1 accessory",
		deleted: "Artifact deleted successfully.", standings: "Replication", platforms: "Platforms", history: "Build History", accessories: "Cosign signature", copyDigest: "Copy Digest",
		close: "Close", noMatch: "No artifact is like that.", describe: "Edit the description", described: "The description was saved.", notFound: "There is no such page", filter: "Filter by tag",
	}, {
		words: chinese(), selectIt: "选择 ", labels: "标签", addTag: "添加 Tag", tagRequired: "Tag 名称为必填项。", tagForm: "以字母、数字或 _ 开头",
		tagExists: "该镜像仓库中已有名为 v1.0 的 Tag", tagAdded: "成功添加 Tag。", removeTag: "删除 Tag", lastTag: "但不再有任何 Tag",
		tagRemoved: "成功删除 Tag。", inSync: "cluster1: 已同步", notVerified: "cluster1: 未核对", notRun: "推送之后，该规则尚未执行或核对过。",
		different: "cluster1: 不同", signed: "已签名", deleteTitle: "删除 Artifact 确认", deletesTag: "一并删除的 Tag：v2.0。", deletesAccessory: "一并删除 1 个附件",
		deleted: "成功删除 Artifact。", standings: "复制", platforms: "平台", history: "构建历史", accessories: "Cosign 签名", copyDigest: "复制摘要",
		close: "关闭", noMatch: "没有符合条件的 Artifact。", describe: "编辑描述", described: "描述已保存。", notFound: "页面不存在", filter: "按 Tag 过滤",
	}}
}

// galley is a server with a repository of several kinds of artifacts, and a rule that goes to a cluster.
func galley(t *testing.T, url string) (image, index *ts.Artifact) {
	t.Helper()
	cluster := ts.Distribution(t)
	home := ts.Remote(url, "admin", adminPassword, "")
	image, index = ts.DockerImage(t, 1), ts.Index(t, 2)
	ts.Push(t, home, "library/base/app", "v1.0", image)
	ts.Push(t, home, "library/base/app", "v2.0", index)
	ts.Push(t, home, "library/base/app", ts.CosignTag(index.Digest), ts.CosignSignature(t, index))
	call(t, http.MethodPost, url+"/api/v2.0/labels", map[string]any{"name": "release", "color": "#0b5cad", "scope": "g", "description": "May go to production"})
	call(t, http.MethodPost, url+"/api/v2.0/registries", map[string]any{"name": "cluster1", "type": "docker-registry", "url": cluster.URL})
	call(t, http.MethodPost, url+"/api/v2.0/replication/policies", map[string]any{
		"name": "to-cluster1", "dest_registry": map[string]any{"id": 1}, "enabled": true, "override": true, "trigger": map[string]any{"type": "manual"},
		"filters": []any{map[string]any{"type": "tag", "value": "v*", "decoration": "matches"}},
	})
	return image, index
}

const galleyPath = "/harbor/projects/1/repositories/base%2Fapp/artifacts-tab"

func TestArtifactsAreShownWithWhereTheyAreTaggedLabelledAndDeleted(t *testing.T) {
	console := builtConsole(t)
	for _, w := range artifactsInBoth() {
		t.Run(w.tag, func(t *testing.T) {
			url := startServer(t, console)
			image, index := galley(t, url)
			p := open(t, url, w.tag)
			p.login(w.words)
			p.goTo("/harbor/projects/1/repositories")
			p.link("library/base/app")
			p.until("the artifacts are there", `find("td .ant-tag", "v1.0") && find("td .ant-tag", "v2.0") && find("td .ant-tag", `+quote(w.signed)+`)`)
			p.until("a reload keeps the address", `decodeURIComponent(location.pathname).includes("base/app")`)
			p.shows(w.notVerified)
			p.shows(w.notRun)
			p.shows("linux/arm64")
			followReplication(p, w, image)
			labelAndDescribe(p, w, image)
			tagIt(p, w, image)
			lookAtIndex(p, w, index)
			deleteIt(p, w, index)
		})
	}
}

func followReplication(p *page, w artifactWords, image *ts.Artifact) {
	p.t.Helper()
	call(p.t, http.MethodPost, p.url+"/api/v2.0/replication/executions", map[string]any{"policy_id": 1})
	p.until("both are in sync, without touching the page", `[...document.querySelectorAll("td .ant-tag")].filter((e) => label(e) === `+quote(w.inSync)+`).length === 2`)
	p.accessible("artifacts")
	p.typeFilter(w.filter, "nothing")
	p.shows(w.noMatch)
	p.typeFilter(w.filter, "v1")
	p.until("one is left", `find("td .ant-tag", "v1.0") && !find("td .ant-tag", "v2.0") && location.search.includes("search=v1")`)
	p.goTo(galleyPath)
	p.shows(w.inSync)
	home := ts.Remote(p.url, "admin", adminPassword, "")
	ts.Push(p.t, home, "library/base/app", "v1.0", ts.DockerImage(p.t, 9))
	p.shows(w.different) // by itself
	ts.Push(p.t, home, "library/base/app", "v1.0", image)
	p.showsNot(w.different)
}

// typeFilter types into the field of a filter.
func (p *page) typeFilter(name, text string) {
	p.t.Helper()
	p.until("the filter is there", `(() => { const e = document.querySelector('input[aria-label='+`+quote(quote(name))+`+']'); if (!e) return false; e.id = "filter"; return true; })()`)
	p.typeInto("filter", text)
}

// short is a digest as it is shown.
func short(a *ts.Artifact) string { return a.Digest.String()[:len("sha256:")+8] }

func labelAndDescribe(p *page, w artifactWords, image *ts.Artifact) {
	p.t.Helper()
	p.button(w.describe)
	p.typeInto("description", "The application of the base")
	p.button(w.save)
	p.shows(w.described)
	p.until("the description is shown", `document.querySelector(".page-head").innerText.includes("The application of the base")`)
	p.click(`input[type="checkbox"]`, w.selectIt+short(image))
	p.menu(w.actions, w.labels)
	p.until("the label is offered", `find("label.ant-checkbox-wrapper", "release")`)
	p.accessible("the labels of an artifact")
	p.check("release", true)
	p.until("it has the label", `find("td .ant-tag", "release")`)
	p.button(w.close)
	p.until("the dialog is gone", `!document.querySelector(".ant-modal")`)
}

func tagIt(p *page, w artifactWords, image *ts.Artifact) {
	p.t.Helper()
	p.menu(w.actions, w.addTag)
	p.button(w.ok)
	p.shows(w.tagRequired)
	p.typeInto("tag", "not a tag")
	p.shows(w.tagForm)
	p.expect("409 (Conflict)")
	p.typeInto("tag", "v1.0")
	p.button(w.ok)
	p.shows(w.tagExists)
	p.accessible("the dialog of a tag")
	p.typeInto("tag", "latest")
	p.button(w.ok)
	p.shows(w.tagAdded)
	p.until("the tag is listed", `find("td .ant-tag", "latest") && !document.querySelector(".ant-modal")`)
	p.link(short(image))
	p.until("its page is there", `find("h1", `+quote("base/app@"+short(image))+`) && find("h2", `+quote(w.standings)+`) && find("td", "latest")`)
	p.shows(w.history)
	p.shows(image.Digest.String())
	p.accessible("an artifact")
	p.click(`input[type="checkbox"]`, w.selectIt+"latest")
	p.button(w.removeTag)
	p.click(".ant-modal-confirm-btns button", w.delete)
	p.shows(w.tagRemoved)
	p.until("the tag is gone", `!find("td", "latest")`)
	p.click(`input[type="checkbox"]`, w.selectIt+"v1.0")
	p.button(w.removeTag)
	p.shows(w.lastTag)
	p.click(".ant-modal-confirm-btns button", w.cancel)
}

func lookAtIndex(p *page, w artifactWords, index *ts.Artifact) {
	p.t.Helper()
	p.goTo(galleyPath + "/artifacts/" + index.Digest.String())
	p.shows(w.platforms)
	p.shows(w.accessories)
	p.until("it tells where it is", `document.querySelector('[data-testid="standings"]').innerText.includes("to-cluster1")`)
	p.accessible("an index")
	p.until("a platform is a link", `(() => { const e = [...document.querySelectorAll("td a")].find((a) => a.getAttribute("href").endsWith(`+quote(index.Children[1].Digest.String())+`)); e?.click(); return !!e; })()`)
	p.until("the page of a platform is there", `find("h1", `+quote("base/app@"+short(index.Children[1]))+`)`)
	p.expect("404 (Not Found)")
	p.goTo(galleyPath + "/artifacts/sha256:0000000000000000000000000000000000000000000000000000000000000000")
	p.shows(w.notFound)
}

func deleteIt(p *page, w artifactWords, index *ts.Artifact) {
	p.t.Helper()
	p.goTo(galleyPath)
	p.click(`input[type="checkbox"]`, w.selectIt+short(index))
	p.until("it is selected", `!find("button", `+quote(w.actions)+`)?.disabled`)
	p.menu(w.actions, w.delete)
	p.shows(w.deleteTitle)
	p.shows(w.deletesTag)
	p.shows(w.deletesAccessory)
	p.click(".ant-modal-confirm-btns button", w.delete)
	p.shows(w.deleted)
	p.until("it is gone", `!find("td .ant-tag", "v2.0") && find("td .ant-tag", "v1.0")`)
}

func TestTheSearchAtTheTopFindsProjectsAndRepositories(t *testing.T) {
	w := english()
	url := startServer(t, builtConsole(t))
	galley(t, url)
	call(t, http.MethodPost, url+"/api/v2.0/projects", map[string]any{"project_name": "base-team", "metadata": map[string]any{"public": "false"}})
	user(t, url, "dev")
	p := open(t, url, w.tag)
	p.loginAs(w, "dev")
	p.until("the first page is there, and has the focus", `find("td", "library") && document.activeElement?.id === "content"`)
	p.typeFilter("Search projects and repositories", "base")
	p.until("what the user may see is offered", `find(".ant-select-item-option", "library/base/app") && !find(".ant-select-item-option", "base-team")`)
	p.until("the first is chosen", `document.querySelector(".ant-select-item-option-active")?.innerText.includes("library/base/app") && document.activeElement?.id === "filter"`)
	p.run(chromedp.KeyEvent(kb.Enter))
	p.until("the repository is shown", `find("h1", "base/app") && find("td .ant-tag", "v1.0")`)
	call(t, http.MethodPut, url+"/api/v2.0/configurations", map[string]any{"read_only": true})
	p.goTo("/harbor/projects/1/summary")
	p.shows("The registry is in read-only mode")
	p.until("Harbor's first tab leads to the repositories", `find("td", "library/base/app")`)
	p.link("library/base/app")
	p.until("the repository is shown again", `find("td .ant-tag", "v1.0")`)
	p.until("where it is replicated is for members", `!document.body.innerText.includes("cluster1")`)
	p.typeFilter("Search projects and repositories", "libr")
	p.until("the project is offered", `find(".ant-select-item-option", "library")`)
	p.accessible("the search")
	p.typeFilter("Search projects and repositories", "zzz")
	p.shows("Nothing has this in its name.")
}
