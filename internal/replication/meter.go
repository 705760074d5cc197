package replication

// Meter counts what a Service does. Its methods are called often and by many
// goroutines; they must not wait for anything. Rules and endpoints are named as users
// name them.
type Meter interface {
	// ExecutionEnded is called when an execution has come to an end, and again when one
	// that failed and was tried again has come to another one.
	ExecutionEnded(rule string, trigger Trigger, status Status)
	// AttemptEnded is called after each attempt at a task with what became of the items
	// that it brought to an end. Pending: a shutdown cut it short.
	AttemptEnded(rule, endpoint string, status Status, outcomes map[Outcome]int)
	// BytesSent is called while blobs are on their way, with what was sent since.
	BytesSent(rule, endpoint string, n int64)
	// VerificationEnded is called when a rule has been verified, whoever asked for it.
	VerificationEnded(rule string, result VerificationResult)
}

// VerificationResult is what a verification has found.
type VerificationResult string

// The results.
const (
	VerifiedInSync VerificationResult = "in_sync"
	VerifiedDrift  VerificationResult = "drift"
	VerifiedInPart VerificationResult = "not_verified" // something could not be found out
)

type noMeter struct{}

func (noMeter) ExecutionEnded(string, Trigger, Status)               {}
func (noMeter) AttemptEnded(string, string, Status, map[Outcome]int) {}
func (noMeter) BytesSent(string, string, int64)                      {}
func (noMeter) VerificationEnded(string, VerificationResult)         {}

// HomeName is how the home registry is called where endpoints are named.
const HomeName = "home"

// Label names an endpoint where numbers are told.
func (e Endpoint) Label() string {
	if e.ID == HomeID {
		return HomeName
	}
	return e.Name
}

// endpointName names the destination of the run.
func (r *run) endpointName() string {
	for _, e := range r.policy.Destinations() {
		if e.ID == r.task.DestinationID {
			return e.Label()
		}
	}
	return ""
}

// outcomes counts the items that are done, and those that failed.
func outcomes(items []Item) map[Outcome]int {
	counts := map[Outcome]int{}
	for _, item := range items {
		if item.Outcome != "" {
			counts[item.Outcome]++
		}
	}
	return counts
}

// meterAttempt tells the meter how an attempt ended. Before are the outcomes that
// earlier attempts had brought.
func (r *run) meterAttempt(status Status) {
	if r.policy.ID == 0 {
		return // it ended before it was known whose it is
	}
	now := outcomes(r.task.Items)
	for outcome, n := range r.before {
		if outcome != Lost { // what failed before is tried again, or fails again
			now[outcome] = max(0, now[outcome]-n)
		}
	}
	r.o.Meter.AttemptEnded(r.policy.Name, r.endpointName(), status, now)
}

// progress notes how far the blobs of the run have come.
func (r *run) progress(total, sent int64) {
	r.total.Store(total)
	if more := sent - r.sent.Swap(sent); more > 0 {
		r.o.Meter.BytesSent(r.policy.Name, r.endpointName(), more)
	}
}
