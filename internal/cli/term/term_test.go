package term

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestBytes(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 10 << 10: "10 KiB", 1023 << 10: "1.0 MiB",
		999 << 20: "999 MiB", 1 << 40: "1.0 TiB", -2048: "-2.0 KiB", 1<<63 - 1: "8.0 EiB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0ms", 450 * time.Millisecond: "450ms", 3250 * time.Millisecond: "3.2s", 59900 * time.Millisecond: "59s",
		725 * time.Second: "12m05s", 187 * time.Minute: "3h07m", 75 * time.Hour: "3d03h",
	} {
		if got := Duration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"1 artifact": Count(1, "artifact"), "0 artifacts": Count(0, "artifact"), "2 repositories": Count(2, "repository"), "1 repository": Count(1, "repository"),
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestMeterFollowsTheLastSeconds(t *testing.T) {
	t.Parallel()
	var m Meter
	start := time.Unix(0, 0)
	if _, ok := m.Left(10); ok || m.Rate() != 0 {
		t.Error("a meter that has seen nothing knows a rate")
	}
	for second := range 30 { // 100 a second, then 10 a second
		value := int64(100 * min(second, 10))
		if second > 10 {
			value += int64(10 * (second - 10))
		}
		m.Observe(start.Add(time.Duration(second)*time.Second), value)
	}
	if rate := m.Rate(); rate < 9 || rate > 20 {
		t.Errorf("rate %f, want about 10", rate)
	}
	if left, ok := m.Left(100); !ok || left < 5*time.Second || left > 11*time.Second {
		t.Errorf("%s left, %v; want about 10s", left, ok)
	}
	if _, ok := m.Left(-1); ok {
		t.Error("less than nothing is left, and it takes time")
	}
}

func TestTableAlignsWideCharacters(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	table := Table{Header: []string{"NAME", "WHAT"}}
	table.Row(Text("集群一"), Text("x"))
	table.Row(Text("cluster"), Text(""))
	table.Row(Text("e\u0301\x1b[31m"), Text("y\nz"))
	if err := table.Write(&Screen{Out: &out}); err != nil {
		t.Fatal(err)
	}
	want := "NAME     WHAT\n集群一   x\ncluster  -\ne\u0301?[31m   y z\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestFieldsLeaveOutWhatIsEmpty(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := (&Screen{Out: &out, Colour: true}).Fields([2]string{"a", "1"}, [2]string{"longer", ""}, [2]string{"bcd", "2\n3"})
	if want := "\x1b[1ma\x1b[0m    1\n\x1b[1mbcd\x1b[0m  2\n     3\n"; err != nil || out.String() != want {
		t.Errorf("%q, want %q (%v)", out.String(), want, err)
	}
}

func TestColoursAreForTerminals(t *testing.T) {
	t.Parallel()
	s := New(io.Discard, io.Discard, func(string) string { return "" })
	if s.OutTerminal || s.ErrTerminal || s.Colour || s.Paint(Bad, "x") != "x" || s.Width() != 80 {
		t.Errorf("%+v", s)
	}
}

func TestCutKeepsToTheWidth(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"short": "short", "just ten..": "just ten..", "more than ten": "more than…", "集群一集群一": "集群一集…"} {
		if got := cut(text, 10); got != want || width(got) > 10 {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// On a terminal the line is redrawn in place and makes room for results.
func TestLiveOnATerminal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s := &Screen{Out: &out, Err: &out, ErrTerminal: true, Width: func() int { return 10 }}
		live := s.NewLive(false, func() string { return "a long line of progress" })
		time.Sleep(redrawInterval)
		synctest.Wait()
		if err := live.Print(func(out io.Writer) error { _, err := fmt.Fprintln(out, "result"); return err }); err != nil {
			t.Fatal(err)
		}
		live.Note("note")
		time.Sleep(redrawInterval)
		synctest.Wait()
		live.Stop()
		clear := "\r\x1b[K"
		if want := clear + "a long l…" + clear + "result\nnote\n" + clear + "a long l…" + clear; out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
	})
}

// Elsewhere it is a line now and then, and none when nothing has changed.
func TestLiveInAFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		text := ""
		set := func(s string) { mu.Lock(); defer mu.Unlock(); text = s }
		var errs bytes.Buffer
		live := (&Screen{Out: io.Discard, Err: &errs}).NewLive(false, func() string { mu.Lock(); defer mu.Unlock(); return text })
		for _, s := range []string{"", "one", "one", "two"} {
			set(s)
			time.Sleep(plainInterval)
			synctest.Wait()
		}
		live.Stop()
		if errs.String() != "one\ntwo\n" {
			t.Errorf("%q", errs.String())
		}
		quiet := (&Screen{Out: io.Discard, Err: &errs}).NewLive(true, func() string { return "loud" })
		time.Sleep(2 * plainInterval)
		quiet.Stop()
		if strings.Contains(errs.String(), "loud") {
			t.Error("a quiet Live speaks")
		}
	})
}
