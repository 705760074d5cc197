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
