package embedded

import (
	"encoding/json"
	"net/http"

	"github.com/lighterage/lighterage/internal/problem"
)

// Error codes of the distribution specification (section "Error Codes"), and two
// that Harbor adds.
const (
	codeBlobUnknown         = "BLOB_UNKNOWN"
	codeDenied              = "DENIED"
	codeDigestInvalid       = "DIGEST_INVALID"
	codeManifestBlobUnknown = "MANIFEST_BLOB_UNKNOWN"
	codeManifestInvalid     = "MANIFEST_INVALID"
	codeManifestUnknown     = "MANIFEST_UNKNOWN"
	codeNameInvalid         = "NAME_INVALID"
	codeNameUnknown         = "NAME_UNKNOWN"
	codePaginationInvalid   = "PAGINATION_NUMBER_INVALID"
	codeSizeInvalid         = "SIZE_INVALID"
	codeTagInvalid          = "TAG_INVALID"
	codeTooManyRequests     = "TOOMANYREQUESTS"
	codeUnauthorized        = "UNAUTHORIZED"
	codeUnknown             = "UNKNOWN"
	codeUnsupported         = "UNSUPPORTED"
)

// readOnlyMessage is Harbor's text.
const readOnlyMessage = "The system is in read only mode. Any modification is prohibited."

const jsonType = "application/json; charset=utf-8"

type errorBody struct {
	Errors []errorEntry `json:"errors"`
}

type errorEntry struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail,omitempty"`
}

func fail(w http.ResponseWriter, status int, code, message string) {
	failDetailed(w, status, code, message, nil)
}

func failDetailed(w http.ResponseWriter, status int, code, message string, detail any) {
	writeJSON(w, jsonType, status, errorBody{Errors: []errorEntry{{Code: code, Message: message, Detail: detail}}})
}

func writeJSON(w http.ResponseWriter, contentType string, status int, body any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only when the client is gone
}

// failure is an error with the answer that it is.
type failure struct {
	status  int
	code    string
	message string
	detail  any
}

func (f *failure) Error() string { return f.message }

// answerOf maps errors to answers. What is not the client's fault is Unknown, and
// its text goes to the log and not to the client.
func answerOf(err error) *failure {
	status, code := http.StatusInternalServerError, codeUnknown
	switch problem.KindOf(err) {
	case problem.BadRequest:
		status, code = http.StatusBadRequest, codeManifestInvalid
	case problem.NotFound:
		status, code = http.StatusNotFound, codeManifestUnknown
	case problem.Denied:
		status, code = http.StatusForbidden, codeDenied
	case problem.Conflict, problem.Precondition:
		status, code = http.StatusConflict, codeDenied
	default:
		return &failure{status: status, code: code, message: "internal server error"}
	}
	return &failure{status: status, code: code, message: err.Error()}
}
