package replication

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/transfer"
)

// LineType says what a line of a plan is.
type LineType string

// The types of lines.
const (
	LineItem    LineType = "item"
	LineError   LineType = "error"
	LineSummary LineType = "summary" // the last line
)

// PlanLine is one line of a plan as it is told, in the names of the API.
type PlanLine struct {
	Type                  LineType `json:"type"`
	Action                Action   `json:"action,omitempty"`
	Reason                string   `json:"reason,omitempty"` // of a skip or a conflict
	SourceRepository      string   `json:"src_repository,omitempty"`
	DestinationRepository string   `json:"dst_repository,omitempty"`
	DestinationID         int64    `json:"dest_registry_id,omitempty"`
	Destination           string   `json:"dest_registry,omitempty"` // name of the registry
	Tag                   string   `json:"tag,omitempty"`           // "": an artifact without a tag
	Digest                string   `json:"digest,omitempty"`        // at the source; "" when it was not told
	Stands                string   `json:"stands,omitempty"`        // digest at the destination of an index that becomes another one there
	Replaces              string   `json:"replaces,omitempty"`      // digest of what the destination has in its place
	Kind                  string   `json:"kind,omitempty"`          // image, artifact, accessory, or another type that the source tells
	Subject               string   `json:"subject,omitempty"`       // of an accessory: what it belongs to
	Size                  int64    `json:"size,omitempty"`          // bytes of the whole artifact, if the source told
	Bytes                 *int64   `json:"bytes,omitempty"`         // really to be sent; nil: not asked for
	Platforms             []string `json:"platforms,omitempty"`     // of an index, with Bytes
	Error                 string   `json:"error,omitempty"`

	Summary *PlanSummary `json:"summary,omitempty"`
}

// Reference is the tag, or the digest of an artifact without one.
func (l PlanLine) Reference() string {
	if l.Tag != "" {
		return l.Tag
	}
	return l.Digest
}

// PlanSummary sums a plan up. Its numbers are sums over the destinations.
type PlanSummary struct {
	// Complete: everything could be looked at.
	Complete     bool           `json:"complete"`
	Source       string         `json:"src_registry"`
	Repositories int            `json:"repositories"`
	Tags         int            `json:"tags"`
	Artifacts    int            `json:"artifacts"` // distinct ones, as far as digests are known
	Failed       int            `json:"failed"`    // lines with an error
	LeftOut      int            `json:"left_out"`  // skips of what the rule does not want after all
	Actions      map[Action]int `json:"actions"`
	// Platforms are how many indexes that are to be copied name each, with Bytes.
	Platforms    map[string]int    `json:"platforms,omitempty"`
	Bytes        *PlanBytes        `json:"bytes,omitempty"`
	Destinations []PlanDestination `json:"destinations"`
	Requests     []PlanRequests    `json:"requests,omitempty"`
	Warnings     []PlanWarning     `json:"warnings,omitempty"`
	// Of a plan that is kept, to be carried out as it is:
	PlanID       int64      `json:"plan_id,omitempty"`
	CreationTime *time.Time `json:"creation_time,omitempty"`
	ExpiryTime   *time.Time `json:"expiry_time,omitempty"`
}

// PlanDestination is what a plan does at one destination.
type PlanDestination struct {
	DestinationID int64          `json:"dest_registry_id,omitempty"`
	Destination   string         `json:"dest_registry"`
	Repositories  int            `json:"repositories"`
	Tags          int            `json:"tags"`
	Artifacts     int            `json:"artifacts"`
	Failed        int            `json:"failed"`
	LeftOut       int            `json:"left_out"`
	Actions       map[Action]int `json:"actions"`
	Platforms     map[string]int `json:"platforms,omitempty"`
	Bytes         *PlanBytes     `json:"bytes,omitempty"`
}

// PlanBytes is what a plan moves. Bytes of blobs.
type PlanBytes struct {
	Send    int64 `json:"send"`
	Mount   int64 `json:"mount"`   // linked from another repository of the destination
	Present int64 `json:"present"` // there already
}

// PlanRequests is what a plan costs at a host that counts requests.
type PlanRequests struct {
	Host string `json:"host"`
	// Pulls are the manifests that are read there to carry the plan out.
	Pulls int64 `json:"pulls"`
	// AtLeast: an index takes one more for each of its children, which were not counted; and
	// a rule for some platforms looks at more than it copies.
	AtLeast bool `json:"at_least,omitempty"`
	// Planned are those that were read to make the plan.
	Planned       int64      `json:"planned_pulls,omitempty"`
	Limit         *int       `json:"limit,omitempty"` // as the host said; nil: it did not
	Remaining     *int       `json:"remaining,omitempty"`
	WindowSeconds int64      `json:"window_seconds,omitempty"`
	Reset         *time.Time `json:"reset_time,omitempty"`
	Counted       string     `json:"counted,omitempty"` // whom the host counts: an address or an account
}

