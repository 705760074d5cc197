package replication

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
)

// StandingState says how a reference of home stands at a destination. It is a DriftState, or
// what is being done about it.
type StandingState string

// The states beside those of drift.
const (
	StandsWaiting StandingState = "waiting" // a task for it has not begun
	StandsRunning StandingState = "running" // a task for it is at work
	StandsFailing StandingState = "failing" // the last try has failed
)

// Standing is how one reference of home stands at one destination of a rule, as far as it is known.
type Standing struct {
	PolicyID              int64
	PolicyName            string
	PolicyEnabled         bool
	DestinationID         int64
	DestinationName       string
	DestinationRepository string
	Reference             string // tag, or digest of an untagged artifact
	State                 StandingState
	Drift                 bool // the destination is not as the rule wants it
	Digest                string
	Since                 time.Time // when the rule has put Digest there; zero: it did not, or nobody knows
	VerifiedTime          time.Time // when it was last seen to be so; zero: never
	Reason                string    // in words, where the state alone does not tell
	NextAttemptTime       time.Time // of what fails; zero: it is not tried again by itself
	ExecutionID, TaskID   int64     // what is being done about it; 0: nothing
}

// StandingOf is an artifact of home whose standings are asked for. Follows says that it goes
// with something else, an index or what it refers to, and that no rule selects it for itself.
type StandingOf struct {
	registry.Artifact
	Follows bool
}

// references are the names under which rules know the artifact.
func (a StandingOf) references() []string {
	if len(a.Tags) == 0 {
		return []string{a.Digest}
	}
	return a.Tags
}

// Standings says how artifacts of one repository of home stand at the destinations of all
// rules that have to do with them: by digest, and in the order of rules, their destinations
// and tags. It tells what is known without asking any registry.
func (s *Service) Standings(ctx context.Context, repository string, artifacts []StandingOf) (map[string][]Standing, error) {
	v, err := s.standingView(ctx, repository, artifacts)
	if err != nil {
		return nil, fmt.Errorf("look how %s stands at destinations: %w", repository, err)
	}
	standings := map[string][]Standing{}
	for _, a := range artifacts {
		for i := range v.rules {
			standings[a.Digest] = v.add(standings[a.Digest], &v.rules[i], a)
		}
	}
	return standings, nil
}

// standingKey is a reference of the repository at a destination of a rule.
type standingKey struct {
	policy, destination int64
	reference           string
}

// standingView is what is known of some references of a repository.
type standingView struct {
	repository string
	rules      []standingRule
	names      map[int64]string // of registries
	drift      map[standingKey]Standing
	sources    map[standingKey]string // the digest that home had when drift was found out
	tasks      map[standingKey]Task
	failing    map[standingKey]string // without reference: why a rule fails at a destination
}

type standingRule struct {
	Policy
	matcher *rule.Matcher
}

func (s *Service) standingView(ctx context.Context, repository string, artifacts []StandingOf) (*standingView, error) {
	v := &standingView{
		repository: repository, names: map[int64]string{}, drift: map[standingKey]Standing{}, sources: map[standingKey]string{},
		tasks: map[standingKey]Task{}, failing: map[standingKey]string{},
	}
	if err := v.readRules(ctx, s); err != nil || len(v.rules) == 0 || len(artifacts) == 0 {
		return v, err
	}
	var references []string
	for _, a := range artifacts {
		references = append(references, a.references()...)
	}
	if err := v.readDrift(ctx, s.o.DB, references); err != nil {
		return nil, err
	}
	if err := v.readTasks(ctx, s.o.DB); err != nil {
		return nil, err
	}
	return v, v.readFailing(ctx, s.o.DB)
}

