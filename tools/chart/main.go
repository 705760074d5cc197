// Command chart does with the Helm chart what the helm program does, with Helm's own code:
// it writes the manifests for some values, or packs the chart for a release.
package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/strvals"
	"sigs.k8s.io/yaml"
)

const help = `chart render CHART [NAME=VALUE...]    write the manifests; values as helm --set has them, a file as @FILE
chart package CHART VERSION FOLDER    write CHART-VERSION.tgz`

func main() {
	if err := run(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(out io.Writer, args []string) error {
	switch {
	case len(args) >= 2 && args[0] == "render":
		manifests, err := render(args[1], "release", args[2:]...)
		if err != nil {
			return err
		}
		_, err = io.WriteString(out, manifests)
		return err
	case len(args) == 4 && args[0] == "package":
		return pack(out, args[1], args[2], args[3])
	default:
		return errors.New("want\n" + help)
	}
}

// render writes what a release of a chart would be, in one stream of documents.
func render(folder, release string, settings ...string) (string, error) {
	c, err := loader.Load(folder)
	if err != nil {
		return "", err
	}
	values, err := parse(settings)
	if err != nil {
		return "", err
	}
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: release, Namespace: "registry", Revision: 1, IsInstall: true}, chartutil.DefaultCapabilities)
	if err != nil {
		return "", err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return "", err
	}
	var names []string
	for name, text := range files {
		if strings.HasSuffix(name, ".yaml") && strings.TrimSpace(text) != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "---\n# Source: %s\n%s\n", name, strings.TrimSpace(files[name]))
	}
	return b.String(), nil
}

func parse(settings []string) (map[string]any, error) {
	values := map[string]any{}
	for _, s := range settings {
		if file, ok := strings.CutPrefix(s, "@"); ok {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			of := map[string]any{}
			if err := yaml.Unmarshal(content, &of); err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			values = chartutil.CoalesceTables(of, values)
			continue
		}
		if err := strvals.ParseInto(s, values); err != nil {
			return nil, fmt.Errorf("%s: %w", s, err)
		}
	}
	return values, nil
}

// pack writes the chart of a release. Its version is the program's, so that who has the one
// knows the other.
func pack(out io.Writer, folder, version, into string) error {
	c, err := loader.Load(folder)
	if err != nil {
		return err
	}
	c.Metadata.Version, c.Metadata.AppVersion = strings.TrimPrefix(version, "v"), strings.TrimPrefix(version, "v")
	if err := check(c); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp("", "chart-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	packed, err := chartutil.Save(c, temporary)
	if err != nil {
		return err
	}
	file := filepath.Join(into, filepath.Base(packed))
	if err := undate(packed, file); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	_, err = fmt.Fprintln(out, file)
	return err
}

// undate copies an archive with the time of its sources in the place of the time at which it
// was packed, so that the same sources give the same bytes.
func undate(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	unpacked, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(cmp.Or(os.Getenv("SOURCE_DATE_EPOCH"), "0"), 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	w := tar.NewWriter(packed)
	for r := tar.NewReader(unpacked); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		h.ModTime = time.Unix(seconds, 0)
		if err := w.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(w, r); err != nil {
			return err
		}
	}
	if err := errors.Join(w.Close(), packed.Close()); err != nil {
		return err
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}

func check(c *chart.Chart) error {
	if err := c.Validate(); err != nil {
		return fmt.Errorf("chart %s: %w", c.Name(), err)
	}
	return nil
}
