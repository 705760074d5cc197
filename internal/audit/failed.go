package audit

import (
	"context"
	"net/netip"
)

// WriteFailed records at once what was refused or has failed, unless the same has been
// recorded within the last minute: then it is counted.
func (l *Log) WriteFailed(ctx context.Context, e Entry) error {
	if l == nil || !l.wanted(ctx, l.db, e) {
		return nil
	}
	if e = l.timed(e); !l.isFirst(e, l.failures, failure{e.Kind, e.Username, e.Resource, e.Description}) {
		return nil
	}
	return l.Write(ctx, e)
}

// NoteFailed is WriteFailed for who cannot wait.
func (l *Log) NoteFailed(ctx context.Context, e Entry) {
	if l == nil || !l.wanted(ctx, l.db, e) {
		return
	}
	if e = l.timed(e); l.isFirst(e, l.failures, failure{e.Kind, e.Username, e.Resource, e.Description}) {
		l.Note(ctx, e)
	}
}

// isFirst notes what is due beside.
func (l *Log) isFirst(e Entry, among *repeats, f failure) bool {
	write, due := among.first(e, f)
	l.keep(due)
	return write
}

// NoteLogin notes that somebody logged in from an address.
func (l *Log) NoteLogin(ctx context.Context, name, remote string) {
	l.Note(ctx, login(name, remote, false))
}

// NoteFailedLogin notes that somebody could not log in from an address. Anybody can fail
// under any name as often as they like: of one name it is recorded once a minute, with how
// often, and there are never more than some names a minute.
func (l *Log) NoteFailedLogin(ctx context.Context, name, remote string) {
	e := login(name, remote, true)
	if l == nil || !l.wanted(ctx, l.db, e) {
		return
	}
	if e = l.timed(e); l.isFirst(e, l.logins, failure{kind: e.Kind, username: e.Username}) {
		l.Note(ctx, e)
	}
}

// NoteRefusedLogin notes that somebody was not let try a password, since too many had been
// wrong. How often is recorded, and no name: who is refused may send any.
func (l *Log) NoteRefusedLogin(ctx context.Context, name, remote string) {
	e := login(name, remote, true)
	if l == nil || !l.wanted(ctx, l.db, e) {
		return
	}
	l.logins.uncounted(l.timed(e))
}

// longestName is how much of a name that cannot log in is kept: Harbor's names are not longer.
const longestName = 255

func login(name, remote string, failed bool) Entry {
	if failed {
		name = clipped(name, longestName)
	}
	e := Entry{Username: name, Resource: name, Kind: LoginUser, Description: "login", Failed: failed}
	if at, err := netip.ParseAddrPort(remote); err == nil {
		remote = at.Addr().Unmap().String() // the port says nothing
	}
	if remote != "" {
		e.Description += " from " + remote
	}
	return e
}
