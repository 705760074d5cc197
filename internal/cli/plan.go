package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/replication"
)

// planExitCodes is the table that the help of plans shows.
const planExitCodes = `Exit codes:
  0    nothing is to be done: the destination is as the rule wants it
  1    something is to be done, or names collide
  2    the command line or its input is wrong
  3    a registry or the server cannot be reached, or refuses the credential
  4    nothing matched (--allow-empty makes it 0)
  5    it could not be found out: not everything could be looked at, or a request failed
  130  interrupted`

// planFlags say what is found out, and how it is shown.
type planFlags struct {
	bytes, keep, verbose, allowEmpty bool
	output                           string
}

func (f *planFlags) add(cmd *cobra.Command) {
	outputFlag(cmd, &f.output, "text", "json")
	cmd.Flags().Lookup("output").Usage = "text, or json: a line for each reference and one for the summary"
	cmd.Flags().BoolVar(&f.bytes, "bytes", false, "find out how much would really be sent: reads manifests from the source and asks the destination for blobs")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "show what is there already too")
}

func (f *planFlags) addKeep(flags *pflag.FlagSet) {
	flags.BoolVar(&f.keep, "keep", false, "have the server keep the plan for a day, to have exactly it carried out")
}

func (a *app) planCommand() *cobra.Command {
	var s serverFlags
	var f planFlags
	wanted := replicateFlags{source: endFlags{end: "src"}, destination: endFlags{end: "dest"}}
	cmd := &cobra.Command{
		Use:   "plan {POLICY | SRC DST}",
		Short: "Show what a rule would do, and change nothing",
		Long: `Show what replicating now would do, reference by reference as it is found out, and
change nothing: what would be copied, overwritten, skipped because it is there
already, or left alone because something else is there or because two repositories
have a claim to one name.

With a POLICY a server is asked about its rule, also one that is disabled. With SRC
and DST it is done without a server, with the arguments and flags of "lighterage
replicate". It is the same code that replicates.

--bytes finds out how much would really be sent. --keep has the server keep the plan;
"lighterage execution start POLICY --plan ID" then does exactly what was shown, or
says why it cannot be done any more.

` + planExitCodes,
		Example: `  lighterage plan releases
  lighterage plan releases --bytes --keep
  lighterage plan releases --output json
  lighterage plan 'harbor.example.com/library/**:v*' registry.cluster1:5000/mirror --bytes`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return advise(usage("POLICY is missing, or SRC and DST"), "Usage: %s", cmd.UseLine())
			}
			return takes("POLICY or SRC", "[DST]")(cmd, args)
		},
		ValidArgsFunction: a.completePolicy(&s),
	}
	s.add(cmd)
	f.add(cmd)
	ofPolicy, ofRegistries := pflag.NewFlagSet("", pflag.ContinueOnError), pflag.NewFlagSet("", pflag.ContinueOnError)
	f.addKeep(ofPolicy)
	wanted.addRoute(ofRegistries)
	ofRegistries.BoolVar(&wanted.override, "override", true, "replace tags that stand for something else at the destination")
	cmd.Flags().AddFlagSet(ofPolicy)
	cmd.Flags().AddFlagSet(ofRegistries)
	completeRoute(cmd)
	ofPolicy.AddFlagSet(cmd.PersistentFlags()) // which server
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f.allowEmpty = wanted.allowEmpty
		if len(args) == 2 {
			if err := without(ofPolicy, "plan SRC DST"); err != nil {
				return err
			}
			return a.planAlone(cmd.Context(), args[0], args[1], wanted, f)
		}
		ofRegistries.Lookup("allow-empty").Changed = false // that may be said of a POLICY too
		if err := without(ofRegistries, "plan POLICY"); err != nil {
			return err
		}
		return a.planPolicy(cmd.Context(), &s, args[0], f)
	}
	return cmd
}

// planAlone plans without a server.
func (a *app) planAlone(ctx context.Context, src, dst string, wanted replicateFlags, f planFlags) error {
	route, end, err := a.route(ctx, src, dst, wanted)
	if err != nil {
		return err
	}
	defer end()
	explain := (&replicationRun{route: route}).explain
	lines := func(yield func([]byte, error) bool) {
		var fatal error
		for line, err := range route.Preview(ctx, replication.PlanOptions{Bytes: f.bytes}) {
			if err != nil {
				if fatal = err; f.output != "json" {
					continue // it is told at the end, with what to do
				}
			}
			text, err := json.Marshal(line)
			if !yield(text, err) || err != nil {
				return
			}
		}
		if fatal != nil {
			yield(nil, explain(fatal))
		}
	}
	return a.showPlan(ctx, lines, f, "")
}

