package transfer

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/registry"
)

// Side says at which end of a copy something failed.
type Side string

// The two ends.
const (
	Source      Side = "source"
	Destination Side = "destination"
)

// Error is why a copy or a removal failed. Its text names the step and the
// cause; it wraps the registry's own error where there is one.
type Error struct {
	Side Side
	// Op is the step that failed, such as "upload layer sha256:...".
	Op string
	// Retryable: the same call may pass later without anybody changing anything.
	// Damage, missing content and refusals are not retryable.
	Retryable bool
	Err       error
}

// Error returns the step and the cause.
func (e *Error) Error() string { return e.Op + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// IsRetryable reports whether the call that returned err may pass later by
// itself. The end of the caller's context counts as that.
func IsRetryable(err error) bool {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Retryable
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || registry.IsTemporary(err)
}

// failure wraps a registry call's error. Whether it may pass later follows from it.
func failure(side Side, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return err // it says already at which end, doing what
	}
	return &Error{Side: side, Op: fmt.Sprintf(format, args...), Retryable: mayPass(err), Err: err}
}

// fault is a failure that no repetition mends, such as content that is wrong.
func fault(side Side, err error, format string, args ...any) error {
	return &Error{Side: side, Op: fmt.Sprintf(format, args...), Err: err}
}

// mayPass reports whether the failed call is worth repeating some day: what the
// client calls temporary, and a disk that is full until somebody makes room.
func mayPass(err error) bool {
	if registry.IsTemporary(err) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return true
	}
	if errors.Is(err, registry.ErrUploadLost) || errors.Is(err, registry.ErrOffsetUnknown) || errors.Is(err, registry.ErrRange) {
		return true
	}
	e, ok := errors.AsType[*registry.Error](err)
	return ok && e.Status == http.StatusInsufficientStorage
}

// hasCode reports whether a registry answered with one of the error codes.
func hasCode(err error, codes ...string) bool {
	e, ok := errors.AsType[*registry.Error](err)
	if !ok {
		return false
	}
	for _, c := range e.Codes {
		for _, want := range codes {
			if c.Code == want {
				return true
			}
		}
	}
	return false
}

// status is the HTTP status of a registry's refusal, 0 when err is none.
func status(err error) int {
	if e, ok := errors.AsType[*registry.Error](err); ok {
		return e.Status
	}
	return 0
}

// short is a digest as it stands in messages: long enough to search for, short
// enough to read.
func short(d digest.Digest) string {
	const enough = 12
	if d.Validate() != nil || len(d.Encoded()) <= enough {
		return string(d)
	}
	return d.Algorithm().String() + ":" + d.Encoded()[:enough]
}
