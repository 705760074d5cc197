package account

import (
	"context"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
)

// Elsewhere is a system that keeps accounts of its own, such as a Harbor that is home.
type Elsewhere interface {
	// Login returns who has a name and password; found is false when nobody has. An
	// error means that it is not known.
	Login(ctx context.Context, username, password string) (u User, found bool, err error)
}

// visitorFor is how long a login of an account that is kept elsewhere counts before it
// is asked for again: who has lost rights there keeps them here for no longer.
const visitorFor = 5 * time.Minute

// visitor is an account that is kept elsewhere. Its principal has the negative of its
// id, so that it is never taken for an account that is kept here.
type visitor struct{ user User }

func (v visitor) principal() Principal {
	return Principal{Kind: KindUser, ID: -v.user.ID, Name: v.user.Username, SysAdmin: v.user.SysAdmin, Generation: "elsewhere"}
}

// visits reports whether an account is kept elsewhere.
func (p Principal) visits() bool { return p.Kind == KindUser && p.ID < 0 }

// visit asks elsewhere who has a name and password, and remembers who has.
func (s *Service) visit(ctx context.Context, proof [32]byte, username, password string) (visitor, bool, error) {
	if s.options.Elsewhere == nil || !validText(username) || !validText(password) {
		return visitor{}, false, nil
	}
	user, found, err := s.options.Elsewhere.Login(ctx, username, password)
	if err != nil {
		return visitor{}, false, fmt.Errorf("log in %s: %w", username, err)
	}
	if !found || user.ID <= 0 {
		return visitor{}, false, nil
	}
	v := visitor{user}
	s.visitors.put(proof, v)
	s.present.put(user.Username, v)
	return v, true, nil
}

// renewVisitor returns the present state of an account that is kept elsewhere, for as
// long as its last login counts.
func (s *Service) renewVisitor(p Principal) (Principal, error) {
	v, found := s.present.get(p.Name)
	if !found || -v.user.ID != p.ID {
		return Principal{}, problem.New(problem.Unauthorized, "unauthorized")
	}
	return v.principal(), nil
}

func (s *Service) visitingUser(p Principal) (User, error) {
	v, found := s.present.get(p.Name)
	if !found || -v.user.ID != p.ID {
		return User{}, problem.New(problem.Unauthorized, "unauthorized")
	}
	return v.user, nil
}
