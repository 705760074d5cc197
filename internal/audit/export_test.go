package audit

import "time"

// At sets the clock.
func (l *Log) At(now time.Time) { l.now = func() time.Time { return now } }
