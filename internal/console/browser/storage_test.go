package browser_test

import (
	"os"
	"path/filepath"
	"testing"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// storageWords are the texts of the page of the storage.
type storageWords struct {
	words
	storage, nothing, biggest, usage, check, checkNow, deep, never, whole, damaged, failed, emptyLink, mend, mendTitle, mendDo, mended string
	broken, severity, noMatch, missing                                                                                                 string
}

func storageInBoth() []storageWords {
	return []storageWords{{
		words: english(), storage: "Storage", nothing: "Nothing is stored yet", biggest: "Biggest Repositories", usage: "Usage", check: "Check", checkNow: "Check now",
		deep: "Read every blob and compare its digest", never: "This storage was not checked yet", whole: "Everything is whole", damaged: "Some files are damaged",
		failed: "The check has failed", emptyLink: "Empty link", mend: "Mend 1 link", mendTitle: "Mend Links", mendDo: "Mend them", mended: "1 link was mended before.",
		broken: "Broken", severity: "Severity", noMatch: "No finding is like this.", missing: "Missing blob",
	}, {
		words: chinese(), storage: "存储", nothing: "尚未存储任何内容", biggest: "最大的镜像仓库", usage: "用量", check: "检查", checkNow: "立即检查",
		deep: "读取每个 Blob 并核对其摘要", never: "此存储尚未检查过", whole: "全部完好", damaged: "部分文件有问题",
		failed: "检查失败", emptyLink: "空链接", mend: "修复 1 个链接", mendTitle: "修复链接", mendDo: "修复", mended: "检查前已修复 1 个链接。",
		broken: "损坏", severity: "级别", noMatch: "没有符合条件的结果。", missing: "缺失 Blob",
	}}
}

// emptyLink empties a link of an image that a server stores in its folder.
func emptyLink(t *testing.T, dir, repository string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "registry/docker/registry/v2/repositories", repository, "_manifests/revisions/sha256/*/link"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no link of %s: %v", repository, err)
	}
	if err := os.Truncate(files[0], 0); err != nil {
		t.Fatal(err)
	}
}

func TestTheStorageIsShownCheckedAndMended(t *testing.T) {
	console := builtConsole(t)
	for _, w := range storageInBoth() {
		t.Run(w.tag, func(t *testing.T) {
			dir := t.TempDir()
			url, _ := startServerIn(t, console, dir, "127.0.0.1:0")
			p := open(t, url, w.tag)
			p.login(w.words)
			p.link(w.storage)
			p.shows(w.nothing)
			p.shows(filepath.Join(dir, "registry"))
			p.accessible("the usage of nothing")
			p.click("[role=tab]", w.check)
			p.shows(w.never)
			p.button(w.checkNow)
			p.shows(w.failed) // there is nothing to check
			p.accessible("a check that has failed")

			home := ts.Remote(url, "admin", adminPassword, "")
			image := ts.DockerImage(t, 1)
			ts.Push(t, home, "library/app", "v1", image)
			ts.Push(t, home, "library/copy", "v1", image)
			p.goTo("/harbor/storage")
			p.until("the usage is shown", `find('[data-testid="usage"]', null)`)
			p.until("the repositories are shown", `find("td", "library/app") && find("td", "library/copy")`)
			p.accessible("the usage")

			emptyLink(t, dir, "library/app")
			p.click("[role=tab]", w.check)
			p.check(w.deep, true)
			p.button(w.checkNow)
			p.shows(w.damaged)
			p.shows(w.emptyLink)
			p.accessible("what a check has found")
			p.goTo("/harbor/storage?tab=check") // the report stays
			p.shows(w.damaged)
			p.until("the filter is there", `document.querySelector('[aria-label="`+w.severity+`"]')`)
			p.goTo("/harbor/storage?tab=check&severity=broken")
			p.shows(w.noMatch)
			p.goTo("/harbor/storage?tab=check&search=copy")
			p.shows(w.noMatch)
			p.goTo("/harbor/storage?tab=check")
			p.button(w.mend)
			p.until("it is asked first, with what is written", `find(".ant-modal-confirm", null)?.innerText.includes("library/app/_manifests/revisions")`)
			p.accessible("the question before links are mended")
			p.click(".ant-modal-confirm-btns button", w.cancel)
			p.until("nothing was done", `!find(".ant-modal-confirm", null) && find("button", `+quote(w.mend)+`)`)
			p.button(w.mend)
			p.click(".ant-modal-confirm-btns button", w.mendDo)
			p.shows(w.whole)
			p.shows(w.mended)
			ts.Pull(t, home, "library/app", "v1")
		})
	}
}
