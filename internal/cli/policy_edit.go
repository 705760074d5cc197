package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
)

// policyFlags describe a rule on the command line, in the words of Harbor's form.
type policyFlags struct {
	description, source, namespace  string
	destinations                    []string
	flatten                         flattening
	name, tag, resource             string
	exclude                         string
	labels, noLabels                []string
	trigger, cron, zone             string
	deleteRemote, override, enabled bool
	singleActive, byChunk, existing bool
	bandwidth                       speed
	selects                         selectFlags
	file                            string
}

func (f *policyFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.trigger = "manual"
	flags.StringVar(&f.description, "description", "", "what it is for")
	flags.StringVar(&f.source, "src-registry", "", "registry to pull from (default home)")
	flags.StringSliceVar(&f.destinations, "dest-registry", nil, "registry to push to; several are separated by commas (default home)")
	flags.StringVar(&f.namespace, "dest-namespace", "", "namespace at the destination (default the source's)")
	flags.Var(&f.flatten, "flatten", "how much of the path the namespace replaces: none, 1, 2, 3, ... or all")
	flags.StringVar(&f.name, "filter-name", "", "pattern of repository names: library/**, {a,b}/*")
	flags.StringVar(&f.tag, "filter-tag", "", "pattern of tags that are replicated")
	flags.StringVar(&f.exclude, "filter-tag-exclude", "", "pattern of tags that are not replicated")
	flags.Var(&choice{&f.resource, []string{"", "image", "artifact"}}, "resource", "image: images only; artifact: everything (default everything)")
	flags.StringSliceVar(&f.labels, "filter-label", nil, "labels that an artifact must have, all of them; several are separated by commas")
	flags.StringSliceVar(&f.noLabels, "filter-label-exclude", nil, "labels that keep an artifact back that has all of them")
	flags.Var(&choice{&f.trigger, triggerWords}, "trigger", "manual, scheduled (see --cron), or event_based: at every push to home")
	flags.StringVar(&f.cron, "cron", "", "when a scheduled rule runs: '0 30 2 * * *' is 02:30 every day")
	flags.StringVar(&f.zone, "time-zone", "", "the zone that --cron is meant in, such as Europe/Berlin (default UTC)")
	flags.BoolVar(&f.singleActive, "single-active", false, "run one execution at a time; what is started meanwhile follows as one")
	flags.Var(&f.bandwidth, "bandwidth", "most bytes a second that its copies take together, such as 50M (default no limit, as is 0)")
	flags.BoolVar(&f.byChunk, "copy-by-chunk", false, "upload large blobs 10 MiB a request, for a destination behind something that bounds requests")
	flags.BoolVar(&f.deleteRemote, "delete-remote", false, "delete at the destination what is deleted at home (event_based only)")
	flags.BoolVar(&f.existing, "include-existing", false, "bring what was at home before the rule, too (event_based only)")
	flags.BoolVar(&f.override, "override", true, "replace tags that stand for something else at the destination")
	flags.BoolVar(&f.enabled, "enabled", true, "let the rule run")
	f.selects.add(flags)
	complete(cmd, "resource", "image", "artifact")
	complete(cmd, "trigger", triggerWords...)
	complete(cmd, "flatten", flattenWords...)
}

var triggerWords = []string{"manual", "scheduled", "event_based"}

// flattening is how many parts of a repository's path the namespace replaces:
// -1 is all of them.
type flattening struct{ count int8 }

var flattenWords = []string{"none", "1", "2", "3", "all"}

func (f *flattening) String() string {
	if f.count < 0 {
		return "all"
	}
	if f.count == 0 {
		return "none"
	}
	return strconv.Itoa(int(f.count))
}

func (f *flattening) Type() string { return "levels" }

func (f *flattening) Set(text string) error {
	switch text {
	case "all", "-1":
		f.count = -1
		return nil
	case "none":
		f.count = 0
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 8)
	if err != nil || n < 0 {
		return fmt.Errorf("want none, a number of levels, or all")
	}
	f.count = int8(n)
	return nil
}

func flattenText(count *int8) string {
	f := flattening{-1} // what an absent count means
	if count != nil {
		f.count = *count
	}
	switch f.count {
	case -1:
		return "all levels"
	case 0:
		return "none"
	case 1:
		return "1 level"
	}
	return f.String() + " levels"
}

