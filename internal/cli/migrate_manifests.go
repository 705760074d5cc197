package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/diff"
	"github.com/spf13/cobra"
	"gopkg.in/yaml.v3"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/kube"
)

// manifestFlags are those of "migrate manifests".
type manifestFlags struct {
	targetFlags
	folder    string
	overwrite bool
	output    string
}

func (a *app) migrateManifestsCommand() *cobra.Command {
	var f manifestFlags
	cmd := &cobra.Command{
		Use:   "manifests DST",
		Short: "Write the manifests that move a Harbor on Kubernetes to S3, and try them out",
		Long: `Look at a Harbor on Kubernetes as "discover" does, and write into a folder what moves
its images from their volume to the bucket DST, and back: a Job for each step, the
change of the Harbor resource or of the chart's values, and a README with the
commands in their order. Nothing is applied: that is for you, or for Argo CD or Flux.

The Jobs run this program, from --image, beside the registry: as its user, without
any right on the cluster, with the volume read-only, on the node that has it. The
change touches persistence.imageChartStorage of the values and nothing else. All is
sent to the cluster for trial (a server-side dry run): what it would refuse, Pod
Security and quotas too, is told now, and the change is shown as a difference.

DST is s3://BUCKET[/PREFIX]?endpoint=URL&region=R as for "copy", as the cluster reaches
it. Keys are not part of it: the Jobs and the registry read them from the Secret of
--secret, and the README has the command that makes it. An authority of your own is
named with --ca-secret (by default the Secret that Harbor trusts already).

A volume that many nodes can mount is copied by --shards pods at the same time, an
Indexed Job, and then by one that brings the links.

Exit codes:
  0    the files are written, and the cluster would take them
  1    something stands in the way, or the cluster would refuse a manifest
  2    the command line or the kubeconfig is wrong
  3    the cluster cannot be reached, or refuses the account
  130  interrupted`,
		Example: `  lighterage migrate manifests 's3://harbor?endpoint=http://minio.storage:9000' \
    --namespace harbor --image registry.example.com/tools/lighterage:1.0 --dir to-s3`,
		Args: takes("DST"),
		RunE: func(cmd *cobra.Command, args []string) error { return a.migrateManifests(cmd.Context(), args[0], f) },
	}
	f.targetFlags.add(cmd)
	flags := cmd.Flags()
	flags.StringVarP(&f.folder, "dir", "d", "", "`folder` that the files are written to")
	flags.BoolVar(&f.overwrite, "overwrite", false, "write over files that are there and differ")
	outputFlag(cmd, &f.output, "text", "json")
	return cmd
}

func (a *app) migrateManifests(ctx context.Context, to string, f manifestFlags) error {
	if f.folder == "" {
		return usage("--dir is missing: the folder that the files are written to")
	}
	if err := f.readTarget(to); err != nil {
		return err
	}
	c, err := a.connectKube(f.kubeFlags)
	if err != nil {
		return err
	}
	r, err := discoverOne(ctx, c, f.harbor)
	if err != nil {
		return err
	}
	if !r.Ready() {
		if f.output == "json" {
			return errors.Join(writeJSON(a.Stdout, bundled{Release: r}), silent(exitFailed))
		}
		a.showObstacles(r)
		return silent(exitFailed)
	}
	if err := f.settle(r); err != nil {
		return err
	}
	files, err := r.Bundle(f.target)
	if err != nil {
		return err
	}
	trials, err := tryBundle(ctx, c, r, f.target)
	if err != nil {
		return err
	}
	if err := writeBundle(f.folder, files, f.overwrite); err != nil {
		return err
	}
	return a.showBundle(r, files, trials, f)
}

// tryBundle has the cluster say what it would do with each manifest.
func tryBundle(ctx context.Context, c *kube.Cluster, r *kube.Release, t kube.Target) ([]kube.Trial, error) {
	var trials []kube.Trial
	for _, step := range kube.StepsTo(t) {
		trial, err := c.TryJob(ctx, r.Job(step, t))
		if err != nil {
			return nil, err
		}
		trials = append(trials, trial)
	}
	if r.Packaging != kube.AlaudaResource {
		return trials, nil
	}
	there, _ := r.Switch(t.S3)
	trial, err := c.TrySwitch(ctx, r, there)
	return append(trials, trial), err
}

