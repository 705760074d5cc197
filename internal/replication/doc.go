// Package replication keeps a destination registry equal to what rules ask for.
//
// A replication policy (rule) names a source, a destination, filters and a
// trigger. Running it makes an execution: the source is listed, filtered and
// compared with the destination (route.go, select.go), and every repository that
// has something to do becomes a task in the durable queue (run_plan.go). An event
// rule is run for one reference at a time: the home registry records each push and
// delete in the database before it answers its client, the dispatcher turns the
// record into a task in the same transaction that takes it (dispatch.go), or gives
// it to the task that waits for the same reference (coalesce.go), and the task is
// tried again, ever more slowly, until the destination agrees (run_task.go,
// run_end.go).
//
// A rule with a schedule has a row that says when it is due; who moves that on starts
// the rule (schedule.go). One that runs one execution at a time gives all who start it
// meanwhile the one that waits (single.go).
//
// A task never acts on what was true when it was made. It looks at the source
// when it runs and once more after each change (carry.go), so that whatever order
// pushes, deletions and manual runs come in, the last word at the destination is
// what the source says now.
//
// The package never deletes anything at a destination that it did not put there,
// and it never talks to a client: faces call Service.
package replication
