package registry_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/registry"
)

// Harbor's core says most things twice.
func TestErrorsSayThingsOnce(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"project x not found: project x not found": "project x not found",
		"unauthorized":                   "unauthorized",
		"manifest unknown: tag is wrong": "manifest unknown: tag is wrong",
		"":                               "",
	} {
		err := &registry.Error{Method: "GET", Host: "h", Path: "/p", Status: 404, Codes: []registry.Code{{Code: "X", Message: message}}}
		suffix := " " + want
		if want == "" {
			suffix = ""
		}
		if got := err.Error(); got != "GET h/p: 404 Not Found: X"+suffix {
			t.Errorf("%q: %q", message, got)
		}
	}
}

// The answers are those of distribution v3.1 and v2.8 on a full disk.
func TestAFailureOfTheRegistryTellsItsCause(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]struct{ detail, want string }{
		"v3":      {`"filesystem: write /data/startedat: no space left on device"`, ": UNKNOWN unknown error: filesystem: write /data/startedat: no space left on device"},
		"v2":      {`{"DriverName":"filesystem","Enclosed":{"Op":"write","Path":"/data/startedat","Err":28}}`, ": UNKNOWN unknown error: write /data/startedat: no space left on device"},
		"nothing": {`null`, ": UNKNOWN unknown error"},
		"another": {`{"Tag":"v1"}`, ": UNKNOWN unknown error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, open(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = w.Write([]byte(`{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":` + answer.detail + `}]}`))
			}))
			_, err := client(t, registry.Endpoint{Provider: registry.ProviderDockerRegistry, URL: s.URL}, quick).Manifest(t.Context(), "app", "v1")
			if err == nil || !strings.HasSuffix(err.Error(), answer.want) {
				t.Errorf("%v", err)
			}
		})
	}
}
