package registry

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// FuzzFailure: whatever a provider answers, a failure has a status that says so and words
// that fit into one line.
func FuzzFailure(f *testing.F) {
	for _, s := range []string{
		`{"__type":"com.amazonaws.ecr#ThrottlingException","message":"Rate exceeded"}`,
		`{"Response":{"Error":{"Code":"AuthFailure.SecretIdNotFound","Message":"m"}}}`,
		`{"ResponseMetadata":{"Error":{"Code":"AccessDenied","Message":"m"}}}`,
		`{"Code":"InvalidAccessKeyId.NotFound","Message":"m"}`, `{"errors":[{"code":"X","message":"y"}]}`, `{"error":{"a":1}}`, `{"message":["a"]}`,
		`{"Response":"text"}`, `{"code":404}`, `[]`, ``, `{"message":"two\nlines"}`,
	} {
		for _, status := range []int{200, 400, 404, 503} {
			f.Add(status, s)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			t.Skip()
		}
		a := &answer{
			request: &request{method: http.MethodPost, url: &url.URL{Scheme: "https", Host: "api.example", Path: "/"}},
			status:  status, header: http.Header{}, body: []byte(body),
		}
		e := a.fail()
		readFailure(e, a)
		if e.Status < 300 || e.Status > 599 {
			t.Errorf("%d %q becomes %d", status, body, e.Status)
		}
		if text := e.Error(); strings.ContainsAny(text, "\r\n") || len(text) > 4000 {
			t.Errorf("%d %q says %q", status, body, text)
		}
	})
}

func TestWhatProvidersCallAFailure(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]int{
		`{"__type":"com.amazonaws.ecr#ThrottlingException","message":"Rate exceeded"}`:                 http.StatusTooManyRequests,
		`{"__type":"RepositoryNotFoundException"}`:                                                     http.StatusNotFound,
		`{"__type":"RepositoryAlreadyExistsException"}`:                                                http.StatusConflict,
		`{"__type":"AccessDeniedException"}`:                                                           http.StatusForbidden,
		`{"__type":"UnrecognizedClientException"}`:                                                     http.StatusUnauthorized,
		`{"__type":"ServerException"}`:                                                                 http.StatusInternalServerError,
		`{"__type":"LimitExceededException"}`:                                                          http.StatusBadRequest, // too many repositories, not too many calls
		`{"Response":{"Error":{"Code":"RequestLimitExceeded","Message":"m"},"RequestId":"1"}}`:         http.StatusTooManyRequests,
		`{"Response":{"Error":{"Code":"InternalError","Message":"m"},"RequestId":"1"}}`:                http.StatusInternalServerError,
		`{"ResponseMetadata":{"Error":{"Code":"AlreadyExists.Repository","Message":"m"}},"Result":{}}`: http.StatusConflict,
		`{"IsSuccess":false,"Code":"NAMESPACE_NOT_EXIST"}`:                                             http.StatusNotFound,
	} {
		a := &answer{request: &request{method: http.MethodPost, url: &url.URL{Host: "h"}}, status: http.StatusBadRequest, header: http.Header{}, body: []byte(body)}
		e := a.fail()
		if readFailure(e, a); e.Status != want || len(e.Codes) != 1 || e.Codes[0].Code == "" {
			t.Errorf("%s: %d %+v, want %d", body, e.Status, e.Codes, want)
		}
	}
}
