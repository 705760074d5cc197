package kube

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/lighterage/lighterage/internal/chart"
	"github.com/lighterage/lighterage/internal/problem"
)

// Target is where a release's images are to go, and with what they are brought there.
type Target struct {
	S3        chart.S3
	PathStyle string // "", or "true" or "false": how the bucket is addressed

	Image string // of Lighterage
	Pods
	Bandwidth string // bytes a second of a Job, in digits; "": no limit
	// Shards is how many pods copy at the same time; up to 1 is one. See Release.Shards.
	Shards int
}

// Check refuses what no Job can be made of.
func (t Target) Check() error {
	if t.Image == "" {
		return problem.New(problem.BadRequest, "no image of Lighterage for the Jobs")
	}
	if err := t.Pods.Check(); err != nil {
		return err
	}
	return t.S3.Check()
}

// Step is a part of a migration that is done by a Job.
type Step string

// The steps, in the order in which they are done.
const (
	PreflightStep Step = "preflight" // tries out the bucket from inside the cluster
	BlobsStep     Step = "blobs"     // with several pods: blobs and no links, before the first copy
	CopyStep      Step = "copy"      // while Harbor is in use, again and again
	CheckStep     Step = "check"     // proves everything once, likewise
	FinalStep     Step = "final"     // when Harbor is read-only: what is new, and its proof
	BackStep      Step = "back"      // what was pushed since, into the volume

	// Those that only a whole move has.
	ArtifactsStep  Step = "artifacts"   // finds the artifacts that Harbor knows in the bucket
	FlushTrialStep Step = "flush-trial" // whether the registry's cache is reached
	FlushStep      Step = "flush"       // has the registry forget what it cached
	FindStep       Step = "find"        // finds an image in the bucket
)

// Steps are those that people can do one by one, with one pod for each; see StepsTo.
var Steps = []Step{PreflightStep, CopyStep, CheckStep, FinalStep, BackStep}

var allSteps = append(slices.Clone(Steps), BlobsStep, ArtifactsStep, FlushTrialStep, FlushStep, FindStep)

// usesVolume reports whether a step's pods have the volume.
func (s Step) usesVolume() bool {
	return s == BlobsStep || s == CopyStep || s == CheckStep || s == FinalStep || s == BackStep || s == ArtifactsStep
}

// JobName is the name of a step's Job.
func (r *Release) JobName(step Step) string { return r.FullName + "-to-s3-" + string(step) }

const (
	dataFolder = "/storage"
	caFolder   = "/etc/lighterage/ca"
	listFolder = "/etc/lighterage/artifacts"
	// terminationFile is where Kubernetes takes the end of a container from. The report is
	// put there, so that it is known after the logs are gone.
	terminationFile = "/dev/termination-log"
)

// Job returns the manifest of a step. Its pods have no right on anything but the
// volume, read-only unless the step goes back, and the keys of the bucket.
func (r *Release) Job(step Step, t Target) map[string]any {
	spec := map[string]any{
		"restartPolicy":                "Never",
		"automountServiceAccountToken": false,
		"enableServiceLinks":           false,
		"securityContext": map[string]any{
			"runAsUser": 10000, "runAsGroup": 10000, "runAsNonRoot": true, // no fsGroup: it would have the live volume's files given away
			"seccompProfile": map[string]any{"type": "RuntimeDefault"},
		},
		"terminationGracePeriodSeconds": 60,
		"volumes":                       r.jobVolumes(step, t),
	}
	containers := r.jobContainers(step, t)
	spec["containers"] = containers[len(containers)-1:]
	if len(containers) > 1 {
		spec["initContainers"] = containers[:len(containers)-1]
	}
	if affinity := r.affinity(step); affinity != nil {
		spec["affinity"] = affinity
	}
	t.place(r, step, spec)
	labels := map[string]any{"app.kubernetes.io/name": "lighterage", "app.kubernetes.io/component": "migration", "lighterage.io/harbor": r.Name, "lighterage.io/step": string(step)}
	job := map[string]any{
		"apiVersion": "batch/v1", "kind": "Job",
		"metadata": map[string]any{"name": r.JobName(step), "namespace": r.Namespace, "labels": labels},
		"spec": map[string]any{
			"backoffLimit":            attempts,
			"ttlSecondsAfterFinished": 7 * 24 * 3600,
			"podFailurePolicy":        failurePolicy(),
			"template":                map[string]any{"metadata": map[string]any{"labels": labels}, "spec": spec},
		},
	}
	if step == BlobsStep {
		t.index(job, labels)
	}
	return job
}

