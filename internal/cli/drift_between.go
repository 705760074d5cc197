package cli

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/replication"
)

// comparison is one run of drift between two registries.
type comparison struct {
	app   *app
	run   *replicationRun // tells what is wrong with a registry
	live  *term.Live
	deep  bool
	start time.Time
	seen  atomic.Int64 // references

	print  bool // drift as it is found
	counts map[replication.DriftState]*gen.ReplicationDriftCount
	drift  gen.ReplicationDrift
}

// comparisonJSON is the result for programs: what the API says of a rule, and which
// registries were compared.
type comparisonJSON struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Namespace   string `json:"namespace,omitempty"`
	gen.ReplicationDrift
}

// driftBetween compares two registries without a server.
func (a *app) driftBetween(ctx context.Context, src, dst string, f replicateFlags, deep bool) error {
	route, done, err := a.route(ctx, src, dst, f)
	if err != nil {
		return undecided(err)
	}
	defer done()
	c := &comparison{
		app: a, run: &replicationRun{route: route}, deep: deep, start: time.Now(), print: f.output == "text",
		counts: map[replication.DriftState]*gen.ReplicationDriftCount{},
		drift:  gen.ReplicationDrift{Counts: []gen.ReplicationDriftCount{}, Items: []gen.ReplicationDriftItem{}},
	}
	c.live = a.screen.NewLive(f.quiet, func() string { return fmt.Sprintf("%d compared", c.seen.Load()) })
	trouble := c.compare(ctx)
	c.live.Stop()
	c.conclude(trouble)
	if err := c.show(route); err != nil {
		return undecided(fmt.Errorf("write results: %w", err))
	}
	switch {
	case ctx.Err() != nil:
		return &failure{exitInterrupted, errInterrupted, ""}
	case trouble != nil:
		return undecided(c.run.explain(trouble))
	case c.knowsNothing() && unreachable(c.run.firstErr):
		return &failure{exitUnreachable, fmt.Errorf("nothing could be compared: %w", c.run.firstErr), credentialAdvice}
	case c.seen.Load() == 0 && !f.allowEmpty && c.drift.InSync:
		return nothingMatched(route)
	}
	return verdict(c.drift)
}

// compare takes in all that is to be told. Its error is why that is not everything.
func (c *comparison) compare(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var trouble error
	for d, err := range c.run.route.Drift(ctx, c.deep) {
		if err != nil {
			trouble = err
			break
		}
		if err := c.add(d); err != nil {
			return fmt.Errorf("write results: %w", err)
		}
		if d.Plan.Err != nil {
			c.run.diagnose(ctx, d.Plan.Err, cancel)
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return trouble
}

// add takes in one repository. One that could not be listed has no artifacts to be told
// of, and is told of itself.
func (c *comparison) add(d replication.RepositoryDrift) error {
	entries := d.Entries
	if d.Plan.Err != nil && len(entries) == 0 {
		entries = []replication.DriftEntry{{
			SourceRepository: d.Plan.SourceRepository, DestinationRepository: d.Plan.DestinationRepository,
			State: replication.NotVerified, Drift: true, Reason: d.Plan.Err.Error(),
		}}
	}
	return c.live.Print(func(out io.Writer) error {
		for _, e := range entries {
			c.seen.Add(1)
			if c.counts[e.State] == nil {
				c.counts[e.State] = &gen.ReplicationDriftCount{State: string(e.State)}
			}
			c.counts[e.State].Count++
			if !e.Drift {
				continue
			}
			c.counts[e.State].Drift++
			c.drift.Drift++
			item := c.item(e)
			if c.print {
				if _, err := fmt.Fprintln(out, c.app.driftLine(item, c.run.route.Destination.Name)); err != nil {
					return err
				}
				continue
			}
			c.drift.Items = append(c.drift.Items, item)
		}
		return nil
	})
}

func (c *comparison) item(e replication.DriftEntry) gen.ReplicationDriftItem {
	i := gen.ReplicationDriftItem{
		SrcRepository: e.SourceRepository, DstRepository: e.DestinationRepository, Reference: e.Reference, State: string(e.State), Drift: e.Drift,
		SrcDigest: e.SourceDigest, DstDigest: e.DestinationDigest, Reason: e.Reason,
	}
	if e.State != replication.NotVerified {
		i.VerifiedTime = gen.Time{Time: c.start}
	}
	return i
}

// knowsNothing reports whether nothing at all could be found out.
func (c *comparison) knowsNothing() bool {
	unknown := c.counts[replication.NotVerified]
	return unknown != nil && unknown.Count == c.seen.Load()
}

// conclude says how it all stands.
func (c *comparison) conclude(trouble error) {
	for _, state := range []replication.DriftState{replication.InSync, replication.Missing, replication.Different, replication.NotVerified} {
		if n := c.counts[state]; n != nil {
			c.drift.Counts = append(c.drift.Counts, *n)
		}
	}
	c.drift.InSync = c.drift.Drift == 0 && trouble == nil
	c.drift.Check = gen.ReplicationDriftCheck{
		Asked: 1, Done: 1, Deep: c.deep, StartTime: gen.Time{Time: c.start}, EndTime: gen.Time{Time: time.Now()},
	}
	if trouble != nil {
		c.drift.Check.Done = 0
		c.drift.Check.Error = trouble.Error()
	}
}

func (c *comparison) show(route replication.Route) error {
	if c.print {
		_, err := fmt.Fprintln(c.app.Stdout, driftSummary(c.drift))
		return err
	}
	return writeJSON(c.app.Stdout, comparisonJSON{
		Source: route.Source.Adapter.Client().URL(), Destination: route.Destination.Adapter.Client().URL(),
		Namespace: route.Rule.DestNamespace, ReplicationDrift: c.drift,
	})
}
