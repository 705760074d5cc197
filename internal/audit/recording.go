package audit

import (
	"context"
	"fmt"
	"slices"

	"github.com/lighterage/lighterage/internal/problem"
)

// Recording is what is recorded, and for how long.
type Recording struct {
	Off     bool   // nothing is recorded
	Without []Kind // what is not recorded
	Days    int64  // how long entries are kept; 0: for ever
}

// Recording returns what the settings say now.
func (l *Log) Recording(ctx context.Context) (Recording, error) {
	days, err := l.retention(ctx)
	if err != nil {
		return Recording{}, err
	}
	skip, disabled, err := settings(ctx, l.db)
	if err != nil {
		return Recording{}, err
	}
	unknown := func(k Kind) bool { return !slices.Contains(Kinds(), k) }
	return Recording{Off: skip, Without: slices.DeleteFunc(disabled, unknown), Days: days}, nil
}

// retention is for how many days entries are kept; 0: for ever.
func (l *Log) retention(ctx context.Context) (days int64, err error) {
	value, found, err := l.db.Setting(ctx, RetentionSetting)
	if err != nil || !found {
		return DefaultRetention, err
	}
	if _, err := fmt.Sscan(value, &days); err != nil || days < 0 {
		return 0, problem.New(problem.Unknown, "%s is %q, not a number of days", RetentionSetting, value)
	}
	return days, nil
}
