package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/semaphore"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/pace"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/transfer"
)

// Bounds on what is carried at the same time. What counts in the end are the
// limits of the two hosts; these bound memory. A repository counts with the
// artifacts that it has to copy, as far as they are copied at the same time.
const (
	artifactsAtOnce = 256 // for one destination
	// repositoriesAhead is how many may be planned that are not there yet.
	repositoriesAhead = 4096
	artifactsOfOne    = 32 // of one repository
)

// replicationRun is one run of replicate.
type replicationRun struct {
	route    replication.Route
	planOnly bool
	out      replicationOutput
	progress *replicationProgress
	log      replication.Logger

	mu        sync.Mutex
	tally     tally
	firstErr  error // of an artifact or repository
	outputErr error // results cannot be written: a full disk, a closed pipe
	diagnosis sync.Once
}

// replicationOutput writes results. Its methods are called one at a time.
type replicationOutput interface {
	repository(plan replication.RepositoryPlan) error
	end(s replicationSummary) error
}

// replicationSummary is how a run ended.
type replicationSummary struct {
	tally       tally
	took        time.Duration
	interrupted bool
	planOnly    bool
	err         error // that ended the run early
}

// carryOut runs a route and turns the end of it into an exit code.
func (a *app) carryOut(ctx context.Context, route replication.Route, f replicateFlags) error {
	start := time.Now()
	progress := newReplicationProgress(f.plan)
	live := a.screen.NewLive(f.quiet || f.output == "jsonl", progress.line)
	r := &replicationRun{route: route, planOnly: f.plan, progress: progress, log: func(string, string, ...any) {}}
	if f.verbose && f.output == "text" {
		r.log = func(level, format string, args ...any) {
			live.Note(term.Safe(strings.ToLower(level) + ": " + fmt.Sprintf(format, args...)))
		}
	}
	r.out = a.replicationOutput(f, route, live, progress)
	err := r.run(ctx)
	live.Stop()
	s := replicationSummary{
		tally: r.tally, took: time.Since(start), planOnly: f.plan, err: err,
		interrupted: ctx.Err() != nil,
	}
	if writeErr := errors.Join(r.outputErr, r.out.end(s)); writeErr != nil {
		return fmt.Errorf("write results: %w", writeErr)
	}
	switch {
	case s.interrupted:
		return &failure{exitInterrupted, errInterrupted, "What was copied stays. Give the same command again to go on."}
	case err != nil:
		return r.explain(err)
	case s.tally.failed > 0 && s.tally.settled() == 0 && unreachable(r.firstErr):
		why := "the registry cannot be reached" // the failures above, or in the output, say more
		if registry.IsUnauthorized(r.firstErr) {
			why = "no credential, or not one that may do this"
		}
		return &failure{exitUnreachable, fmt.Errorf("nothing could be replicated: %s", why), credentialAdvice}
	case s.tally.failed > 0:
		return silent(exitFailed)
	case s.tally.repositories == 0 && !f.allowEmpty:
		return nothingMatched(route)
	}
	return nil
}

func nothingMatched(route replication.Route) error {
	return &failure{exitNothing, fmt.Errorf("nothing matched: %s has nothing that %s", route.Source.Name, wishes(route.Rule)),
		"library is one repository; library/ or 'library/**' is everything below it, 'library/*' what stands directly in it.\nIf nothing is fine, say --allow-empty."}
}

// wishes puts filters into words, for the message that nothing has them.
func wishes(r rule.Rule) string {
	var parts []string
	for _, f := range r.Filters {
		switch {
		case f.Type == rule.FilterName:
			parts = append(parts, fmt.Sprintf("is named %q", f.Text()))
		case f.Type == rule.FilterTag && f.Decoration == rule.Excludes:
			parts = append(parts, fmt.Sprintf("is not tagged %q", f.Text()))
		case f.Type == rule.FilterTag:
			parts = append(parts, fmt.Sprintf("is tagged %q", f.Text()))
		case f.Type == rule.FilterLabel && f.Decoration == rule.Excludes:
			parts = append(parts, "has not the labels "+strings.Join(f.Labels(), " and "))
		case f.Type == rule.FilterLabel:
			parts = append(parts, "has the labels "+strings.Join(f.Labels(), " and ")+", as far as it tells any")
		case f.Type == rule.FilterResource:
			parts = append(parts, "is an "+f.Text())
		}
	}
	if text := selectionText(r.Select); text != "" {
		parts = append(parts, "passes: "+text)
	}
	if parts == nil {
		return "could be replicated"
	}
	return strings.Join(parts, " and ")
}

