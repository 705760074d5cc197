package tree

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
)

// s3Error is a store's answer that is not the one hoped for.
type s3Error struct {
	code    string // the store's word: AccessDenied
	message string // the store's explanation
	hint    string // what to know or do, "" if that is clear
	status  int    // of HTTP
	missing bool   // there is no such object
}

func (e *s3Error) Error() string {
	text := e.code
	if message := oneLine(e.message); message != "" && message != e.code {
		text += ": " + message
	}
	if e.hint != "" {
		text += " (" + e.hint + ")"
	}
	return text
}

// Is makes the error fs.ErrNotExist where it says so.
func (e *s3Error) Is(target error) bool { return e.missing && target == fs.ErrNotExist }

// S3Code is the store's own word for a failure, such as "AccessDenied"; "" if err is
// no store's answer.
func S3Code(err error) string {
	if e, ok := errors.AsType[*s3Error](err); ok {
		return e.code
	}
	return ""
}

// oneLine makes foreign text fit to stand in a message.
func oneLine(text string) string {
	const longest = 300
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "?")), " ")
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "..."
	}
	return text
}

// verdict is what to do after a failure.
type verdict struct {
	err   error
	again bool          // it may pass another time
	busy  bool          // the store has asked for less
	after time.Duration // and for this much silence
}

// s3Final are the codes after which nothing will succeed, with what to do about it.
var s3Final = map[string]string{
	"NoSuchBucket":                   "the bucket is not there: make it, or look at its name and the endpoint",
	"InvalidBucketName":              "",
	"AllAccessDisabled":              "",
	"AccountProblem":                 "",
	"NotSignedUp":                    "",
	"InvalidSecurity":                "",
	"InvalidAccessKeyId":             "the store does not know the access key",
	"XAdminUserNotFound":             "the store does not know the access key", // versitygw's word
	"InvalidToken":                   "the session token is wrong",
	"InvalidClientTokenId":           "the session token is wrong",
	"ExpiredToken":                   "the session token has expired",
	"SignatureDoesNotMatch":          "the secret key is wrong, or something between here and the store changes requests",
	"AuthorizationHeaderMalformed":   "the region is wrong",
	"InvalidRegion":                  "the region is wrong",
	"IllegalLocationConstraint":      "the region is wrong",
	"PermanentRedirect":              "the bucket is in another region, or needs another endpoint or path style",
	"TemporaryRedirect":              "the bucket is in another region, or needs another endpoint or path style",
	"AccessControlListNotSupported":  "the bucket takes no ACL: use acl=none, and for the registry set objectacl",
	"InvalidStorageClass":            "the store does not know the storage class: leave it out, or use NONE",
	"NotImplemented":                 "the store does not know something that was asked of it",
	"QuotaExceeded":                  "the bucket is full",
	"InsufficientStorage":            "the store is full",
	"XMinioStorageFull":              "the store is full",
	"XMinioBackendDown":              "",
	"XMinioAdminBucketQuotaExceeded": "the bucket is full",
}

// s3Busy are the codes with which stores ask for less.
var s3Busy = []string{"SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable", "Throttling", "ThrottlingException",
	"RequestLimitExceeded", "RequestThrottled", "TooManyRequests", "BandwidthLimitExceeded"}

// s3Again are the codes of failures that pass, whatever their HTTP status. A store over
// a file system, versitygw, answers ExistingObjectIsDirectory also when the folder of an
// object went away with the last other object in it.
var s3Again = []string{"InternalError", "RequestTimeout", "IncompleteBody", "OperationAborted", "ConditionalRequestConflict",
	"XMinioServerNotInitialized", "RequestTimedOut", "ServerNotInitialized", "ExistingObjectIsDirectory"}

// judge decides what a failed attempt means.
func (s *S3) judge(call *s3Call, err error) verdict {
	if final, ok := errors.AsType[*finalError](err); ok {
		return verdict{err: final.err}
	}
	if damaged, ok := errors.AsType[*damagedError](err); ok {
		return verdict{err: damaged, again: true}
	}
	if call.source != nil {
		return verdict{err: fmt.Errorf("its content cannot be read: %w", call.source)}
	}
	if call.err != nil {
		return judgeNetwork(call.err)
	}
	answer, ok := err.(minio.ErrorResponse) //nolint:errorlint // minio-go returns it so
	if !ok {
		// An answer that could not be understood, most likely for being cut short.
		return verdict{err: fmt.Errorf("the answer makes no sense: %w", err), again: true}
	}
	return s.judgeAnswer(call, answer)
}

