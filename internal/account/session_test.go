package account_test

import (
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
)

// opened logs in and returns the text of the session.
func opened(t *testing.T, f *fixture, name, password string) string {
	t.Helper()
	p, err := f.Authenticate(t.Context(), name, password)
	if err != nil {
		t.Fatal(err)
	}
	text, err := f.OpenSession(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestASessionIsWhoOpenedIt(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	text := opened(t, f, "admin", adminPassword)
	s, err := f.ResumeSession(t.Context(), text)
	if err != nil || s.Principal.Name != "admin" || !s.Principal.SysAdmin || s.Due() {
		t.Fatalf("%+v, %v", s, err)
	}
	for name, forged := range map[string]string{
		"nothing":            "",
		"a changed text":     text[:len(text)-3] + "abc",
		"another payload":    strings.Replace(text, ".", ".e30", 1),
		"no signature":       text[:strings.LastIndex(text, ".")+1],
		"something else":     "admin",
		"much too long":      text + strings.Repeat("A", 10_000),
		"an unsigned method": "eyJhbGciOiJub25lIn0." + strings.Split(text, ".")[1] + ".",
	} {
		if _, err := f.ResumeSession(t.Context(), forged); !problem.Is(err, problem.Unauthorized) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATokenOfTheRegistryIsNoSessionNorTheOtherWayRound(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	p := f.login(t, "admin", adminPassword)
	token, err := f.IssueToken(t.Context(), p, account.TokenService, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ResumeSession(t.Context(), token.Token); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("a token: %v", err)
	}
	if _, err := f.Authorize(t.Context(), "Bearer "+opened(t, f, "admin", adminPassword), "", "base"); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("a session: %v", err)
	}
}

func TestASessionEndsWhenItIsIdleAndNotBefore(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	text := opened(t, f, "admin", adminPassword)
	for range 5 { // four hours with a click every 50 minutes
		f.clock.Advance(50 * time.Minute)
		s, err := f.ResumeSession(t.Context(), text)
		if err != nil || !s.Due() {
			t.Fatalf("%+v, %v", s, err)
		}
		if text, err = f.ProlongSession(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	f.clock.Advance(61 * time.Minute)
	if _, err := f.ResumeSession(t.Context(), text); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("idle for longer than session_timeout: %v", err)
	}
}

func TestLoggingOutEndsEveryTextOfTheSessionOnEveryServer(t *testing.T) {
	t.Parallel()
	each(t, logOut)
}

func logOut(t *testing.T, f *fixture) {
	other, err := account.New(t.Context(), f.db, account.Options{PasswordCost: cheap(), Clock: f.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	text := opened(t, f, "admin", adminPassword)
	f.clock.Advance(30 * time.Minute)
	s, err := f.ResumeSession(t.Context(), text)
	if err != nil {
		t.Fatal(err)
	}
	prolonged, err := f.ProlongSession(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	stays := opened(t, f, "admin", adminPassword)
	if _, err := other.ResumeSession(t.Context(), prolonged); err != nil {
		t.Fatalf("on another server: %v", err)
	}
	if err := f.EndSession(t.Context(), text); err != nil {
		t.Fatal(err)
	}
	f.clock.Advance(2 * time.Second)
	for name, service := range map[string]*account.Service{"here": f.Service, "on another server": other} {
		for _, ended := range []string{text, prolonged} {
			if _, err := service.ResumeSession(t.Context(), ended); !problem.Is(err, problem.Unauthorized) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := service.ResumeSession(t.Context(), stays); err != nil {
			t.Errorf("%s, another session of the same user: %v", name, err)
		}
	}
	f.clock.Advance(40 * time.Minute) // the first text has ended by itself now, the prolonged one has not
	if err := f.EndSession(t.Context(), stays); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ResumeSession(t.Context(), prolonged); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("forgotten too soon: %v", err)
	}
	if err := f.EndSession(t.Context(), "nonsense"); err != nil {
		t.Error(err)
	}
}

func TestASessionEndsWithThePasswordAndTheAccount(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	admin := f.login(t, "admin", adminPassword)
	id, err := f.CreateUser(t.Context(), admin, account.NewUser{Username: "dev", Email: "dev@example.com", Realname: "dev", Password: "Dev12345"})
	if err != nil {
		t.Fatal(err)
	}
	first := opened(t, f, "dev", "Dev12345")
	if err := f.SetPassword(t.Context(), admin, id, "", "Dev123456"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ResumeSession(t.Context(), first); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("after another password: %v", err)
	}
	second := opened(t, f, "dev", "Dev123456")
	if err := f.SetSysAdmin(t.Context(), admin, id, true); err != nil {
		t.Fatal(err)
	}
	if s, err := f.ResumeSession(t.Context(), second); err != nil || !s.Principal.SysAdmin {
		t.Errorf("rights that were given meanwhile: %+v, %v", s.Principal, err)
	}
	if err := f.DeleteUser(t.Context(), admin, id); err != nil {
		t.Fatal(err)
	}
	if _, err := f.ResumeSession(t.Context(), second); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("of a user that is gone: %v", err)
	}
}

func TestOnlyPeopleHaveSessions(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{})
	for _, p := range []account.Principal{account.Anonymous(), account.System("test"), {Kind: account.KindRobot, ID: 1, Name: "robot$ci"}} {
		if _, err := f.OpenSession(t.Context(), p); !problem.Is(err, problem.Unauthorized) {
			t.Errorf("%s: %v", p.Kind, err)
		}
	}
}

func TestASessionOfAnAccountOfElsewhereLastsAndIsNotProlonged(t *testing.T) {
	t.Parallel()
	there := &harborLike{users: map[string]account.User{"boss:Boss12345": {ID: 1, Username: "boss", Realname: "The Boss", SysAdmin: true}}}
	f := open(t, account.Options{Elsewhere: there})
	text := opened(t, f, "boss", "Boss12345")
	f.clock.Advance(50 * time.Minute)
	s, err := f.ResumeSession(t.Context(), text)
	if err != nil || s.Principal.Name != "boss" || !s.Principal.SysAdmin || s.Due() {
		t.Fatalf("%+v, %v", s, err)
	}
	if u, err := f.CurrentUser(t.Context(), s.Principal); err != nil || u.Realname != "The Boss" || u.ID != 1 {
		t.Errorf("%+v, %v", u, err)
	}
	f.clock.Advance(11 * time.Minute)
	if _, err := f.ResumeSession(t.Context(), text); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("rights of more than an hour ago: %v", err)
	}
}