// readRules reads the rules that copy from home and can have to do with the repository, and
// the names of registries.
func (v *standingView) readRules(ctx context.Context, s *Service) error {
	policies, err := s.selectPolicies(ctx, s.o.DB, selectPolicy+` WHERE src_registry_id = $1 ORDER BY name`, HomeID)
	if err != nil {
		return err
	}
	for _, p := range policies {
		matcher, err := rule.Compile(p.Rule)
		if err != nil {
			return fmt.Errorf("replication policy %s: %w", p.Name, err)
		}
		v.rules = append(v.rules, standingRule{Policy: p, matcher: matcher})
	}
	rows, err := s.o.DB.QueryContext(ctx, `SELECT id, name FROM registries`)
	if err != nil {
		return err
	}
	_, err = collect(rows, func(row scanner) (id int64, err error) {
		var name string
		err = row.Scan(&id, &name)
		v.names[id] = name
		return id, err
	})
	return err
}

// standingReferences is how many references are asked for with one statement.
const standingReferences = 400

// readDrift reads what was found out last. Each row is found by the whole primary key: rule,
// destination, repository and reference.
func (v *standingView) readDrift(ctx context.Context, q store.Querier, references []string) error {
	var destinations []string
	for _, r := range v.rules {
		for _, to := range r.Destinations() {
			destinations = append(destinations, fmt.Sprintf("(%d, %d)", r.ID, to.ID))
		}
	}
	for part := range slices.Chunk(references, standingReferences) {
		args := []any{v.repository}
		in := make([]string, len(part))
		for i, reference := range part {
			args = append(args, reference)
			in[i] = fmt.Sprintf("$%d", len(args))
		}
		rows, err := q.QueryContext(ctx, standingDrift(strings.Join(destinations, ", "), strings.Join(in, ", ")), args...)
		if err != nil {
			return err
		}
		if _, err := collect(rows, v.scanDrift); err != nil {
			return err
		}
	}
	return nil
}

func standingDrift(destinations, references string) string {
	return `WITH destinations (policy_id, registry_id) AS (VALUES ` + destinations + `)
		SELECT d.policy_id, d.registry_id, d.reference, d.dest_repository, d.state, d.is_drift, d.src_digest, d.dest_digest, d.reason, d.verified_time,
			coalesce(p.time, 0)
		FROM destinations x CROSS JOIN drift d
		LEFT JOIN placements p ON p.registry_id = d.registry_id AND p.repository = d.dest_repository AND p.reference = d.reference
			AND p.digest = d.dest_digest AND p.policy_id = d.policy_id
		WHERE d.policy_id = x.policy_id AND d.registry_id = x.registry_id AND d.src_repository = $1 AND d.reference IN (` + references + `)`
}

func (v *standingView) scanDrift(row scanner) (key standingKey, err error) {
	var n Standing
	var source string
	var verified, since int64
	err = row.Scan(&key.policy, &key.destination, &key.reference, &n.DestinationRepository, &n.State, &n.Drift, &source, &n.Digest, &n.Reason,
		&verified, &since)
	n.VerifiedTime, n.Since = store.Time(verified), store.Time(since)
	v.drift[key], v.sources[key] = n, source
	return key, err
}

const standingTasks = `SELECT t.id, t.execution_id, e.policy_id, t.dest_registry_id, t.dest_repository, t.status, t.reason, t.next_attempt_time, t.items
	FROM tasks t JOIN executions e ON e.id = t.execution_id WHERE t.src_repository = $1 AND t.job_id <> 0 ORDER BY t.id`

// readTasks reads what is still to be done in the repository, the newest task of each
// reference.
func (v *standingView) readTasks(ctx context.Context, q store.Querier) error {
	rows, err := q.QueryContext(ctx, standingTasks, v.repository)
	if err != nil {
		return err
	}
	_, err = collect(rows, func(row scanner) (policy int64, err error) {
		var t Task
		var next int64
		var items string
		err = row.Scan(&t.ID, &t.ExecutionID, &policy, &t.DestinationID, &t.DestinationRepository, &t.Status, &t.Reason, &next, &items)
		if err == nil {
			err = store.FromJSON(items, &t.Items)
		}
		t.NextAttemptTime = store.Time(next)
		for _, item := range t.Items {
			if !item.done() {
				v.tasks[standingKey{policy, t.DestinationID, item.Reference}] = t
			}
		}
		return policy, err
	})
	return err
}

