package term

import (
	"fmt"
	"strconv"
	"time"
)

// Bytes writes an amount in binary units with three digits at most: 3.2 MiB.
func Bytes(n int64) string {
	if n < 0 {
		return "-" + Bytes(-n)
	}
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	value := float64(n)
	for _, unit := range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		value /= 1024
		if value >= 999.5 && unit != "EiB" {
			continue
		}
		if value < 9.95 {
			return fmt.Sprintf("%.1f %s", value, unit)
		}
		return fmt.Sprintf("%.0f %s", value, unit)
	}
	return ""
}

// Duration writes a time span as people say it: 450ms, 3.2s, 12m05s, 3h07m.
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
	}
}

// Count writes a number with its noun: 1 artifact, 2 artifacts, 2 repositories.
func Count[N int | int64](n N, singular string) string {
	if n == 1 {
		return "1 " + singular
	}
	if last := len(singular) - 1; singular[last] == 'y' {
		return strconv.FormatInt(int64(n), 10) + " " + singular[:last] + "ies"
	}
	return strconv.FormatInt(int64(n), 10) + " " + singular + "s"
}

// Meter tells how fast something has grown lately. The zero value is ready.
type Meter struct{ samples []sample }

type sample struct {
	at    time.Time
	value int64
}

// window is how much of the past counts: long enough to be calm, short enough
// to follow a link that gets slower.
const window = 10 * time.Second

// Observe notes a running total.
func (m *Meter) Observe(at time.Time, value int64) {
	m.samples = append(m.samples, sample{at, value})
	for len(m.samples) > 2 && at.Sub(m.samples[1].at) >= window {
		m.samples = m.samples[1:]
	}
}

// Rate returns the growth per second over the last seconds, 0 while unknown.
func (m *Meter) Rate() float64 {
	if len(m.samples) < 2 {
		return 0
	}
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	span := last.at.Sub(first.at).Seconds()
	if span <= 0 {
		return 0
	}
	return max(0, float64(last.value-first.value)/span)
}

// Left returns how long the rest takes at the current rate; ok is false while
// there is no rate to tell by.
func (m *Meter) Left(rest int64) (d time.Duration, ok bool) {
	rate := m.Rate()
	if rate <= 0 || rest < 0 {
		return 0, false
	}
	seconds := float64(rest) / rate
	if seconds > float64(1000*time.Hour/time.Second) {
		return 0, false
	}
	return time.Duration(seconds * float64(time.Second)), true
}
