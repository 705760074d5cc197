package browser_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

// middleWords are the texts of a migration that does not go straight through.
type middleWords struct {
	migrationWords
	pause, resume, keys, keysRequired, badKeys, copying, finish, markdown, json, differences, rehearsal, untouched string
}

func middlesInBoth() []middleWords {
	both := migrationsInBoth()
	return []middleWords{{
		migrationWords: both[0], pause: "Pause", resume: "Go on", keys: "Go on with other keys", keysRequired: "Both keys are required.", badKeys: "The store does not accept the keys any more",
		copying: "Everything is copied while the registry works", finish: "Finish", markdown: "Report (Markdown)", json: "Report (JSON)", differences: "**0 differences found**",
		rehearsal: "### Full check before the read-only time", untouched: "is not used any more and is not touched",
	}, {
		migrationWords: both[1], pause: "暂停", resume: "继续", keys: "使用其他密钥继续", keysRequired: "两个密钥均为必填项。", badKeys: "存储不再接受这些密钥",
		copying: "镜像库正常工作，同时同步全部内容", finish: "完成迁移", markdown: "报告 (Markdown)", json: "报告 (JSON)", differences: "0 differences found",
		rehearsal: "### 只读之前的完整校验", untouched: "不再使用，也不会被改动",
	}}
}

// gate holds what is sent to a store until it is opened.
type gate struct {
	open chan struct{}
	once sync.Once
}

func closedGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) lift() { g.once.Do(func() { close(g.open) }) }

func (g *gate) hold(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-g.open:
			next.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// A migration that is paused, whose page is loaded again and whose server is started again
// while it copies, whose keys are not accepted any more and then are wrong, and which is
// finished in the end, with its reports.
func TestAMigrationGoesOnWhateverComesInItsMiddle(t *testing.T) {
	console := builtConsole(t)
	for _, w := range middlesInBoth() {
		t.Run(w.tag, func(t *testing.T) {
			dir := t.TempDir()
			url, stop := startServerIn(t, console, dir, "127.0.0.1:0")
			store := ts.S3(t)
			ts.Push(t, ts.Remote(url, "admin", adminPassword, ""), "library/base/alpine", "v1", ts.DockerImage(t, 1))
			blobs := closedGate()
			t.Cleanup(blobs.lift)
			store.Faults.Add(ts.Fault{Method: http.MethodPut, Path: "/registry/v2/blobs/", Skip: 1, Do: blobs.hold})
			call(t, http.MethodPost, url+"/api/v2.0/storage/migration", map[string]any{"destination": map[string]any{
				"provider": "Minio", "endpoint": store.Endpoint, "bucket": store.Bucket, "access_key": store.AccessKey, "secret_key": store.SecretKey,
			}})
			p := open(t, url, w.tag)
			p.login(w.words)
			p.expect("404 (Not Found)") // nothing was tried out on the page
			p.expect("ERR_")            // while the server is started again
			p.expect("401 (Unauthorized)")
			p.goTo("/harbor/storage?tab=migration")
			p.shows(w.copying)
			p.accessible("a migration that copies")

			p.button(w.pause)
			p.until("it is paused", `document.querySelector('[data-testid="migration-paused"]')`)
			p.goTo("/harbor/storage?tab=migration")
			p.until("it still is", `document.querySelector('[data-testid="migration-paused"]')`)
			p.accessible("a migration that is paused")
			p.button(w.resume)
			p.shows(w.copying)

			stop()
			startServerIn(t, console, dir, strings.TrimPrefix(url, "http://"))
			p.goTo("/harbor/storage?tab=migration")
			p.shows(w.copying)
			losesItsKeys(p, w, store, blobs)
			cutsOver(p, w.migrationWords)
			reports(p, w, store)

			p.button(w.finish)
			p.shows(w.untouched)
			p.confirm(w.finish)
			p.until("it is finished", `document.querySelector('[data-testid="migration-finished"]')`)
			p.until("there is no way back", `!find("button", `+quote(w.rollback)+`)`)
			p.accessible("a migration that is finished")
			ts.Pull(t, ts.Remote(url, "admin", adminPassword, ""), "library/base/alpine", "v1")
		})
	}
}

// losesItsKeys has the store refuse the keys of a copy, until they are given once more.
func losesItsKeys(p *page, w middleWords, store *ts.Store, blobs *gate) {
	p.t.Helper()
	store.Faults.Add(ts.Fault{Do: ts.StoreError(http.StatusForbidden, "InvalidAccessKeyId", "The access key is not known.")})
	blobs.lift()
	p.shows(w.badKeys)
	p.until("it has stopped", `document.querySelector('[data-testid="migration-failed"]')`)
	p.accessible("a migration that has stopped")
	store.Faults.Clear()
	p.button(w.keys)
	p.click(".ant-modal button", w.resume)
	p.shows(w.keysRequired)
	p.typeInto("newSecret", "wrong-secret")
	p.accessible("other keys")
	p.click(".ant-modal button", w.resume)
	p.until("it has tried them", `!find(".ant-modal", null)`)
	p.shows(w.badKeys)
	p.button(w.keys)
	p.typeInto("newSecret", store.SecretKey)
	p.click(".ant-modal button", w.resume)
	p.until("it is ready for the cutover", `document.querySelector('[data-testid="migration-waiting"]')`)
	p.until("it can be left in one way", `!find("button", `+quote(w.rollback)+`)`)
}

// reports looks into both files that the page offers.
func reports(p *page, w middleWords, store *ts.Store) {
	p.t.Helper()
	// A browser without a screen saves nothing: what it would is looked at.
	p.until("what is saved is seen", `(window.saved = {}, window.made = null,
		(URL.createObjectURL = (blob) => { window.made = blob; return "blob:seen"; }),
		(HTMLAnchorElement.prototype.click = function () { const name = this.download; window.made.text().then((text) => { window.saved[name.split(".").pop()] = text; }); }), true)`)
	p.button(w.markdown)
	p.button(w.json)
	p.until("both are made", `window.saved.md && window.saved.json`)
	markdown, err := eval[string](p, `window.saved.md`)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, part := range []string{w.differences, w.rehearsal, store.Bucket, "library/base/alpine"} {
		if !strings.Contains(markdown, part) {
			p.t.Errorf("the report lacks %q:\n%s", part, markdown)
		}
	}
	text, err := eval[string](p, `window.saved.json`)
	if err != nil {
		p.t.Fatal(err)
	}
	var m struct {
		Status    string
		Total     struct{ Objects int64 }
		Rehearsal struct{ Same int64 }
	}
	if err := json.Unmarshal([]byte(text), &m); err != nil || m.Status != "migrated" || m.Total.Objects == 0 || m.Rehearsal.Same == 0 {
		p.t.Errorf("the report in JSON says %+v, %v", m, err)
	}
	if strings.Contains(markdown+text, store.SecretKey) {
		p.t.Error("a report holds the secret key")
	}
}
