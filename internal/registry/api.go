package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

// api is what a provider offers beside the distribution protocol: calls with JSON. They
// go through the gate of a client and have its patience with hosts that are busy.
type api struct {
	client *Client
	// authorize adds to a request what the provider wants to see. It is asked anew for
	// each try. nil: nothing.
	authorize func(ctx context.Context, r *request) error
	pace      *rate.Limiter // calls a second that the provider allows; nil: no limit of its own
	// login: requests are authorized by the endpoint's name and password.
	login bool
}

// call is one of them.
type call struct {
	method string
	url    *url.URL
	header http.Header
	in     any    // sent as JSON; nil: nothing is; []byte: sent as it is
	want   []int  // nil: 200, 201, 202 and 204
	needs  string // the permission that a refusal should name
}

var succeeded = []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent}

// do makes a call and reads the answer into out, unless that is nil.
func (a *api) do(ctx context.Context, c call, out any) (*answer, error) {
	r := &request{method: c.method, url: c.url, limit: maxListBody, want: c.want, stay: true, anonymous: !a.login, password: a.login}
	if r.want == nil {
		r.want = succeeded
	}
	header := http.Header{"Accept": {"application/json"}}
	for name, values := range c.header {
		header[name] = values
	}
	switch in := c.in.(type) {
	case nil:
	case []byte:
		r.body = in
	default:
		body, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		r.body = body
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", "application/json")
		}
	}
	var got *answer
	err := a.client.retry(ctx, func() error {
		if a.pace != nil {
			if err := a.pace.Wait(ctx); err != nil {
				return err
			}
		}
		started := time.Now()
		r.header = header.Clone()
		if a.authorize != nil {
			if err := a.authorize(ctx, r); err != nil {
				return err
			}
		}
		var err error
		if got, err = a.client.authorized(ctx, r); err == nil {
			err = hiddenFailure(got)
		}
		if e, ok := errors.AsType[*Error](err); ok && got != nil {
			readFailure(e, got)
			if e.Status == http.StatusTooManyRequests && got.status != e.Status {
				a.client.gate.crowded(started)
			}
		}
		return err
	})
	if e, ok := errors.AsType[*Error](err); ok && c.needs != "" && IsUnauthorized(err) {
		e.hint = c.needs
	}
	if err == nil && out != nil {
		if jsonErr := json.Unmarshal(got.body, out); jsonErr != nil {
			err = fmt.Errorf("%s %s%s: the answer is not what the provider's API says: %w", c.method, c.url.Host, c.url.Path, jsonErr)
		}
	}
	return got, err
}

// failure is how providers word what went wrong; each uses a few of the fields.
type failure struct {
	Type        string          `json:"__type"` // Amazon
	Code        json.RawMessage `json:"code"`   // also Alibaba's Code
	ErrorType   string          `json:"error_type"`
	Message     json.RawMessage `json:"message"` // also Alibaba's Message
	Detail      json.RawMessage `json:"detail"`
	ErrorText   json.RawMessage `json:"error"`
	ErrorString string          `json:"error_message"`
	Description string          `json:"error_description"` // OAuth2
	Response    struct {        // Tencent
		Error *codeAndMessage
	}
	ResponseMetadata struct { // Volcengine
		Error *codeAndMessage
	}
	Errors json.RawMessage `json:"errors"`
}

type codeAndMessage struct{ Code, Message string }

// hiddenFailure finds a failure in an answer that calls itself a success.
func hiddenFailure(a *answer) error {
	var f failure
	if json.Unmarshal(a.body, &f) != nil || f.Response.Error == nil && f.ResponseMetadata.Error == nil {
		return nil
	}
	return a.fail()
}

// readFailure takes a failure's code and message from the answer, and its status where
// the provider puts all into one: 400 at Amazon, 200 at Tencent.
func readFailure(e *Error, a *answer) {
	vague := e.Status == http.StatusBadRequest || e.Status < 300
	if vague {
		e.Status = http.StatusBadRequest
	}
	var f failure
	if json.Unmarshal(a.body, &f) != nil {
		return
	}
	switch {
	case f.Response.Error != nil:
		e.Codes = []Code{{Code: oneLine(f.Response.Error.Code), Message: oneLine(f.Response.Error.Message)}}
	case f.ResponseMetadata.Error != nil:
		e.Codes = []Code{{Code: oneLine(f.ResponseMetadata.Error.Code), Message: oneLine(f.ResponseMetadata.Error.Message)}}
	case f.Errors == nil:
		_, kind, _ := strings.Cut(f.Type, "#")
		code := firstText(kind, f.Type, text(f.Code), f.ErrorType)
		message := firstText(text(f.Message), f.ErrorString, text(f.ErrorText), text(f.Detail))
		if code == "" && f.Description != "" {
			code, message = text(f.ErrorText), f.Description
		}
		if code+message != "" {
			e.Codes = []Code{{Code: oneLine(code), Message: oneLine(message)}}
		}
	}
	for _, c := range e.Codes {
		switch status := statusOf(c.Code); {
		case status == 0:
		case vague, status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusTooManyRequests:
			e.Status = status // Alibaba does not find a wrong key: 404
			return
		}
	}
}

// statusOf says which HTTP status an error code stands for; 0: none that matters.
func statusOf(code string) int {
	low := strings.ToLower(code)
	for _, known := range []struct {
		status int
		words  []string
	}{
		{http.StatusTooManyRequests, []string{"throttl", "requestlimitexceeded", "toomanyrequests", "flowlimit"}},
		{http.StatusUnauthorized, []string{
			"unrecognizedclient", "invalidsignature", "signaturedoesnotmatch", "authfailure", "invalidaccesskey", "invalidclienttokenid",
			"expiredtoken", "missingauthenticationtoken", "incompletesignature", "invalidcredential", "invalidsecurity", "invalidauthorization",
		}},
		{http.StatusForbidden, []string{"accessdenied", "unauthorizedoperation", "forbidden", "nopermission", "optinrequired"}},
		{http.StatusNotFound, []string{"notfound", "not_exist", "notexist"}},
		{http.StatusConflict, []string{"alreadyexist", "already_exist", "conflict", "duplicate", "errorrepoexist", "errornamespaceexist", "errornameexist"}},
		{http.StatusInternalServerError, []string{"internalerror", "serverexception", "serviceunavailable", "internalfailure"}},
	} {
		for _, word := range known.words {
			if strings.Contains(low, word) {
				return known.status
			}
		}
	}
	return 0
}

func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	if n, err := strconv.Atoi(string(raw)); err == nil {
		return strconv.Itoa(n)
	}
	return ""
}

func firstText(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}

// isConflict reports whether what was to be made is there already.
func isConflict(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == http.StatusConflict
}

// explain turns the failure of a call into a *PingError that names the API's host,
// unless it is an answer: of that the registry's own diagnosis says more.
func (a *api) explain(err error) error {
	if _, ok := errors.AsType[*Error](err); ok {
		return err
	}
	return a.client.diagnose(err)
}

// issuedProbe pings a registry whose logins come from an API.
func issuedProbe(c *Client, a *api) func(context.Context) error {
	return func(ctx context.Context) error {
		if _, err := c.auth.login(ctx); err != nil {
			return a.explain(err)
		}
		return c.pingRegistry(ctx)
	}
}
