package browser_test

import (
	"encoding/json"
	"testing"
	"time"
)

func TestTheBannerIsTheOneOfHarborsPortal(t *testing.T) {
	url := startServer(t, builtConsole(t))
	keep := func(text string) {
		t.Helper()
		call(t, "PUT", url+"/api/v2.0/configurations", map[string]any{"banner_message": text})
	}
	portal := func(message string, from, to time.Duration) string {
		text, err := json.Marshal(map[string]any{"closable": true, "message": message, "type": "danger", "fromDate": time.Now().Add(from), "toDate": time.Now().Add(to)})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	w := adminInBoth()[1]
	p := open(t, url, w.tag)
	p.login(w.words)
	p.goTo("/harbor/configs/setting")
	p.until("the form is there", `document.getElementById("banner_message")`)

	keep("Plain & simple")
	p.until("plain text is shown", `document.querySelector('[data-testid="banner"].ant-alert-info')?.innerText.includes("Plain & simple") && document.getElementById("banner_message").value === "Plain & simple"`)
	keep(portal("over", -2*time.Hour, -time.Hour))
	p.until("one whose time is over is in the form only", `!document.querySelector('[data-testid="banner"]') && document.getElementById("banner_message").value === "over"`)
	keep(portal("later", time.Hour, 2*time.Hour))
	p.until("one whose time is to come is in the form only", `!document.querySelector('[data-testid="banner"]') && document.getElementById("banner_message").value === "later"`)
	keep(portal("now", -time.Hour, time.Hour))
	p.until("one whose time is now is shown by its type", `document.querySelector('[data-testid="banner"].ant-alert-error')?.innerText.includes("now")`)
	p.accessible("the settings with a banner")

	p.typeInto("banner_message", "维护中")
	p.button(w.save)
	p.shows(w.saved)
	p.until("it is shown", `document.querySelector('[data-testid="banner"].ant-alert-error')?.innerText.includes("维护中")`)
	item, _ := get(t, url+"/api/v2.0/configurations")["banner_message"].(map[string]any)
	text, _ := item["value"].(string)
	var kept struct {
		Message, Type    string
		Closable         bool
		FromDate, ToDate time.Time
	}
	if err := json.Unmarshal([]byte(text), &kept); err != nil || kept.Message != "维护中" || kept.Type != "danger" || !kept.Closable || kept.FromDate.IsZero() || kept.ToDate.IsZero() {
		t.Errorf("the server keeps %s (%v)", text, err)
	}
	p.until("it can be closed", `(() => { document.querySelector('[data-testid="banner"] .ant-alert-close-icon')?.click(); return !document.querySelector('[data-testid="banner"]'); })()`)

	keep(portal("backwards", 2*time.Hour, time.Hour))
	p.until("the form has it", `document.getElementById("banner_message").value === "backwards"`)
	p.typeInto("banner_message", "backwards again")
	p.button(w.save)
	p.shows("横幅的结束时间早于开始时间。")
}
