package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"
	"unicode"
)

var (
	// ErrUnsupported: the registry cannot do what was asked, and asking again will not help.
	ErrUnsupported = errors.New("the registry does not support this")
	// ErrUploadLost: the upload session is gone; what was sent to it is too. Start another.
	ErrUploadLost = errors.New("the upload session is lost")
	// ErrOffsetUnknown: the registry does not say clearly how much of an upload it has.
	ErrOffsetUnknown = errors.New("the registry does not say how much it has received")
	// ErrRange: a part does not begin where the registry expects it (416), or a blob has
	// no such byte. Ask Upload.Status where to go on.
	ErrRange = errors.New("the range does not fit")
	// ErrDigestMismatch: content is not what its digest says. Nothing of it may be used.
	ErrDigestMismatch = errors.New("digest mismatch")
	// ErrTooLarge: a manifest or list is larger than any honest one.
	ErrTooLarge = errors.New("larger than the limit")
)

// Error is a registry's answer that is not the one hoped for. Its text holds no
// credential and no query, since upload and storage URLs carry signatures there.
type Error struct {
	Method     string
	Host       string
	Path       string
	Status     int
	Codes      []Code
	RetryAfter time.Duration // 0: the registry named no time

	hint    string // what to know or do, beyond the registry's own words
	missing bool   // a refusal that means "there is no such thing"
	renewed bool   // refused for a token that has been thrown away: another try may pass
	cause   error  // one of the errors above, when the answer means it
}

// Code is one entry of a registry's error list (distribution-spec, error codes).
type Code struct {
	Code    string
	Message string
	Detail  string // JSON, "" when absent
}

// Error returns method, host, path, status and the registry's own words.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s%s: %d %s", e.Method, e.Host, e.Path, e.Status, http.StatusText(e.Status))
	for i, c := range e.Codes {
		b.WriteString([]string{": ", "; "}[min(i, 1)])
		b.WriteString(strings.Trim(c.Code+" "+once(c.Message), " "))
		if detail := c.cause(); detail != "" && e.Status >= http.StatusInternalServerError {
			b.WriteString(": " + detail)
		}
		if i == 2 && len(e.Codes) > 3 {
			fmt.Fprintf(&b, " (and %d more)", len(e.Codes)-3)
			break
		}
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, " (try again in %s)", e.RetryAfter.Round(time.Second))
	}
	if e.hint != "" {
		b.WriteString(": " + e.hint)
	}
	return b.String()
}

// cause is what the detail of a registry's own failure says went wrong. Distribution
// says no more than "unknown error" beside it, also when its disk is full.
func (c Code) cause() string {
	var text string
	if json.Unmarshal([]byte(c.Detail), &text) == nil {
		return oneLine(text)
	}
	var failed struct { // distribution v2's storage driver
		Enclosed struct {
			Op, Path string
			Err      syscall.Errno
		}
	}
	if json.Unmarshal([]byte(c.Detail), &failed) == nil && failed.Enclosed.Err != 0 {
		return oneLine(fmt.Sprintf("%s %s: %s", failed.Enclosed.Op, failed.Enclosed.Path, failed.Enclosed.Err.Error()))
	}
	return ""
}

// once shortens "x: x", as Harbor's core says most things, to "x".
func once(message string) string {
	if half := len(message) / 2; half > 0 && message[:half-1] == message[half+1:] && message[half-1:half+1] == ": " {
		return message[:half-1]
	}
	return message
}

// Unwrap returns the package's error that the answer means, if any.
func (e *Error) Unwrap() error { return e.cause }

// has reports whether the registry named one of the codes.
func (e *Error) has(codes ...string) bool {
	for _, c := range e.Codes {
		for _, want := range codes {
			if c.Code == want {
				return true
			}
		}
	}
	return false
}

// BodyError says that the body given to an upload could not be read: the failure is
// the source's, not the registry's that was being written to.
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return "read what is to be sent: " + e.Err.Error() }

// Unwrap returns the reader's own error.
func (e *BodyError) Unwrap() error { return e.Err }

// StallError says that a transfer or an answer stood still for too long.
type StallError struct {
	What string        // "answer", "download", "upload"
	For  time.Duration // how long nothing moved
}

func (e *StallError) Error() string {
	return fmt.Sprintf("%s stalled: nothing moved for %s", e.What, e.For.Round(time.Millisecond))
}

// Timeout makes it a net.Error like other timeouts.
func (e *StallError) Timeout() bool { return true }

// Temporary completes net.Error.
func (e *StallError) Temporary() bool { return true }

// IsNotFound reports whether the repository, manifest, tag, blob or session does not exist.
func IsNotFound(err error) bool {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return false
	}
	return e.Status == http.StatusNotFound || e.missing ||
		e.has("NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN")
}

// IsUnauthorized reports whether the registry refused who is asking (401) or what they
// may do (403).
func IsUnauthorized(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && !e.missing && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden)
}

// IsTemporary reports whether the same request may pass later without anybody doing
// anything: the host is busy, restarting or out of reach. A cancelled context is not.
func IsTemporary(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) {
		return false
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.renewed || temporaryStatus(e.Status)
	}
	if _, ok := errors.AsType[*StallError](err); ok {
		return true
	}
	if isTLSFailure(err) {
		return false
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return !dns.IsNotFound
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return true
	}
	for _, passing := range []error{
		io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.ECONNABORTED,
		syscall.EPIPE, syscall.ETIMEDOUT, syscall.EHOSTUNREACH, syscall.ENETUNREACH,
	} {
		if errors.Is(err, passing) {
			return true
		}
	}
	// net/http reports some broken connections by text only.
	text := err.Error()
	return strings.Contains(text, "http2: server sent GOAWAY") || strings.Contains(text, "stream error:") ||
		strings.Contains(text, "server closed idle connection") || strings.Contains(text, "http2: client connection lost")
}

// temporaryStatus: 429 and the 5xx that speak of the moment. 501, 505 and 507 do not.
func temporaryStatus(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout,
		520, 521, 522, 523, 524, 529: // what proxies in front of registries answer
		return true
	}
	return false
}

// RetryAfter returns how long the registry asked to be left alone, 0 if it did not.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.RetryAfter
	}
	return 0
}

// parseCodes reads an error body: the distribution specification's list, a message in
// one of the forms that gateways use, or a short plain text.
func parseCodes(header http.Header, body []byte) []Code {
	var list struct {
		Errors []struct {
			Code    string          `json:"code"`
			Message string          `json:"message"`
			Detail  json.RawMessage `json:"detail"`
		} `json:"errors"`
		Message string `json:"message"`
		Details string `json:"details"` // some token servers
	}
	if json.Unmarshal(body, &list) == nil {
		var codes []Code
		for _, e := range list.Errors {
			detail := string(e.Detail)
			if detail == "null" {
				detail = ""
			}
			codes = append(codes, Code{Code: oneLine(e.Code), Message: oneLine(e.Message), Detail: detail})
		}
		if codes == nil && list.Message+list.Details != "" {
			codes = []Code{{Message: oneLine(strings.Trim(list.Message+" "+list.Details, " "))}}
		}
		return codes
	}
	if mt, _, _ := mime.ParseMediaType(header.Get("Content-Type")); mt == "text/plain" && len(body) > 0 {
		return []Code{{Message: oneLine(string(body))}}
	}
	return nil
}

// oneLine makes foreign text fit to stand in an error: one line, printable, not long.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > 300 {
		s = string(r[:300]) + "..."
	}
	return s
}
