package api_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// difference is where an answer deliberately is not Harbor's.
type difference struct {
	Names      []string // of the recordings
	Status     int      // ours, if it differs
	Message    string   // a part of ours
	Headers    []string // that are not compared
	Properties []string // of the body that are not compared
	Harbor     string   // what Harbor does
	Here       string   // what we do
	Why        string
}

func differences() []difference {
	return []difference{
		{
			Names: []string{"02-adapters"}, Properties: []string{""},
			Harbor: "lists twelve providers and hides dtr, gitlab and quay", Here: "lists all of them", Why: "what can be used should be seen",
		},
		{
			Names: []string{"02-adapterinfos"}, Properties: []string{"quay"},
			Harbor: "hides quay", Here: "describes it", Why: "what can be used should be seen",
		},
		{
			Names:   []string{"10-registry-ping-bad-credential", "10-registry-ping-docker-registry-bad-credential", "10-registry-ping-not-a-registry", "10-registry-ping-unknown-host"},
			Message: "the registry is unhealthy: ",
			Harbor:  "400 `the registry is unhealthy`, whatever the cause", Here: "400, the same words followed by the cause and what to do",
			Why: "a failed test of a connection has to say why it failed",
		},
		{
			Names: []string{"10-registry-ping-bad-type", "11-registry-create-bad-type"}, Status: 400, Message: `unknown registry type "nope"`,
			Harbor: "500 `internal server error`", Here: "400 that names the providers there are", Why: "the mistake is the user's, and can be mended by the user",
		},
		{
			Names: []string{"11-registry-create-unreachable"}, Status: 201,
			Harbor: "400: an endpoint that does not answer cannot be saved", Here: "saved; its status is `unhealthy` and `status_reason` says why",
			Why: "a registry may be described before it runs",
		},
		{
			Names: []string{"13-registry-update-unreachable"}, Status: 200,
			Harbor: "400: an endpoint that does not answer cannot be edited", Here: "saved; its status is `unhealthy` and `status_reason` says why",
			Why: "a new password must be saved while the registry refuses the old one",
		},
		{
			Names: []string{"13-registry-get-after-update-unreachable"}, Properties: []string{"status", "url"},
			Harbor: "shows the old endpoint", Here: "shows the new one, `unhealthy`", Why: "the change was saved",
		},
		{
			Names:   []string{"24-v2-catalog", "24-v2-tags", "61-v2-manifest-delete-readonly", "61-v2-manifest-put-readonly", "61-v2-upload-start-readonly"},
			Headers: []string{"Docker-Distribution-Api-Version"},
			Harbor:  "leaves out `Docker-Distribution-Api-Version`", Here: "sends it with every answer under `/v2/`", Why: "the registry's specification asks for it, and no client minds",
		},
		{
			Names: []string{"30-policy-create-invalid-filter-bad-pattern"}, Status: 400, Message: "invalid pattern",
			Harbor: "201: saves a pattern that cannot be understood and then matches nothing", Here: "400 that says what is wrong with the pattern", Why: "a rule that can never work must not look as if it did",
		},
		{
			Names: []string{"30-policy-create-invalid-long-name"}, Status: 400, Message: "the name is longer than 256 characters",
			Harbor: "500 `internal server error`", Here: "400 that says so", Why: "the mistake is the user's",
		},
		{
			Names: []string{"30-policy-create-invalid-single-active-event"}, Status: 400, Message: "single active replication is not allowed",
			Harbor: "500 `internal server error`", Here: "400 that says so", Why: "the mistake is the user's",
		},
		{
			Names: []string{"31-policy-create-event-pull"}, Status: 400, Message: "event_based",
			Harbor: "201: saves a rule that never runs", Here: "400 that says that a pull-based rule has no events", Why: "a rule that can never work must not look as if it did",
		},
		{
			Names: []string{"32-policies-list", "32-policies-list-page"}, Properties: []string{"trigger"},
			Harbor: "lists the rule with events that never come", Here: "lists the rule that stands in for it", Why: "such a rule is refused",
		},
		{
			Names: []string{
				"50-execution-tasks", "51-task-same-manifest-again", "52-execution-tasks-page", "54-execution-failed-tasks", "55-execution-running-tasks",
				"57-tasks-after-artifact-delete", "62-replication-running-when-readonly-set-after-off-tasks",
			},
			Properties: []string{"resource_type"},
			Harbor:     "calls everything an `artifact`", Here: "says `image` of container images", Why: "the list of tasks can be filtered by `resource_type`, and the resource filter of a rule really filters",
		},
		{
			Names: []string{
				"40-webhook-create-cloudevents", "40-webhook-create-conflict", "40-webhook-create-default", "40-webhook-create-no-target",
				"40-webhook-events", "40-webhook-list",
			},
			Status: 404, Message: "was not found",
			Harbor: "webhook policies of projects", Here: "404; `/notifications` are those of the server", Why: "whoever waits for replication wants to hear of rules, not of projects",
		},
		{
			Names:  []string{"61-gc-readonly", "81-gc-list", "81-gc-schedule-manual", "82-jobservice-pools", "82-jobservice-queues"},
			Status: 404, Message: "was not found",
			Harbor: "schedules of the garbage collection and the job service", Here: "404", Why: "this version lacks the first and has no job service; a script stops",
		},
		{
			Names: []string{"82-auditlogs-ext"}, Headers: []string{"X-Total-Count"}, Properties: []string{""},
			Harbor: "a log of what was recorded on that day, without most changes of registries and rules", Here: "every change that was asked for, also when it was refused",
			Why: "who switched a rule off is asked after an outage",
		},
		{
			Names: []string{"54-registry-get-dead"}, Properties: []string{"status"},
			Harbor: "`healthy` until the next check, for up to five minutes", Here: "`unhealthy` at once", Why: "the status is found out when the endpoint is saved",
		},
		{
			Names: []string{"56-execution-after-tag-delete", "56-tasks-after-tag-delete"}, Properties: []string{"failed", "status", "succeed", "resource_type"},
			Harbor: "Failed: a tag of a plain registry cannot be deleted", Here: "Succeed: the tag is gone and its siblings are still there", Why: "tags can be deleted on plain registries too, if one takes care",
		},
		{
			Names: []string{"61-replication-stop-in-readonly"}, Status: 200,
			Harbor: "403 in read-only mode", Here: "stopped", Why: "who has frozen a registry must be able to quieten it; the same holds for testing a connection, which changes nothing",
		},
		{
			Names: []string{"80-request-id-echo"}, Properties: []string{""},
			Harbor: "lists registries in the order in which the database has them", Here: "lists them by id", Why: "pages need an order",
		},
		{
			Names:      []string{"61-replication-running-when-readonly-set", "61-replication-running-when-readonly-set-tasks"},
			Properties: []string{"end_time", "in_progress", "status", "succeed", "resource_type"},
			Harbor:     "InProgress for as long as read-only mode lasts, although the copy is complete", Here: "Succeed when the copy is complete",
			Why: "pushing elsewhere changes nothing here, and its record is not blocked by read-only mode",
		},
	}
}

func differenceOf(name string) (difference, bool) {
	for _, d := range differences() {
		if slices.Contains(d.Names, name) {
			return d, true
		}
	}
	return difference{}, false
}

var (
	update  = flag.Bool("update", false, "write the tables into docs/compatibility.md")
	writing sync.Mutex // one table at a time
)

const (
	document   = "../../docs/compatibility.md"
	tableBegin = "<!-- differences: generated by go test ./internal/api -run TestDifferencesAreDocumented -update -->\n"
	tableEnd   = "<!-- end of differences -->\n"
)

// The table in the documentation is the one that the replay goes by.
func TestDifferencesAreDocumented(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	table.WriteString("| recorded exchange | Harbor | Lighterage | why |\n|---|---|---|---|\n")
	for _, d := range differences() {
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", strings.Join(d.Names, "` `"), d.Harbor, d.Here, d.Why)
	}
	generated(t, tableBegin, tableEnd, table.String())
}
