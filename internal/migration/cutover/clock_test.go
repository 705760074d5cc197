package cutover

import (
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/secret"

	"github.com/lighterage/lighterage/internal/store/storetest"
)

// A server whose clock is an hour off is there like any other, and takes nothing away.
func TestServersWhoseClocksDifferKnowOfEachOther(t *testing.T) {
	db := storetest.OpenURL(t, storetest.PostgreSQLURL(t))
	box, err := secret.NewBox([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	for name, off := range map[string]time.Duration{"behind": -time.Hour, "ahead": time.Hour} {
		right, wrong := NewBook(db, box, "right of "+name), NewBook(db, box, name)
		wrong.clock = func() time.Time { return time.Now().Add(off) }
		servers := 0
		for _, b := range []*Book{right, wrong} {
			if err := b.Present(t.Context(), 1, ""); err != nil {
				t.Fatal(err)
			}
		}
		for _, b := range []*Book{right, wrong} {
			list, err := b.Servers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if servers = len(list); servers != 2 {
				t.Errorf("%s sees %d servers, clock %s", b.name, servers, name)
			}
		}
		id, err := right.Begin(t.Context(), State{Status: Running, Phase: Preflight}, Secrets{})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := right.Claim(t.Context()); err != nil || s == nil {
			t.Fatalf("the first has %v, %v", s, err)
		}
		if s, err := wrong.Claim(t.Context()); err != nil || s != nil {
			t.Errorf("the server whose clock is %s takes the migration of another: %v, %v", name, s, err)
		}
		if err := right.Keeper(id).Save(t.Context(), &State{Status: Canceled}); err != nil {
			t.Error(err)
		}
		for _, b := range []*Book{right, wrong} {
			if err := b.Leave(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}
