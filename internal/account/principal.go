package account

import (
	"context"
	"net/netip"
)

// Kind says what sort of caller a Principal is.
type Kind int

// The kinds of principals.
const (
	KindAnonymous Kind = iota // nobody has said who they are
	KindUser
	KindRobot
	KindSystem // Lighterage itself: may do everything, has no account
)

// String names the kind as Harbor names its security contexts.
func (k Kind) String() string {
	switch k {
	case KindUser:
		return "local"
	case KindRobot:
		return "robot"
	case KindSystem:
		return "system"
	default:
		return "anonymous"
	}
}

// Principal is whoever makes a request. The zero Principal is anonymous. It is a
// snapshot of an account; Renew brings a kept one up to date.
type Principal struct {
	Kind     Kind
	ID       int64  // of the user or robot
	Name     string // as it is logged in with: admin, robot$ci, robot$library+ci
	SysAdmin bool
	// Generation changes when the password or secret does. Whoever keeps a
	// Principal for long (a session) keeps it too and asks Renew.
	Generation string

	robotProject int64 // of a project robot, 0: system level
	grants       []grant
}

// Anonymous returns the principal of a request without credentials.
func Anonymous() Principal { return Principal{} }

// System returns the principal of Lighterage itself, which may do everything.
// name says which part of it acts.
func System(name string) Principal {
	return Principal{Kind: KindSystem, Name: name, SysAdmin: true}
}

// Authenticated reports whether the principal has proven who it is.
func (p Principal) Authenticated() bool { return p.Kind != KindAnonymous }

// Operator is the name that records of what the principal did carry.
func (p Principal) Operator() string {
	if !p.Authenticated() {
		return "anonymous"
	}
	return p.Name
}

type remoteKey struct{}

// WithRemote tells Authenticate and Authorize the address that a request comes
// from (an IP address, with or without a port), so that wrong logins of one
// address do not slow down others. Behind a proxy it must be the client's address.
func WithRemote(ctx context.Context, address string) context.Context {
	return context.WithValue(ctx, remoteKey{}, address)
}

// RemoteOf returns the address that WithRemote told, "" if it did not.
func RemoteOf(ctx context.Context) string {
	remote, _ := ctx.Value(remoteKey{}).(string)
	return remote
}

// remoteGroup is the part of an address that one client cannot change: all of an
// IPv4 address, the /64 network of an IPv6 address.
func remoteGroup(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		withPort, err := netip.ParseAddrPort(address)
		if err != nil {
			return address
		}
		ip = withPort.Addr()
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}
