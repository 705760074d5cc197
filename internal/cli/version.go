package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// Version says which program this is.
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // commit it was built from
	Modified bool   `json:"modified,omitempty"` // built with changes that are in no commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// BuildVersion reads what the Go command wrote into the program. version, when
// not empty, is what the build was told to be.
func BuildVersion(version string) Version {
	v := Version{Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if v.Version == "" {
		v.Version = "dev"
		if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			v.Version = info.Main.Version
		}
	}
	if !ok {
		return v
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

// String is the version in one line.
func (v Version) String() string {
	text := "lighterage " + v.Version
	if v.Revision != "" {
		text += " (" + v.Revision[:min(12, len(v.Revision))]
		if v.Modified {
			text += ", modified"
		}
		text += ")"
	}
	return text + " " + v.Go + " " + v.Platform
}

func (a *app) versionCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show which version this is",
		Example: "  lighterage version\n  lighterage version --output json",
		Args:    takes(),
		RunE: func(*cobra.Command, []string) error {
			if output == "json" {
				return writeJSON(a.Stdout, a.Version)
			}
			_, err := fmt.Fprintln(a.Stdout, a.Version)
			return err
		},
	}
	outputFlag(cmd, &output, "text", "json")
	return cmd
}

// writeJSON writes one document for programs, indented for those who look anyway.
func writeJSON(w io.Writer, value any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(value)
}
