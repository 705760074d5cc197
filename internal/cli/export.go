package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/api/gen"
)

func (a *app) exportCommand() *cobra.Command {
	var s serverFlags
	cmd := &cobra.Command{
		Use:   "export [KIND...]",
		Short: "Write what a server is told to be as files for apply",
		Long: `Write projects, registries, labels, robots, policies and notifications as YAML that
"lighterage apply" takes. KIND narrows it: ` + strings.Join(kindOrder, ", ") + `.

Secrets cannot be read back: in their place stands the environment variable from
which apply shall take them. Robots get new ones where they do not exist yet.`,
		Example: `  lighterage export > lighterage.yaml
  lighterage export Registry Policy`,
		ValidArgs: kindOrder,
		Args:      cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, kind := range args {
				if !slices.Contains(kindOrder, kind) {
					return usage("there is no kind %q: want one of %s", kind, strings.Join(kindOrder, ", "))
				}
			}
			c, err := a.connect(&s)
			if err != nil {
				return err
			}
			k := a.newApplying(c, "")
			for _, kind := range args {
				k.wants[kind] = true
			}
			if err := k.look(cmd.Context(), len(args) == 0); err != nil {
				return err
			}
			return a.export(k, args)
		},
	}
	s.add(cmd)
	return cmd
}

func (a *app) export(k *applying, kinds []string) error {
	var documents []string
	for _, kind := range kindOrder {
		if len(kinds) > 0 && !slices.Contains(kinds, kind) {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(k.have[kind])) {
			name, spec := exported(k.have[kind][key])
			text, err := manifestText(kind, name, spec)
			if err != nil {
				return err
			}
			documents = append(documents, text)
		}
	}
	if len(documents) == 0 {
		fmt.Fprintln(a.Stderr, "There is nothing to export.")
		return nil
	}
	_, err := fmt.Fprint(a.Stdout, strings.Join(documents, "---\n"))
	return err
}

// exported is a thing as a document has it: its own name, and where its secret comes from.
func exported(t thing) (name string, spec map[string]any) {
	name, spec = t.key, maps.Clone(t.canon)
	variable := "LIGHTERAGE_SECRET_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, t.key)
	from := map[string]any{"env": variable}
	switch body := t.body.(type) {
	case *label:
		name = body.Name
	case *robot:
		name = body.Name
	case *gen.Registry:
		if body.Credential != nil && body.Credential.AccessSecret != "" {
			credential := map[string]any{}
			if c, ok := spec["credential"].(map[string]any); ok {
				credential = maps.Clone(c)
			}
			credential["accessSecretFrom"] = from
			spec["credential"] = credential
		}
	case *told:
		if body.AuthHeader != nil {
			spec["authHeaderFrom"] = from
		}
	}
	return name, spec
}
