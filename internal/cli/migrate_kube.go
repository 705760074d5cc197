package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lighterage/lighterage/internal/kube"
	"github.com/lighterage/lighterage/internal/tree"
)

// kubeFlags say which Harbor of which cluster is meant.
type kubeFlags struct {
	access kube.Access
	harbor string
}

func (f *kubeFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.access.Namespace, "namespace", "n", "", "namespace that Harbor is in (default that of the context)")
	flags.StringVar(&f.harbor, "harbor", "", "name of the Harbor, where the namespace has several")
	flags.StringVar(&f.access.Kubeconfig, "kubeconfig", "", "kubeconfig `file` (default KUBECONFIG, ~/.kube/config, or in a pod its own account)")
	flags.StringVar(&f.access.Context, "context", "", "context of the kubeconfig (default its current one)")
}

func (a *app) connectKube(f kubeFlags) (*kube.Cluster, error) {
	f.access.UserAgent = "lighterage/" + a.Version.String()
	return kube.Connect(f.access)
}

// targetFlags say where the images of a Harbor are to go, and what brings them there.
type targetFlags struct {
	kubeFlags
	target    kube.Target
	bandwidth bandwidth
	caSecret  string
	shards    int
}

func (f *targetFlags) add(cmd *cobra.Command) {
	f.kubeFlags.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.target.Image, "image", "", "`image` of Lighterage that the Jobs run")
	flags.StringVar(&f.target.S3.Secret, "secret", "s3-secret", "`name` of the Secret with the keys of the bucket")
	flags.StringVar(&f.caSecret, "ca-secret", "", "`name` of a Secret whose ca.crt has the authority of the endpoint (default the one that Harbor trusts)")
	flags.BoolVar(&f.target.S3.Redirect, "redirect", false, "send clients to the bucket for layers; they must reach its endpoint (default: the registry passes layers on)")
	flags.StringArrayVar(&f.target.PullSecrets, "pull-secret", nil, "`name` of a Secret to pull the image with, beside those of the registry; may be given more than once")
	flags.IntVar(&f.shards, "shards", 0, "pods that copy at the same time, for a volume that is ReadWriteMany (default 4 if it is large, 1 for a volume of one node)")
	flags.StringToStringVar(&f.target.Requests, "requests", nil, "`resources` that a pod asks for (default cpu=500m,memory=256Mi; AMOUNT none takes one away)")
	flags.StringToStringVar(&f.target.Limits, "limits", nil, "`resources` that a pod may use (default cpu=4,memory=1Gi; AMOUNT none takes one away)")
	flags.StringToStringVar(&f.target.NodeSelector, "node-selector", nil, "`labels` that the Jobs' nodes have, as KEY=VALUE,...")
	flags.StringArrayVar(&f.target.Tolerations, "toleration", nil, "`KEY[=VALUE][:EFFECT]` of a taint that the Jobs' pods tolerate, beside those of the registry; may be given more than once")
	flags.StringVar(&f.target.PriorityClass, "priority-class", "", "priority `class` of the Jobs' pods")
	flags.BoolVar(&f.target.HostNetwork, "host-network", false, "let the Jobs' pods use the network of their node; namespaces of the Pod Security levels baseline and restricted do not admit them then")
	flags.Var(&f.bandwidth, "bandwidth", "most bytes a second that a Job copies with all its pods, such as 50M (default no limit)")
}

// readTarget takes what the place says of the bucket.
func (f *targetFlags) readTarget(to string) error {
	if f.target.Image == "" {
		return usage("--image is missing: the image of Lighterage, in a registry that the cluster can pull from")
	}
	l, err := tree.ParseLocation(to, nil)
	if err != nil {
		return advise(usage("DST: %w", err), "Want 's3://BUCKET[/PREFIX]?endpoint=URL&region=R'.")
	}
	s := l.S3
	switch {
	case !l.IsS3():
		return usage("DST: %s is a folder, and images are moved to a bucket", to)
	case s.AccessKey != "" || s.SecretKey != "" || s.SessionToken != "":
		return usage("DST: keys do not belong there: the registry and the Jobs read them from the Secret %s", f.target.S3.Secret)
	case s.CAFile != "":
		return usage("DST: a file with authorities is not in the cluster: put it into a Secret as ca.crt, and name that with --ca-secret")
	}
	set := &f.target.S3
	set.Bucket, set.Endpoint, set.Region, set.RootDirectory = s.Bucket, s.Endpoint, s.Region, s.RootDirectory
	set.SkipVerify, set.Encrypt, set.EncryptKey, set.StorageClass, set.ACL = s.Insecure, s.Encrypt, s.EncryptKey, s.StorageClass, s.ACL
	switch s.PathStyle {
	case tree.PathStyleOn:
		f.target.PathStyle = "true"
	case tree.PathStyleOff:
		f.target.PathStyle = "false"
	}
	f.target.Bandwidth = f.bandwidth.String()
	return f.target.Pods.Check()
}

// settle completes what is known of the place by what the Harbor trusts, where there
// is a certificate to be trusted.
func (f *targetFlags) settle(r *kube.Release) (err error) {
	if f.target.Shards, err = r.Shards(f.shards); err != nil {
		return fmt.Errorf("--shards: %w", err)
	}
	f.target.S3.CASecret = f.caSecret
	if strings.HasPrefix(f.target.S3.Endpoint, "https://") {
		f.target.S3.CASecret = cmp.Or(f.caSecret, r.StorageCASecret, r.CASecret)
	}
	return f.target.Check()
}

// discoverOne finds the Harbor that is meant.
func discoverOne(ctx context.Context, c *kube.Cluster, name string) (*kube.Release, error) {
	found, err := c.Discover(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		names := ""
		for _, r := range found {
			names += " " + r.Name
		}
		return nil, usage("namespace %s has several Harbors; say which with --harbor:%s", c.Namespace, names)
	}
	return found[0], nil
}