// PlanWarning is something to be looked at before the plan is carried out.
type PlanWarning struct {
	Code    WarningCode `json:"code"`
	Message string      `json:"message"`
}

// WarningCode tells warnings apart.
type WarningCode string

// The warnings.
const (
	WarnNothing    WarningCode = "nothing_matched"
	WarnEverything WarningCode = "everything_matched"
	WarnCollisions WarningCode = "collisions"
	WarnDeletions  WarningCode = "deletions"
	WarnRateLimit  WarningCode = "rate_limit"
	WarnIncomplete WarningCode = "incomplete"
)

// planSum adds a plan up while its lines are told.
type planSum struct {
	route        Route
	bytes        bool
	cut          bool // it ended early
	destinations []*PlanDestination
	repositories map[string]bool
	collisions   int
	manifests    int64 // to be read from the source
}

func newPlanSum(r Route, o PlanOptions) *planSum {
	s := &planSum{route: r, bytes: o.Bytes, repositories: map[string]bool{}}
	for _, to := range r.each() {
		d := &PlanDestination{DestinationID: to.Destination.ID, Destination: to.Destination.Name, Actions: map[Action]int{}}
		if o.Bytes {
			d.Bytes, d.Platforms = &PlanBytes{}, map[string]int{}
		}
		s.destinations = append(s.destinations, d)
	}
	return s
}

func (s *planSum) destination(id int64) *PlanDestination {
	i := slices.IndexFunc(s.destinations, func(d *PlanDestination) bool { return d.DestinationID == id })
	return s.destinations[i] // a plan is about a destination of its route
}

// lines are those of one repository at one destination.
func (s *planSum) lines(plan examinedPlan) []PlanLine {
	d := s.destination(plan.DestinationID)
	d.Repositories++
	s.repositories[plan.SourceRepository] = true
	about := PlanLine{
		SourceRepository: plan.SourceRepository, DestinationRepository: plan.DestinationRepository,
		DestinationID: d.DestinationID, Destination: d.Destination,
	}
	fail := func(line PlanLine, err error) PlanLine {
		d.Failed++
		line.Type, line.Error = LineError, err.Error()
		return line
	}
	if plan.Err != nil {
		return []PlanLine{fail(about, plan.Err)}
	}
	lines := make([]PlanLine, 0, len(plan.Items))
	distinct := map[string]bool{}
	for i := range plan.Items {
		item := &plan.Items[i]
		line := about.of(item, plan.ResourceType)
		d.Actions[item.Action]++
		if item.LeftOut() {
			d.LeftOut++
		}
		if line.Tag != "" {
			d.Tags++
		}
		if item.Digest == "" {
			d.Artifacts++
		} else {
			distinct[item.Digest] = true
		}
		if item.contested() {
			s.collisions++
		}
		if s.bytes {
			s.weigh(d, &line, item, plan.costs[i])
		} else if item.writes() {
			s.manifests++
		}
		lines = append(lines, line)
		if s.bytes && plan.troubles[i] != nil {
			failed := about
			failed.Tag, failed.Digest = line.Tag, line.Digest
			lines = append(lines, fail(failed, plan.troubles[i]))
		}
	}
	d.Artifacts += len(distinct)
	return lines
}

// of is the line about an item.
func (l PlanLine) of(item *Item, resource string) PlanLine {
	l.Type, l.Action, l.Reason = LineItem, item.Action, item.Reason
	l.Digest, l.Stands, l.Replaces, l.Subject, l.Size = item.Digest, item.Stands, item.replaces(), item.Subject, item.Size
	if item.pinned() {
		l.Replaces = item.Replaces
	}
	if l.Kind = item.kind; l.Kind == "" {
		l.Kind = resource
	}
	if byDigest(item.Reference) {
		l.Digest = item.Reference
	} else {
		l.Tag = item.Reference
	}
	if item.Action == ActionConflict && item.Reason == "" {
		l.Reason = "the destination has something else under this tag and the rule does not override"
	}
	return l
}

