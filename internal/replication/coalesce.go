package replication

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

// Work of event rules is one job for each rule, repository and reference at a
// time, and one more that waits. A change that comes while one waits joins it, and
// a task that ends without success while a newer one waits hands over to it. What
// is handed over is references and not deeds: a task finds out what is to be done
// about them when it runs.

// errOvertaken says that another transaction made a job wait since this one looked.
var errOvertaken = errors.New("a job of the same key began to wait")

func eventKey(policy, destination int64, repository, reference string) string {
	return fmt.Sprintf("%d/%d/%s %s", policy, destination, repository, reference)
}

// eventWork is what an event makes a rule do at one destination.
type eventWork struct {
	destination int64
	operation   Operation
	items       []Item
}

// addEventTasks adds an execution with a task for each destination that no waiting
// task goes to with the same reference; those that do take the work. It returns
// errOvertaken when the transaction must be made again.
func (s *Service) addEventTasks(ctx context.Context, tx *store.Tx, e home.Event, p Policy, work []eventWork) error {
	execution := int64(0)
	for _, w := range work {
		key := eventKey(p.ID, w.destination, e.Repository, w.items[0].Reference)
		joined, err := s.join(ctx, tx, key, e, w.operation, w.items)
		if err != nil {
			return err
		}
		if joined {
			continue
		}
		if execution == 0 {
			if execution, err = s.insertExecution(ctx, tx, p, EventBased, true); err != nil {
				return err
			}
		}
		if err := s.addEventTask(ctx, tx, e, p, execution, key, w); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) addEventTask(ctx context.Context, tx *store.Tx, e home.Event, p Policy, execution int64, key string, w eventWork) error {
	destination, err := p.DestinationRepository(e.Repository)
	if err != nil {
		destination = e.Repository // the task will fail with the reason
	}
	now := s.now()
	at := now
	if busy, err := isRunning(ctx, tx, key); err != nil {
		return err
	} else if busy {
		at = at.Add(burstTime + rand.N(burstTime))
	}
	task, err := insertTask(ctx, tx, Task{
		ExecutionID: execution, Status: Pending, Operation: w.operation, ResourceType: resourceType(e.Artifact), DestinationID: w.destination,
		SourceRepository: e.Repository, DestinationRepository: destination, Items: w.items, StartTime: now,
	})
	if err != nil {
		return err
	}
	if err := s.enqueue(ctx, tx, task, queue.NewJob{Kind: eventJob, Key: key, RunAt: at}); err != nil {
		return err
	}
	return tally{total: 1, inProgress: 1}.apply(ctx, tx, execution, store.Millis(now))
}

// burstTime is how long a change waits at least that comes while an earlier one of the
// same reference is being carried, which looks again at its end anyway: others may
// follow. By chance it waits up to twice as long, so that two servers that copy a tag to
// each other at the same time do not go on doing so.
const burstTime = time.Second

func isRunning(ctx context.Context, tx *store.Tx, key string) (running bool, err error) {
	err = tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM jobs WHERE key = $1 AND kind = $2 AND state = 'running')`, key, eventJob).Scan(&running)
	return running, err
}

// join gives an event to the task that waits under a key, if one does. A task that
// has failed is tried again soon, for the new content may have mended it, but not
// for each of many pushes: the destination may be what is in trouble.
func (s *Service) join(ctx context.Context, tx *store.Tx, key string, e home.Event, operation Operation, items []Item) (bool, error) {
	job, found, err := s.o.Queue.Waiting(ctx, tx, eventJob, key)
	if err != nil || !found {
		return false, err
	}
	task, err := taskOfJob(ctx, tx, job)
	if problem.Is(err, problem.NotFound) {
		_, err = s.o.Queue.StopIn(ctx, tx, job) // its rule's history was removed
		return false, err
	}
	if err != nil {
		return false, err
	}
	_, err = tx.ExecContext(ctx, `UPDATE tasks SET operation = $2, items = $3, resource_type = $4 WHERE id = $1`,
		task.ID, string(operation), store.JSON(unite(task.Items, items)), resourceType(e.Artifact))
	if err != nil {
		return false, fmt.Errorf("join task %d: %w", task.ID, err)
	}
	if task.Status == Failed {
		_, _, err = s.o.Queue.Insert(ctx, tx, queue.NewJob{
			Kind: eventJob, Key: key, Payload: fmt.Sprint(task.ID), RunAt: task.EndTime.Add(backoff(1)),
		})
	}
	return true, err
}

// taskOfJob returns the task that a waiting job is for; problem.NotFound if it is
// gone or has another job now.
func taskOfJob(ctx context.Context, tx *store.Tx, job int64) (Task, error) {
	var payload string
	if err := tx.QueryRowContext(ctx, `SELECT payload FROM jobs WHERE id = $1`, job).Scan(&payload); err != nil {
		return Task{}, fmt.Errorf("read job %d: %w", job, err)
	}
	id, err := strconv.ParseInt(payload, 10, 64)
	if err != nil {
		return Task{}, fmt.Errorf("task job %d: %w", job, err)
	}
	task, err := getTask(ctx, tx, id)
	if err == nil && task.JobID != job {
		return Task{}, problem.New(problem.NotFound, "job %d has no task", job)
	}
	return task, err
}

// unite adds newer items to those that are there, in the place of those with the
// same reference.
func unite(items, newer []Item) []Item {
	all := slices.Clone(items)
	for _, item := range newer {
		i := slices.IndexFunc(all, func(old Item) bool { return old.Reference == item.Reference })
		if i < 0 {
			all = append(all, item)
		} else {
			item.Accessories = item.Accessories || all[i].Accessories
			all[i] = item
		}
	}
	return all
}

// handOver gives what a task has not done to the task of a job that waits.
func handOver(ctx context.Context, tx *store.Tx, from Task, job int64) error {
	to, err := taskOfJob(ctx, tx, job)
	if problem.Is(err, problem.NotFound) {
		return nil // the rule was removed, and its tasks with it
	}
	if err != nil {
		return fmt.Errorf("hand over task %d: %w", from.ID, err)
	}
	var left []Item
	for _, item := range from.Items {
		if !item.done() {
			item.Outcome, item.Reason = "", ""
			left = append(left, item)
		}
	}
	_, err = tx.ExecContext(ctx, `UPDATE tasks SET items = $2 WHERE id = $1`, to.ID, store.JSON(unite(left, to.Items)))
	return err
}

const takenOver = "a newer change of the same reference took over what was left to do"
