package api

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// readOnlyFor is how long a server believes what it last read about read-only
// mode: switching it on another server counts here after that time.
const readOnlyFor = time.Second

// Settings are Harbor's configuration items, kept in the database under their
// own names. It is safe for concurrent use.
type Settings struct {
	db  *store.DB
	now func() time.Time

	also func() bool // see ReadOnlyToo

	mu       sync.Mutex
	readOnly bool
	checked  time.Time // zero: readOnly was never read

	versions settingsVersion
}

// settingsVersion is what all settings were when they were last read.
type settingsVersion struct {
	mu   sync.Mutex // held while they are read: whoever asks meanwhile gets the same
	text string
	read time.Time // zero: never
}

// NewSettings returns the settings in db.
func NewSettings(db *store.DB) *Settings { return &Settings{db: db, now: time.Now} }

// ReadOnly reports whether the system is in read-only mode. If the database
// cannot be asked, what was last known counts; if nothing is known, it is.
func (s *Settings) ReadOnly() bool {
	if s.also != nil && s.also() {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.checked.IsZero() && s.now().Sub(s.checked) < readOnlyFor {
		return s.readOnly
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	value, _, err := s.db.Setting(ctx, "read_only")
	if err != nil {
		return s.readOnly || s.checked.IsZero()
	}
	s.readOnly, s.checked = value == "true", s.now()
	return s.readOnly
}

// ReadOnlyToo has ReadOnly be true while f says so, whatever the setting is, which stays
// as it is. It is called before the settings are used.
func (s *Settings) ReadOnlyToo(f func() bool) { s.also = f }

// Get returns the value of an item: text, int64 or bool.
func (s *Settings) Get(ctx context.Context, name string) (any, error) {
	i, known := item(name)
	if !known {
		return nil, fmt.Errorf("no configuration item %s", name)
	}
	text, found, err := s.db.Setting(ctx, name)
	if err != nil {
		return nil, err
	}
	if !found {
		return i.value, nil
	}
	return i.parse(text), nil
}

// set stores items. On this server read-only mode has changed when it returns.
func (s *Settings) set(ctx context.Context, values map[string]any) error {
	err := s.db.InTx(ctx, func(tx *store.Tx) error {
		for name, value := range values {
			if err := store.SetSetting(ctx, tx, name, fmt.Sprint(value)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.checked = time.Time{}
	s.mu.Unlock()
	return nil
}

// version returns a text that becomes another one when an item or read-only mode
// changes, whichever server changes it. However many ask, the database is read once in
// readOnlyFor.
func (s *Settings) version(ctx context.Context) (string, error) {
	items, err := s.keptItems(ctx)
	if err != nil {
		return "", fmt.Errorf("read the settings: %w", err)
	}
	return fmt.Sprint(s.ReadOnly(), items), nil
}

func (s *Settings) keptItems(ctx context.Context) (string, error) {
	v := &s.versions
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.read.IsZero() && s.now().Sub(v.read) < readOnlyFor {
		return v.text, nil
	}
	stored, err := s.db.Settings(ctx)
	if err != nil {
		return "", err
	}
	maps.DeleteFunc(stored, func(name, _ string) bool { i, known := item(name); return !known || !i.kept }) // there are others
	v.text, v.read = fmt.Sprintf("%q", stored), s.now()                                                     // in the order of their names
	return v.text, nil
}

// parse reads a stored value in the type of the item's default.
func (i configItem) parse(text string) any {
	switch i.value.(type) {
	case bool:
		return text == "true"
	case int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return i.value
		}
		return n
	default:
		return text
	}
}