// attempts is how often what may pass is tried again.
const attempts = 4

// failurePolicy: a pod that had to leave its node is replaced and does not count;
// damage, differences and mistakes stay what they are however often a Job is repeated.
func failurePolicy() map[string]any {
	return map[string]any{"rules": []any{
		disrupted(),
		map[string]any{"action": "FailJob", "onExitCodes": map[string]any{"operator": "In", "values": []any{1, 2}}},
	}}
}

func disrupted() map[string]any {
	return map[string]any{"action": "Ignore", "onPodConditions": []any{map[string]any{"type": "DisruptionTarget", "status": "True"}}}
}

func (r *Release) jobContainers(step Step, t Target) []any {
	volume, bucket := path.Join(dataFolder, r.Volume.Path), t.Location()
	var limit []any
	if t.Bandwidth != "" {
		limit = []any{"--bandwidth", t.Bandwidth}
	}
	copying := func(more ...any) any {
		return r.container("copy", step, t, append(append([]any{"copy", volume, bucket}, more...), limit...)...)
	}
	switch step {
	case PreflightStep:
		return []any{r.container("preflight", step, t, "preflight", bucket)}
	case BlobsStep:
		if t.Bandwidth != "" {
			limit = []any{"--bandwidth", t.shareOf(t.Bandwidth)}
		}
		return []any{copying("--shard", fmt.Sprintf("index/%d", t.Shards))}
	case CopyStep:
		return []any{copying()}
	case CheckStep:
		return []any{r.container("check", step, t, "check", volume, bucket)}
	case ArtifactsStep:
		return []any{r.container("find", step, t, "find", bucket, "--from", listFolder+"/"+listKey, "--beside", volume)}
	case FlushTrialStep:
		return []any{r.flushContainer(step, t, "--dry-run")}
	case FlushStep:
		return []any{r.flushContainer(step, t)}
	case FindStep:
		return []any{r.container("find", step, t, "find", bucket)}
	case FinalStep:
		return []any{copying("--final"), r.container("check", step, t, "check", volume, bucket, "--recent")}
	default:
		return []any{
			r.container("copy", step, t, append([]any{"copy", bucket, volume, "--final"}, limit...)...),
			r.container("check", step, t, "check", bucket, volume),
		}
	}
}

func (r *Release) container(name string, step Step, t Target, args ...any) map[string]any {
	mounts := []any{}
	if step.usesVolume() {
		data := map[string]any{"name": "registry-data", "mountPath": dataFolder}
		if step != BackStep {
			data["readOnly"] = true
		}
		if r.Volume.SubPath != "" {
			data["subPath"] = r.Volume.SubPath
		}
		mounts = append(mounts, data)
	}
	if step == ArtifactsStep {
		mounts = append(mounts, map[string]any{"name": "artifacts", "mountPath": listFolder, "readOnly": true})
	}
	if t.S3.CASecret != "" {
		mounts = append(mounts, map[string]any{"name": "ca", "mountPath": caFolder, "readOnly": true})
	}
	return map[string]any{
		"name": name, "image": t.Image, "imagePullPolicy": "IfNotPresent",
		"command":                []any{"/lighterage"},
		"args":                   append(append([]any{"migrate"}, args...), "--output", "jsonl", "--report", terminationFile),
		"envFrom":                []any{map[string]any{"secretRef": map[string]any{"name": t.S3.Secret}}},
		"terminationMessagePath": terminationFile, "terminationMessagePolicy": "FallbackToLogsOnError",
		"volumeMounts": mounts,
		"resources":    t.resources(),
		"securityContext": map[string]any{
			"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": map[string]any{"drop": []any{"ALL"}},
		},
	}
}

