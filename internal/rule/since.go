package rule

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// since is a time from which on something must have been pushed: a certain one, or
// one that moves along with the clock.
type since struct {
	at  time.Time
	age time.Duration
}

const maxAge = 100 * 365 * 24 * time.Hour

var agePattern = regexp.MustCompile(`^(?:([0-9]{1,4})w)?(?:([0-9]{1,5})d)?([0-9.]+(?:h|m|s)[0-9.hms]*)?$`)

// parseSince reads a time (RFC 3339, or a day in UTC) or an age: weeks, days, hours,
// minutes and seconds, in this order.
func parseSince(text string) (since, error) {
	if text == "" {
		return since{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return since{at: at}, nil
		}
	}
	invalid := fmt.Errorf("%q is neither a time such as 2026-01-31T08:00:00Z or 2026-01-31 nor an age such as 36h or 30d", text)
	parts := agePattern.FindStringSubmatch(text)
	if parts == nil {
		return since{}, invalid
	}
	var age time.Duration
	for i, unit := range []time.Duration{7 * 24 * time.Hour, 24 * time.Hour} {
		if parts[i+1] != "" {
			n, err := strconv.Atoi(parts[i+1])
			if err != nil {
				return since{}, invalid
			}
			age += time.Duration(n) * unit
		}
	}
	if parts[3] != "" {
		rest, err := time.ParseDuration(parts[3])
		if err != nil || rest > maxAge {
			return since{}, invalid
		}
		age += rest
	}
	if age <= 0 || age > maxAge {
		return since{}, invalid
	}
	return since{age: age}, nil
}

func (s since) set() bool { return !s.at.IsZero() || s.age > 0 }

// from is the earliest time that counts.
func (s since) from(now time.Time) time.Time {
	if s.age > 0 {
		return now.Add(-s.age)
	}
	return s.at
}
