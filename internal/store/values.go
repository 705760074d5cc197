package store

import (
	"encoding/json"
	"fmt"
	"time"
)

// Millis is the form in which times are stored: milliseconds since 1970, 0 for
// the zero time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Time is the reverse of Millis, in UTC.
func Time(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}

// JSON is the form in which values without columns of their own are stored. It
// panics on a value that has no JSON form, which is a mistake in the program.
func JSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: %T as JSON: %v", v, err))
	}
	return string(b)
}

// FromJSON is the reverse of JSON.
func FromJSON(text string, v any) error {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		return fmt.Errorf("stored %T: %w", v, err)
	}
	return nil
}
