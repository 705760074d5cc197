package cli

import (
	"github.com/spf13/cobra"
)

// policyPlan is "lighterage plan POLICY" where the other commands about rules are.
func (a *app) policyPlan(s *serverFlags) *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan POLICY",
		Short: "Show what running a rule now would do",
		Long: `Show what running a rule now would do, and change nothing. A rule that is disabled
can be planned too. It is the same as "lighterage plan POLICY".

` + planExitCodes,
		Example: `  lighterage policy plan releases
  lighterage policy plan releases --verbose
  lighterage policy plan releases --output json`,
		Args:              takes("POLICY"),
		ValidArgsFunction: a.completePolicy(s),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.planPolicy(cmd.Context(), s, args[0], f)
		},
	}
	f.add(cmd)
	f.addKeep(cmd.Flags())
	cmd.Flags().BoolVar(&f.allowEmpty, "allow-empty", false, "that nothing matches is fine")
	return cmd
}
