package harness

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRoundTripsAreMilliseconds(t *testing.T) {
	t.Parallel()
	got, err := RoundTrips("0, 10,100")
	if err != nil || len(got) != 3 || got[1] != 10*time.Millisecond {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "1,", "-1", "1s"} {
		if got, err := RoundTrips(bad); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestAProgramThatFailsIsAnErrorWithItsLastWords(t *testing.T) {
	t.Parallel()
	_, err := Run(t.Context(), []string{"WORDS=bucket is missing"}, "/bin/sh", "-c", `for i in 1 2 3 4 5 6; do echo "line $i"; done; echo "$WORDS"; exit 3`)
	if err == nil || !strings.Contains(err.Error(), "bucket is missing") || strings.Contains(err.Error(), "line 1") {
		t.Error(err)
	}
}

func TestARunIsMeasured(t *testing.T) {
	t.Parallel()
	used, err := Run(t.Context(), nil, "/bin/sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done")
	if err != nil {
		t.Fatal(err)
	}
	if used.CPU <= 0 || used.Wall <= 0 || used.Memory < 100<<10 {
		t.Errorf("%+v", used)
	}
}

func TestTheFamilyOfAProcessIsCounted(t *testing.T) {
	t.Parallel()
	cpu, err := FamilyCPU(os.Getpid())
	if err != nil || cpu < 0 {
		t.Errorf("%v, %v", cpu, err)
	}
	if _, err := FamilyCPU(1 << 30); err == nil {
		t.Error("there is no such process")
	}
}

func TestTheNameOfAProgramMayHoldAnything(t *testing.T) {
	t.Parallel()
	pid, parent, cpu, err := parseStat("4711 (a) b (c) S 42 1 1 0 -1 0 0 0 0 0 150 25 7 7 20 0 9 0")
	if err != nil || pid != 4711 || parent != 42 || cpu != 1750*time.Millisecond {
		t.Errorf("%d %d %v %v", pid, parent, cpu, err)
	}
	for _, bad := range []string{"", "1 (x", "1 (x) S 1", "x (x) S 1 1 1 0 -1 0 0 0 0 0 1 1"} {
		if _, _, _, err := parseStat(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// passing keeps what a front passed on.
type passing struct {
	mu       sync.Mutex
	sent     bytes.Buffer
	answered int
	refuse   error
}

func (p *passing) Sent(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent.Write(b)
	return p.refuse
}

func (p *passing) Answered(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answered += n
}

func echo(t *testing.T) string {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all, err := io.ReadAll(r.Body)
		if err == nil {
			_, _ = w.Write(all)
		}
	}))
	t.Cleanup(web.Close)
	return web.Listener.Addr().String()
}

func TestAFrontPassesEverythingOn(t *testing.T) {
	t.Parallel()
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB
	for name, c := range map[string]struct {
		rtt     time.Duration
		watched bool
	}{
		"at once": {}, "watched": {watched: true}, "late": {rtt: 20 * time.Millisecond}, "late and watched": {20 * time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &passing{}
			watch := func() Watcher { return p }
			if !c.watched {
				watch = nil
			}
			f, err := NewFront(echo(t), c.rtt, watch)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			began := time.Now()
			response, err := client.Post("http://"+f.Address, "text/plain", bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			got, err := io.ReadAll(response.Body)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if took := time.Since(began); took < 2*c.rtt {
				t.Errorf("a handshake and an exchange took %v", took)
			}
			if !c.watched {
				return
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			if !bytes.HasSuffix(p.sent.Bytes(), content) || !bytes.HasPrefix(p.sent.Bytes(), []byte("POST / HTTP/1.1\r\n")) || p.answered < len(content) {
				t.Errorf("seen: %d bytes and %d", p.sent.Len(), p.answered)
			}
		})
	}
}

func TestWhatAWatcherRefusesDoesNotPass(t *testing.T) {
	t.Parallel()
	for _, rtt := range []time.Duration{0, time.Millisecond} {
		refuse := errors.New("no such thing")
		p := &passing{refuse: refuse}
		f, err := NewFront(echo(t), rtt, func() Watcher { return p })
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if response, err := client.Post("http://"+f.Address, "text/plain", strings.NewReader("x")); err == nil {
			_ = response.Body.Close()
			t.Error("it was answered")
		}
		if !errors.Is(f.Err(), refuse) {
			t.Errorf("%v", f.Err())
		}
		f.Close()
	}
}

func TestAClosedFrontEndsItsConnections(t *testing.T) {
	t.Parallel()
	f, err := NewFront(echo(t), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", f.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open")
	}
}
