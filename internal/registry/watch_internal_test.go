package registry

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// slowly is a body whose every byte takes a while.
type slowly struct {
	io.Reader
	each time.Duration
}

func (s slowly) Read(p []byte) (int, error) {
	time.Sleep(s.each)
	return s.Reader.Read(p[:1])
}

func (s slowly) Close() error { return nil }

func TestOnlyStandingStillIsAStall(t *testing.T) {
	for name, test := range map[string]struct {
		host, reader time.Duration // per byte
		stalls       bool
	}{
		"a slow host":          {50 * time.Second, 0, false},
		"a slow reader":        {time.Second, time.Hour, false},
		"a host that stops":    {61 * time.Second, 0, true},
		"neither takes a time": {0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, w := newWatch(t.Context())
				in := &inbound{ctx: ctx, body: slowly{strings.NewReader("0123456789"), test.host}, watch: w, stall: time.Minute}
				for range 10 {
					if _, err := in.Read(make([]byte, 8)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(test.reader)
				}
				if stalled := stalled(ctx, errors.New("x")).Error() != "x"; stalled != test.stalls {
					t.Errorf("stalled: %t", stalled)
				}
				if err := in.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestAnUploadsClockRunsWhileTheHostTakesBytes(t *testing.T) {
	for name, test := range map[string]struct {
		source, host, answer time.Duration
		stalls               string
	}{
		"a slow source":        {time.Hour, time.Second, time.Minute, ""},
		"a slow host":          {0, 59 * time.Second, time.Minute, ""},
		"a host that stops":    {0, 61 * time.Second, time.Minute, "upload"},
		"a long last thought":  {0, time.Second, 4 * time.Minute, ""},
		"no answer in the end": {0, time.Second, 6 * time.Minute, "answer"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, w := newWatch(t.Context())
				defer w.end()
				out := &outbound{body: slowly{strings.NewReader("0123456789"), test.source}, size: 10, watch: w, stall: time.Minute, patience: 5 * time.Minute}
				for i := range 10 {
					if _, err := out.Read(make([]byte, 8)); err != nil {
						t.Fatal(err)
					}
					if i < 9 {
						time.Sleep(test.host)
					}
				}
				time.Sleep(test.answer)
				var got string
				if e, ok := errors.AsType[*StallError](stalled(ctx, errors.New("x"))); ok {
					got = e.What
				}
				if got != test.stalls {
					t.Errorf("stalled: %q, want %q", got, test.stalls)
				}
			})
		})
	}
}
