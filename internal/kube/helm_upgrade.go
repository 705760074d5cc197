package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/chart"
	"github.com/lighterage/lighterage/internal/problem"
)

// HelmProgram is the program that changes a release of Helm, as its owner would.
type HelmProgram struct {
	Path       string // of helm; "": there is none
	Kubeconfig string
	Context    string
}

// changeHelm upgrades the release to the same chart with changed values. The chart comes
// from the release itself, so that it is the same wherever it was installed from; and
// all values are given, since a patch that takes a value away means something else to
// Helm: that it be taken from the chart's own values as well.
func (m *mover) changeHelm(ctx context.Context, patch map[string]any) error {
	release, err := m.helmRelease(ctx, m.release.Name)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "lighterage-helm-") // for this account only: values may hold passwords
	if err != nil {
		return fmt.Errorf("upgrade the Helm release %s: %w", release.Name, err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	if err := release.unpack(folder); err != nil {
		return fmt.Errorf("take the chart out of the Helm release %s: %w", release.Name, err)
	}
	values := filepath.Join(folder, "values-after.yaml")
	text, err := json.Marshal(chart.Merge(release.Config, patch)) // which is YAML, with numbers as they were
	if err != nil {
		return fmt.Errorf("write the values of the Helm release %s: %w", release.Name, err)
	}
	if err := os.WriteFile(values, text, 0o600); err != nil {
		return fmt.Errorf("write the values of the Helm release %s: %w", release.Name, err)
	}
	args := []string{"upgrade", release.Name, filepath.Join(folder, "chart"), "--namespace", m.Namespace, "--reset-values", "--values", values}
	if m.o.Helm.Kubeconfig != "" {
		args = append(args, "--kubeconfig", m.o.Helm.Kubeconfig)
	}
	if m.o.Helm.Context != "" {
		args = append(args, "--kube-context", m.o.Helm.Context)
	}
	command := exec.CommandContext(ctx, m.o.Helm.Path, args...)
	// A release whose upgrade is killed stays "pending", and then takes no other.
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = time.Minute
	out, err := command.CombinedOutput()
	if err != nil {
		return problem.New(problem.Precondition, "helm upgrade of %s failed: %v: %s", release.Name, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// helmRelease returns the deployed revision of a release.
func (c *Cluster) helmRelease(ctx context.Context, name string) (helmRelease, error) {
	all, err := c.helmReleases(ctx)
	if err != nil {
		return helmRelease{}, err
	}
	release, found := all[name]
	if !found {
		return release, problem.New(problem.NotFound, "the Helm release %s in namespace %s is gone, or is just being changed", name, c.Namespace)
	}
	return release, nil
}

// unpack writes the chart of a release into FOLDER/chart.
func (r helmRelease) unpack(folder string) error {
	if len(r.Chart.Metadata.Dependencies) > 0 {
		return problem.New(problem.Precondition, "it is made of several charts, of which the release keeps one: use --adopt and upgrade it yourself")
	}
	files := map[string][]byte{}
	for name, value := range map[string]any{"Chart.yaml": r.Chart.All, "values.yaml": r.Chart.Values} {
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		files[name] = text
	}
	if len(r.Chart.Schema) > 0 {
		files["values.schema.json"] = r.Chart.Schema
	}
	for _, f := range append(r.Chart.Templates, r.Chart.Files...) {
		files[f.Name] = f.Data
	}
	root := filepath.Join(folder, "chart")
	for name, content := range files {
		if !fs.ValidPath(name) {
			return fmt.Errorf("it has a file with the name %q", name)
		}
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
			return err
		}
	}
	return nil
}

// helmFile is a file of a chart.
type helmFile struct {
	Name string `json:"name"`
	Data []byte `json:"data"`
}

// helmChart is a chart as a release keeps it.
type helmChart struct {
	Metadata struct {
		Name         string `json:"name"`
		Version      string `json:"version"`
		AppVersion   string `json:"appVersion"`
		Dependencies []any  `json:"dependencies"`
	} `json:"-"`
	All       map[string]any `json:"metadata"` // everything that Chart.yaml has
	Values    map[string]any `json:"values"`
	Schema    []byte         `json:"schema"`
	Templates []helmFile     `json:"templates"`
	Files     []helmFile     `json:"files"`
}

// UnmarshalJSON reads Chart.yaml both as what is looked at and as all of it.
func (c *helmChart) UnmarshalJSON(text []byte) error {
	type plain helmChart
	if err := json.Unmarshal(text, (*plain)(c)); err != nil {
		return err
	}
	metadata, err := json.Marshal(c.All)
	if err != nil {
		return err
	}
	return json.Unmarshal(metadata, &c.Metadata)
}
