package registry

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	defaultAttempts = 5
	// A host that says 429 is alive and has told us to slow down: more patience.
	busyAttempts   = 12
	defaultBackoff = 250 * time.Millisecond
	maxBackoff     = 15 * time.Second
)

// retry repeats what may be repeated until it passes, fails for good, or has been tried
// often enough. It returns the last failure.
func (c *Client) retry(ctx context.Context, attempt func() error) error {
	for failures, busy := 0, 0; ; {
		err := attempt()
		if err == nil || ctx.Err() != nil || !IsTemporary(err) {
			return err
		}
		if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusTooManyRequests {
			if busy++; busy >= busyAttempts {
				return err
			}
		} else if failures++; failures >= c.attempts {
			return err
		}
		after := RetryAfter(err)
		if after > c.gate.maxPause {
			return err // the caller's queue can wait that long, a request should not
		}
		if sleep(ctx, max(after, backoff(c.backoff, failures+busy))) != nil {
			return err
		}
	}
}

// backoff returns base doubled for every failure but the first, at most maxBackoff,
// with full jitter in the upper half so that many requests do not come back together.
func backoff(base time.Duration, failures int) time.Duration {
	d := maxBackoff
	if shift := failures - 1; shift < 16 {
		d = min(d, base<<max(shift, 0))
	}
	return d/2 + rand.N(d/2+1)
}

// parseRetryAfter reads Retry-After (RFC 9110, 10.2.3): seconds or an HTTP date. 0 when
// absent, past or malformed. now is what dates are compared with.
func parseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0
	}
	const longest = 24 * time.Hour
	if n, err := strconv.ParseInt(value, 10, 64); err == nil {
		if n <= 0 {
			return 0
		}
		return time.Duration(min(n, int64(longest/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return min(at.Sub(now), longest)
	}
	return 0
}

// retryAfter reads Retry-After by the answering host's own clock when it sent one.
func retryAfter(h http.Header) time.Duration {
	now := time.Now()
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return parseRetryAfter(h.Get("Retry-After"), now)
}

// rateLimit reads what a host says about its remaining budget: RateLimit-Remaining and
// RateLimit-Reset as in the IETF draft, and their X- forms. ok is false when it says
// nothing. reset is 0 when unknown. A window ("76;w=21600") is not part of the number.
func rateLimit(h http.Header, now time.Time) (remaining int, reset time.Duration, ok bool) {
	text := h.Get("RateLimit-Remaining")
	if text == "" {
		text = h.Get("X-RateLimit-Remaining")
	}
	text, _, _ = strings.Cut(text, ";")
	remaining, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil || remaining < 0 {
		return 0, 0, false
	}
	text = h.Get("RateLimit-Reset")
	if text == "" {
		text = h.Get("X-RateLimit-Reset")
	}
	text, _, _ = strings.Cut(text, ";")
	if n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64); err == nil && n > 0 {
		if n > 1_000_000_000 { // a moment, not a span
			reset = max(0, time.Unix(n, 0).Sub(now))
		} else {
			reset = time.Duration(n) * time.Second
		}
	}
	return remaining, min(reset, 24*time.Hour), true
}
