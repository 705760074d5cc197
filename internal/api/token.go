package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
)

// serveToken gives out Bearer tokens for the registry (distribution: token
// authentication). Without credentials the token allows what everybody may.
func (a *api) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		// containerd falls back to GET when a POST is answered with 405.
		w.Header().Set("Allow", http.MethodGet)
		writeError(w, problem.NotAllowed, "method "+r.Method+" is not allowed, but [GET] are")
		return
	}
	ctx := r.Context()
	p, err := a.caller(ctx)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if requestOf(ctx).authorization != "" && !p.Authenticated() {
		w.Header().Set("WWW-Authenticate", `Basic realm="harbor"`)
		a.fail(w, r, unauthorized())
		return
	}
	query := r.URL.Query()
	var scopes []string
	for _, scope := range query["scope"] {
		scopes = append(scopes, strings.Fields(scope)...)
	}
	token, err := a.o.Accounts.IssueToken(ctx, p, query.Get("service"), scopes)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	body, err := json.Marshal(struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"` // always empty, as Harbor's
		ExpiresIn   int    `json:"expires_in"`
		IssuedAt    string `json:"issued_at"`
	}{token.Token, "", token.ExpiresIn, token.IssuedAt.UTC().Format(time.RFC3339)})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(body)
}
