package api

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lighterage/lighterage/internal/problem"
)

// invalid is the answer to a request that does not fit the specification, with
// the texts of Harbor's framework (go-openapi).
func invalid(failures ...string) error {
	return problem.New(problem.Unprocessable, "%s", "validation failure list:\n"+strings.Join(failures, "\n"))
}

// validate checks a request against its operation. It returns the request as the
// generated code understands it: of a repeated parameter the last value, no empty
// ones, and true or false for every way in which Harbor lets a client say so.
func (o operation) validate(r *http.Request, path map[string]string) (*http.Request, error) {
	failures := o.checkMediaTypes(r)
	query, header := r.URL.Query(), r.Header
	cleanQuery, cleanHeader := url.Values{}, r.Header.Clone()
	for _, p := range o.parameters {
		var values []string
		switch p.in {
		case "path":
			values = []string{path[p.name]}
		case "query":
			values = query[p.name]
		case "header":
			values = header.Values(p.name)
		}
		value, failure := p.check(values)
		if failure != "" {
			failures = append(failures, failure)
		}
		switch p.in {
		case "query":
			if value != "" || p.required && len(values) > 0 {
				cleanQuery.Set(p.name, value)
			}
		case "header":
			cleanHeader.Del(p.name)
			if value != "" {
				cleanHeader.Set(p.name, value)
			}
		}
	}
	if len(failures) > 0 {
		return nil, invalid(failures...)
	}
	clean := r.Clone(r.Context())
	clean.URL.RawQuery = cleanQuery.Encode()
	clean.Header = cleanHeader
	return clean, nil
}

// check returns the value that counts, or what is wrong with it.
func (p parameter) check(values []string) (value, failure string) {
	if len(values) > 0 {
		value = values[len(values)-1]
	}
	if value == "" {
		if p.required && (len(values) == 0 || p.minLength > 0) {
			return "", fmt.Sprintf("%s in %s is required", p.name, p.in)
		}
		return "", ""
	}
	switch p.kind {
	case "int64", "int32":
		bits, _ := strconv.Atoi(strings.TrimPrefix(p.kind, "int"))
		n, err := strconv.ParseInt(value, 10, bits)
		if err != nil {
			return "", fmt.Sprintf("%s in %s must be of type %s: %q", p.name, p.in, p.kind, value)
		}
		if p.maximum != nil && n > *p.maximum {
			return "", fmt.Sprintf("%s in %s should be less than or equal to %d", p.name, p.in, *p.maximum)
		}
		return strconv.FormatInt(n, 10), ""
	case "bool":
		return strconv.FormatBool(isTrue(value)), ""
	default:
		if !utf8.ValidString(value) || strings.ContainsRune(value, 0) {
			return "", fmt.Sprintf("%s in %s must be UTF-8 text", p.name, p.in)
		}
		return value, ""
	}
}

// isTrue reads a boolean parameter as go-openapi does: what it does not know is false.
func isTrue(value string) bool {
	return slices.Contains([]string{"true", "1", "yes", "ok", "y", "on", "selected", "checked", "t", "enabled"}, strings.ToLower(value))
}

// checkMediaTypes checks Content-Type and Accept, and that there is a body when
// the operation has one.
func (o operation) checkMediaTypes(r *http.Request) []string {
	if !acceptable(r.Header.Values("Accept"), o.produces) {
		return []string{"unsupported media type requested, only [" + strings.Join(o.produces, " ") + "] are available"}
	}
	if o.body == "" {
		return nil
	}
	if r.ContentLength == 0 || r.Body == nil || r.Body == http.NoBody {
		return []string{o.body + " in body is required"}
	}
	contentType := r.Header.Get("Content-Type")
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	media, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return []string{fmt.Sprintf("parsing Content-Type header from %q failed, because %v", contentType, err)}
	}
	if media != "application/json" {
		return []string{fmt.Sprintf("unsupported media type %q, only [application/json] are allowed", contentType)}
	}
	return nil
}

// acceptable reports whether a client that sent these Accept headers takes one
// of the media types. JSON is always offered: errors are JSON whatever it asked for.
func acceptable(accept, produces []string) bool {
	ranges := strings.Split(strings.Join(accept, ","), ",")
	if len(accept) == 0 || len(ranges) == 1 && strings.TrimSpace(ranges[0]) == "" {
		return true
	}
	offers := []string{"application/json"}
	for _, media := range produces {
		media, _, _ = strings.Cut(media, ";")
		offers = append(offers, media)
	}
	for _, item := range ranges {
		name, parameters, _ := strings.Cut(item, ";")
		name = strings.ToLower(strings.TrimSpace(name))
		if strings.ReplaceAll(parameters, " ", "") == "q=0" {
			continue
		}
		if name == "*/*" || slices.Contains(offers, name) {
			return true
		}
		if major, found := strings.CutSuffix(name, "/*"); found {
			if slices.ContainsFunc(offers, func(offer string) bool { return strings.HasPrefix(offer, major+"/") }) {
				return true
			}
		}
	}
	return false
}

// badBody gives a body that could not be decoded Harbor's words.
func (o operation) badBody(err error) error {
	// The generated code says "can't decode JSON body: " first.
	if cause := errors.Unwrap(err); cause != nil {
		err = cause
	}
	if errors.Is(err, io.EOF) {
		return invalid(o.body + " in body is required")
	}
	return invalid(fmt.Sprintf("parsing %s body from \"\" failed, because %v", o.body, err))
}
