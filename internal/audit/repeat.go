package audit

import (
	"fmt"
	"sync"
	"time"
)

const (
	repeatTime   = time.Minute // how long the same failure is counted and not written
	mostLogins   = 100         // names that failed logins are told apart by, at a time
	mostFailures = 1000        // other failures that are told apart, at a time
	nobody       = "unknown"   // Harbor's word for who is not known
)

// repeats keeps what fails again and again from filling the log: the first failure of its
// like is written, those that follow within a minute are counted, and written as one when the
// minute is over. Of too many different ones at a time the number is written, by kind.
type repeats struct {
	most int

	mu   sync.Mutex
	seen map[failure]*repeat
	rest map[Kind]*repeat // of what was too much
}

// failure is what makes failures the same.
type failure struct {
	kind                            Kind
	username, resource, description string
}

type repeat struct {
	last  Entry
	until time.Time
	more  int64 // than what is written
}

func newRepeats(most int) *repeats {
	return &repeats{most: most, seen: map[failure]*repeat{}, rest: map[Kind]*repeat{}}
}

// first reports whether an entry is to be written; else it is counted. Entries that are
// written in the place of earlier ones are returned too.
func (r *repeats) first(e Entry, f failure) (write bool, due []Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	due = r.take(e.Time, false)
	if known, found := r.seen[f]; found {
		known.last, known.more = e, known.more+1
		return false, due
	}
	if len(r.seen) < r.most {
		r.seen[f] = &repeat{last: e, until: e.Time.Add(repeatTime)}
		return true, due
	}
	r.count(e)
	return false, due
}

// uncounted adds an entry to those that are not told apart.
func (r *repeats) uncounted(e Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(e)
}

func (r *repeats) count(e Entry) {
	rest, found := r.rest[e.Kind]
	if !found {
		rest = &repeat{until: e.Time.Add(repeatTime)}
		r.rest[e.Kind] = rest
	}
	rest.last, rest.more = e, rest.more+1
}

// over returns the entries about what was counted until now, or all of them.
func (r *repeats) over(now time.Time, all bool) []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.take(now, all)
}

func (r *repeats) take(now time.Time, all bool) (due []Entry) {
	for f, known := range r.seen {
		if !all && now.Before(known.until) {
			continue
		}
		delete(r.seen, f)
		if known.more > 0 {
			e := known.last
			e.Description += fmt.Sprintf(" (%s within a minute)", times(known.more))
			due = append(due, e)
		}
	}
	for kind, rest := range r.rest {
		if !all && now.Before(rest.until) {
			continue
		}
		delete(r.rest, kind)
		due = append(due, Entry{
			Username: nobody, Resource: nobody, Kind: kind, Failed: true, Time: rest.last.Time,
			Description: fmt.Sprintf("%s: %d more failed within a minute, too many to name each", kind.words(), rest.more),
		})
	}
	return due
}

func times(n int64) string {
	if n == 1 {
		return "once more"
	}
	return fmt.Sprintf("%d more times", n)
}
