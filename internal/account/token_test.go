package account_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/secret"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

func (f *fixture) token(t testing.TB, p account.Principal, scopes ...string) string {
	t.Helper()
	token, err := f.IssueToken(t.Context(), p, account.TokenService, scopes)
	if err != nil {
		t.Fatal(err)
	}
	return token.Token
}

// payload returns the claims of a token as they are on the wire.
func payload(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a JWT: %s", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(raw, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func granted(t testing.TB, token string) map[string][]string {
	t.Helper()
	access := map[string][]string{}
	for _, a := range payload(t, token)["access"].([]any) {
		scope := a.(map[string]any)
		actions := []string{}
		for _, action := range scope["actions"].([]any) {
			actions = append(actions, action.(string))
		}
		access[scope["type"].(string)+":"+scope["name"].(string)] = actions
	}
	return access
}

func TestTokenHasHarborsClaims(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.clock.Advance(300 * time.Millisecond)
	token, err := f.IssueToken(t.Context(), f.admin, "harbor-registry", []string{"repository:library/app:pull"})
	if err != nil {
		t.Fatal(err)
	}
	now := f.clock.Now().Truncate(time.Second)
	if token.ExpiresIn != 1800 || !token.IssuedAt.Equal(now) {
		t.Errorf("expires in %d, issued at %s", token.ExpiresIn, token.IssuedAt)
	}
	got := payload(t, token.Token)
	if id, _ := got["jti"].(string); len(id) != 16 {
		t.Errorf("jti is %v", got["jti"])
	}
	if generation, _ := got["gen"].(string); generation == "" || generation != f.admin.Generation {
		t.Errorf("gen is %v", got["gen"])
	}
	delete(got, "jti")
	delete(got, "gen")
	want := map[string]any{
		"iss": "harbor-token-issuer", "sub": "admin", "aud": []any{"harbor-registry"},
		"iat": float64(now.Unix()), "nbf": float64(now.Unix()), "exp": float64(now.Unix() + 1800),
		"access": []any{map[string]any{"type": "repository", "name": "library/app", "actions": []any{"pull"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	f.set(t, "token_expiration", "5")
	if token, err = f.IssueToken(t.Context(), f.admin, "harbor-registry", nil); err != nil || token.ExpiresIn != 300 {
		t.Errorf("with token_expiration 5: %d, %v", token.ExpiresIn, err)
	}
	f.set(t, "token_expiration", "soon")
	if _, err = f.IssueToken(t.Context(), f.admin, "harbor-registry", nil); err == nil {
		t.Error("a setting that is no number is accepted")
	}
}

func TestTokenGrantsWhatWasAskedForAndIsAllowed(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	f.project(t, "team-a")
	dev := f.user(t, "dev1")
	f.member(t, "team-a", "dev1", account.Developer)
	for _, test := range []struct {
		who    account.Principal
		scopes []string
		want   map[string][]string
	}{
		{dev, []string{"repository:team-a/app:pull,push,delete"}, map[string][]string{"repository:team-a/app": {"pull", "push"}}},
		{dev, []string{"repository:team-a/app:pull"}, map[string][]string{"repository:team-a/app": {"pull"}}},
		{dev, []string{"repository:team-a/app:*"}, map[string][]string{"repository:team-a/app": {"pull", "push"}}},
		{dev, []string{"repository:library/app:pull,push"}, map[string][]string{"repository:library/app": {"pull"}}},
		{dev, []string{"repository:nope/app:pull,push"}, map[string][]string{"repository:nope/app": {}}},
		{dev, []string{"repository:app:pull"}, map[string][]string{"repository:app": {}}},
		{dev, []string{"repository:h.example:8443/team-a/app:pull"}, map[string][]string{"repository:h.example:8443/team-a/app": {}}},
		{dev, []string{"registry:catalog:*"}, map[string][]string{"registry:catalog": {}}},
		{dev, []string{"unknown:thing:pull"}, map[string][]string{"unknown:thing": {}}},
		{dev, []string{"repository:team-a/app:fly"}, map[string][]string{"repository:team-a/app": {}}},
		{dev, []string{"repository:team-a/a:pull repository:team-a/b:push", "repository:team-a/a:push", ""},
			map[string][]string{"repository:team-a/a": {"pull", "push"}, "repository:team-a/b": {"push"}}},
		{dev, nil, map[string][]string{}},
		{f.admin, []string{"repository:team-a/app:*"}, map[string][]string{"repository:team-a/app": {"pull", "push", "delete", "*"}}},
		{f.admin, []string{"repository:team-a/app:delete", "registry:catalog:*"},
			map[string][]string{"repository:team-a/app": {"delete"}, "registry:catalog": {"*"}}},
		{account.Anonymous(), []string{"repository:library/app:pull,push"}, map[string][]string{"repository:library/app": {"pull"}}},
		{account.Anonymous(), []string{"repository:team-a/app:pull"}, map[string][]string{"repository:team-a/app": {}}},
	} {
		got := granted(t, f.token(t, test.who, test.scopes...))
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s, %q (-want +got):\n%s", test.who.Operator(), test.scopes, diff)
		}
	}
}

func TestTokenRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	issue := func(p account.Principal, service string, scopes ...string) error {
		_, err := f.IssueToken(t.Context(), p, service, scopes)
		return err
	}
	wantProblem(t, issue(f.admin, "harbor-notary"), problem.BadRequest, "Unable to handle service: harbor-notary")
	wantProblem(t, issue(f.admin, ""), problem.BadRequest, "Unable to handle service: ")
	wantProblem(t, issue(f.admin, account.TokenService, "repository"), problem.BadRequest, `malformed scope "repository": want type:name:actions`)
	wantProblem(t, issue(account.Anonymous(), account.TokenService), problem.Unauthorized, "unauthorized")
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf("repository:library/r%d:pull", i))
	}
	wantProblem(t, issue(f.admin, account.TokenService, many...), problem.BadRequest, "")
}

