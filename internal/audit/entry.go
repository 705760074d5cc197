// Package audit keeps who did what: Harbor's audit log, in the database.
//
// What changes something is recorded in the transaction that changes it (Add), so that
// the log has what was done and nothing else. What changes nothing (pulls, logins) is
// noted (Note) and written with others a moment later: it waits for no log, and does not
// fail when the log does; a process that is killed may lose the notes of its last second.
// What fails again and again is counted (WriteFailed, NoteFailedLogin): nobody fills the
// log by failing.
//
// An entry is for good: nothing here changes one, and only the time that the settings
// say removes it.
package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// Entry is one thing that somebody did.
type Entry struct {
	ID          int64
	Project     string // name of the project it happened in, "": in none; not read back
	Username    string
	Resource    string // library/alpine:3.20, a user's name, ...
	Kind        Kind
	Description string
	Failed      bool // it was refused, or it failed
	Time        time.Time
}

const (
	maxText = 1024 // bytes of what a client can make as long as it likes
	columns = 8
	atOnce  = 100 // entries a statement
	tooLong = "…"
)

// insert writes entries.
func (l *Log) insert(ctx context.Context, tx *store.Tx, entries []Entry) error {
	for start := 0; start < len(entries); start += atOnce {
		var rows []string
		var args []any
		for _, e := range entries[start:min(start+atOnce, len(entries))] {
			n := len(args)
			rows = append(rows, fmt.Sprintf("(COALESCE((SELECT id FROM projects WHERE name = $%d), 0), $%d, $%d, $%d, $%d, $%d, $%d, $%d)",
				n+1, n+2, n+3, n+4, n+5, n+6, n+7, n+columns))
			args = append(args, text(e.Project), text(e.Username), text(e.Resource), text(e.Kind.Type()), text(e.Kind.Operation()), text(e.Description), !e.Failed, store.Millis(e.Time))
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO audit_logs
			(project_id, username, resource, resource_type, operation, operation_description, operation_result, op_time) VALUES `+strings.Join(rows, ", "), args...)
		if err != nil {
			return fmt.Errorf("write the audit log: %w", err)
		}
	}
	if slices.ContainsFunc(entries, func(e Entry) bool { return l.now().Sub(e.Time) >= lateAfter }) {
		return recount(ctx, tx)
	}
	return nil
}

// text is what a database takes of what a client sent.
func text(s string) string {
	return clipped(strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD"), maxText)
}

// clipped is a text of so many bytes at most.
func clipped(s string, most int) string {
	if len(s) <= most {
		return s
	}
	s = strings.ToValidUTF8(s[:most-len(tooLong)], "") // the last letter may have been cut
	return s + tooLong
}
