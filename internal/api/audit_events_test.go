package api_test

import (
	"net/http"
	"net/url"
	"testing"
)

func TestWhoWatchesTheAuditLogIsToldHowManyEntriesAreNew(t *testing.T) {
	t.Parallel()
	l := start(t)
	label := func(name string) {
		l.must(http.StatusCreated, "POST", "/api/v2.0/labels", `{"name":"`+name+`","scope":"g"}`)
	}
	label("one")
	l.must(http.StatusCreated, "POST", "/api/v2.0/users", `{"username":"ann","email":"ann@example.com","realname":"Ann","password":"Passw0rd!"}`)
	const list = "/api/v2.0/auditlog-exts"
	mark := l.admin("GET", list, "").Header.Get("X-Lighterage-Mark")
	if mark == "" {
		t.Fatal("a list has no mark")
	}
	label("two")
	label("three")

	all := l.listen(t, list+"/watch?since="+mark)
	if e := all.next(); e.name != "entries" || e.data != `{"new":2}` {
		t.Fatalf("the first event is %+v", e)
	}
	of := url.QueryEscape("resource=~thr")
	some := l.listen(t, list+"/watch?q="+of+"&since="+l.admin("GET", list+"?q="+of, "").Header.Get("X-Lighterage-Mark"))
	now := l.listen(t, list+"/watch")
	if e := now.next(); e.data != `{"new":0}` {
		t.Errorf("of what is watched from now on, %+v is new", e)
	}
	if e := some.next(); e.data != `{"new":0}` {
		t.Errorf("of what was listed, %+v is new", e)
	}
	label("throughout")
	label("four")
	all.await("entries", `{"new":4}`)
	now.await("entries", `{"new":2}`)
	some.await("entries", `{"new":1}`)
	// What comes by a detour comes too.
	l.do("GET", "/v2/", "ann", "wrong", "")
	all.await("entries", `{"new":5}`)

	if a := l.do("GET", list+"/watch", "", "", ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("anonymous: %s", a.Status)
	}
	for _, wrong := range []string{"x", "-1.0", "1", "1.99999999", "1.2.3"} {
		if a := l.admin("GET", list+"/watch?since="+wrong, ""); a.StatusCode != http.StatusBadRequest {
			t.Errorf("since %s: %s %s", wrong, a.Status, a.body)
		}
	}
	if a := l.admin("GET", list+"/watch?q=broken", ""); a.StatusCode != http.StatusBadRequest {
		t.Errorf("a broken q: %s", a.Status)
	}
}