func TestTokensOfAllServersOfOneDatabaseAreTheSame(t *testing.T) {
	t.Parallel()
	storetest.EachURL(t, func(t *testing.T, rawURL string) {
		one := setup(t, storetest.OpenURL(t, rawURL), account.Options{})
		two := setup(t, storetest.OpenURL(t, rawURL), account.Options{})
		if _, err := two.Authorize(t.Context(), "Bearer "+one.token(t, one.admin), "", "base"); err != nil {
			t.Error(err)
		}
	})
}

func TestTokenKeyIsSealed(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	plain := setup(t, db, account.Options{})
	token := plain.token(t, plain.admin)
	stored := func() string {
		t.Helper()
		value, _, err := db.Setting(t.Context(), "token_key")
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	if !strings.HasPrefix(stored(), "plain:") {
		t.Errorf("without a key file: %s", stored())
	}
	box := func(b byte) *secret.Box {
		box, err := secret.NewBox([32]byte{b})
		if err != nil {
			t.Fatal(err)
		}
		return box
	}
	// A key file that comes later seals the key and keeps it.
	for range 2 {
		sealed := setup(t, db, account.Options{Box: box(1)})
		if !strings.HasPrefix(stored(), "sealed:v1:") {
			t.Errorf("with a key file: %s", stored())
		}
		if _, err := sealed.Authorize(t.Context(), "Bearer "+token, "", "base"); err != nil {
			t.Error(err)
		}
	}
	for name, o := range map[string]account.Options{"another key file": {Box: box(2)}, "no key file": {}} {
		if _, err := account.New(t.Context(), db, o); err == nil || !strings.Contains(err.Error(), "delete the setting token_key") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := account.New(t.Context(), db, account.Options{TokenKey: []byte("short")}); err == nil {
		t.Error("a short key is accepted")
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	key := []byte("0123456789abcdef0123456789abcdef")
	f := open(t, account.Options{TokenKey: key})
	now := f.clock.Now()
	good := func() jwt.MapClaims {
		return jwt.MapClaims{"iss": "harbor-token-issuer", "sub": "admin", "aud": "harbor-registry", "exp": now.Unix() + 60,
			"nbf": now.Unix(), "iat": now.Unix(), "gen": f.admin.Generation, "access": []any{}}
	}
	sign := func(method jwt.SigningMethod, key any, change func(c jwt.MapClaims)) string {
		t.Helper()
		claims := good()
		if change != nil {
			change(claims)
		}
		text, err := jwt.NewWithClaims(method, claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	whole := sign(jwt.SigningMethodHS256, key, nil)
	if _, err := f.Authorize(t.Context(), "Bearer "+whole, "", "base"); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for name, token := range map[string]string{
		"another key":       sign(jwt.SigningMethodHS256, []byte("another key that is long enough!"), nil),
		"another algorithm": sign(jwt.SigningMethodHS512, key, nil),
		"no signature":      sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"signature cut off": whole[:strings.LastIndexByte(whole, '.')+1],
		"other payload":     strings.Join(slices.Replace(strings.Split(whole, "."), 1, 2, strings.Split(sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["sub"] = "x" }), ".")[1]), "."),
		"issuer":            sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["iss"] = "x" }),
		"audience":          sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["aud"] = "other" }),
		"expired":           sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["exp"] = now.Unix() - 60 }),
		"without expiry":    sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { delete(c, "exp") }),
		"not yet":           sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["nbf"] = now.Unix() + 60 }),
		"from the future":   sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["iat"] = now.Unix() + 60 }),
		"old password":      sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["gen"] = "x" }),
		"no password":       sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { delete(c, "gen") }),
		"unknown account":   sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["sub"] = "nobody" }),
		"too long":          strings.Repeat("x", 100_000),
		"nothing":           "",
	} {
		_, err := f.Authorize(t.Context(), "Bearer "+token, "", "base")
		if problem.KindOf(err) != problem.Unauthorized || !strings.HasPrefix(err.Error(), "unauthorized") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	leeway := sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["exp"] = now.Unix() - 20; c["nbf"] = now.Unix() + 20 })
	if _, err := f.Authorize(t.Context(), "Bearer "+leeway, "", "base"); err != nil {
		t.Errorf("clocks 20 s apart: %v", err)
	}
}
