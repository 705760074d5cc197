package account

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/problem"
)

func TestPasswordMatchesOnlyItsOwnHash(t *testing.T) {
	t.Parallel()
	h := newHasher(Cost{MemoryKiB: 8, Passes: 1})
	rapid.Check(t, func(t *rapid.T) {
		password, other := rapid.String().Draw(t, "password"), rapid.String().Draw(t, "other")
		stored, err := h.hash(t.Context(), password)
		if err != nil {
			t.Fatal(err)
		}
		for text, want := range map[string]bool{other: other == password, password: true} {
			if got, err := h.matches(t.Context(), stored, text); err != nil || got != want {
				t.Errorf("%q with the hash of %q: %t, %v", text, password, got, err)
			}
		}
		again, err := h.hash(t.Context(), password)
		if err != nil || again == stored {
			t.Errorf("hashing twice: %v, %s, %s", err, stored, again)
		}
	})
}

func TestNothingMatchesAMissingAccount(t *testing.T) {
	t.Parallel()
	h := newHasher(Cost{MemoryKiB: 8, Passes: 1})
	// Not even what the decoy's hash happens to be of.
	h.derive = func(string, []byte, Cost, uint32) []byte { return h.decoy.hash }
	if got, err := h.matches(t.Context(), "", "x"); err != nil || got {
		t.Errorf("got %t, %v", got, err)
	}
}

func TestDefaultCostIsWhatOWASPRecommends(t *testing.T) {
	t.Parallel()
	h := newHasher(DefaultCost())
	stored, err := h.hash(t.Context(), "Passw0rd1")
	if err != nil || !strings.HasPrefix(stored, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("got %s, %v", stored, err)
	}
}

func TestHashingIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHasher(Cost{MemoryKiB: 8, Passes: 1})
		release := make(chan struct{})
		var running atomic.Int64
		h.derive = func(string, []byte, Cost, uint32) []byte {
			running.Add(1)
			<-release
			running.Add(-1)
			return h.decoy.hash
		}
		const callers = hashingAtOnce + hashingWaiting + 50
		ctx, leave := context.WithCancel(t.Context())
		results := make(chan error, callers)
		for range callers {
			go func() {
				_, err := h.matches(ctx, "", "x")
				results <- err
			}()
		}
		synctest.Wait()
		if n := running.Load(); n != hashingAtOnce {
			t.Errorf("%d at a time, want %d", n, hashingAtOnce)
		}
		if n := len(results); n != 50 {
			t.Errorf("%d were sent away, want the 50 who do not fit in the line", n)
		}
		for range len(results) {
			if err := <-results; !problem.Is(err, problem.TooManyRequest) {
				t.Errorf("sent away with %v", err)
			}
		}
		leave() // who waits need not wait on
		synctest.Wait()
		for range len(results) {
			if err := <-results; !errors.Is(err, context.Canceled) {
				t.Errorf("who left got %v", err)
			}
		}
		close(release)
		synctest.Wait()
		if n := len(results); n != hashingAtOnce {
			t.Errorf("%d were left, want %d", n, hashingAtOnce)
		}
		if _, err := h.matches(t.Context(), "", "x"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestRandomPasswordsKeepTheRuleAndDiffer(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 200 {
		p := randomPassword(secretLength)
		if !validPassword(p) || len(p) != secretLength || seen[p] || strings.Trim(p, letters) != "" {
			t.Fatalf("got %q", p)
		}
		seen[p] = true
	}
}

func FuzzPasswordHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=08,t=+1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := parsePasswordHash(text)
		if err == nil && p.String() != text {
			t.Errorf("%q reads as %q", text, p)
		}
	})
}