func (a *app) policyCreate(s *serverFlags) *cobra.Command {
	var f policyFlags
	var output string
	cmd := &cobra.Command{
		Use:   "create NAME --dest-registry REGISTRY | create -f FILE",
		Short: "Make a rule",
		Long: `Make a rule. With --dest-registry it pushes from home, with --src-registry it
pulls to home. A file has the API's form in JSON or YAML, where a registry may be
named by id or by name; flags beside it win.

In patterns * stands for any text without a slash, ** as a whole part of a path
for any number of parts, ? for one character, {a,b} for either: library/** is
everything below library, and library/* only what stands directly in it.

Several registries, as in --dest-registry cluster1,cluster2, get the same; each has
tasks of its own, so that one that is down does not keep the others waiting.

A schedule has six fields: second (always 0), minute, hour, day of the month, month
and day of the week. --cron '0 0 22 * * MON-FRI' --time-zone Europe/Berlin is ten at
night of every working day there, in summer and winter.

--flatten says how many parts of a repository's path, from the left, the
namespace takes the place of. a/b/img in the namespace n becomes
  none  n/a/b/img      1  n/b/img      2  n/img      all  n/img`,
		Example: `  # every push to the home registry goes to cluster1
  lighterage policy create all-to-cluster1 --dest-registry cluster1 --trigger event_based

  # releases of two projects, when asked, and no release candidates
  lighterage policy create releases --dest-registry cluster1 --dest-namespace mirror \
    --filter-name '{apps,library}/**' --filter-tag 'v*' --filter-tag-exclude '*-rc*'

  # what has the label release, every night
  lighterage policy create promoted --dest-registry cluster1 --filter-label release \
    --trigger scheduled --cron '0 30 2 * * *' --time-zone Asia/Shanghai --single-active

  # of each repository the three newest versions 1.x, under a name without the project
  lighterage policy create latest --dest-registry cluster1 --semver '^1' --newest 3 --rename '{path}'

  lighterage policy create -f rule.yaml`,
		Args: takes("[NAME]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := gen.ReplicationPolicy{Override: true, Enabled: true}
			if f.file != "" {
				p = gen.ReplicationPolicy{}
				if err := a.readBody(f.file, &p); err != nil {
					return err
				}
			}
			if len(args) == 1 {
				p.Name = args[0]
			}
			if p.Name == "" {
				return advise(usage("NAME is missing"), "Usage: %s", cmd.UseLine())
			}
			if f.file == "" && f.source == "" && len(f.destinations) == 0 {
				return advise(usage("which registry? say --dest-registry REGISTRY to push to it, or --src-registry REGISTRY to pull from it"), "\"lighterage registry list\" shows the registries.")
			}
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			if err := c.fillPolicy(cmd, &f, &p, f.file == ""); err != nil {
				return err
			}
			return a.createPolicy(cmd.Context(), c, p, output == "json")
		},
	}
	f.add(cmd)
	outputFlag(cmd, &output, "text", "json")
	fileFlag(cmd, &f.file)
	completeRegistryFlags(a, s, cmd)
	return cmd
}

func completeRegistryFlags(a *app, s *serverFlags, cmd *cobra.Command) {
	names := a.completeRegistry(s)
	for _, flag := range []string{"src-registry", "dest-registry"} {
		err := cmd.RegisterFlagCompletionFunc(flag, func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			return names(cmd, nil, prefix)
		})
		if err != nil {
			panic(err) // the flag does not exist: a mistake in this package
		}
	}
}

func (a *app) createPolicy(ctx context.Context, c *api, p gen.ReplicationPolicy, asJSON bool) error {
	r, err := c.CreateReplicationPolicyWithResponse(ctx, p)
	if err != nil {
		return c.check(err, nil, nil, "create policy %s", p.Name)
	}
	if err := c.check(nil, r.HTTPResponse, r.Body, "create policy %s", p.Name); err != nil {
		return err
	}
	id, err := created(r.HTTPResponse)
	if err != nil {
		return err
	}
	if asJSON {
		now, err := c.getPolicy(ctx, id)
		if err != nil {
			return err
		}
		return writeJSON(a.Stdout, now)
	}
	fmt.Fprintf(a.Stdout, "Policy %s is made with id %d\n", p.Name, id)
	switch {
	case !p.Enabled:
		fmt.Fprintf(a.Stderr, "It is not enabled. Let it run with: lighterage policy enable %s\n", quoted(p.Name))
	case p.Trigger != nil && p.Trigger.Type == "scheduled":
		now, err := c.getPolicy(ctx, id)
		if err != nil {
			return err
		}
		if now.NextRunTime != nil {
			fmt.Fprintf(a.Stderr, "It runs next at %s. See what it would do now with: lighterage plan %s\n", clock(*now.NextRunTime), quoted(p.Name))
		}
	case p.Trigger != nil && p.Trigger.Type == "event_based" && p.IncludeExisting:
		fmt.Fprintln(a.Stderr, "It replicates what is there, and what is pushed from now on.")
	case p.Trigger != nil && p.Trigger.Type == "event_based":
		fmt.Fprintf(a.Stderr, "It replicates what is pushed from now on. What is there already goes with: lighterage execution start %s\n", quoted(p.Name))
	default:
		fmt.Fprintf(a.Stderr, "See what it would do with: lighterage plan %s\nRun it with: lighterage execution start %s --wait\n", quoted(p.Name), quoted(p.Name))
	}
	return nil
}

