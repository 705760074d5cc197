package kube

import (
	"cmp"
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lighterage/lighterage/internal/problem"
)

// Discover finds the Harbors of the namespace, or the one with a name, and says of each
// what stands in the way of moving its storage. It changes nothing.
func (c *Cluster) Discover(ctx context.Context, name string) ([]*Release, error) {
	found, err := c.releases(ctx)
	if err != nil {
		return nil, err
	}
	if name != "" {
		all := found
		found = slices.DeleteFunc(slices.Clone(all), func(r *Release) bool { return r.Name != name })
		if len(found) == 0 {
			return nil, problem.New(problem.NotFound, "there is no Harbor named %s in namespace %s%s", name, c.Namespace, others(all))
		}
	}
	if len(found) == 0 {
		return nil, problem.New(problem.NotFound, "there is no Harbor in namespace %s: no resource of the Alauda operator, no release of Harbor's chart, no Deployment of a registry", c.Namespace)
	}
	for _, r := range found {
		if err := c.look(ctx, r); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func others(all []*Release) string {
	var names []string
	for _, r := range all {
		names = append(names, r.Name)
	}
	if len(names) == 0 {
		return ""
	}
	return "; there is " + strings.Join(names, ", ")
}

// releases finds what is installed, without a look at its parts.
func (c *Cluster) releases(ctx context.Context) ([]*Release, error) {
	helm, err := c.helmReleases(ctx)
	if err != nil {
		return nil, err
	}
	var found []*Release
	harbors, err := c.list(ctx, alaudaHarbor, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, h := range harbors {
		r := &Release{
			Name: h.GetName(), Packaging: AlaudaResource, HarborVersion: textAt(h.Object, "spec", "version"),
			ExternalURL: textAt(h.Object, "spec", "externalURL"), values: mapAt(h.Object, "spec", "helmValues"),
		}
		if release, both := helm[r.Name]; both { // the operator uses Helm itself
			r.ChartVersion, r.Revision = release.Chart.Metadata.Version, release.Version
			delete(helm, r.Name)
		}
		found = append(found, r)
	}
	clusters, err := c.list(ctx, cluster, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, h := range clusters {
		found = append(found, &Release{
			Name: h.GetName(), Packaging: HarborCluster,
			HarborVersion: textAt(h.Object, "spec", "version"), ExternalURL: textAt(h.Object, "spec", "externalURL"),
		})
	}
	for _, release := range helm {
		found = append(found, &Release{
			Name: release.Name, Packaging: HelmRelease, values: release.Config, Revision: release.Version,
			ChartVersion: release.Chart.Metadata.Version, HarborVersion: release.Chart.Metadata.AppVersion,
			ExternalURL: textAt(release.Config, "externalURL"),
		})
	}
	if found, err = c.addManifests(ctx, found); err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(x, y *Release) int { return cmp.Compare(x.Name, y.Name) })
	for _, r := range found {
		r.Namespace, r.Obstacles = c.Namespace, []Obstacle{}
	}
	return found, nil
}

// addManifests adds the registries that none of the releases has.
func (c *Cluster) addManifests(ctx context.Context, found []*Release) ([]*Release, error) {
	all, err := c.deployments(ctx)
	if err != nil {
		return nil, err
	}
	for _, d := range all {
		if !isRegistry(d) || d.Metadata.Labels["app"] != "harbor" && d.Metadata.Labels["app.kubernetes.io/name"] != "harbor" {
			continue
		}
		name := releaseOf(d)
		if name == "" {
			name = strings.TrimSuffix(d.Metadata.Name, "-registry")
		}
		if !slices.ContainsFunc(found, func(r *Release) bool { return r.Name == name }) {
			found = append(found, &Release{Name: name, Packaging: Manifests})
		}
	}
	return found, nil
}

func (c *Cluster) deployments(ctx context.Context) ([]deployment, error) {
	all, err := c.list(ctx, deployments, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	found := make([]deployment, len(all))
	for i := range all {
		if err := read(all[i], &found[i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func isRegistry(d deployment) bool { return isComponent(d, "registry") }

func isComponent(d deployment, component string) bool {
	labels := d.Metadata.Labels
	return cmp.Or(labels["component"], labels["app.kubernetes.io/component"]) == component && d.Spec.Template.Spec.named(component) != nil
}

func releaseOf(d deployment) string {
	return cmp.Or(d.Metadata.Labels["release"], d.Metadata.Labels["app.kubernetes.io/instance"])
}

// belongs reports whether a Deployment is of the release: by its labels or, where they
// do not say, by the chart's rule for names.
func belongs(d deployment, r *Release, component string) bool {
	if !isComponent(d, component) {
		return false
	}
	if release := releaseOf(d); release != "" {
		return release == r.Name
	}
	return d.Metadata.Name == r.Name+"-"+component || d.Metadata.Name == r.Name+"-harbor-"+component
}

// look fills in what there is of a release, and what stands in the way.
func (c *Cluster) look(ctx context.Context, r *Release) error {
	if r.Packaging == HarborCluster {
		r.obstacle(Stops, "harborcluster",
			`Have "lighterage migrate copy" and "check" run in a pod with the volume, and change spec.storage of the HarborCluster by hand.`,
			"It is managed by the goharbor operator, which is dormant and is not driven by this command.")
		return nil
	}
	all, err := c.deployments(ctx)
	if err != nil {
		return err
	}
	var registry, core *deployment
	for i := range all {
		if belongs(all[i], r, "registry") {
			registry = &all[i]
		}
		if belongs(all[i], r, "core") {
			core = &all[i]
		}
	}
	if registry == nil {
		r.obstacle(Stops, "no-registry", "Look at why with: kubectl -n "+r.Namespace+" get deployments --show-labels",
			"There is no Deployment of its registry (label component=registry, container registry).")
		return nil
	}
	if err := c.lookAtRegistry(ctx, r, registry); err != nil {
		return err
	}
	if err := c.lookAtCore(ctx, r, core); err != nil {
		return err
	}
	r.judge()
	r.Steps = r.steps()
	return nil
}
