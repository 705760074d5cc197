package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/lighterage/lighterage/internal/pace"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/rule"
)

// replicateFlags are those of replicate, without what its arguments say.
type replicateFlags struct {
	name, tag, resource string
	selects             selectFlags
	labels, noLabels    []string
	namespace           string
	flatten             flattening
	override, byChunk   bool
	bandwidth           speed
	concurrency         int
	plan, allowEmpty    bool
	verbose, quiet      bool
	output              string
	source, destination endFlags
	also                []string
}

func (a *app) replicateCommand() *cobra.Command {
	f := replicateFlags{source: endFlags{end: "src"}, destination: endFlags{end: "dest"}}
	cmd := &cobra.Command{
		Use:   "replicate SRC DST",
		Short: "Copy from one registry to another, once and without a server",
		Long: `Copy artifacts from one registry to another, once and without a server. What is
at the destination already is not sent again, so after an interruption the same
command brings the rest. Nothing is ever deleted.

  SRC  [http://|https://]HOST[:PORT][/REPOSITORIES[:TAGS]]
  DST  [http://|https://]HOST[:PORT][/NAMESPACE]

A host without http:// or https:// is spoken to with https, or with http if it is
this machine. REPOSITORIES and TAGS are patterns: * is any text without a slash, **
as a whole part of a path any number of parts, ? one character, {a,b} either. A /
at the end means all that is below: library/ is library/**. Without them everything
is replicated. Put patterns in quotes, so that the shell leaves them alone.

Repositories keep their names, below NAMESPACE if there is one; --flatten leaves out
parts of their path: a/b/img in the namespace n becomes
  none  n/a/b/img      1  n/b/img      2  n/img      all  n/img
--rename gives them other names by a template. Where two repositories would get the
same name, tags that both have are left alone and said to be in conflict.

--also sends the same to further registries, below the same NAMESPACE. What several of
them lack is read from SRC once, and one that fails or is slow does not hold up the
others. Artifacts are then counted for each destination.

Credentials are those of "docker login" and "podman login" (REGISTRY_AUTH_FILE,
DOCKER_CONFIG and credential helpers are honoured), or --src-creds and --dest-creds.
A password in a flag can be seen by others on this machine; give the user only, and
the password with --src-password-stdin or in LIGHTERAGE_SRC_PASSWORD (and
LIGHTERAGE_SRC_USERNAME; LIGHTERAGE_DEST_ for the destination).

` + exitCodes,
		Example: `  # see what would be done, then do it
  lighterage replicate 'harbor.example.com/library/**' registry.cluster1:5000 --plan
  lighterage replicate 'harbor.example.com/library/**' registry.cluster1:5000

  # releases only, into another namespace, from a registry without TLS
  lighterage replicate 'http://10.0.0.5:5000/apps/**:v*' registry.cluster1:5000/mirror \
    --exclude-tag '*-rc*' --flatten 1

  # the three newest versions 1.x of each repository, under a name without the project
  lighterage replicate 'https://harbor.example.com/apps/**' registry.cluster1:5000 --src-type harbor \
    --semver '^1' --newest 3 --rename '{path}'

  # to three clusters, reading the source once
  lighterage replicate 'harbor.example.com/apps/**' registry.cluster1:5000 \
    --also registry.cluster2:5000 --also registry.cluster3:5000

  # for a program
  lighterage replicate docker.io/library/alpine:3.20 127.0.0.1:5000 --output json`,
		Args: takes("SRC", "DST"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.replicate(cmd.Context(), args[0], args[1], f)
		},
	}
	flags := cmd.Flags()
	f.addRoute(flags)
	flags.BoolVar(&f.override, "override", true, "replace tags that stand for something else at the destination")
	flags.Var(&f.bandwidth, "bandwidth", "most bytes a second, such as 50M (default no limit)")
	flags.BoolVar(&f.byChunk, "copy-by-chunk", false, "upload large blobs 10 MiB a request, for a destination behind something that bounds requests")
	flags.BoolVar(&f.plan, "plan", false, "show what would be done, and do nothing")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "show what is there already, and what is being done")
	outputFlag(cmd, &f.output, "text", "json", "jsonl")
	flags.Lookup("output").Usage = "text; json: one document; jsonl: a line for each event, with progress"
	completeRoute(cmd)
	return cmd
}

