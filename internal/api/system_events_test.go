package api_test

import (
	"net/http"
	"testing"
)

func TestEverybodyWhoIsLoggedInIsToldOfChangedSettings(t *testing.T) {
	t.Parallel()
	l := start(t)
	l.must(http.StatusCreated, http.MethodPost, "/api/v2.0/users", `{"username":"dev","email":"dev@example.com","realname":"U","password":"Dev123456"}`)
	if a := l.do(http.MethodGet, "/api/v2.0/systeminfo/events", "", "", ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("nobody listens: %s", a.Status)
	}
	listeners := map[string]*listening{
		"an ordinary user":                      l.listenAs(t, "dev", "Dev123456", "/api/v2.0/systeminfo/events"),
		"an administrator":                      l.listen(t, "/api/v2.0/systeminfo/events"),
		"an administrator who watches all":      l.listen(t, "/api/v2.0/replication/events"),
		"an administrator who watches one rule": l.listen(t, "/api/v2.0/replication/events?policy_id=7"),
	}
	for who, listener := range listeners {
		if e := listener.next(); e.name != "ready" {
			t.Errorf("%s is told first of %+v", who, e)
		}
	}
	for _, change := range []string{`{"read_only":true}`, `{"read_only":false}`, `{"banner_message":"soon"}`} {
		l.must(http.StatusOK, http.MethodPut, "/api/v2.0/configurations", change)
		for _, listener := range listeners {
			listener.await("system", "")
		}
	}
}
