package kube

import "fmt"

// steps says what moving a release takes, in order.
func (r *Release) steps() []string {
	if !r.Ready() {
		return []string{}
	}
	where := "wherever the volume can be mounted"
	if !r.Volume.shared() && len(r.Registry.Nodes) == 1 {
		where = "on the registry's node " + r.Registry.Nodes[0]
	}
	steps := []string{
		fmt.Sprintf("Try out the bucket from a pod in %s, with the Secret that the registry will get.", r.Namespace),
		fmt.Sprintf("Copy %s to the bucket with a Job %s, while Harbor is in use; again until little is left; then check all of it.", r.Volume.Describe(), where),
		"Pause garbage collection, retention and replication, and make Harbor read-only.",
		"Copy what is new, and check it: seconds.",
	}
	switch r.Packaging {
	case AlaudaResource:
		steps = append(steps, fmt.Sprintf("Patch spec.helmValues.persistence.imageChartStorage of the Harbor %s, and nothing else.", r.Name))
	case HelmRelease:
		steps = append(steps, fmt.Sprintf("Upgrade the Helm release %s to revision %d with its own values and those of the bucket.", r.Name, r.Revision+1))
	default:
		steps = append(steps, "Render Harbor's manifests anew with the values of the bucket, and apply them.")
	}
	return append(steps,
		fmt.Sprintf("Wait until %s-registry and %s-core have been replaced, and pull an image.", r.FullName, r.FullName),
		"Take Harbor out of read-only mode, push an image and delete it again, and resume what was paused.",
		fmt.Sprintf("Keep %s: it is the way back.", r.Volume.Describe()),
	)
}

// Describe names the volume.
func (v *Volume) Describe() string {
	name := "the PVC " + v.Claim
	if v.Kind == HostVolume {
		name = "the folder " + v.HostPath
	}
	if v.SubPath != "" {
		name += " (folder " + v.SubPath + ")"
	}
	return name
}