// addRoute adds the flags that say what goes from where to where.
func (f *replicateFlags) addRoute(flags *pflag.FlagSet) {
	flags.StringVar(&f.name, "name", "", "pattern of repositories, if SRC has none")
	flags.StringVar(&f.tag, "tag", "", "pattern of tags, if SRC has none")
	f.selects.add(flags)
	flags.StringSliceVar(&f.labels, "label", nil, "labels that an artifact must have, all of them, where the source tells labels; several are separated by commas")
	flags.StringSliceVar(&f.noLabels, "exclude-label", nil, "labels that keep an artifact back that has all of them")
	flags.Var(&choice{&f.resource, []string{"image", "artifact"}}, "resource", "image: images only; artifact: everything (default everything)")
	flags.StringVar(&f.namespace, "namespace", "", "namespace at the destination, if DST has none")
	flags.Var(&f.flatten, "flatten", "how much of the path the namespace replaces: none, 1, 2, 3, ... or all")
	flags.IntVar(&f.concurrency, "concurrency", 32, "most blobs under way at a time; what is really under way adapts to the registries")
	flags.StringArrayVar(&f.also, "also", nil, "HOST[:PORT] of a further destination; may be given several times. What --dest- flags say holds for all")
	flags.BoolVar(&f.allowEmpty, "allow-empty", false, "that nothing matches is fine")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	f.source.add(flags, "source")
	f.destination.add(flags, "destination")
}

// completeRoute completes the values of addRoute's flags.
func completeRoute(cmd *cobra.Command) {
	complete(cmd, "resource", "image", "artifact")
	complete(cmd, "flatten", flattenWords...)
	complete(cmd, "src-type", registry.ProviderTypes()...)
	complete(cmd, "dest-type", registry.ProviderTypes()...)
}

func (f *endFlags) add(flags *pflag.FlagSet, what string) {
	f.provider = registry.ProviderDockerRegistry
	flags.Var(&choice{&f.provider, registry.ProviderTypes()}, f.end+"-type",
		"what the "+what+" is: docker-registry (any OCI registry), harbor, or the type of another provider")
	flags.StringVar(&f.creds, f.end+"-creds", "", "USER or USER:PASSWORD at the "+what)
	flags.BoolVar(&f.stdin, f.end+"-password-stdin", false, "read the password for the "+what+" from standard input")
	flags.BoolVar(&f.anonymous, f.end+"-no-creds", false, "go to the "+what+" without a credential")
	flags.StringVar(&f.caFile, f.end+"-ca", "", "PEM file of the authority that signed the certificate of the "+what)
	flags.BoolVar(&f.insecure, f.end+"-insecure", false, "do not verify the certificate of the "+what)
}

func (a *app) replicate(ctx context.Context, src, dst string, f replicateFlags) error {
	if len(f.also) > 0 && f.destination.stdin {
		return usage("--dest-password-stdin is for one destination; with --also the password comes from \"docker login\" or LIGHTERAGE_DEST_PASSWORD")
	}
	route, done, err := a.route(ctx, src, dst, f)
	if err != nil {
		return err
	}
	defer done()
	doneToo, err := a.addDestinations(ctx, &route, f)
	defer doneToo()
	if err != nil {
		return err
	}
	return a.carryOut(ctx, route, f)
}