func (a *app) policyUpdate(s *serverFlags) *cobra.Command {
	var f policyFlags
	var name string
	cmd := &cobra.Command{
		Use:   "update POLICY",
		Short: "Change a rule",
		Long: `Change what the flags say and leave the rest. An empty filter or wish (--newest 0)
is taken away. With -f the rule becomes what the file says.`,
		Example: `  lighterage policy update releases --filter-tag 'v2.*'
  lighterage policy update releases --filter-name '' --enabled=false
  lighterage policy update releases --newest 0 --exclude-tag '*-rc*' --exclude-tag '*-beta*'
  lighterage policy update releases -f rule.yaml`,
		Args:              takes("POLICY"),
		ValidArgsFunction: a.completePolicy(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			var replacement gen.ReplicationPolicy
			if f.file != "" {
				if err := a.readBody(f.file, &replacement); err != nil {
					return err
				}
			}
			if cmd.Flags().NFlag() == 0 {
				return advise(usage("nothing to change"), "See: %s --help", cmd.CommandPath())
			}
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			p, err := c.policy(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if f.file != "" {
				replacement.ID = p.ID
				if replacement.Name == "" {
					replacement.Name = p.Name
				}
				p = replacement
			}
			if cmd.Flags().Changed("name") {
				p.Name = name
			}
			if err := c.fillPolicy(cmd, &f, &p, false); err != nil {
				return err
			}
			if err := c.putPolicy(cmd.Context(), p); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "Policy %s is changed\n", p.Name)
			return err
		},
	}
	f.add(cmd)
	fileFlag(cmd, &f.file)
	cmd.Flags().StringVar(&name, "name", "", "a new name")
	completeRegistryFlags(a, s, cmd)
	return cmd
}

// fillPolicy puts flags into a rule: all of them into a fresh one, else those
// that were given.
func (c *api) fillPolicy(cmd *cobra.Command, f *policyFlags, p *gen.ReplicationPolicy, fresh bool) error {
	given := func(flag string) bool { return fresh || cmd.Flags().Changed(flag) }
	if err := c.fillSide(cmd.Context(), &p.SrcRegistry, f.source, cmd.Flags().Changed("src-registry")); err != nil {
		return fmt.Errorf("src-registry: %w", err)
	}
	if err := c.fillDestinations(cmd.Context(), p, f.destinations, cmd.Flags().Changed("dest-registry")); err != nil {
		return fmt.Errorf("dest-registry: %w", err)
	}
	if given("description") {
		p.Description = f.description
	}
	if given("dest-namespace") {
		p.DestNamespace = f.namespace
	}
	if given("flatten") {
		p.DestNamespaceReplaceCount = &f.flatten.count
	}
	if given("filter-name") {
		setFilter(p, "name", "", f.name)
	}
	if given("filter-tag") {
		setFilter(p, "tag", "matches", f.tag)
	}
	if given("filter-tag-exclude") {
		setFilter(p, "tag", "excludes", f.exclude)
	}
	if given("resource") {
		setFilter(p, "resource", "", f.resource)
	}
	if given("filter-label") {
		setLabels(p, "matches", f.labels)
	}
	if given("filter-label-exclude") {
		setLabels(p, "excludes", f.noLabels)
	}
	f.selects.fill(cmd.Flags(), p)
	if err := f.fillTrigger(cmd, p, fresh); err != nil {
		return err
	}
	if given("single-active") {
		p.SingleActiveReplication = &f.singleActive
	}
	if given("bandwidth") {
		p.Speed = &f.bandwidth.kilobits
	}
	if given("copy-by-chunk") {
		p.CopyByChunk = &f.byChunk
	}
	if given("include-existing") {
		p.IncludeExisting = f.existing
	}
	if given("delete-remote") {
		p.Deletion, p.ReplicateDeletion = f.deleteRemote, f.deleteRemote
	}
	if f.deleteRemote && (p.Trigger == nil || p.Trigger.Type != "event_based") {
		return usage("--delete-remote needs --trigger event_based: deletions are followed as they happen")
	}
	if given("override") {
		p.Override = f.override
	}
	if given("enabled") {
		p.Enabled = f.enabled
	}
	return nil
}

