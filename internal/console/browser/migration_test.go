package browser_test

import (
	"net/http"
	"strings"
	"testing"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// migrationWords are the texts of the page that moves the storage.
type migrationWords struct {
	words
	storage, move, tryOut, first, start, endpointRequired, bucketRequired, keysTogether string
	cutover, cutoverDo, reads, rollback                                                 string
}

func migrationsInBoth() []migrationWords {
	return []migrationWords{{
		words: english(), storage: "Storage", move: "Move to S3", tryOut: "Run preflight", first: "Run the preflight first", start: "Start the migration",
		endpointRequired: "Endpoint is required.", bucketRequired: "Bucket is required.", keysTogether: "An access key and a secret key go together.",
		cutover: "Cut over now", cutoverDo: "Cut over", reads: "pulls go on all the time", rollback: "Roll back",
	}, {
		words: chinese(), storage: "存储", move: "迁移到 S3", tryOut: "运行预检", first: "请先运行预检：它会逐项尝试镜像库所需的功能。", start: "开始迁移",
		endpointRequired: "存储端点为必填项。", bucketRequired: "存储桶为必填项。", keysTogether: "访问密钥和秘密密钥必须同时填写。",
		cutover: "立即切换", cutoverDo: "切换", reads: "拉取始终照常进行", rollback: "回退",
	}}
}

// The guide for moving a registry's storage to S3, done in the console for the own registry:
// from the destination, with mistakes on the way, to images that were pulled from the bucket,
// a push after it, the way back, and once more to the end. The page is loaded again in the middle.
func TestTheGuideForMovingTheStorageInTheConsole(t *testing.T) {
	console := builtConsole(t)
	for _, w := range migrationsInBoth() {
		t.Run(w.tag, func(t *testing.T) {
			url := startServer(t, console)
			store := ts.S3(t)
			home := ts.Remote(url, "admin", adminPassword, "")
			for _, tag := range []string{"v1", "v2"} {
				ts.Push(t, home, "library/base/alpine", tag, ts.DockerImage(t, 1))
			}
			p := open(t, url, w.tag)
			p.login(w.words)
			p.link(w.storage)
			p.expect("404 (Not Found)") // there is no migration and no preflight yet
			p.click(".ant-tabs-tab-btn", w.move)
			p.shows(w.first)
			p.accessible("the destination of a migration")
			choosesDestination(p, w, store)
			startsMigration(p, w)
			p.goTo("/harbor/storage?tab=migration")
			cutsOver(p, w)
			p.accessible("a migration that has ended")

			ts.Push(t, home, "library/base/alpine", "v3", ts.DockerImage(t, 2))
			if pushed := ts.Pull(t, home, "library/base/alpine", "v3"); len(store.Keys("docker/registry/v2/repositories/library/base/alpine/_manifests/tags/v3/")) == 0 {
				t.Errorf("what was pushed after the change, %v, is not in the bucket", pushed)
			}
			p.button(w.rollback)
			p.confirm(w.rollback)
			p.until("it has gone back", `document.querySelector('[data-testid="migration-rolled_back"]')`)
			for _, tag := range []string{"v1", "v2", "v3"} {
				ts.Pull(t, home, "library/base/alpine", tag)
			}
			p.accessible("a migration that was rolled back")
		})
	}
}

func choosesDestination(p *page, w migrationWords, store *ts.Store) {
	p.t.Helper()
	p.button(w.tryOut)
	p.shows(w.endpointRequired)
	p.shows(w.bucketRequired)
	p.typeInto("endpoint", store.Endpoint)
	p.typeInto("bucket", "no-such-bucket")
	p.typeInto("accessKey", store.AccessKey)
	p.button(w.tryOut)
	p.shows(w.keysTogether)
	p.typeInto("secretKey", "wrong-secret")
	p.button(w.tryOut)
	p.until("wrong keys are told", `document.querySelector('[data-testid="preflight-fail"]')`)
	p.accessible("a preflight that failed")
	p.until("it cannot be started", `find("button", `+quote(w.start)+`).disabled`)
	p.typeInto("secretKey", store.SecretKey)
	p.button(w.tryOut)
	p.until("the bucket is missed", `[...document.querySelectorAll('[data-testid="preflight-fail"] ~ * td')].some((e) => e.innerText.includes("no-such-bucket")) || document.querySelector('[data-testid="preflight-fail"]')?.innerText.includes("no-such-bucket")`)
	p.typeInto("bucket", store.Bucket)
	p.button(w.tryOut)
	p.until("the destination is good", `find("button", `+quote(w.start)+`) && !find("button", `+quote(w.start)+`).disabled`)
	p.accessible("a preflight")
}

func startsMigration(p *page, w migrationWords) {
	p.t.Helper()
	p.button(w.start)
	p.confirm(w.start)
	p.until("it is ready for the cutover", `document.querySelector('[data-testid="migration-waiting"]')`)
	p.until("it says how much was copied in all", `/[1-9]/.test(document.querySelector('[data-testid="migration-total"]').innerText)`)
	p.until("it says how everything was proven", `/[1-9]/.test(document.querySelector('[data-testid="migration-rehearsal"] tbody')?.innerText)`)
	p.accessible("a migration that waits")
}

func cutsOver(p *page, w migrationWords) {
	p.t.Helper()
	p.button(w.cutover)
	p.shows(w.reads)
	p.confirm(w.cutoverDo)
	p.until("the bucket is served", `document.querySelector('[data-testid="migration-migrated"]')`)
	p.until("it is proven", `document.querySelector('[data-testid="migration-evidence"]')?.innerText.includes(`+"'0 differences found'"+`)`)
	p.until("images were pulled", `document.querySelectorAll('[data-testid="migration-pulls"] .ant-tag-success').length >= 2 && !document.querySelector('[data-testid="migration-pulls"] .ant-tag-error')`)
	state := get(p.t, p.url+"/api/v2.0/storage")
	if state["kind"] != "s3" || strings.Contains(quote(state), "secret_key") {
		p.t.Errorf("the server says its storage is %v", state)
	}
	if status := pings(p.t, ts.Remote(p.url, "admin", adminPassword, "")); status != http.StatusOK {
		p.t.Errorf("the registry answers with %d", status)
	}
}
