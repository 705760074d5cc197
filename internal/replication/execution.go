package replication

import (
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/transfer"
)

// Status is the state of an execution or a task, in the words of Harbor's API.
type Status string

// The states. An execution is never Pending.
const (
	Pending    Status = "Pending"
	InProgress Status = "InProgress"
	Succeed    Status = "Succeed"
	Failed     Status = "Failed"
	Stopped    Status = "Stopped"
)

// Final reports whether nothing more happens by itself. A failed task of an
// event rule is tried again all the same; Task.NextAttemptTime says when.
func (s Status) Final() bool { return s == Succeed || s == Failed || s == Stopped }

// Trigger says why an execution was started.
type Trigger string

// The triggers, in the words of Harbor's API.
const (
	Manual     Trigger = "manual"
	Scheduled  Trigger = "scheduled"
	EventBased Trigger = "event_based"
)

// Execution is one run of a rule.
type Execution struct {
	ID         int64
	PolicyID   int64
	Trigger    Trigger
	Status     Status
	Hold       string // why it does not begin before somebody releases it, see Held; "": it does
	StatusText string // why it failed as a whole, that nothing matched, that it was started late, what it waits for
	Planned    bool   // all its tasks are known
	Total      int64  // tasks
	Succeed    int64
	Failed     int64
	InProgress int64 // pending or running
	Stopped    int64
	BytesTotal int64 // bytes the destination lacked, as far as it is known
	BytesSent  int64
	StartTime  time.Time
	EndTime    time.Time // zero while it runs

	PlanID int64 // the stored plan that it carries out; 0: it makes its own

	waits               bool  // for others of its rule, before it begins
	source, destination int64 // the registries it was started between, of destinations the first; 0 and 0: not known
}

// Operation is what a task does at the destination, in the words of Harbor's API.
type Operation string

// The operations.
const (
	Copy        Operation = "copy"
	Deletion    Operation = "deletion"     // of artifacts
	TagDeletion Operation = "tag deletion" // of tags; the artifact stays
)

// Task is the work of an execution on one repository.
type Task struct {
	ID                    int64
	ExecutionID           int64
	JobID                 int64 // in the queue; 0: nothing is to be done any more
	Status                Status
	Operation             Operation
	ResourceType          string // image, artifact
	SourceRepository      string
	DestinationRepository string
	DestinationID         int64 // the registry it goes to
	Items                 []Item
	BytesTotal            int64
	BytesSent             int64
	Attempts              int64
	Reason                string    // why it failed, in one line
	NextAttemptTime       time.Time // zero: it is not tried again by itself
	StartTime             time.Time
	EndTime               time.Time // zero while it runs
}

// SourceResource is the source as Harbor's API writes it.
func (t Task) SourceResource() string { return resource(t.SourceRepository, len(t.Items)) }

// DestinationResource is the destination as Harbor's API writes it.
func (t Task) DestinationResource() string { return resource(t.DestinationRepository, len(t.Items)) }

func resource(repository string, items int) string {
	return fmt.Sprintf("%s [%d item(s) in total]", repository, items)
}

// Action is what a plan has in mind for one reference.
type Action string

// The actions.
const (
	ActionCopy      Action = "copy"      // the destination does not have it
	ActionOverwrite Action = "overwrite" // the destination has something else under this tag
	ActionDelete    Action = "delete"
	ActionSkip      Action = "skip"     // the destination has it already
	ActionConflict  Action = "conflict" // the destination has something else and the rule does not override, or the name is another repository's
)

// Outcome is what became of an item.
type Outcome string

// The outcomes; empty while nothing happened yet.
const (
	Copied    Outcome = "copied"
	Unchanged Outcome = "unchanged" // it was there already
	Kept      Outcome = "kept"      // something else is there, and the rule does not override it
	Deleted   Outcome = "deleted"
	Absent    Outcome = "absent"  // there was nothing to delete, or nothing to copy any more
	Foreign   Outcome = "foreign" // not deleted: what is there now was not put there by the rule
	Lost      Outcome = "failed"
)

// Item is one tag (or, without a tag, one artifact) of a task.
type Item struct {
	Reference string  `json:"reference"`        // tag, or digest of an untagged artifact
	Digest    string  `json:"digest,omitempty"` // at the source, when it was planned
	Action    Action  `json:"action"`
	Outcome   Outcome `json:"outcome,omitempty"`
	Subject   string  `json:"subject,omitempty"` // of an accessory: the artifact it belongs to
	Size      int64   `json:"size,omitempty"`    // bytes of the whole artifact, if known
	BytesSent int64   `json:"bytes_sent,omitempty"`
	Reason    string  `json:"reason,omitempty"` // of a failure or a skip
	// Accessories wants those looked after too if the artifact itself is there already.
	Accessories bool `json:"accessories,omitempty"`
	// Rivals are other source repositories that have a claim to the item's name at the
	// destination: then its action is ActionConflict, and the reason says so.
	Rivals []string `json:"rivals,omitempty"`
	// Thorough says that the destination has the artifact by name, but not all of it.
	Thorough bool `json:"thorough,omitempty"`
	// Stands is the digest at the destination of an index that becomes another one there.
	Stands string `json:"dst_digest,omitempty"`
	// Only says that a deletion is of Digest, and of nothing that came to stand there since.
	Only bool `json:"only,omitempty"`

	// Planned is the action that was shown before somebody had the plan carried out: then
	// it is done as it was shown, or not at all. Empty: the task follows the source.
	Planned Action `json:"planned,omitempty"`
	// Replaces is the digest that the destination had when the action was shown, if it was
	// another one.
	Replaces string `json:"replaces,omitempty"`

	kind string // image, accessory, ... where the source told it; not stored
	// moved says that the source had something else when what was planned had been copied.
	moved bool
	// settled says that an earlier attempt has done the item, and noted what that says about
	// the destination.
	settled bool
	// found is what the destination had when it was asked just now. It is not
	// stored: what was true when a task was made may not be when it runs.
	found transfer.TargetState
	// partial says that some of the index is left out, and keeps its digest; within is the
	// rest of it.
	partial bool
	within  []digest.Digest
	// pushed is when it was pushed to the source, if a plan was told.
	pushed time.Time
}

// done reports whether an earlier attempt has done the item.
func (i Item) done() bool { return i.Outcome != "" && i.Outcome != Lost }

// contested reports whether another repository has a claim to the item's name, or things
// are not any more as they were when it was planned.
func (i Item) contested() bool {
	return i.Action == ActionConflict && (len(i.Rivals) > 0 || i.pinned() && i.Planned != ActionConflict)
}

// pinned reports whether the item is to be done as it was shown.
func (i Item) pinned() bool { return i.Planned != "" }

// LogLine is one line of a task's log.
type LogLine struct {
	ID    int64 // grows from line to line of a task; 0: not stored yet
	Time  time.Time
	Level string // INFO, WARNING, ERROR
	Text  string
}

// String returns the line in the format of Harbor's task logs.
func (l LogLine) String() string {
	return l.Time.UTC().Format("2006-01-02T15:04:05Z") + " [" + l.Level + "] " + l.Text
}

// RepositoryPlan is what a rule would do now in one repository.
type RepositoryPlan struct {
	SourceRepository      string
	DestinationID         int64 // the registry; 0 outside of a server too
	DestinationRepository string
	ResourceType          string
	Items                 []Item
	Err                   error // why this repository cannot be replicated
}