// weigh adds what an item takes.
func (s *planSum) weigh(d *PlanDestination, line *PlanLine, item *Item, cost *transfer.Cost) {
	switch {
	case cost != nil:
		line.Bytes, line.Platforms = &cost.Send, cost.Platforms
		d.Bytes.Send += cost.Send
		d.Bytes.Mount += cost.Mount
		d.Bytes.Present += cost.Present
		s.manifests += cost.Manifests
		for _, p := range cost.Platforms {
			d.Platforms[p]++
		}
	case !item.writes() || item.Subject != "":
		line.Bytes = new(int64) // an accessory is counted with what it belongs to
	}
}

// summary is the last line.
func (s *planSum) summary() *PlanSummary {
	sum := &PlanSummary{Source: s.route.Source.Name, Repositories: len(s.repositories), Actions: map[Action]int{}}
	if s.bytes {
		sum.Bytes, sum.Platforms = &PlanBytes{}, map[string]int{}
	}
	for _, d := range s.destinations {
		sum.Tags += d.Tags
		sum.Artifacts += d.Artifacts
		sum.Failed += d.Failed
		sum.LeftOut += d.LeftOut
		for action, n := range d.Actions {
			sum.Actions[action] += n
		}
		if s.bytes {
			sum.Bytes.Send += d.Bytes.Send
			sum.Bytes.Mount += d.Bytes.Mount
			sum.Bytes.Present += d.Bytes.Present
			for p, n := range d.Platforms {
				sum.Platforms[p] += n
			}
		}
		sum.Destinations = append(sum.Destinations, *d)
	}
	sum.Complete = !s.cut && sum.Failed == 0
	sum.Requests = s.requests()
	sum.Warnings = s.warnings(sum)
	return sum
}

// requests tells of the hosts that count requests, as far as the plan concerns them.
func (s *planSum) requests() []PlanRequests {
	var all []PlanRequests
	for i, side := range append([]*Side{s.route.Source, s.route.Destination}, s.route.More...) {
		client := side.Adapter.Client()
		said, ok := client.RateLimit()
		if !ok && !client.MetersPulls() {
			continue
		}
		r := PlanRequests{Host: client.Host(), WindowSeconds: int64(said.Window.Seconds()), Counted: said.Source}
		if i == 0 { // at destinations no manifest is read
			r.Pulls, r.AtLeast = s.manifests, s.manifests > 0 && (!s.bytes || len(s.route.Rule.Platforms) > 0)
			if s.bytes {
				r.Planned = s.manifests
			}
		}
		if ok {
			r.Remaining = &said.Remaining
			if said.Limit > 0 {
				r.Limit = &said.Limit
			}
			if !said.Reset.IsZero() {
				reset := said.Reset.UTC().Truncate(time.Second)
				r.Reset = &reset
			}
		}
		all = append(all, r)
	}
	return all
}

// warnings are what should be seen before a plan is carried out.
func (s *planSum) warnings(sum *PlanSummary) []PlanWarning {
	var all []PlanWarning
	warn := func(code WarningCode, format string, args ...any) {
		all = append(all, PlanWarning{code, fmt.Sprintf(format, args...)})
	}
	told := 0
	for _, n := range sum.Actions {
		told += n
	}
	r := s.route.Rule
	switch {
	case s.cut || sum.Failed > 0:
		warn(WarnIncomplete, "the plan is not complete: not everything could be looked at")
	case told == 0:
		warn(WarnNothing, "nothing matched: %s", s.route.Census.Nothing(r))
	}
	if told > 0 && rule.SelectsEverything(r) {
		warn(WarnEverything, "%s: the rule takes everything that %s has", everythingMatched, s.route.Source.Name)
	}
	if s.collisions > 0 {
		warn(WarnCollisions, "%d names at the destination are claimed by more than one repository: nothing is put there", s.collisions)
	}
	switch n := sum.Actions[ActionDelete]; {
	case n > 0:
		warn(WarnDeletions, "%d references are deleted at the destination", n)
	case s.route.repeatsDeletions():
		warn(WarnDeletions, "the rule repeats deletions: what is deleted at the source from now on is deleted at %s too; running it by hand deletes nothing", s.destinationNames())
	}
	for _, q := range sum.Requests {
		if q.Remaining != nil && q.Pulls > int64(*q.Remaining) {
			warn(WarnRateLimit, "%s: carrying the plan out takes %d pulls, and the host said that it gives %d more", q.Host, q.Pulls, *q.Remaining)
		}
	}
	return all
}

func (s *planSum) destinationNames() string {
	names := map[string]bool{}
	for _, d := range s.destinations {
		names[d.Destination] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), ", ")
}