// readFailing reads which rules do not do their work, and where.
func (v *standingView) readFailing(ctx context.Context, q store.Querier) error {
	rows, err := q.QueryContext(ctx, `SELECT policy_id, registry_id, reason FROM replication_states WHERE failing`)
	if err != nil {
		return err
	}
	_, err = collect(rows, func(row scanner) (key standingKey, err error) {
		var reason string
		err = row.Scan(&key.policy, &key.destination, &reason)
		v.failing[key] = reason
		return key, err
	})
	return err
}

// add appends how an artifact stands at the destinations of a rule.
func (v *standingView) add(to []Standing, r *standingRule, a StandingOf) []Standing {
	selected := v.selected(r, a)
	for _, destination := range r.Destinations() {
		for _, reference := range a.references() {
			n, known := v.standing(r, standingKey{r.ID, destination.ID, reference}, a.Digest, slices.Contains(selected, reference))
			if !known {
				continue
			}
			n.PolicyID, n.PolicyName, n.PolicyEnabled = r.ID, r.Name, r.Enabled
			n.DestinationID, n.DestinationName, n.Reference = destination.ID, v.names[destination.ID], reference
			to = append(to, n)
		}
	}
	return to
}

// selected are the references of an artifact that a rule surely selects, whatever it has
// done about them. What depends on other artifacts, or on what is in this one, is not
// told here.
func (v *standingView) selected(r *standingRule, a StandingOf) []string {
	if !r.Enabled || a.Follows || r.matcher.NeedsTimes() || r.matcher.SignedOnly() || len(r.Platforms) > 0 {
		return nil
	}
	if _, ok := r.matcher.Match(owned(v.repository, a.Artifact)); !ok {
		return nil
	}
	var selected []string
	for _, reference := range a.references() {
		old := r.followsEvents() && !r.IncludeExisting && !r.EventsSince.IsZero() && pushedAt(a.Artifact, reference).Before(r.EventsSince.Add(-clockSkew))
		if !old && wants(r.matcher, v.repository, reference, a.Artifact) {
			selected = append(selected, reference)
		}
	}
	return selected
}

// notLooked is why nothing is known of what a rule selects.
const (
	notLooked  = "the rule was neither run nor verified since it was pushed"
	movedSince = "it was pushed again since"
)

// standing puts together what is known of a reference that stands for a digest now.
func (v *standingView) standing(r *standingRule, key standingKey, digest string, selected bool) (n Standing, known bool) {
	n, known = v.drift[key]
	if !known && selected {
		n = v.unseen(r)
	}
	why, failing := v.failing[standingKey{policy: key.policy, destination: key.destination}]
	switch {
	case !known && failing && n.State != StandsFailing:
		n.State, n.Reason = StandsFailing, why
	case n.State == StandingState(NotVerified) && failing:
		n.State = StandsFailing
	case n.State == StandingState(InSync) && v.sources[key] != "" && v.sources[key] != digest:
		n.State, n.Drift, n.Reason = StandingState(Different), true, movedSince
	}
	task, working := v.tasks[key]
	if !working {
		return n, known || selected
	}
	n.ExecutionID, n.TaskID, n.Drift = task.ExecutionID, task.ID, true
	if n.DestinationRepository == "" {
		n.DestinationRepository = task.DestinationRepository
	}
	switch task.Status {
	case Failed:
		n.State, n.Reason, n.NextAttemptTime = StandsFailing, task.Reason, task.NextAttemptTime
	case InProgress:
		n.State, n.Reason = StandsRunning, ""
	default:
		n.State, n.Reason = StandsWaiting, ""
	}
	return n, true
}

// unseen is how something stands that a rule selects and has not come to yet.
func (v *standingView) unseen(r *standingRule) Standing {
	n := Standing{State: StandingState(NotVerified), Drift: true, Reason: notLooked}
	if r.followsEvents() {
		n.State, n.Reason = StandsWaiting, "" // its event is about to be taken
	}
	var err error
	if n.DestinationRepository, err = r.DestinationRepository(v.repository); err != nil {
		n.State, n.Reason = StandsFailing, err.Error() // it can have no name there
	}
	return n
}