// run plans and carries at the same time: a repository is on its way as soon as
// it is known what it needs. The error is why the run could not be finished.
func (r *replicationRun) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// Each destination has its room and its places within the bandwidth, so that a slow
	// one keeps nobody waiting.
	rooms, lanes := map[int64]*semaphore.Weighted{}, map[int64]pace.Limits{}
	ahead := semaphore.NewWeighted(repositoriesAhead)
	var sharing *transfer.Sharing
	if len(r.route.More) > 0 {
		sharing = &transfer.Sharing{}
	}
	var group sync.WaitGroup
	var fatal error
	for plan, err := range r.route.Plan(ctx) {
		if err != nil {
			fatal = err
			break
		}
		r.progress.planned(plan)
		if plan.Err != nil {
			r.diagnose(ctx, plan.Err, cancel)
		}
		if r.planOnly || plan.Err != nil {
			r.done(ctx, plan)
			continue
		}
		if rooms[plan.DestinationID] == nil {
			rooms[plan.DestinationID] = semaphore.NewWeighted(artifactsAtOnce)
			lanes[plan.DestinationID] = r.route.Bandwidth.Lanes()
		}
		room, weight := rooms[plan.DestinationID], work(plan)
		route := r.route.To(plan.DestinationID)
		route.Bandwidth = lanes[plan.DestinationID]
		if err := ahead.Acquire(ctx, 1); err != nil {
			r.done(ctx, plan)
			continue // ctx has ended, and so will the plan
		}
		leave := route.Join(sharing, plan)
		group.Go(func() {
			defer ahead.Release(1)
			defer leave()
			if err := room.Acquire(ctx, weight); err != nil {
				r.done(ctx, plan)
				return
			}
			defer room.Release(weight)
			if err := r.carry(ctx, route, &plan); err != nil {
				r.diagnose(ctx, err, cancel)
			}
			r.done(ctx, plan)
		})
	}
	r.progress.allPlanned()
	if fatal != nil {
		cancel(fatal) // what is under way would be half of something nobody knows
	}
	group.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fatal
}

// work is how many artifacts of a repository will be under way at a time.
func work(plan replication.RepositoryPlan) int64 {
	weight := int64(1)
	for _, item := range plan.Items {
		if item.Action == replication.ActionCopy || item.Action == replication.ActionOverwrite {
			weight++
		}
	}
	return min(weight, artifactsOfOne)
}

// carry copies one repository. A failure before the first artifact is noted as
// the repository's.
func (r *replicationRun) carry(ctx context.Context, route replication.Route, plan *replication.RepositoryPlan) error {
	follow := r.progress.follow(plan)
	err := route.Carry(ctx, plan, replication.Hooks{
		Log:      r.log,
		Progress: follow.bytes,
		Placed: func(_ context.Context, _, reference string, _ digest.Digest) error {
			follow.placed(reference)
			return nil
		},
		Intended: func(context.Context, string, string, digest.Digest) error { return nil },
		Expected: func(context.Context, string, string) ([]digest.Digest, string, error) { return nil, "", nil },
		Removed:  func(context.Context, string, string) error { return nil },
	})
	follow.end()
	if err != nil && !lostAny(plan.Items) {
		plan.Err = err
	}
	return err
}

func lostAny(items []replication.Item) bool {
	for _, item := range items {
		if item.Outcome == replication.Lost {
			return true
		}
	}
	return false
}

// done writes a finished repository and forgets it. What an interruption cut off
// is not a failure: it is taken back to "not done".
func (r *replicationRun) done(ctx context.Context, plan replication.RepositoryPlan) {
	if ctx.Err() != nil {
		plan.Err = nil
		for i := range plan.Items {
			if plan.Items[i].Outcome == replication.Lost {
				plan.Items[i].Outcome, plan.Items[i].Reason = "", ""
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.add(plan)
	if err := r.out.repository(plan); err != nil && r.outputErr == nil {
		r.outputErr = err
	}
}

// diagnose looks, after the first failure, whether the source and at least one
// destination can be used at all. If not, the run ends: thousands of failures would only
// say the same.
func (r *replicationRun) diagnose(ctx context.Context, err error, cancel context.CancelCauseFunc) {
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	if r.firstErr == nil {
		r.firstErr = err
	}
	r.mu.Unlock()
	r.diagnosis.Do(func() {
		err := r.route.Source.Adapter.Client().Ping(ctx)
		for _, side := range append([]*replication.Side{r.route.Destination}, r.route.More...) {
			if err != nil {
				break
			}
			if err = side.Adapter.Client().Ping(ctx); err == nil {
				return
			}
			if len(r.route.More) > 0 && side != r.route.More[len(r.route.More)-1] {
				err = nil // another one may do
			}
		}
		if err != nil && ctx.Err() == nil {
			cancel(err)
		}
	})
}

const credentialAdvice = "Credentials come from \"docker login\", --src-creds or --dest-creds."

// explain says what to do about a run that could not be finished.
func (r *replicationRun) explain(err error) error {
	ping, ok := errors.AsType[*registry.PingError](err)
	if !ok {
		// A listing that failed may have a better explanation.
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for _, side := range append([]*replication.Side{r.route.Source, r.route.Destination}, r.route.More...) {
			if p, bad := errors.AsType[*registry.PingError](side.Adapter.Client().Ping(ctx)); bad {
				ping, err = p, p
				break
			}
		}
	}
	if ping == nil {
		if registry.IsUnauthorized(err) {
			return advise(err, credentialAdvice)
		}
		return err
	}
	advice := ""
	_, certificate := errors.AsType[*tls.CertificateVerificationError](ping)
	switch {
	case certificate:
		advice = "--src-ca and --dest-ca name a CA certificate; --src-insecure and --dest-insecure switch the verification off."
	case ping.Cause == registry.CauseUnauthorized, ping.Cause == registry.CauseForbidden:
		advice = credentialAdvice
	}
	return &failure{exitUnreachable, err, advice}
}
