// Package rule knows what a replication rule means: which repositories and tags
// its filters select, what an artifact is called at the destination, and which
// rules are valid. The meaning is Harbor's, and so are the messages.
//
// The package is pure: it has no clock, asks no registry and reads no database.
// It differs from Harbor where Harbor is broken: the resource filter filters,
// and a pattern that cannot be understood is refused when the rule is saved and
// not each time it runs.
package rule

import (
	"math"
	"unicode/utf8"

	"github.com/lighterage/lighterage/internal/problem"
)

// TriggerType says what starts a rule.
type TriggerType string

// The triggers. The empty TriggerType is a rule without one, which Harbor
// allows: it is started by hand.
const (
	Manual     TriggerType = "manual"
	Scheduled  TriggerType = "scheduled"
	EventBased TriggerType = "event_based"
)

// FlattenAll is the replace count that keeps only the last path component of
// the source repository. A rule that names no count has it.
const FlattenAll int8 = -1

// maxNameLength is how many characters Harbor's database keeps of a rule's name.
const maxNameLength = 256

// Rule is what a replication policy says, without its id and its registries.
type Rule struct {
	Name          string
	Description   string
	Filters       []Filter
	DestNamespace string
	ReplaceCount  int8 // see underNamespace
	Trigger       TriggerType
	Cron          string // when Trigger is Scheduled: 6 fields, see ValidateCron
	Deletion      bool   // deletions in the source are repeated at the destination
	Override      bool   // a tag that stands for something else at the destination is moved
	Enabled       bool
	Speed         int32 // kilobits per second; 0 or less: unlimited; see BytesPerSecond
	CopyByChunk   bool  // large blobs are uploaded one chunk a request
	SingleActive  bool  // at most one execution at a time
	Extras
}

// bytesPerKilobit is what Harbor counts as a kilobit: 1024 bits.
const bytesPerKilobit = 128

// BytesPerSecond is Speed in bytes per second, 0 for no limit.
func (r Rule) BytesPerSecond() int64 { return max(int64(r.Speed), 0) * bytesPerKilobit }

// SpeedOf is the Speed of so many bytes per second, or the next one above it: at least 1
// if there are any, and at most what a Speed can say.
func SpeedOf(bytesPerSecond int64) int32 {
	if bytesPerSecond <= 0 {
		return 0
	}
	return int32(min((bytesPerSecond-1)/bytesPerKilobit+1, math.MaxInt32))
}

// Validate reports the first thing that is wrong with the rule as a
// problem.BadRequest whose text is Harbor's where Harbor has one.
func (r Rule) Validate() error {
	if r.Name == "" {
		return problem.New(problem.BadRequest, "empty name")
	}
	if utf8.RuneCountInString(r.Name) > maxNameLength {
		return problem.New(problem.BadRequest, "the name is longer than %d characters", maxNameLength)
	}
	for _, f := range r.Filters {
		if err := f.Validate(); err != nil {
			return err
		}
	}
	if r.DestNamespace != "" {
		if err := ValidateNamespace(r.DestNamespace); err != nil {
			return err
		}
	}
	if _, err := r.Select.compile(); err != nil {
		return err
	}
	if err := r.validateRename(); err != nil {
		return err
	}
	if err := r.validateAccessories(); err != nil {
		return err
	}
	if err := r.validatePlatforms(); err != nil {
		return err
	}
	return r.validateTrigger()
}

func (r Rule) validateRename() error {
	if r.Rename != (Rename{}) && r.DestNamespace != "" {
		return problem.New(problem.BadRequest, "rename: it cannot be together with dest_namespace (%s); write the namespace into the template", r.DestNamespace)
	}
	_, err := r.Rename.compile()
	return err
}

func (r Rule) validateAccessories() error {
	switch r.Accessories {
	case "", AccessoriesAll, AccessoriesNone, AccessoriesSignedOnly:
		return nil
	}
	return problem.New(problem.BadRequest, "accessories: %q is none of %s, %s and %s",
		r.Accessories, AccessoriesAll, AccessoriesNone, AccessoriesSignedOnly)
}

func (r Rule) validateTrigger() error {
	if err := ValidateTimeZone(r.TimeZone); err != nil {
		return err
	}
	switch r.Trigger {
	case "", Manual:
		return nil
	case Scheduled:
		return ValidateCron(r.Cron)
	case EventBased:
		if r.SingleActive {
			return problem.New(problem.BadRequest, "single active replication is not allowed for event_based triggers")
		}
		return nil
	default:
		return problem.New(problem.BadRequest, "invalid trigger type")
	}
}
