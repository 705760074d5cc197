package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/tree"
)

// The exit codes of every command.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitUnreachable = 3
	exitNothing     = 4
	exitUnknown     = 5
	exitInterrupted = 130
)

// exitCodes is the table that help shows.
const exitCodes = `Exit codes:
  0    all went well
  1    something failed: some artifacts, an execution, a request to the server
  2    the command line or its input is wrong; nothing was done
  3    a registry or the server cannot be reached, or refuses the credential
  4    nothing matched, so nothing was replicated (--allow-empty makes it 0)
  5    it could not be found out whether all is in sync (drift), or what is to be done (plan)
  130  interrupted`

// failure is an error with its exit code and what the user can do about it.
type failure struct {
	code   int
	err    error  // nil: everything has been said
	advice string // "" if the error says it already
}

func (f *failure) Error() string {
	if f.err == nil {
		return fmt.Sprintf("exit code %d", f.code)
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// usage is a mistake in the command line.
func usage(format string, args ...any) error {
	return &failure{code: exitUsage, err: fmt.Errorf(format, args...)}
}

// advise adds what to do to an error.
func advise(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &failure{code: exitCode(err), err: err, advice: fmt.Sprintf(format, args...)}
}

// silent ends the program with a code; what is to be said has been said.
func silent(code int) error { return &failure{code: code} }

// errInterrupted is the cause of contexts that end because the user said so.
var errInterrupted = errors.New("interrupted")

// exitCode tells the code that an error ends the program with.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code
	}
	if errors.Is(err, errInterrupted) || errors.Is(err, context.Canceled) {
		return exitInterrupted
	}
	if a, ok := errors.AsType[*apiError](err); ok {
		return a.exitCode()
	}
	if unreachable(err) || tree.IsFatal(err) {
		return exitUnreachable
	}
	switch problem.KindOf(err) {
	case problem.BadRequest, problem.Unsupported, problem.Unprocessable:
		return exitUsage
	case problem.Unauthorized, problem.Forbidden:
		return exitUnreachable
	}
	return exitFailed
}

// unreachable reports whether err says that a registry or server cannot be
// talked to at all, or refuses who is asking.
func unreachable(err error) bool {
	if registry.IsUnauthorized(err) {
		return true
	}
	if _, ok := errors.AsType[*registry.PingError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	_, ok := errors.AsType[*net.DNSError](err)
	return ok
}

// report tells the user what went wrong.
func report(w io.Writer, err error) {
	if err == nil {
		return
	}
	f, ok := errors.AsType[*failure](err)
	if ok && f.err == nil {
		return
	}
	fmt.Fprintf(w, "lighterage: %s\n", term.SafeLines(err.Error()))
	if ok && f.advice != "" {
		fmt.Fprintf(w, "  %s\n", strings.ReplaceAll(term.SafeLines(f.advice), "\n", "\n  "))
	}
}
