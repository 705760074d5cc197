package kube

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// judge says what stands in the way of a release that has been looked at.
func (r *Release) judge() {
	r.judgeStorage()
	if r.Storage.Driver == "filesystem" {
		r.judgeVolume()
	}
	r.judgeChart()
	if r.ConfigLocked {
		r.judgeLocked()
	}
	if r.Registry.Replicas == 0 {
		r.obstacle(Warns, "scaled-down", fmt.Sprintf("kubectl -n %s scale deployment %s --replicas=1", r.Namespace, r.Registry.Deployment),
			"The registry is scaled to 0: nobody can pull.")
	}
	if r.Registry.Strategy == "Recreate" {
		r.obstacle(Warns, "recreate", "Leave it: another strategy is another change. Expect half a minute without pulls.",
			"The registry's Deployment is replaced with the strategy Recreate: pulls fail while it is given the new storage.")
	}
}

// judgeLocked: read-only mode cannot be switched through Harbor's API, but the settings
// come from a value of the chart, if it is known.
func (r *Release) judgeLocked() {
	if _, known := r.settings(); known {
		r.obstacle(Warns, "config-locked",
			`"migrate run" changes that value instead, for which core is replaced twice more; by hand put "read_only": true into it for the window.`,
			"Harbor's settings come from core.configureUserSettings: read-only mode cannot be switched on through its API.")
		return
	}
	r.obstacle(Stops, "config-locked",
		"Take CONFIG_OVERWRITE_JSON (core.configureUserSettings of the chart) away for the migration, or stop pushes another way: scale the registry to 0 for the last copy.",
		"Harbor's settings come from CONFIG_OVERWRITE_JSON: read-only mode cannot be switched on through its API.")
}

// settings are Harbor's settings that a value of the chart fixes.
func (r *Release) settings() (fixed map[string]any, known bool) {
	text := textAt(r.values, "core", "configureUserSettings")
	return fixed, text != "" && json.Unmarshal([]byte(text), &fixed) == nil && fixed != nil
}

func (r *Release) judgeStorage() {
	switch r.Storage.Driver {
	case "filesystem":
	case "":
		r.obstacle(Stops, "no-configuration", fmt.Sprintf("Look at the volumes of the Deployment %s: its config.yml should come from a ConfigMap or a Secret.", r.Registry.Deployment),
			"The registry's configuration is not to be found, or names no storage.")
	case "s3":
		r.obstacle(Stops, "already-s3", `Nothing is left to be moved. To move it to another bucket use "lighterage migrate copy" with two buckets.`,
			"Images are in S3 already, in the bucket %s%s.", r.Storage.Bucket, atEndpoint(r.Storage.Endpoint))
	default:
		r.obstacle(Stops, "other-driver", "Copy what is there into a volume or a bucket with the provider's own tool first.",
			"Images are kept with the driver %s, and what can be moved is a volume.", r.Storage.Driver)
	}
}

func atEndpoint(endpoint string) string {
	if endpoint == "" {
		return ""
	}
	return " at " + endpoint
}

func (r *Release) judgeVolume() {
	v := r.Volume
	kubectl := "kubectl -n " + r.Namespace
	switch v.Kind {
	case EmptyVolume:
		r.obstacle(Stops, "empty-dir", "Give Harbor a bucket from the start (persistence.imageChartStorage.type: s3) and have the images pushed or replicated to it again.",
			"Images are in an emptyDir: they are gone when the pod is replaced, and a second pod cannot read them.")
	case "", OtherVolume:
		r.obstacle(Stops, "no-volume", fmt.Sprintf("Look at it: %s get deployment %s -o yaml", kubectl, r.Registry.Deployment),
			"No volume that can be mounted again is at %s in the registry's container.", r.Storage.RootDirectory)
	case HostVolume:
		if len(r.Registry.Nodes) != 1 {
			r.obstacle(Stops, "host-path-nodes", "Have one pod of the registry run, on the node that has the images.",
				"Images are in a folder of a node, and the registry runs on %s.", nodes(r.Registry.Nodes))
		}
	case ClaimVolume:
		r.judgeClaim(kubectl)
	}
}

