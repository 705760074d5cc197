package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// comparison is one of an answer with a recorded one.
type comparison struct {
	exchange   exchange
	replay     *replay
	difference difference
	found      []string
}

// compare returns where an answer is not like the recorded one, but for a difference.
func (p *replay) compare(e exchange, got answer, d difference) []string {
	c := &comparison{exchange: e, replay: p, difference: d}
	want := e.Status
	if d.Status != 0 {
		want = fmt.Sprintf("%d %s", d.Status, http.StatusText(d.Status))
	}
	switch {
	case got.Status != want:
		c.failf("status %s, want %s", got.Status, want)
	case d.Message != "":
		c.compareMessage(got.body)
	case d.Status == 0:
		c.compareHeaders(got)
		c.compareBody(got)
	}
	return c.found
}

// compareMessage looks for a part of an error's text.
func (c *comparison) compareMessage(body string) {
	var w struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal([]byte(body), &w); err != nil || len(w.Errors) != 1 {
		c.failf("there is no error in the answer")
	} else if message := w.Errors[0].Message; !strings.Contains(message, c.difference.Message) {
		c.failf("message %q, want something with %q", message, c.difference.Message)
	}
}

// compareHeaders compares those that clients read.
func (c *comparison) compareHeaders(got answer) {
	for _, name := range []string{"Content-Type", "Location", "X-Total-Count", "Link", "Docker-Distribution-Api-Version", "Www-Authenticate"} {
		want, have := c.replay.urls.Replace(c.exchange.Headers[name]), got.Header.Get(name)
		if slices.Contains(c.difference.Headers, name) {
			continue
		}
		if name != "X-Total-Count" { // what it counts is no id
			want, have = digits(want), digits(have)
		}
		if want != have {
			c.failf("header %s is %q, want %q", name, got.Header.Get(name), c.exchange.Headers[name])
		}
	}
	if sent, id := c.exchange.RequestHeaders["X-Request-Id"], got.Header.Get("X-Request-Id"); id == "" || sent != "" && id != sent {
		c.failf("X-Request-Id is %q, and %q was sent", id, sent)
	}
	if cookies := got.Header.Values("Set-Cookie"); len(cookies) > 0 {
		c.failf("sets cookies %q", cookies)
	}
}

var number = regexp.MustCompile(`\d+`)

// digits makes texts comparable that name ids.
func digits(text string) string { return number.ReplaceAllString(text, "N") }

var logLine = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \[(INFO|WARNING|ERROR)\] .+$`)

func (c *comparison) compareBody(got answer) {
	text, isText := c.exchange.Body.(string)
	switch contentType := c.exchange.Headers["Content-Type"]; {
	case strings.HasPrefix(contentType, "text/plain") && strings.HasPrefix(text, "20"): // a log
		for line := range strings.Lines(got.body) {
			if !logLine.MatchString(strings.TrimSuffix(line, "\n")) {
				c.failf("log line %q does not look like one of Harbor's", line)
			}
		}
	case isText:
		if got.body != text {
			c.failf("body %q, want %q", got.body, text)
		}
	case strings.HasPrefix(contentType, "application/json"):
		var have any
		if err := json.Unmarshal([]byte(got.body), &have); err != nil {
			c.failf("the answer is no JSON: %v", err)
			return
		}
		c.compare("", c.exchange.Body, have)
	}
}

func (c *comparison) failf(format string, args ...any) {
	c.found = append(c.found, fmt.Sprintf(format, args...))
}

func (c *comparison) compare(path string, want, have any) {
	key := path[strings.LastIndex(path, ".")+1:]
	if slices.Contains(c.difference.Properties, key) || key == "config" { // of an image: whatever its maker put there
		return
	}
	switch w := want.(type) {
	case map[string]any:
		h, ok := have.(map[string]any)
		if !ok {
			c.failf("%s is %v, want an object", path, have)
			return
		}
		c.compareObjects(path, w, h)
	case []any:
		h, ok := have.([]any)
		if !ok {
			c.failf("%s is %v, want a list", path, have)
			return
		}
		c.compareLists(path, w, h)
	default:
		if kind(want) != kind(have) {
			c.failf("%s is %v, want something like %v", path, have, want)
			return
		}
		c.compareValues(path, key, want, have)
	}
}

func (c *comparison) compareObjects(path string, want, have map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if _, ok := have[name]; !ok && !slices.Contains(c.difference.Properties, name) {
			c.failf("%s.%s is missing", path, name)
		} else if ok {
			c.compare(path+"."+name, want[name], have[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(have)) {
		_, wanted := want[name]
		if !wanted && !c.replay.additions[name] && !slices.Contains(c.difference.Properties, name) {
			c.failf("%s.%s should not be there", path, name)
		}
	}
}

// compareLists compares objects by their name if they have one, others in order.
func (c *comparison) compareLists(path string, want, have []any) {
	if c.exchange.Name == "23-artifact-build-history" { // as long as the image was made
		want = want[:min(len(want), len(have))]
		have = have[:len(want)]
	}
	if len(want) != len(have) {
		c.failf("%s has %d elements, want %d", path, len(have), len(want))
		return
	}
	for i := range want {
		other := have[i]
		if name, ok := property(want[i], "name"); ok {
			other = nil
			for _, candidate := range have {
				if n, _ := property(candidate, "name"); n == name {
					other = candidate
				}
			}
		}
		c.compare(fmt.Sprintf("%s[%d]", path, i), want[i], other)
	}
}

func property(value any, name string) (any, bool) {
	object, _ := value.(map[string]any)
	v, ok := object[name]
	return v, ok
}

func kind(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "text"
	case float64:
		return "number"
	case bool:
		return "boolean"
	default:
		return "compound"
	}
}

var (
	timeText   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	digestText = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// Properties whose value is another one in every run.
var volatile = []string{
	"id", "job_id", "policy_id", "execution_id", "artifact_id", "repository_id", "child_id", "parent_id", "user_id", "project_id",
	"size", "href", "secret", "architecture", "harbor_version", "total_storage_consumption", "storage", "created", "created_by", "icon",
}

func (c *comparison) compareValues(path, key string, want, have any) {
	w, isText := want.(string)
	h, _ := have.(string)
	switch {
	case slices.Contains(volatile, key):
	case isText && timeText.MatchString(w):
		if !timeText.MatchString(h) || strings.HasPrefix(w, "0001") != strings.HasPrefix(h, "0001") {
			c.failf("%s is %q, want a time like %q", path, h, w)
		}
	case isText && digestText.MatchString(w):
		if !digestText.MatchString(h) {
			c.failf("%s is %q, want a digest", path, h)
		}
	case isText && digits(c.replay.urls.Replace(w)) != digits(h):
		c.failf("%s is %q, want %q", path, h, w)
	case !isText && want != have:
		c.failf("%s is %v, want %v", path, have, want)
	}
}
