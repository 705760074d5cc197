package cli

import (
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/cli/term"
)

// jobLine is the line that follows a Job by what its pods count.
type jobLine struct {
	job            string // that the meters are of
	bytes, objects term.Meter
}

// line says how far a Job is; counts are those of all its pods together.
func (l *jobLine) line(job string, counts map[string]any, now time.Time) string {
	if job != l.job || len(counts) == 0 {
		*l = jobLine{job: job}
	}
	if len(counts) == 0 {
		return job
	}
	n := func(name string) int64 { v, _ := counts[name].(float64); return int64(v) }
	l.bytes.Observe(now, n("bytes"))
	l.objects.Observe(now, n("copied"))
	text := job
	switch {
	case n("expected") > 0:
		text += fmt.Sprintf(": %s of %s objects, %s of %s", grouped(n("copied")), grouped(n("expected")), term.Bytes(n("bytes")), term.Bytes(max(n("expected_bytes"), n("bytes"))))
	case n("found") > 0:
		text += fmt.Sprintf(": %s looked at, %s copied, %s", objects(n("found")), grouped(n("copied")), term.Bytes(n("bytes")))
	}
	if rate := l.bytes.Rate(); rate >= 1 {
		text += ", " + term.Bytes(int64(rate)) + "/s"
	}
	if left, ok := timeLeft(&l.objects, &l.bytes, n("expected"), n("copied"), n("expected_bytes"), n("bytes")); ok && left > time.Second {
		text += ", " + term.Duration(left) + " left"
	}
	if n("failed") > 0 {
		text += fmt.Sprintf(", %s failed", grouped(n("failed")))
	}
	if n("shards") > 1 {
		text += fmt.Sprintf(", %d of %d shards have ended", n("shards_ended"), n("shards"))
	}
	return text
}

// timeLeft is the longer of what the objects and the bytes that are to come will take.
func timeLeft(objects, bytes *term.Meter, expected, copied, expectedBytes, copiedBytes int64) (time.Duration, bool) {
	if expected == 0 {
		return 0, false
	}
	byObjects, ok := objects.Left(expected - copied)
	byBytes, okBytes := bytes.Left(expectedBytes - copiedBytes)
	if okBytes {
		byObjects = max(byObjects, byBytes)
	}
	return byObjects, ok || okBytes
}
