package api

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

func openStore(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestReadOnlyModeIsSharedAndKept(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	here, there := NewSettings(db), NewSettings(db)
	there.now = func() time.Time { return now }
	if here.ReadOnly() || there.ReadOnly() {
		t.Fatal("a new server is read-only")
	}
	if err := here.set(t.Context(), map[string]any{"read_only": true}); err != nil {
		t.Fatal(err)
	}
	if !here.ReadOnly() {
		t.Error("the server that switched read-only mode on is not in it")
	}
	now = now.Add(readOnlyFor)
	if !there.ReadOnly() {
		t.Error("another server has not noticed after a second")
	}
	if !NewSettings(db).ReadOnly() {
		t.Error("read-only mode does not survive a restart")
	}
}

func TestTheVersionOfSettingsIsAnotherOneWhateverChangesThem(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	here, there := NewSettings(db), NewSettings(db)
	frozen := false
	there.now = func() time.Time { return now }
	there.ReadOnlyToo(func() bool { return frozen })
	version := func() string {
		t.Helper()
		now = now.Add(readOnlyFor)
		v, err := there.version(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	last := version()
	for _, test := range []struct {
		what    string
		change  func() error
		another bool
	}{
		{"nothing", func() error { return nil }, false},
		{"read-only mode on another server", func() error { return here.set(t.Context(), map[string]any{"read_only": true}) }, true},
		{"and back", func() error { return here.set(t.Context(), map[string]any{"read_only": false}) }, true},
		{"a migration that has frozen the storage", func() error { frozen = true; return nil }, true},
		{"and has thawed it", func() error { frozen = false; return nil }, true},
		{"a banner", func() error { return here.set(t.Context(), map[string]any{"banner_message": "a b"}) }, true},
		{"something that is no item", func() error {
			return db.InTx(t.Context(), func(tx *store.Tx) error { return store.SetSetting(t.Context(), tx, "cursor", "1") })
		}, false},
	} {
		if err := test.change(); err != nil {
			t.Fatal(err)
		}
		now := version()
		if (now != last) != test.another {
			t.Errorf("after %s: %s, before: %s", test.what, now, last)
		}
		last = now
	}
}

func TestReadOnlyModeWhenTheDatabaseIsGone(t *testing.T) {
	t.Parallel()
	db := openStore(t)
	known, unknown := NewSettings(db), NewSettings(db)
	now := time.Now()
	known.now = func() time.Time { return now }
	if known.ReadOnly() {
		t.Fatal("a new server is read-only")
	}
	_ = db.Close()
	now = now.Add(time.Hour)
	if known.ReadOnly() {
		t.Error("what was known last does not count")
	}
	if !unknown.ReadOnly() {
		t.Error("writes are let in although nobody knows whether they may")
	}
}

func TestSettingsHaveTheTypesOfHarbor(t *testing.T) {
	t.Parallel()
	s := NewSettings(openStore(t))
	err := s.set(t.Context(), map[string]any{"robot_name_prefix": "bot$", "token_expiration": int64(5), "notification_enable": false})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"robot_name_prefix": "bot$", "token_expiration": int64(5), "notification_enable": false, // set
		"ldap_uid": "cn", "ldap_timeout": int64(5), "ldap_verify_cert": true, // Harbor's defaults
	} {
		if got, err := s.Get(t.Context(), name); err != nil || got != want {
			t.Errorf("%s is %v (%v), want %v", name, got, err, want)
		}
	}
	if _, err := s.Get(t.Context(), "nothing"); err == nil {
		t.Error("there is an item nothing")
	}
}
