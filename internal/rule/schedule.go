package rule

import (
	"time"
	_ "time/tzdata" // zones are known wherever the program runs

	"github.com/robfig/cron/v3"

	"github.com/lighterage/lighterage/internal/problem"
)

// Schedule says at which moments a rule is due.
//
// A zone that changes its clock neither loses nor doubles a run. A time that the
// clock passes twice counts the first time; one that it jumps over is due when it
// has jumped, once for all that were jumped over. A schedule of every hour goes by
// the hours that really pass instead.
type Schedule struct {
	fields    *cron.SpecSchedule // read as if clocks never changed
	zone      *time.Location
	everyHour bool
}

// ParseSchedule reads a cron expression, see ValidateCron, that is meant in a zone,
// see ValidateTimeZone. What is wrong with them is a problem.BadRequest.
func ParseSchedule(expr, zone string) (Schedule, error) {
	if err := ValidateCron(expr); err != nil {
		return Schedule{}, err
	}
	location, err := loadZone(zone)
	if err != nil {
		return Schedule{}, err
	}
	fields, err := parseCron(expr)
	if err != nil {
		return Schedule{}, problem.Wrap(problem.BadRequest, err, "cron %q", expr)
	}
	const allHours = 1<<24 - 1
	return Schedule{fields: fields, zone: location, everyHour: fields.Hour&allHours == allHours}, nil
}

// Schedule returns the schedule of a rule with the trigger Scheduled.
func (r Rule) Schedule() (Schedule, error) { return ParseSchedule(r.Cron, r.TimeZone) }

// ValidateTimeZone says as a problem.BadRequest that a name is not that of a zone in
// the IANA database. "" is UTC.
func ValidateTimeZone(name string) error {
	_, err := loadZone(name)
	return err
}

func loadZone(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" { // which is another one on each server
		return nil, problem.New(problem.BadRequest,
			"trigger.trigger_settings.time_zone: %q is no time zone; it must be an IANA name such as Europe/Berlin or Asia/Shanghai", name)
	}
	return zone, nil
}

// Next returns the first moment after another at which the rule is due, in UTC; the
// zero time when it is none within five years.
func (s Schedule) Next(after time.Time) time.Time {
	if s.everyHour {
		return s.nextByHours(after)
	}
	clock, _, _ := s.clock(after)
	// Where the clock was changed lately, moments from now on may be called by names
	// that it has shown already, or has jumped over.
	if start, _ := after.In(s.zone).ZoneBounds(); !start.IsZero() && after.Sub(start) < longestJump {
		clock = clock.Add(-longestJump)
	}
	for {
		if clock = s.fields.Next(clock); clock.IsZero() {
			return time.Time{}
		}
		if at := s.reach(clock); at.After(after) {
			return at
		}
	}
}

// longestJump is more than any zone ever changed its clock by: some have changed the
// day, when they moved to the other side of the date line.
const longestJump = 26 * time.Hour

// nextByHours is Next for a schedule of every hour: every moment counts at which the
// clock shows what the schedule says.
func (s Schedule) nextByHours(after time.Time) time.Time {
	clock, offset, end := s.clock(after)
	for {
		due := s.fields.Next(clock)
		if due.IsZero() {
			return time.Time{}
		}
		if at := due.Add(-offset); end.IsZero() || at.Before(end) {
			return at
		}
		clock, offset, end = s.clock(end)
		clock = clock.Add(-time.Second) // the moment of the change counts too
	}
}

// reach returns the first moment at which the clock shows a time, or has jumped over it.
func (s Schedule) reach(shown time.Time) time.Time {
	for at := shown.Add(-2 * longestJump); ; { // it was earlier then, in every zone
		_, offset, end := s.clock(at)
		due := shown.Add(-offset)
		if due.Before(at) {
			due = at
		}
		if end.IsZero() || due.Before(end) {
			return due
		}
		at = end
	}
}

// clock returns what a clock in the zone shows at a moment, as a time in UTC, and by
// how much that is ahead of UTC until when; a zero end is for ever.
func (s Schedule) clock(at time.Time) (shown time.Time, offset time.Duration, end time.Time) {
	here := at.In(s.zone)
	_, seconds := here.Zone()
	offset = time.Duration(seconds) * time.Second
	_, end = here.ZoneBounds()
	if !end.IsZero() {
		end = end.UTC()
	}
	return at.UTC().Add(offset), offset, end
}
