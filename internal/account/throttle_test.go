package account

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/problem"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// failures makes n wrong logins one after the other and returns when the last one
// was looked at.
func failures(t testing.TB, th *throttle, now time.Time, n int, name, remote string) time.Time {
	t.Helper()
	for range n {
		a, err := th.reserve(now, name, remote)
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(a.wait)
	}
	return now
}

func TestDelaysGrowToTheirLimit(t *testing.T) {
	t.Parallel()
	pair, _, _ := limits()
	want := []time.Duration{0, 0, 0, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second, 10 * time.Second}
	for i, d := range want {
		if got := pair.delay(i + 1); got != d {
			t.Errorf("after %d failures: %s, want %s", i+1, got, d)
		}
	}
	if got := pair.delay(1 << 40); got != 10*time.Second {
		t.Errorf("after very many: %s", got)
	}
}

func TestOneAddressMustKeepADistance(t *testing.T) {
	t.Parallel()
	th := newThrottle(100)
	end := failures(t, th, start, 20, "admin", "192.0.2.1")
	if took := end.Sub(start); took < 100*time.Second || took > 150*time.Second {
		t.Errorf("20 failures took %s", took)
	}
	// Another address is not concerned, but for the short delay of the name.
	a, err := th.reserve(end, "admin", "192.0.2.2")
	if err != nil || a.wait > 2*time.Second {
		t.Errorf("another address waits %s, %v", a.wait, err)
	}
	// Neither is another name.
	a, err = th.reserve(end, "other", "192.0.2.1")
	if err != nil || a.wait != 0 {
		t.Errorf("another name waits %s, %v", a.wait, err)
	}
	// Quiet time is forgiven.
	a, err = th.reserve(end.Add(strikesFor+10*time.Second), "admin", "192.0.2.1")
	if err != nil || a.wait != 0 {
		t.Errorf("after a quiet time: %s, %v", a.wait, err)
	}
}

func TestAddressThatTriesManyNamesIsSlowedDown(t *testing.T) {
	t.Parallel()
	th := newThrottle(1000)
	now := start
	for i := range 60 {
		now = failures(t, th, now, 1, fmt.Sprint("user", i), "192.0.2.1")
	}
	if took := now.Sub(start); took < 60*time.Second {
		t.Errorf("60 names took %s", took)
	}
}

func TestSuccessDoesNotClearTheStrikesOfOtherNames(t *testing.T) {
	t.Parallel()
	th := newThrottle(1000)
	now := start
	for i := range 60 { // a guesser who logs in to an account of their own in between
		now = failures(t, th, now, 1, fmt.Sprint("user", i), "192.0.2.1")
		a, err := th.reserve(now, "own", "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(a.wait)
		th.succeeded(now, a)
	}
	if took := now.Sub(start); took < 60*time.Second {
		t.Errorf("60 names took %s", took)
	}
}

func TestRightPasswordsAreNotSlowedDown(t *testing.T) {
	t.Parallel()
	for _, remote := range []string{"", "192.0.2.1"} {
		th := newThrottle(100)
		for i := range 1000 {
			a, err := th.reserve(start, "admin", remote)
			if err != nil || a.wait != 0 {
				t.Fatalf("login %d from %q waits %s, %v", i, remote, a.wait, err)
			}
			th.succeeded(start, a)
		}
	}
}

func TestUnknownAddressIsNeverRefused(t *testing.T) {
	t.Parallel()
	th := newThrottle(100)
	for range 1000 {
		a, err := th.reserve(start, "admin", "")
		if err != nil || a.wait > 2*time.Second {
			t.Fatalf("waits %s, %v", a.wait, err)
		}
	}
}

// Whatever happens: memory is bounded, waiting is bounded, and the owner of an
// account who logged in from an address gets in there without waiting.
func TestThrottleProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const most = 64
		th := newThrottle(most)
		now := start
		login := func(name, remote string, right bool) {
			a, err := th.reserve(now, name, remote)
			switch {
			case err != nil && !problem.Is(err, problem.TooManyRequest):
				t.Fatal(err)
			case err != nil:
				return
			case a.wait < 0 || a.wait > patience:
				t.Fatalf("waits %s", a.wait)
			}
			if right {
				th.succeeded(now.Add(a.wait), a)
			}
		}
		login("owner", "home", true)
		t.Repeat(map[string]func(*rapid.T){
			"guess": func(t *rapid.T) {
				name := rapid.SampledFrom([]string{"owner", "admin", "x"}).Draw(t, "name")
				login(name, rapid.SampledFrom([]string{"a", "b", ""}).Draw(t, "remote"), false)
			},
			"spray":   func(t *rapid.T) { login(rapid.StringMatching(`[a-z]{3}`).Draw(t, "name"), "a", false) },
			"login":   func(t *rapid.T) { login("x", rapid.SampledFrom([]string{"a", "c"}).Draw(t, "remote"), true) },
			"advance": func(t *rapid.T) { now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "d"))) },
			"owner": func(t *rapid.T) {
				a, err := th.reserve(now, "owner", "home")
				if err != nil || a.wait != 0 {
					t.Fatalf("the owner waits %s, %v", a.wait, err)
				}
				th.succeeded(now, a)
			},
			"": func(t *rapid.T) {
				if len(th.items) != th.order.Len() || len(th.items) > most {
					t.Fatalf("%d entries, %d in order", len(th.items), th.order.Len())
				}
			},
		})
	})
}

func TestAddressesOfOneClientAreOne(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.1":                 "192.0.2.1",
		"192.0.2.1:5000":            "192.0.2.1",
		"::ffff:192.0.2.1":          "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::/64",
		"2001:db8:1:2:ffff::1":      "2001:db8:1:2::/64",
		"fe80::1%eth0":              "fe80::/64",
		"unix":                      "unix",
		"":                          "",
	} {
		if got := remoteGroup(RemoteOf(WithRemote(t.Context(), address))); got != want {
			t.Errorf("%q: got %q, want %q", address, got, want)
		}
	}
}