// fillDestinations finds the registries of the destinations, named by the flag or in
// a file.
func (c *api) fillDestinations(ctx context.Context, p *gen.ReplicationPolicy, names []string, given bool) error {
	if given {
		p.MoreDestRegistries = make([]gen.Registry, max(0, len(names)-1))
	}
	first := ""
	if len(names) > 0 {
		first = names[0]
	}
	if err := c.fillSide(ctx, &p.DestRegistry, first, given); err != nil {
		return err
	}
	for i := range p.MoreDestRegistries {
		side, name := &p.MoreDestRegistries[i], ""
		if given {
			name = names[i+1]
		}
		if err := c.fillSide(ctx, &side, name, given); err != nil {
			return err
		}
		if side == nil {
			side = &gen.Registry{} // home
		}
		p.MoreDestRegistries[i] = gen.Registry{ID: side.ID}
	}
	return nil
}

// fillSide finds the registry of one side, named by a flag or in a file.
func (c *api) fillSide(ctx context.Context, side **gen.Registry, name string, given bool) error {
	inFile := *side != nil && (*side).ID == 0 && (*side).Name != ""
	switch {
	case given && (name == "" || name == "home"):
		*side = nil
		return nil
	case inFile && !given:
		if name = (*side).Name; name == "Local" { // what Harbor calls home in its answers
			*side = nil
			return nil
		}
	case !given:
		return nil
	}
	r, err := c.registry(ctx, name)
	if err != nil {
		return err
	}
	*side = &gen.Registry{ID: r.ID}
	return nil
}

// fillTrigger puts trigger, schedule and time zone into a rule. A schedule that is given
// makes the trigger scheduled.
func (f *policyFlags) fillTrigger(cmd *cobra.Command, p *gen.ReplicationPolicy, fresh bool) error {
	given := cmd.Flags().Changed
	timed := given("cron") || given("time-zone")
	old := p.Trigger
	switch {
	case given("cron") && !given("trigger"):
		p.Trigger = &gen.ReplicationTrigger{Type: "scheduled"}
	case fresh || given("trigger"):
		p.Trigger = &gen.ReplicationTrigger{Type: f.trigger}
	}
	if p.Trigger == nil || p.Trigger.Type != "scheduled" {
		if timed {
			return usage("--cron and --time-zone need --trigger scheduled")
		}
		return nil
	}
	settings := gen.ReplicationTriggerSettings{}
	if old != nil && old.TriggerSettings != nil {
		settings = *old.TriggerSettings
	}
	if given("cron") {
		settings.Cron = f.cron
	}
	if given("time-zone") {
		settings.TimeZone = f.zone
	}
	p.Trigger.TriggerSettings = &settings
	if settings.Cron == "" && given("trigger") {
		return usage("--trigger scheduled needs --cron: '0 30 2 * * *' is 02:30 every day")
	}
	return nil
}

// setLabels replaces a label filter; no labels remove it.
func setLabels(p *gen.ReplicationPolicy, decoration string, labels []string) {
	setFilter(p, "label", decoration, "")
	if len(labels) > 0 {
		p.Filters = append(p.Filters, gen.ReplicationFilter{Type: "label", Value: labels, Decoration: decoration})
	}
}

// setFilter replaces a filter; an empty value removes it.
func setFilter(p *gen.ReplicationPolicy, kind, decoration, value string) {
	p.Filters = slices.DeleteFunc(p.Filters, func(f gen.ReplicationFilter) bool {
		return f.Type == kind && (f.Decoration == "excludes") == (decoration == "excludes")
	})
	if value != "" {
		p.Filters = append(p.Filters, gen.ReplicationFilter{Type: kind, Value: value, Decoration: decoration})
	}
}