func (r *Release) jobVolumes(step Step, t Target) []any {
	volumes := []any{}
	if step.usesVolume() {
		data := map[string]any{"name": "registry-data"}
		if r.Volume.Kind == HostVolume {
			data["hostPath"] = map[string]any{"path": r.Volume.HostPath, "type": "Directory"}
		} else {
			// The mount is read-only and not the claim: some storage is attached another way then.
			data["persistentVolumeClaim"] = map[string]any{"claimName": r.Volume.Claim}
		}
		volumes = append(volumes, data)
	}
	if step == ArtifactsStep {
		volumes = append(volumes, map[string]any{"name": "artifacts", "configMap": map[string]any{"name": r.listName()}})
	}
	if t.S3.CASecret != "" {
		volumes = append(volumes, map[string]any{"name": "ca", "secret": map[string]any{
			"secretName": t.S3.CASecret, "items": []any{map[string]any{"key": "ca.crt", "path": "ca.crt"}},
		}})
	}
	return volumes
}

// affinity puts a pod onto the node that has the volume. While the registry uses it
// that is where the registry is: this is said of its pods and not of the node, since
// both may move before the Job begins. On the way back the registry may be anywhere.
func (r *Release) affinity(step Step) map[string]any {
	switch {
	case !step.usesVolume() || r.Volume.Kind != HostVolume && (r.Volume.shared() || step == BackStep):
		return nil
	case step == BackStep:
		return map[string]any{"nodeAffinity": map[string]any{"requiredDuringSchedulingIgnoredDuringExecution": map[string]any{
			"nodeSelectorTerms": []any{map[string]any{"matchFields": []any{map[string]any{"key": "metadata.name", "operator": "In", "values": texts(r.Registry.Nodes)}}}},
		}}}
	case r.Registry.Replicas == 0 && r.Volume.Kind != HostVolume:
		return nil // nobody uses it
	}
	return map[string]any{"podAffinity": map[string]any{"requiredDuringSchedulingIgnoredDuringExecution": []any{map[string]any{
		"topologyKey": "kubernetes.io/hostname", "labelSelector": map[string]any{"matchLabels": r.Registry.selector},
	}}}}
}

// findJob is the Job that finds an artifact, REPOSITORY@DIGEST, in the bucket.
func (r *Release) findJob(t Target, artifact string) map[string]any {
	job := r.Job(FindStep, t)
	containers, _ := at(job, "spec", "template", "spec", "containers").([]any)
	container, _ := containers[0].(map[string]any)
	args, _ := container["args"].([]any)
	container["args"] = slices.Insert(slices.Clone(args), 3, any(artifact)) // after "migrate find BUCKET"
	return job
}

// flushContainer speaks to the registry's Redis, with the password that the registry has.
func (r *Release) flushContainer(step Step, t Target, more ...any) map[string]any {
	scheme := "redis"
	if r.Redis.TLS {
		scheme = "rediss"
	}
	args := append([]any{"flush", fmt.Sprintf("%s://%s/%d", scheme, r.Redis.Address, r.Redis.Database)}, more...)
	if r.Redis.SentinelMaster != "" {
		args = append(args, "--sentinel-master", r.Redis.SentinelMaster)
	}
	container := r.container("flush", step, t, args...)
	delete(container, "envFrom")
	if r.Redis.PasswordSecret != "" {
		container["env"] = []any{map[string]any{"name": redisPassword, "valueFrom": map[string]any{"secretKeyRef": map[string]any{
			"name": r.Redis.PasswordSecret, "key": r.Redis.PasswordKey,
		}}}}
	}
	return container
}

func texts(list []string) []any {
	all := make([]any, len(list))
	for i, text := range list {
		all[i] = text
	}
	return all
}

// Location names the bucket as the commands of migrate take it, without the keys,
// which come from the environment.
func (t Target) Location() string {
	options := url.Values{}
	for name, value := range map[string]string{
		"endpoint": t.S3.Endpoint, "region": t.S3.Region, "path_style": t.PathStyle, "storage_class": t.S3.StorageClass,
		"acl": t.S3.ACL, "encrypt_key": t.S3.EncryptKey,
	} {
		if value != "" {
			options.Set(name, value)
		}
	}
	for name, on := range map[string]bool{"encrypt": t.S3.Encrypt, "insecure": t.S3.SkipVerify} {
		if on {
			options.Set(name, "true")
		}
	}
	if t.S3.CASecret != "" {
		options.Set("ca", caFolder+"/ca.crt")
	}
	place := "s3://" + strings.TrimSuffix(t.S3.Bucket+"/"+strings.Trim(t.S3.RootDirectory, "/"), "/")
	if len(options) == 0 {
		return place
	}
	return place + "?" + options.Encode()
}
