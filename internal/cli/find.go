package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"
)

// find looks something up by its name or its id. A number that is the name of
// one thing and the id of another is refused: what is found may be deleted.
func find[T any](ctx context.Context, kind, nameOrID string,
	list func(ctx context.Context, name string) ([]T, error), get func(ctx context.Context, id int64) (T, error), names func(T) (string, int64),
) (T, error) {
	var none T
	id, numberErr := strconv.ParseInt(strings.TrimPrefix(nameOrID, "id:"), 10, 64)
	if strings.HasPrefix(nameOrID, "id:") {
		if numberErr != nil {
			return none, usage("%q: want a number after id:", nameOrID)
		}
		return get(ctx, id)
	}
	all, err := list(ctx, nameOrID)
	if err != nil {
		return none, err
	}
	var byName, byID *T
	for i := range all {
		if name, _ := names(all[i]); name == nameOrID {
			byName = &all[i]
		}
	}
	if numberErr == nil {
		one, err := get(ctx, id)
		switch e, refused := errors.AsType[*apiError](err); {
		case err == nil:
			byID = &one
		case refused && e.status == http.StatusNotFound:
		default:
			return none, err
		}
	}
	switch {
	case byName != nil && byID != nil:
		_, one := names(*byName)
		if _, other := names(*byID); one != other {
			return none, usage("%s is the name of %s %d and the id of another: say id:%d or id:%d", nameOrID, kind, one, one, other)
		}
		return *byName, nil
	case byName != nil:
		return *byName, nil
	case byID != nil:
		return *byID, nil
	}
	return none, &failure{exitFailed, fmt.Errorf("there is no %s %q", kind, nameOrID), fmt.Sprintf("See: lighterage %s list", kind)}
}

// quoted writes a name so that it can be given to a shell as it stands.
func quoted(name string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.:/+@", r)
	}
	if name != "" && strings.IndexFunc(name, func(r rune) bool { return !plain(r) }) < 0 {
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}

// completeNames lets the shell offer names that the server knows. A server that
// does not answer at once offers none.
func (a *app) completeNames(s *serverFlags, list func(ctx context.Context, c *api, prefix string) ([]string, error)) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
		defer cancel()
		c, err := a.connect(s)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		names, err := list(ctx, c, prefix)
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

func fileFlag(cmd *cobra.Command, file *string) {
	cmd.Flags().StringVarP(file, "file", "f", "", "JSON or YAML file in the form of the API; - is standard input")
	_ = cmd.MarkFlagFilename("file", "json", "yaml", "yml") // fails for unknown flags only
}

// readBody reads a JSON or YAML file in the form of the API. Fields that the API
// does not have are refused: they are misspelt.
func (a *app) readBody(path string, body any) error {
	var content []byte
	var err error
	if path == "-" {
		content, err = io.ReadAll(a.Stdin)
	} else {
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return usage("--file: %w", err)
	}
	var document any
	decoder := yaml.NewDecoder(bytes.NewReader(content)) // JSON is YAML too
	if err := decoder.Decode(&document); err != nil {
		return usage("%s is neither JSON nor YAML: %w", path, err)
	}
	if err := decoder.Decode(new(any)); !errors.Is(err, io.EOF) {
		return usage("%s holds more than one document", path)
	}
	if _, ok := document.(map[string]any); !ok {
		return usage("%s: want an object with fields, as the API shows it", path)
	}
	plain, err := json.Marshal(document)
	if err != nil {
		return usage("%s: %w", path, err)
	}
	strict := json.NewDecoder(bytes.NewReader(plain))
	strict.DisallowUnknownFields()
	if err := strict.Decode(body); err != nil {
		return usage("%s: %s", path, strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}
