package rule

import (
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/lighterage/lighterage/internal/problem"
)

// ValidateCron checks the schedule of a rule as Harbor does: six fields (second,
// minute, hour, day of month, month, day of week), of which the first must be 0
// and the second not *. Descriptors such as @daily and time zones are refused, and
// unlike in Harbor days that never come, such as the 30th of February.
func ValidateCron(expr string) error {
	if expr == "" {
		return problem.New(problem.BadRequest, "the cron string cannot be empty when the trigger type is %s", Scheduled)
	}
	invalid := problem.New(problem.BadRequest, "invalid cron string for scheduled trigger: %s", expr)
	fields := strings.Fields(expr)
	// The parser slices out of range when nothing follows the time zone.
	if len(fields) < 2 || strings.HasPrefix(expr, "TZ=") || strings.HasPrefix(expr, "CRON_TZ=") {
		return invalid
	}
	schedule, err := parseCron(expr)
	if err != nil {
		return invalid
	}
	if fields[0] != "0" {
		return problem.New(problem.BadRequest, "the 1st field (indicating Seconds of time) of the cron setting must be 0")
	}
	if fields[1] == "*" {
		return problem.New(problem.BadRequest,
			"* is not allowed for the Minutes field of the cron setting of replication policy")
	}
	if leapYear := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC); schedule.Next(leapYear).IsZero() {
		return problem.New(problem.BadRequest, "invalid cron string for scheduled trigger: %s: there is no such day", expr)
	}
	return nil
}

// parseCron reads an expression for a clock that is never changed: that of UTC.
func parseCron(expr string) (*cron.SpecSchedule, error) {
	parser := cron.NewParser(cron.Second | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow)
	schedule, err := parser.Parse(expr)
	if err != nil {
		return nil, err
	}
	fields := schedule.(*cron.SpecSchedule) // what six fields are read as
	fields.Location = time.UTC
	return fields, nil
}