func (r *Release) judgeClaim(kubectl string) {
	v := r.Volume
	describe := fmt.Sprintf("Look at why: %s describe pvc %s", kubectl, v.Claim)
	if v.Phase != "Bound" {
		state := "is " + v.Phase
		if v.Phase == "" {
			state = "is not there"
		}
		r.obstacle(Stops, "claim-not-bound", describe, "The PVC %s %s.", v.Claim, state)
		return
	}
	switch {
	case slices.Contains(v.AccessModes, "ReadWriteOncePod"):
		r.obstacle(Stops, "one-pod", "Copy from a clone of the volume made with its CSI driver, and scale the registry to 0 for the last copy.",
			"The PVC %s may be used by a single pod only (ReadWriteOncePod): no second pod can read it.", v.Claim)
	case !v.shared() && len(r.Registry.Nodes) > 1:
		r.obstacle(Stops, "many-nodes", "Have one pod of the registry run: the others cannot use the volume.",
			"The PVC %s can be used on one node (ReadWriteOnce), and the registry has pods on %s.", v.Claim, nodes(r.Registry.Nodes))
	}
	if v.Managed && !v.Kept {
		r.obstacle(Stops, "not-kept", fmt.Sprintf("%s annotate pvc %s helm.sh/resource-policy=keep", kubectl, v.Claim),
			"Helm would delete the PVC %s, and the images in it, when the storage is another: it lacks the annotation helm.sh/resource-policy: keep.", v.Claim)
	}
	retain := fmt.Sprintf(`kubectl patch pv %s -p '{"spec":{"persistentVolumeReclaimPolicy":"Retain"}}'`, v.PV)
	switch {
	case v.PV != "" && v.Reclaim == "":
		r.obstacle(Warns, "reclaim-unknown", "Have somebody who may look at it: "+retain,
			"Your account may not look at the volume %s: it is not known whether it would be deleted with its claim.", v.PV)
	case v.Reclaim != "" && v.Reclaim != "Retain":
		r.obstacle(Warns, "reclaim", retain, "The volume %s is deleted when its claim %s is (reclaim policy %s): there would be no way back.", v.PV, v.Claim, v.Reclaim)
	}
}

// shared reports whether pods of several nodes can use the volume at once.
func (v *Volume) shared() bool {
	return slices.Contains(v.AccessModes, "ReadWriteMany") || slices.Contains(v.AccessModes, "ReadOnlyMany")
}

func nodes(names []string) string {
	switch len(names) {
	case 0:
		return "no node"
	case 1:
		return "the node " + names[0]
	}
	return "the nodes " + strings.Join(names, ", ")
}

// secretless are the charts whose registryctl does not get the keys of existingSecret:
// its garbage collection deletes nothing from a bucket, and says that it did.
const secretless = "< 1.11.3 || >= 1.12.0 < 1.12.5 || >= 1.13.0-0 < 1.13.0"

func (r *Release) judgeChart() {
	if v, err := semver.NewVersion(r.ChartVersion); err == nil && r.ChartVersion != "" {
		without, err := semver.NewConstraint(secretless)
		if err == nil && without.Check(v) {
			r.obstacle(Warns, "old-chart", "Upgrade the chart to 1.11.3, 1.12.5, 1.13.0 or later before or after.",
				"The chart %s does not give the keys of the bucket to garbage collection: it would free nothing.", r.ChartVersion)
		}
	}
	image := mapAt(r.values, "persistence", "imageChartStorage")
	if textAt(image, "s3", "existingSecret") != "" && r.Storage.Driver == "filesystem" {
		r.obstacle(Warns, "left-over-secret", "Nothing is to be done now. Do not leave it there when going back to the volume.",
			"The values name the Secret %s for S3 while images are in a volume: registries that get both do not start.", textAt(image, "s3", "existingSecret"))
	}
}