// planPolicy has a server plan a rule.
func (a *app) planPolicy(ctx context.Context, s *serverFlags, nameOrID string, f planFlags) error {
	c, err := a.connect(s)
	if err != nil {
		return err
	}
	p, err := c.policy(ctx, nameOrID)
	if err != nil {
		return undecided(err)
	}
	var response *http.Response
	if f.keep {
		response, err = c.ClientInterface.KeepReplicationPlan(ctx, p.ID, &gen.KeepReplicationPlanParams{Bytes: f.bytes}, acceptLines)
	} else {
		response, err = c.ClientInterface.PlanReplicationPolicy(ctx, p.ID, &gen.PlanReplicationPolicyParams{Bytes: f.bytes}, acceptLines)
	}
	if err != nil {
		return undecided(c.check(err, nil, nil, "plan policy %s", p.Name))
	}
	defer func() { _ = response.Body.Close() }()
	if !strings.HasPrefix(response.Header.Get("Content-Type"), "application/x-ndjson") {
		const most = 1 << 20
		body, err := io.ReadAll(io.LimitReader(response.Body, most))
		if err != nil {
			return undecided(c.check(err, nil, nil, "plan policy %s", p.Name))
		}
		if err := c.check(nil, response, body, "plan policy %s", p.Name); err != nil {
			return undecided(err)
		}
		return fmt.Errorf("plan policy %s: %s cannot plan; it is not a Lighterage server", p.Name, c.url)
	}
	return a.showPlan(ctx, linesOf(response.Body), f, p.Name)
}

func acceptLines(_ context.Context, r *http.Request) error {
	r.Header.Set("Accept", "application/x-ndjson")
	return nil
}

// linesOf are the lines of an answer as they come.
func linesOf(body io.Reader) iter.Seq2[[]byte, error] {
	const longest = 16 << 20
	return func(yield func([]byte, error) bool) {
		lines := bufio.NewScanner(body)
		lines.Buffer(nil, longest)
		for lines.Scan() {
			if !yield(lines.Bytes(), nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(nil, fmt.Errorf("the plan was cut off: %w", err))
		}
	}
}

// errPlanCut says that a plan has no summary.
var errPlanCut = errors.New("the plan was cut off: its summary is missing")

// showPlan shows a plan as it comes and turns the end of it into an exit code. policy is
// the name of its rule, "" without a server.
func (a *app) showPlan(ctx context.Context, lines iter.Seq2[[]byte, error], f planFlags, policy string) error {
	view := planView{screen: a.screen, out: bufio.NewWriter(a.Stdout), errors: a.Stderr, verbose: f.verbose, policy: policy}
	var summary *replication.PlanSummary
	var broken error
	for text, err := range lines {
		if broken = err; err != nil {
			break
		}
		var line replication.PlanLine
		if broken = json.Unmarshal(text, &line); broken != nil {
			broken = fmt.Errorf("read the plan: %w", broken)
			break
		}
		if line.Type == replication.LineSummary && line.Summary != nil {
			summary = line.Summary
		}
		if f.output == "json" {
			if _, broken = view.out.Write(text); broken == nil {
				broken = view.out.WriteByte('\n')
			}
		} else {
			broken = view.line(line)
		}
		if broken == nil {
			broken = view.out.Flush() // a plan is shown while it is made
		}
		if broken != nil {
			break
		}
	}
	switch {
	case ctx.Err() != nil:
		return &failure{exitInterrupted, errInterrupted, ""}
	case broken != nil:
		return undecided(broken)
	case summary == nil:
		return undecided(errPlanCut)
	}
	return planEnd(summary, f)
}

// planEnd is the exit code of a plan that was shown.
func planEnd(s *replication.PlanSummary, f planFlags) error {
	collide := false
	for _, w := range s.Warnings {
		collide = collide || w.Code == replication.WarnCollisions
	}
	told := 0
	for _, n := range s.Actions {
		told += n
	}
	switch {
	case !s.Complete:
		return silent(exitUnknown)
	case collide:
		return silent(exitFailed)
	case told == 0 && !f.allowEmpty:
		return silent(exitNothing)
	case s.Actions[replication.ActionCopy]+s.Actions[replication.ActionOverwrite]+s.Actions[replication.ActionDelete] > 0:
		return silent(exitFailed)
	}
	return nil
}