// route checks everything that can be checked without a request, and makes the way from
// one registry to the other. done ends it.
func (a *app) route(ctx context.Context, src, dst string, f replicateFlags) (route replication.Route, done func(), err error) {
	from, err := parseLocation("SRC", src)
	if err != nil {
		return route, nil, err
	}
	to, err := parseLocation("DST", dst)
	if err != nil {
		return route, nil, err
	}
	wanted, err := f.rule(from, to)
	if err != nil {
		return route, nil, err
	}
	if from.url == to.url && wanted.DestNamespace == "" && wanted.Rename.Template == "" {
		return route, nil, usage("SRC and DST are the same registry: say a namespace, as in %s/NAMESPACE, or --rename", to.host)
	}
	if f.concurrency < 1 || f.concurrency > 1000 {
		return route, nil, usage("--concurrency %d: want 1 to 1000", f.concurrency)
	}
	if f.source.stdin && f.destination.stdin {
		return route, nil, usage("only one password can come from standard input; put the other into LIGHTERAGE_SRC_PASSWORD or LIGHTERAGE_DEST_PASSWORD")
	}
	route = replication.Route{Rule: wanted, Bandwidth: pace.Limits{pace.NewBandwidth(wanted.BytesPerSecond())}}
	options := registry.Options{Concurrency: f.concurrency, UserAgent: "lighterage/" + a.Version.Version}
	if route.Source, err = a.side(ctx, from, f.source, options); err != nil {
		return route, nil, fmt.Errorf("SRC: %w", err)
	}
	if route.Destination, err = a.side(ctx, to, f.destination, options); err != nil {
		route.Source.Adapter.Client().Close()
		return route, nil, fmt.Errorf("DST: %w", err)
	}
	return route, func() {
		route.Destination.Engine.Wait() // half-done uploads are cancelled
		route.Destination.Adapter.Client().Close()
		route.Source.Adapter.Client().Close()
	}, nil
}

func (a *app) side(ctx context.Context, l location, f endFlags, o registry.Options) (*replication.Side, error) {
	e, err := a.endpoint(ctx, l, f)
	if err != nil {
		return nil, err
	}
	return replication.NewSide(l.host, e, o, replication.Books{})
}

// rule is what the command line asks for.
func (f replicateFlags) rule(from, to location) (rule.Rule, error) {
	r := rule.Rule{
		Name: "replicate", DestNamespace: f.namespace, ReplaceCount: f.flatten.count,
		Trigger: rule.Manual, Override: f.override, Enabled: true,
		Speed: f.bandwidth.kilobits, CopyByChunk: f.byChunk,
	}
	name, tag := from.source()
	if name != "" && f.name != "" {
		return r, usage("SRC names repositories (%s) and so does --name", name)
	}
	if tag != "" && f.tag != "" {
		return r, usage("SRC names tags (%s) and so does --tag", tag)
	}
	namespace, err := to.namespace()
	if err != nil {
		return r, err
	}
	if namespace != "" && f.namespace != "" {
		return r, usage("DST has a namespace (%s) and so has --namespace", namespace)
	}
	r.DestNamespace += namespace
	if r.DestNamespace != "" && f.selects.Rename != (rule.Rename{}) {
		return r, usage("--rename gives whole names: leave the namespace %s out and write it into the template", r.DestNamespace)
	}
	r.Select, r.Rename = f.selects.Selection, f.selects.Rename
	r.Accessories = rule.AccessoryMode(f.selects.accessories)
	r.Platforms, r.PlatformMode = f.selects.platforms, rule.PlatformMode(f.selects.mode)
	if r.DestNamespace == "" && f.flatten.count != 0 {
		return r, usage("--flatten needs a namespace to put in place of what it leaves out: DST/NAMESPACE")
	}
	add := func(kind rule.FilterType, value, decoration string) {
		if value != "" {
			r.Filters = append(r.Filters, rule.Filter{Type: kind, Value: value, Decoration: decoration})
		}
	}
	add(rule.FilterName, name+f.name, "")
	add(rule.FilterTag, tag+f.tag, rule.Matches)
	if len(f.labels) > 0 {
		r.Filters = append(r.Filters, rule.Filter{Type: rule.FilterLabel, Value: f.labels, Decoration: rule.Matches})
	}
	if len(f.noLabels) > 0 {
		r.Filters = append(r.Filters, rule.Filter{Type: rule.FilterLabel, Value: f.noLabels, Decoration: rule.Excludes})
	}
	add(rule.FilterResource, f.resource, "")
	if err := r.Validate(); err != nil {
		return r, usage("%w", err)
	}
	return r, nil
}
