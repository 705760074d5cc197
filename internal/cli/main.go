package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/cli/term"
)

// Options is what a program gives to Main.
type Options struct {
	Args    []string // without the program's name
	Program string   // how the program was called, for commands that are shown
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Getenv  func(name string) string
	Version Version
	Serve   Server
}

// app is what commands share.
type app struct {
	Options
	screen *term.Screen
}

// Main runs one command and returns its exit code. It ends early, in order, when
// ctx ends; see Interruptible.
func Main(ctx context.Context, o Options) int {
	a := &app{Options: o, screen: term.New(o.Stdout, o.Stderr, o.Getenv)}
	root := a.root()
	err := root.ExecuteContext(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = context.Cause(ctx) // what was cut off by it does not matter
	}
	report(o.Stderr, err)
	return exitCode(err)
}

// Interruptible returns a context that ends at the first SIGINT or SIGTERM. The
// second one ends the process at once.
func Interruptible(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			cancel(errInterrupted)
		case <-ctx.Done():
			return
		}
		<-signals
		os.Exit(exitInterrupted)
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "lighterage",
		Short: "Carry container images from a harbor to the clusters that run them",
		Long: `Lighterage carries container images from a harbor to the clusters that run them.

"lighterage serve" runs a home registry that replicates what is pushed to it.
"registry", "policy" and "execution" tell a running server what to replicate
where, and show that it was. "plan" shows it before. "replicate" does it once,
without a server.
"migrate" moves a registry's storage to S3. "demo" shows the first of it in a minute.

` + exitCodes,
		Example: `  lighterage demo
  lighterage serve --data /srv/lighterage
  lighterage replicate 'harbor.example.com/library/**' registry.cluster1:5000`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.Version = a.Version.String()
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.SetArgs(a.Args)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return advise(usage("%w", err), "See: %s --help", cmd.CommandPath())
	})
	// A family of commands is not run itself, so its usage does not show that.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if and .Runnable (not .HasAvailableSubCommands)}}", 1))
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.AddGroup(
		&cobra.Group{ID: "server", Title: "A server, and what it replicates:"},
		&cobra.Group{ID: "alone", Title: "Without a server:"},
	)
	add := func(group string, commands ...*cobra.Command) {
		for _, cmd := range commands {
			cmd.GroupID = group
			root.AddCommand(cmd)
		}
	}
	add("server", a.serveCommand(), a.loginCommand(), a.logoutCommand(), a.registryCommand(), a.policyCommand(), a.executionCommand(), a.planCommand(), a.driftCommand(),
		a.notificationCommand(), a.applyCommand(), a.exportCommand(), a.harborCommand())
	add("alone", a.replicateCommand(), a.migrateCommand(), a.demoCommand())
	root.AddCommand(a.versionCommand())
	a.family(root)
	root.InitDefaultCompletionCmd("completion") // it is there to be completed, whatever the arguments are
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			a.completionCommand(cmd)
		}
	}
	return root
}

// completionCommand gives cobra's command examples, and has it refuse unknown shells.
func (a *app) completionCommand(cmd *cobra.Command) {
	examples := map[string]string{
		"bash":       "  lighterage completion bash > /etc/bash_completion.d/lighterage",
		"zsh":        "  lighterage completion zsh > \"${fpath[1]}/_lighterage\"",
		"fish":       "  lighterage completion fish > ~/.config/fish/completions/lighterage.fish",
		"powershell": "  lighterage completion powershell > lighterage.ps1",
	}
	cmd.Example = examples["bash"]
	for _, shell := range cmd.Commands() {
		shell.Example = examples[shell.Name()]
	}
	a.family(cmd)
}

// family makes a command that only holds others refuse what it does not know,
// which cobra would answer with help and success.
func (a *app) family(cmd *cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		advice := "See: " + cmd.CommandPath() + " --help"
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			advice = "Did you mean: " + cmd.CommandPath() + " " + strings.Join(near, ", ") + "?"
		}
		return advise(usage("unknown command %q for %q", args[0], cmd.CommandPath()), "%s", advice)
	}
	return cmd
}

// takes checks the number of arguments. names are those of the usage line, one
// in brackets may be left out.
func takes(names ...string) cobra.PositionalArgs {
	least := 0
	for _, name := range names {
		if !strings.HasPrefix(name, "[") {
			least++
		}
	}
	return func(cmd *cobra.Command, args []string) error {
		var err error
		switch {
		case len(args) < least:
			err = usage("%s is missing", names[len(args)])
		case len(args) > len(names) && len(names) == 0:
			err = usage("%q: this command takes no arguments", args[0])
		case len(args) > len(names):
			err = usage("%q: that is one argument too many", args[len(names)])
		}
		return advise(err, "Usage: %s", cmd.UseLine())
	}
}

// outputFlag adds --output with the formats a command knows, the first being the default.
func outputFlag(cmd *cobra.Command, target *string, formats ...string) {
	*target = formats[0]
	cmd.Flags().VarP(&choice{target: target, among: formats}, "output", "o", "how results are written: "+strings.Join(formats, ", "))
	complete(cmd, "output", formats...)
}

// complete lets the shell offer fixed words for a flag.
func complete(cmd *cobra.Command, flag string, words ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // the flag does not exist: a mistake in this package
	}
}

// choice is a flag that takes one of a few words.
type choice struct {
	target *string
	among  []string
}

func (c *choice) String() string {
	if c.target == nil {
		return ""
	}
	return *c.target
}

func (c *choice) Type() string { return "word" }

func (c *choice) Set(text string) error {
	for _, word := range c.among {
		if text == word {
			*c.target = text
			return nil
		}
	}
	words := slices.DeleteFunc(slices.Clone(c.among), func(word string) bool { return word == "" })
	return fmt.Errorf("want one of: %s", strings.Join(words, ", "))
}
