package cli

import (
	"bytes"
	"testing"
)

func TestBandwidthIsReadInTheUsualWays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"1": 1, "500K": 500 << 10, "50M": 50 << 20, "50MiB/s": 50 << 20, "1.5G": 3 << 29, "10M/s": 10 << 20,
		"": 0, "0": 0, "-1": 0, "fast": 0, "10T": 0, "1,5M": 0, "10m": 0, "999999999999999999999G": 0,
	} {
		var b bandwidth
		err := b.Set(text)
		if (err != nil) != (want == 0) || int64(b) != want {
			t.Errorf("%q is %d, %v; want %d", text, b, err, want)
		}
	}
}

func TestCountsHaveCommas(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 31511: "31,511", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int64]string{1: "1 tag", 2000: "2,000 tags"} {
		if got := counted(n, "tag"); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
	if got := counted(1000, "repository"); got != "1,000 repositories" {
		t.Errorf("got %q", got)
	}
}

// The words that say that a check has found nothing must not be in what it says when
// it has found something: people search for them.
func TestOnlyACheckWithoutDifferencesSaysSo(t *testing.T) {
	t.Parallel()
	for n, says := range map[int64]bool{0: true, 1: false, 10: false, 100: false, 1_000_000: false} {
		var r checkReport
		r.Different = n
		var w lines
		writeCheckReport(&w, r)
		if got := w.contains("0 differences found"); got != says {
			t.Errorf("%d differences: %q", n, w.text)
		}
	}
}

type lines struct{ text []byte }

func (l *lines) Write(p []byte) (int, error) {
	l.text = append(l.text, p...)
	return len(p), nil
}

func (l *lines) contains(words string) bool { return bytes.Contains(l.text, []byte(words)) }
