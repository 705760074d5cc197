// Package problem is the vocabulary of failures that a user caused or can mend.
//
// An error made here carries a Kind, which the API turns into an HTTP status and
// Harbor's error code, and the command line into an exit code. Errors without a
// Kind are Unknown: something that went wrong in Lighterage itself. The package
// never logs and never decides what a caller does.
package problem

import (
	"errors"
	"fmt"
)

// Kind says what sort of failure an error is. Its text is the error code that
// Harbor's API answers with (Harbor: lib/errors/const.go).
type Kind string

// The kinds, with the HTTP status each one is answered with.
const (
	BadRequest     Kind = "BAD_REQUEST"              // 400
	Unsupported    Kind = "UNSUPPORTED"              // 400
	Unauthorized   Kind = "UNAUTHORIZED"             // 401
	Forbidden      Kind = "FORBIDDEN"                // 403: the caller may not do this
	Denied         Kind = "DENIED"                   // 403: nobody may do this now (read-only mode)
	NotFound       Kind = "NOT_FOUND"                // 404
	NotAllowed     Kind = "METHOD_NOT_ALLOWED"       // 405
	Conflict       Kind = "CONFLICT"                 // 409
	Precondition   Kind = "PRECONDITION"             // 412
	TooLarge       Kind = "REQUEST_ENTITY_TOO_LARGE" // 413
	Unprocessable  Kind = "UNPROCESSABLE_ENTITY"     // 422
	TooManyRequest Kind = "TOO_MANY_REQUEST"         // 429
	NotImplemented Kind = "NOT_IMPLEMENTED"          // 501: this server has no such thing
	Unknown        Kind = "UNKNOWN"                  // 500
)

// Error is a failure with a Kind and a message meant for the user.
type Error struct {
	Kind    Kind
	Message string
	Err     error // the cause; may be nil
}

// Error returns the message, followed by the cause if there is one.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return e.Message + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an error of a kind. The message is shown to the user as it is.
func New(kind Kind, format string, args ...any) error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Wrap gives err a kind and says what was being done. Wrap(nil) is nil.
func Wrap(kind Kind, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...), Err: err}
}

// KindOf returns the kind of the outermost Error in err's chain, Unknown if there is none.
func KindOf(err error) Kind {
	var p *Error
	if errors.As(err, &p) {
		return p.Kind
	}
	return Unknown
}

// Is reports whether err is of the kind.
func Is(err error, kind Kind) bool { return err != nil && KindOf(err) == kind }
