package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/rule"
)

func (a *app) policyCommand() *cobra.Command {
	var s serverFlags
	cmd := a.family(&cobra.Command{
		Use:   "policy",
		Short: "Manage the rules: what is replicated where, and when",
		Long: `Manage the replication policies (rules): what is replicated where, and when. A
rule is named by its name or its id.`,
		Example: `  lighterage policy create all-to-cluster1 --dest-registry cluster1 --trigger event_based
  lighterage plan all-to-cluster1
  lighterage policy list`,
		Aliases: []string{"policies", "rule"},
	})
	s.add(cmd)
	cmd.AddCommand(a.policyList(&s), a.policyView(&s), a.policyCreate(&s), a.policyUpdate(&s), a.policyDelete(&s),
		a.policySwitch(&s, true), a.policySwitch(&s, false), a.policyPlan(&s))
	return cmd
}

func (a *app) policyList(s *serverFlags) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List the rules",
		Example: "  lighterage policy list\n  lighterage policy list --output json",
		Args:    takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			all, err := c.policies(cmd.Context(), "")
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.Stdout, all)
			}
			if len(all) == 0 {
				fmt.Fprintln(a.Stderr, "There are no rules yet. Make one with: lighterage policy create NAME --dest-registry REGISTRY")
				return nil
			}
			table := term.Table{Header: []string{"ID", "NAME", "ENABLED", "SOURCE", "DESTINATION", "FILTERS", "TRIGGER"}}
			scheduled := slices.ContainsFunc(all, func(p gen.ReplicationPolicy) bool { return nextRun(p) != "" })
			if scheduled {
				table.Header = append(table.Header, "NEXT RUN")
			}
			for _, p := range all {
				enabled := term.Cell{Text: "yes", Style: term.Good}
				if !p.Enabled {
					enabled = term.Cell{Text: "no", Style: term.Note}
				}
				row := []term.Cell{
					term.Text(strconv.FormatInt(p.ID, 10)), term.Text(p.Name), enabled, term.Text(sideName(p.SrcRegistry)),
					term.Text(destination(p)), term.Text(wantsText(p)), term.Text(triggerText(p)),
				}
				if scheduled {
					row = append(row, term.Text(nextRun(p)))
				}
				table.Row(row...)
			}
			return table.Write(a.screen)
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// sideName names one end of a rule.
func sideName(r *gen.Registry) string {
	if r == nil || r.ID == 0 {
		return "home"
	}
	return r.Name
}

func destination(p gen.ReplicationPolicy) string {
	names := destinationNames(p)
	if p.DestNamespace != "" {
		for i, name := range names {
			names[i] = name + "/" + p.DestNamespace
		}
	}
	return strings.Join(names, ", ")
}

func destinationNames(p gen.ReplicationPolicy) []string {
	names := []string{sideName(p.DestRegistry)}
	for _, r := range p.MoreDestRegistries {
		names = append(names, sideName(&r))
	}
	return names
}

// wantsText is what a rule wants, in one cell of a table.
func wantsText(p gen.ReplicationPolicy) string {
	filters, selects := filterText(p.Filters), selectionText(selection(&p))
	switch {
	case selects == "":
		return filters
	case len(p.Filters) == 0:
		return selects
	}
	return filters + "; " + selects
}

func filterText(filters []gen.ReplicationFilter) string {
	var parts []string
	for _, f := range filters {
		value := filterValue(f.Value)
		if value == "" {
			continue
		}
		sign := "="
		if f.Decoration == "excludes" {
			sign = "!="
		}
		parts = append(parts, f.Type+sign+value)
	}
	if parts == nil {
		return "everything"
	}
	return strings.Join(parts, " ")
}

// filterValue writes a pattern, a word, or the labels of a list.
func filterValue(value any) string {
	list, ok := value.([]any)
	if !ok {
		return fmt.Sprint(value)
	}
	labels := make([]string, len(list))
	for i, label := range list {
		labels[i] = fmt.Sprint(label)
	}
	return strings.Join(labels, ",")
}

// nextRun is when a rule starts by itself, "" if it does not.
func nextRun(p gen.ReplicationPolicy) string {
	if p.NextRunTime == nil || p.NextRunTime.IsZero() {
		return ""
	}
	return clock(*p.NextRunTime)
}

func triggerText(p gen.ReplicationPolicy) string {
	if p.Trigger == nil || p.Trigger.Type == "" {
		return "manual"
	}
	text := p.Trigger.Type
	if set := p.Trigger.TriggerSettings; set != nil && set.Cron != "" {
		text += " (" + strings.TrimSpace(set.Cron+" "+set.TimeZone) + ")"
	}
	if p.Deletion {
		text += ", deletes"
	}
	return text
}

