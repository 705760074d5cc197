package gen

import (
	"encoding/json"
	"fmt"
	"time"
)

// timeLayout is the only form in which Harbor writes times: UTC, three decimals.
const timeLayout = "2006-01-02T15:04:05.000Z"

// Time is a point in time in the API. The zero Time is written as
// 0001-01-01T00:00:00.000Z, never left out: that is how Harbor says "not yet".
type Time struct{ time.Time }

// MarshalJSON writes the time in UTC with three decimals.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(t.UTC().Format(`"` + timeLayout + `"`)), nil
}

// UnmarshalJSON reads RFC 3339; null and "" are the zero time.
func (t *Time) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	if text == "" {
		*t = Time{}
		return nil
	}
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return fmt.Errorf("time %q is not of the form %s", text, timeLayout)
	}
	t.Time = parsed.UTC()
	return nil
}