// writeBundle writes the files, and none of them if one is there that differs.
func writeBundle(folder string, files []kube.File, overwrite bool) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	for _, file := range files {
		before, err := os.ReadFile(filepath.Join(folder, file.Name))
		switch {
		case errors.Is(err, fs.ErrNotExist), err == nil && bytes.Equal(before, file.Content), err == nil && overwrite:
		case err != nil:
			return fmt.Errorf("--dir: %w", err)
		default:
			return advise(usage("%s is there and differs", filepath.Join(folder, file.Name)), "Nothing was written. Name another folder, or give --overwrite.")
		}
	}
	for _, file := range files {
		if err := os.WriteFile(filepath.Join(folder, file.Name), file.Content, 0o644); err != nil {
			return fmt.Errorf("--dir: %w", err)
		}
	}
	return nil
}

// bundled is what was written, for programs.
type bundled struct {
	Release *kube.Release `json:"release"`
	Files   []string      `json:"files"`
	Trials  []trialJSON   `json:"trials"`
}

type trialJSON struct {
	Name    string `json:"name"`
	Refused string `json:"refused,omitempty"`
	Untried string `json:"untried,omitempty"`
	Diff    string `json:"diff,omitempty"`
}

func (a *app) showBundle(r *kube.Release, files []kube.File, trials []kube.Trial, f manifestFlags) error {
	result := bundled{Release: r, Trials: []trialJSON{}}
	for _, file := range files {
		result.Files = append(result.Files, filepath.Join(f.folder, file.Name))
	}
	failed := false
	for _, t := range trials {
		shown, err := trialShown(t)
		if err != nil {
			return err
		}
		failed = failed || t.Refused != nil
		result.Trials = append(result.Trials, shown)
	}
	if f.output == "json" {
		if err := writeJSON(a.Stdout, result); err != nil {
			return err
		}
	} else {
		a.showObstacles(r)
		a.showTrials(result, f)
	}
	if failed {
		return silent(exitFailed)
	}
	return nil
}

func trialShown(t kube.Trial) (trialJSON, error) {
	shown := trialJSON{Name: t.Name}
	if t.Refused != nil {
		shown.Refused = t.Refused.Error()
	}
	if t.Untried != nil {
		shown.Untried = t.Untried.Error()
	}
	if t.After == nil {
		return shown, nil
	}
	before, err := yaml.Marshal(t.Before)
	if err != nil {
		return shown, err
	}
	after, err := yaml.Marshal(t.After)
	if err != nil {
		return shown, err
	}
	shown.Diff = string(diff.Diff("now", before, "then", after))
	return shown, nil
}

func (a *app) showTrials(result bundled, f manifestFlags) {
	fmt.Fprintln(a.Stdout)
	for _, t := range result.Trials {
		switch {
		case t.Refused != "":
			fmt.Fprintf(a.Stdout, "%s  %s: %s\n", a.screen.Paint(term.Bad, "refused"), t.Name, term.Safe(t.Refused))
		case t.Untried != "":
			fmt.Fprintf(a.Stdout, "%s  %s: %s\n", a.screen.Paint(term.Note, "untried"), t.Name, term.Safe(t.Untried))
		default:
			fmt.Fprintf(a.Stdout, "%s       %s\n", a.screen.Paint(term.Good, "ok"), t.Name)
		}
		if t.Diff != "" {
			fmt.Fprintf(a.Stdout, "\n%s\n", term.SafeLines(t.Diff))
		}
	}
	if f.target.S3.Redirect && f.target.S3.CASecret != "" && result.Release.CASecret == "" {
		fmt.Fprintf(a.Stdout, "\n%s  With --redirect Harbor's core follows the bucket's address too: name the authority in caBundleSecretName of the values as well.\n", a.screen.Paint(term.Note, "warns"))
	}
	fmt.Fprintf(a.Stdout, "\nWritten to %s. Nothing was applied. Go on with %s\n", f.folder, filepath.Join(f.folder, "README.md"))
}
