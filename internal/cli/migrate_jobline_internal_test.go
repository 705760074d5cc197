package cli

import (
	"testing"
	"time"
)

func TestTheLineOfAJobTellsRateAndTimeLeftOverAllShards(t *testing.T) {
	t.Parallel()
	at := time.Unix(1_700_000_000, 0)
	counts := func(copied, bytes float64) map[string]any {
		return map[string]any{"copied": copied, "bytes": bytes, "expected": 1000.0, "expected_bytes": 100.0 * (1 << 20), "shards": 4.0, "shards_ended": 1.0}
	}
	var l jobLine
	if got, want := l.line("Job a", counts(0, 0), at), "Job a: 0 of 1,000 objects, 0 B of 100 MiB, 1 of 4 shards have ended"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	got, want := l.line("Job a", counts(500, 10*(1<<20)), at.Add(5*time.Second)), "Job a: 500 of 1,000 objects, 10 MiB of 100 MiB, 2.0 MiB/s, 45s left, 1 of 4 shards have ended"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	// Another Job begins anew.
	if got, want := l.line("Job b", map[string]any{"found": 7.0, "copied": 1.0, "bytes": 3.0, "failed": 2.0}, at.Add(6*time.Second)), "Job b: 7 objects looked at, 1 copied, 3 B, 2 failed"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := l.line("Job b", nil, at.Add(7*time.Second)); got != "Job b" {
		t.Errorf("without counts: %q", got)
	}
}
