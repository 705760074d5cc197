package account_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/problem"
)

// harborLike keeps accounts elsewhere.
type harborLike struct {
	users map[string]account.User // by name and password
	err   error
	asked int
}

func (h *harborLike) Login(_ context.Context, name, password string) (account.User, bool, error) {
	h.asked++
	u, found := h.users[name+":"+password]
	return u, found, h.err
}

func TestAccountsThatAreKeptElsewhereLogIn(t *testing.T) {
	t.Parallel()
	there := &harborLike{users: map[string]account.User{
		"boss:Boss12345":  {ID: 1, Username: "boss", SysAdmin: true},
		"dev:Dev12345":    {ID: 3, Username: "dev"},
		"admin:OtherPass": {ID: 1, Username: "admin", SysAdmin: true},
		"odd:Odd12345":    {ID: 0, Username: "odd", SysAdmin: true},
	}}
	f := open(t, account.Options{Elsewhere: there})
	ctx := t.Context()

	boss, err := f.Authenticate(ctx, "boss", "Boss12345")
	if err != nil || !boss.SysAdmin || boss.Name != "boss" || boss.ID == 1 {
		t.Fatalf("%+v, %v: an account of elsewhere must have no id of one that is here", boss, err)
	}
	if u, err := f.CurrentUser(ctx, boss); err != nil || u.Username != "boss" || u.ID != 1 {
		t.Errorf("%+v, %v", u, err)
	}
	dev, err := f.Authenticate(ctx, "dev", "Dev12345")
	if err != nil || dev.SysAdmin {
		t.Errorf("%+v, %v", dev, err)
	}
	if err := f.Check(ctx, dev, 0, "registry", "list"); !problem.Is(err, problem.Forbidden) {
		t.Errorf("who is no administrator there: %v", err)
	}
	if _, err := f.Authenticate(ctx, "admin", "OtherPass"); err != nil {
		t.Errorf("the same name as here with the password of there: %v", err)
	}
	for _, wrong := range [][2]string{{"boss", "wrong"}, {"odd", "Odd12345"}, {"nobody", "x"}} {
		if _, err := f.Authenticate(ctx, wrong[0], wrong[1]); !problem.Is(err, problem.Unauthorized) {
			t.Errorf("%s: %v", wrong[0], err)
		}
	}
	f.login(t, "admin", adminPassword)
}

func TestALoginElsewhereCountsForAWhile(t *testing.T) {
	t.Parallel()
	there := &harborLike{users: map[string]account.User{"boss:Boss12345": {ID: 1, Username: "boss", SysAdmin: true}}}
	f := open(t, account.Options{Elsewhere: there})
	ctx := t.Context()
	boss, err := f.Authenticate(ctx, "boss", "Boss12345")
	if err != nil {
		t.Fatal(err)
	}
	there.users = nil
	for range 3 {
		if _, err := f.Authenticate(ctx, "boss", "Boss12345"); err != nil {
			t.Fatal(err)
		}
	}
	if there.asked != 1 {
		t.Errorf("asked %d times for one login", there.asked)
	}
	if again, err := f.Renew(ctx, boss); err != nil || again.ID != boss.ID {
		t.Errorf("%+v, %v", again, err)
	}
	f.clock.Advance(6 * time.Minute)
	if _, err := f.Renew(ctx, boss); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("renewed long after the login: %v", err)
	}
	if _, err := f.Authenticate(ctx, "boss", "Boss12345"); !problem.Is(err, problem.Unauthorized) {
		t.Errorf("an account that is gone there: %v", err)
	}
}

func TestElsewhereInTroubleRefusesNobodyWhoIsKeptHere(t *testing.T) {
	t.Parallel()
	f := open(t, account.Options{Elsewhere: &harborLike{err: errors.New("bad gateway")}})
	f.clock.Advance(time.Hour) // nothing is remembered
	f.login(t, "admin", adminPassword)
	_, err := f.Authenticate(t.Context(), "boss", "Boss12345")
	if err == nil || problem.Is(err, problem.Unauthorized) {
		t.Errorf("a password that could not be checked is not a wrong one: %v", err)
	}
}
