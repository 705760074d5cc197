package registry

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// RateLimit is what a host has last said about how much it still gives.
type RateLimit struct {
	Limit     int           // in a window; 0: not said
	Remaining int           // of it
	Window    time.Duration // 0: not said
	Reset     time.Time     // when there is more; zero: not said
	Source    string        // whom the limit counts, as the host says: an address or an account; "" mostly
	Time      time.Time     // when it was said
}

// rates keeps the last word.
type rates struct {
	mu   sync.Mutex
	last RateLimit
}

// note reads the limit from an answer: Docker Hub's ratelimit-limit, ratelimit-remaining
// ("76;w=21600") and docker-ratelimit-source, the IETF draft's headers and their X- forms.
func (r *rates) note(a *answer) {
	now := time.Now()
	remaining, reset, ok := rateLimit(a.header, now)
	if !ok {
		return
	}
	l := RateLimit{Remaining: remaining, Source: oneLine(a.header.Get("Docker-RateLimit-Source")), Time: now}
	l.Limit, l.Window = quota(firstOf(a.header, "RateLimit-Limit", "X-RateLimit-Limit"))
	if l.Window == 0 {
		_, l.Window = quota(firstOf(a.header, "RateLimit-Remaining", "X-RateLimit-Remaining"))
	}
	if reset > 0 {
		l.Reset = now.Add(reset)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = l
}

func firstOf(h http.Header, names ...string) string {
	for _, name := range names {
		if v := h.Get(name); v != "" {
			return v
		}
	}
	return ""
}

// quota reads "100;w=21600": a number, and the seconds of its window.
func quota(text string) (n int, window time.Duration) {
	text, _, _ = strings.Cut(text, ",") // the draft lets a host name several
	number, parameters, _ := strings.Cut(text, ";")
	n, err := strconv.Atoi(strings.TrimSpace(number))
	if err != nil || n < 0 {
		return 0, 0
	}
	for _, p := range strings.Split(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if seconds, err := strconv.Atoi(value); err == nil && name == "w" && seconds > 0 {
			window = min(time.Duration(seconds), 366*24*3600) * time.Second
		}
	}
	return n, window
}

// RateLimit returns what the host has last said about its limit; ok is false when it
// has said nothing.
func (c *Client) RateLimit() (limit RateLimit, ok bool) {
	c.rates.mu.Lock()
	defer c.rates.mu.Unlock()
	return c.rates.last, !c.rates.last.Time.IsZero()
}

// MetersPulls reports whether the host counts each GET of a manifest against a limit, and
// nothing else: Docker Hub's "pull". HEAD requests, tag lists and blobs are free there.
func (c *Client) MetersPulls() bool {
	host := strings.ToLower(c.base.Hostname())
	return host == hubRegistry || host == "docker.io" || host == "index.docker.io"
}
