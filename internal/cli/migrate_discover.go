package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/kube"
)

// discoverFlags are those of "migrate discover".
type discoverFlags struct {
	kubeFlags
	accountFlags
	ask    bool
	output string
}

func (a *app) migrateDiscoverCommand() *cobra.Command {
	var f discoverFlags
	cmd := &cobra.Command{
		Use:   "discover",
		Short: "Find a Harbor on Kubernetes, and what stands in the way of moving it",
		Long: `Look at a namespace of a Kubernetes cluster and say of each Harbor in it how it was
installed (a Harbor resource of the Alauda operator, Harbor's Helm chart, another way),
where its registry keeps the images, on which volume, folder and node, what moving
them to S3 would take, and what stands in the way, each with the way out.

With --ask-harbor Harbor itself is asked too, as its administrator: whether it is
read-only, what runs by a schedule and what runs now that deletes or pushes images. The
password comes from HARBOR_PASSWORD, or from the Secret that the chart has it in.

Nothing is changed. What the
account needs is in deploy/kubernetes/migration-role.yaml. To get persistentvolumes is
useful and can do without.

Exit codes:
  0    it can be moved; there may be warnings
  1    something stands in the way
  2    the command line or the kubeconfig is wrong
  3    the cluster cannot be reached, or refuses the account
  130  interrupted`,
		Example: `  lighterage migrate discover --namespace harbor
  lighterage migrate discover --namespace harbor --harbor my-harbor --output json`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.migrateDiscover(cmd.Context(), f) },
	}
	f.kubeFlags.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&f.ask, "ask-harbor", false, "ask Harbor itself too")
	f.accountFlags.add(flags)
	outputFlag(cmd, &f.output, "text", "json")
	return cmd
}

func (a *app) migrateDiscover(ctx context.Context, f discoverFlags) error {
	if !f.ask && (f.account.URL != "" || f.ca != "" || f.account.Insecure) {
		return usage("--harbor-url, --harbor-ca and --harbor-insecure go with --ask-harbor")
	}
	account, err := f.accountFlags.read(a.Getenv)
	if err != nil {
		return err
	}
	c, err := a.connectKube(f.kubeFlags)
	if err != nil {
		return err
	}
	found, err := c.Discover(ctx, f.harbor)
	if err != nil {
		return err
	}
	for _, r := range found {
		if !f.ask {
			break
		}
		if err := c.Ask(ctx, r, account); err != nil {
			return err
		}
	}
	if f.output == "json" {
		err = writeJSON(a.Stdout, map[string]any{"releases": found})
	} else {
		err = a.showReleases(found)
	}
	if err != nil {
		return err
	}
	for _, r := range found {
		if !r.Ready() {
			return silent(exitFailed)
		}
	}
	return nil
}

func (a *app) showReleases(found []*kube.Release) error {
	for i, r := range found {
		if i > 0 {
			fmt.Fprintln(a.Stdout)
		}
		if err := a.screen.Fields(releaseFields(r)...); err != nil {
			return err
		}
		a.showObstacles(r)
		for i, step := range r.Steps {
			if i == 0 {
				fmt.Fprintln(a.Stdout, "\nWhat moving it takes:")
			}
			fmt.Fprintf(a.Stdout, "  %d. %s\n", i+1, term.Safe(step))
		}
	}
	return nil
}

var packagings = map[kube.Packaging]string{
	kube.AlaudaResource: "Harbor resource of the Alauda operator", kube.HelmRelease: "Helm release",
	kube.HarborCluster: "HarborCluster of the goharbor operator", kube.Manifests: "manifests, made by something else",
}

func releaseFields(r *kube.Release) [][2]string {
	installed := packagings[r.Packaging]
	if r.Revision > 0 {
		installed += fmt.Sprintf(", revision %d", r.Revision)
	}
	if r.ChartVersion != "" {
		installed += ", chart " + r.ChartVersion
	}
	registry := r.Registry.Deployment
	if registry != "" {
		registry += ", " + term.Count(r.Registry.Replicas, "replica")
		if len(r.Registry.Nodes) > 0 {
			registry += " on " + strings.Join(r.Registry.Nodes, ", ")
		}
	}
	storage := r.Storage.Driver
	switch {
	case r.Storage.Bucket != "":
		storage += ", bucket " + r.Storage.Bucket
	case storage != "":
		storage += " at " + r.Storage.RootDirectory
	}
	redis := r.Redis.Address
	if redis != "" {
		redis += fmt.Sprintf(", database %d", r.Redis.Database)
	}
	return [][2]string{
		{"Harbor", r.Name}, {"Namespace", r.Namespace}, {"Installed as", installed}, {"Version", r.HarborVersion}, {"Address", r.ExternalURL},
		{"Registry", registry}, {"Image", r.Registry.Image}, {"Storage", storage}, {"Volume", volumeLine(r.Volume)},
		{"Redis", redis}, {"Runs by itself", schedules(r.Activity)}, {"Authorities", strings.Trim(r.CASecret+", "+r.StorageCASecret, ", ")},
	}
}

// schedules says what changes the storage by itself, and when.
func schedules(a *kube.Activity) string {
	if a == nil {
		return ""
	}
	if len(a.Schedules) == 0 {
		return "nothing that deletes or pushes images"
	}
	var parts []string
	for _, s := range a.Schedules {
		text := strings.ToLower(strings.ReplaceAll(s.Kind, "_", " "))
		if s.ID > 0 {
			text += fmt.Sprintf(" %d", s.ID)
		}
		parts = append(parts, text+" ("+s.Cron+")")
	}
	return strings.Join(parts, ", ")
}

func volumeLine(v kube.Volume) string {
	var parts []string
	add := func(before, text string) {
		if text != "" {
			parts = append(parts, before+text)
		}
	}
	switch v.Kind {
	case "":
		return ""
	case kube.ClaimVolume:
		add("PVC ", v.Claim)
	case kube.HostVolume:
		add("folder ", v.HostPath+" of the node")
	default:
		add("", string(v.Kind))
	}
	add("subPath ", v.SubPath)
	add("in it ", v.Path)
	add("", strings.Join(v.AccessModes, "+"))
	add("", v.Capacity)
	add("class ", v.StorageClass)
	add("PV ", v.PV)
	add("reclaim policy ", v.Reclaim)
	if v.Kept {
		add("", "kept by Helm")
	}
	return strings.Join(parts, ", ")
}

var severityStyles = map[kube.Severity]term.Style{kube.Stops: term.Bad, kube.Warns: term.Note}

func (a *app) showObstacles(r *kube.Release) {
	for i, o := range r.Obstacles {
		if i == 0 {
			fmt.Fprintln(a.Stdout)
		}
		fmt.Fprintf(a.Stdout, "%s  %s\n       %s\n", a.screen.Paint(severityStyles[o.Severity], string(o.Severity)), term.Safe(o.Found), term.Safe(o.WayOut))
	}
	switch {
	case !r.Ready():
		fmt.Fprintln(a.Stdout, "\nNot ready: what stops it is above.")
	case len(r.Obstacles) > 0:
		fmt.Fprintln(a.Stdout, "\nReady, with warnings.")
	default:
		fmt.Fprintln(a.Stdout, "\nReady.")
	}
}
