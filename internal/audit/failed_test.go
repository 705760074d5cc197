package audit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/store"
	"github.com/lighterage/lighterage/internal/store/storetest"
)

// end has everything written, as the end of a process has.
func end(t *testing.T, l *audit.Log) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

func descriptions(t *testing.T, l *audit.Log) []string {
	t.Helper()
	query, err := store.ParseListQuery("", "op_time,id", 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	entries, _, err := l.List(t.Context(), audit.Selection{}, query)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, e := range entries {
		if !e.Failed {
			t.Errorf("%v is no failure", e)
		}
		said = append(said, e.Username+": "+e.Description)
	}
	return said
}

func TestWhatFailsAgainAndAgainIsCounted(t *testing.T) {
	t.Parallel()
	begun := at(0)
	denied := audit.Entry{Username: "ann", Kind: "delete_label", Resource: "prod", Description: "delete label: prod", Failed: true}
	tests := []struct {
		name string
		do   func(t *testing.T, l *audit.Log)
		want []string
	}{
		{"a wrong password", func(t *testing.T, l *audit.Log) {
			l.NoteFailedLogin(t.Context(), "ann", "192.0.2.1:4711")
		}, []string{"ann: login from 192.0.2.1"}},
		{"wrong passwords of one name from many addresses", func(t *testing.T, l *audit.Log) {
			for i := range 200 {
				l.At(begun.Add(time.Duration(i) * time.Millisecond))
				l.NoteFailedLogin(t.Context(), "ann", fmt.Sprintf("192.0.2.%d:4711", i))
			}
			l.NoteFailedLogin(t.Context(), "bob", "")
		}, []string{"ann: login from 192.0.2.0", "bob: login", "ann: login from 192.0.2.199 (199 more times within a minute)"}},
		{"a wrong password in each of two minutes", func(t *testing.T, l *audit.Log) {
			for i := range 3 {
				l.At(begun.Add(time.Duration(i) * 40 * time.Second))
				l.NoteFailedLogin(t.Context(), "ann", "")
			}
		}, []string{"ann: login", "ann: login (once more within a minute)", "ann: login"}},
		{"passwords that nobody looked at", func(t *testing.T, l *audit.Log) {
			for i := range 50 {
				l.NoteRefusedLogin(t.Context(), fmt.Sprint("name", i), "192.0.2.1")
			}
		}, []string{"unknown: login user: 50 more failed within a minute, too many to name each"}},
		{"refused changes", func(t *testing.T, l *audit.Log) {
			for range 10 {
				if err := l.WriteFailed(t.Context(), denied); err != nil {
					t.Fatal(err)
				}
			}
			other := denied
			other.Resource, other.Description = "test", "delete label: test"
			l.NoteFailed(t.Context(), other)
		}, []string{"ann: delete label: prod", "ann: delete label: test", "ann: delete label: prod (9 more times within a minute)"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := audit.New(storetest.Open(t), nil)
			l.At(begun)
			tt.do(t, l)
			end(t, l)
			got := descriptions(t, l)
			expect(t, got, tt.want...)
		})
	}
}

func TestWhoGuessesNamesDoesNotFillTheLog(t *testing.T) {
	t.Parallel()
	l := audit.New(storetest.Open(t), nil)
	begun := at(0)
	const guesses = 5000
	for i := range guesses {
		l.At(begun.Add(time.Duration(i) * time.Millisecond))
		l.NoteFailedLogin(t.Context(), fmt.Sprintf("%04d%s", i, strings.Repeat("x", 5000)), "192.0.2.1")
	}
	end(t, l)
	got := descriptions(t, l)
	if len(got) != 101 {
		t.Fatalf("%d entries", len(got))
	}
	for _, e := range got[:100] {
		if len(e) > 300 {
			t.Errorf("a name of %d bytes is kept", len(e))
		}
	}
	if want := "unknown: login user: 4900 more failed within a minute, too many to name each"; got[100] != want {
		t.Errorf("%q, want %q", got[100], want)
	}
}

func TestFailuresThatAreTurnedOffAreNotRecorded(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t)
	set(t, db, audit.DisabledSetting, "login_user,delete_label")
	l := audit.New(db, nil)
	for range 3 {
		l.NoteFailedLogin(t.Context(), "ann", "")
		l.NoteRefusedLogin(t.Context(), "ann", "")
		l.NoteFailed(t.Context(), audit.Entry{Username: "ann", Kind: "delete_label", Failed: true})
	}
	end(t, l)
	expect(t, descriptions(t, l))
}

func TestWhatWasCountedIsWrittenWhenItsMinuteIsOver(t *testing.T) {
	t.Parallel()
	l := audit.New(storetest.Open(t), nil)
	begun := at(0)
	l.At(begun)
	l.NoteFailedLogin(t.Context(), "ann", "")
	l.NoteFailedLogin(t.Context(), "ann", "")
	l.At(begun.Add(time.Minute))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	deadline := time.Now().Add(time.Minute)
	for len(descriptions(t, l)) < 2 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	expect(t, descriptions(t, l), "ann: login", "ann: login (once more within a minute)")
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}