func judgeNetwork(err error) verdict {
	for _, hopeless := range []func(error) bool{isErr[*tls.CertificateVerificationError], isErr[x509.UnknownAuthorityError],
		isErr[x509.HostnameError], isErr[x509.CertificateInvalidError], isErr[tls.RecordHeaderError],
		func(err error) bool {
			return strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")
		}} {
		if hopeless(err) {
			return verdict{err: &fatalError{err}}
		}
	}
	if isTimeout(err) {
		err = fmt.Errorf("nothing has moved for too long: %w", err)
	}
	return verdict{err: err, again: true}
}

func isErr[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// isUnreachable reports whether a connection could not even be made.
func isUnreachable(err error) bool {
	operation, ok := errors.AsType[*net.OpError](err)
	return ok && operation.Op == "dial"
}

func (s *S3) judgeAnswer(call *s3Call, answer minio.ErrorResponse) verdict {
	e := &s3Error{code: answer.Code, message: answer.Message, status: answer.StatusCode}
	if e.code == "" {
		e.code = fmt.Sprintf("HTTP status %d", answer.StatusCode)
	}
	hint, final := s3Final[e.code]
	switch {
	case slices.Contains(s3Busy, e.code), e.status == http.StatusTooManyRequests, e.status == http.StatusServiceUnavailable:
		return verdict{err: e, again: true, busy: true, after: call.retryAfter()}
	case e.code == "RequestTimeTooSkewed":
		e.hint = "the clocks differ; set this machine's or the store's"
		if skew := call.skew(); skew != 0 {
			e.hint = fmt.Sprintf("this machine's clock is %s %s the store's", skew.Abs(), map[bool]string{true: "ahead of", false: "behind"}[skew > 0])
		}
		return verdict{err: &fatalError{e}}
	case e.code == minio.NoSuchKey || e.code == "NoSuchVersion" || e.code == "NoSuchUpload":
		e.missing = e.code != "NoSuchUpload"
		return verdict{err: e}
	case final:
		e.hint = hint
		if answer.Region != "" && strings.Contains(hint, "region") && answer.Region != s.config.Region {
			e.hint = fmt.Sprintf("the bucket's region is %s, and not %s", answer.Region, s.config.Region)
		}
		return verdict{err: &fatalError{e}}
	case e.status == http.StatusNotImplemented:
		e.hint = s3Final["NotImplemented"]
		return verdict{err: &fatalError{e}}
	case e.status == http.StatusInsufficientStorage:
		e.hint = "the store is full"
		return verdict{err: &fatalError{e}}
	case e.status == http.StatusForbidden && call.lane == s3Rest:
		e.hint = "the credentials do not permit this"
		return verdict{err: &fatalError{e}}
	case slices.Contains(s3Again, e.code), e.status >= 500, e.status == http.StatusRequestTimeout, e.status == 499:
		return verdict{err: e, again: true, after: call.retryAfter()}
	default:
		return verdict{err: e}
	}
}

// finalError ends the attempts at something.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }

// damagedError is that bytes were not the same when they came to the store.
type damagedError struct{ reason string }

func (e *damagedError) Error() string { return "the content was damaged on its way: " + e.reason }

// isMismatch reports whether the store says that the bytes it got do not have the
// digest the request was signed with. refusal is the word that the store was seen to
// use for that.
func isMismatch(err error, refusal string) bool {
	answer, ok := err.(minio.ErrorResponse) //nolint:errorlint // minio-go returns it so
	if !ok {
		return false
	}
	switch {
	case answer.Code == "BadDigest", answer.Code == "InvalidDigest", strings.Contains(answer.Code, "SHA256Mismatch"),
		strings.Contains(answer.Code, "ChecksumMismatch"):
		return true
	default:
		return refusal != "" && answer.Code == refusal
	}
}