func (a *app) policyView(s *serverFlags) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:               "view POLICY",
		Aliases:           []string{"get", "show"},
		Short:             "Show one rule",
		Example:           "  lighterage policy view all-to-cluster1\n  lighterage policy view 1 --output json",
		Args:              takes("POLICY"),
		ValidArgsFunction: a.completePolicy(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			p, err := c.policy(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if output == "json" {
				return writeJSON(a.Stdout, p)
			}
			return a.showPolicy(p, c.lastDrift(cmd.Context(), p))
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// lastDrift says how a rule stood when it was verified last, "" if it never was or the
// server cannot say.
func (c *api) lastDrift(ctx context.Context, p gen.ReplicationPolicy) string {
	one := int64(1)
	d, err := c.driftPage(ctx, p, nil, &one)
	if err != nil || d.Check.Done == 0 {
		return ""
	}
	return driftSummary(d) + "; verified at " + clock(d.Check.EndTime)
}

func (a *app) showPolicy(p gen.ReplicationPolicy, drift string) error {
	mode := "push-based"
	if p.SrcRegistry != nil && p.SrcRegistry.ID != 0 {
		mode = "pull-based"
	}
	one := ""
	if p.SingleActiveReplication != nil && *p.SingleActiveReplication {
		one = "one execution"
	}
	byChunk := ""
	if p.CopyByChunk != nil && *p.CopyByChunk {
		byChunk = "yes"
	}
	existing := ""
	if p.IncludeExisting {
		existing = "included"
	}
	flattening := ""
	if p.DestNamespace != "" {
		flattening = flattenText(p.DestNamespaceReplaceCount)
	}
	return a.screen.Fields([][2]string{
		{"id", strconv.FormatInt(p.ID, 10)},
		{"name", p.Name},
		{"description", p.Description},
		{"enabled", yesNo(p.Enabled)},
		{"mode", mode},
		{"source", sideName(p.SrcRegistry)},
		{"filters", filterText(p.Filters)},
		{"selects", selectionText(selection(&p))},
		{"destination", strings.Join(destinationNames(p), ", ")},
		{"namespace", p.DestNamespace},
		{"flattening", flattening},
		{"renamed", renameText(p.Rename)},
		{"accessories", p.Accessories},
		{"platforms", platformText(&p)},
		{"trigger", triggerText(p)},
		{"next run", nextRun(p)},
		{"at a time", one},
		{"bandwidth", bandwidthText(p.Speed)},
		{"by chunk", byChunk},
		{"override", yesNo(p.Override)},
		{"delete remote", yesNo(p.Deletion)},
		{"drift", drift},
		{"existing", existing},
		{"created", clock(p.CreationTime)},
		{"updated", clock(p.UpdateTime)},
	}...)
}

// bandwidthText writes the speed of a rule, "" for no limit.
func bandwidthText(speed *int32) string {
	if speed == nil || *speed <= 0 {
		return ""
	}
	return term.Bytes(rule.Rule{Speed: *speed}.BytesPerSecond()) + " a second"
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (a *app) policyDelete(s *serverFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "delete POLICY",
		Aliases:           []string{"rm"},
		Short:             "Delete a rule and its executions",
		Long:              "Delete a rule and its executions. What it replicated stays at the destination.",
		Example:           "  lighterage policy delete all-to-cluster1",
		Args:              takes("POLICY"),
		ValidArgsFunction: a.completePolicy(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			p, err := c.policy(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			r, err := c.DeleteReplicationPolicyWithResponse(cmd.Context(), p.ID)
			if err != nil {
				return c.check(err, nil, nil, "delete policy %s", p.Name)
			}
			if err := c.check(nil, r.HTTPResponse, r.Body, "delete policy %s", p.Name); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "Policy %s is deleted\n", p.Name)
			return err
		},
	}
}

// policySwitch is enable and disable.
func (a *app) policySwitch(s *serverFlags, enabled bool) *cobra.Command {
	use, short, done := "enable", "Let a rule run", "enabled"
	if !enabled {
		use, short, done = "disable", "Keep a rule from running; it is not deleted", "disabled"
	}
	return &cobra.Command{
		Use:               use + " POLICY",
		Short:             short,
		Example:           "  lighterage policy " + use + " all-to-cluster1",
		Args:              takes("POLICY"),
		ValidArgsFunction: a.completePolicy(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.connect(s)
			if err != nil {
				return err
			}
			p, err := c.policy(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			p.Enabled = enabled
			if err := c.putPolicy(cmd.Context(), p); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Stdout, "Policy %s is %s\n", p.Name, done)
			return err
		},
	}
}

// policies lists those whose name contains a text; "" is all.
func (c *api) policies(ctx context.Context, name string) ([]gen.ReplicationPolicy, error) {
	return pages(0, func(page, size *int64) (*[]gen.ReplicationPolicy, error) {
		r, err := c.ListReplicationPoliciesWithResponse(ctx, &gen.ListReplicationPoliciesParams{Name: name, Sort: "id", Page: page, PageSize: size})
		if err != nil {
			return nil, c.check(err, nil, nil, "list policies")
		}
		return r.JSON200, c.check(nil, r.HTTPResponse, r.Body, "list policies")
	})
}

func (c *api) getPolicy(ctx context.Context, id int64) (gen.ReplicationPolicy, error) {
	r, err := c.GetReplicationPolicyWithResponse(ctx, id)
	if err != nil {
		return gen.ReplicationPolicy{}, c.check(err, nil, nil, "get policy %d", id)
	}
	if err := c.check(nil, r.HTTPResponse, r.Body, "get policy %d", id); err != nil {
		return gen.ReplicationPolicy{}, err
	}
	return *r.JSON200, nil
}

// policy finds a rule by name or id.
func (c *api) policy(ctx context.Context, nameOrID string) (gen.ReplicationPolicy, error) {
	return find(ctx, "policy", nameOrID, c.policies, c.getPolicy,
		func(p gen.ReplicationPolicy) (string, int64) { return p.Name, p.ID })
}

// putPolicy replaces a rule as a whole, which is the only way the API has.
func (c *api) putPolicy(ctx context.Context, p gen.ReplicationPolicy) error {
	r, err := c.UpdateReplicationPolicyWithResponse(ctx, p.ID, p)
	if err != nil {
		return c.check(err, nil, nil, "update policy %s", p.Name)
	}
	return c.check(nil, r.HTTPResponse, r.Body, "update policy %s", p.Name)
}

func (a *app) completePolicy(s *serverFlags) cobra.CompletionFunc {
	return a.completeNames(s, func(ctx context.Context, c *api, prefix string) ([]string, error) {
		all, err := c.policies(ctx, prefix)
		var names []string
		for _, p := range all {
			names = append(names, p.Name+"\tto "+destination(p))
		}
		return names, err
	})
}
