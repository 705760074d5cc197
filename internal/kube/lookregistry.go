package kube

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
	"k8s.io/apimachinery/pkg/labels"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// lookAtRegistry fills in what the registry's Deployment, its pods, its configuration
// and its volume tell.
func (c *Cluster) lookAtRegistry(ctx context.Context, r *Release, d *deployment) error {
	spec := &d.Spec.Template.Spec
	registry := spec.named("registry")
	r.FullName = strings.TrimSuffix(d.Metadata.Name, "-registry")
	r.Registry = Registry{
		Deployment: d.Metadata.Name, Image: registry.Image, Strategy: cmp.Or(d.Spec.Strategy.Type, "RollingUpdate"), Replicas: 1,
		selector: map[string]any{}, tolerations: spec.Tolerations, pullSecrets: spec.ImagePullSecrets,
	}
	for label, value := range d.Spec.Selector.MatchLabels {
		r.Registry.selector[label] = value
	}
	if d.Spec.Replicas != nil {
		r.Registry.Replicas = *d.Spec.Replicas
	}
	if r.HarborVersion == "" {
		r.HarborVersion = tagOf(registry.Image)
	}
	running, err := c.list(ctx, pods, metav1.ListOptions{LabelSelector: labels.SelectorFromSet(d.Spec.Selector.MatchLabels).String()})
	if err != nil {
		return err
	}
	for _, one := range running {
		var p pod
		if err := read(one, &p); err != nil {
			return err
		}
		if p.Spec.NodeName != "" && (p.Status.Phase == "Running" || p.Status.Phase == "Pending") && !slices.Contains(r.Registry.Nodes, p.Spec.NodeName) {
			r.Registry.Nodes = append(r.Registry.Nodes, p.Spec.NodeName)
		}
	}
	slices.Sort(r.Registry.Nodes)

	configuration, err := c.configuration(ctx, spec, registry)
	if err != nil {
		return err
	}
	if configuration == nil {
		return nil
	}
	r.readConfiguration(configuration)
	if err := c.lookAtPassword(ctx, r, registry); err != nil {
		return err
	}
	if r.Storage.Driver != "filesystem" {
		return nil
	}
	return c.lookAtVolume(ctx, r, spec, registry)
}

// tagOf is the version that an image's tag says: v2.12.4 is 2.12.4.
func tagOf(image string) string {
	image, _, _ = strings.Cut(image, "@")
	_, tag, found := strings.Cut(image[strings.LastIndex(image, "/")+1:], ":")
	if !found {
		return ""
	}
	return strings.TrimPrefix(tag, "v")
}

// configuration reads config.yml of the registry, from the ConfigMap or the Secret
// that is mounted for it. nil: there is none.
func (c *Cluster) configuration(ctx context.Context, spec *podSpec, registry *container) (map[string]any, error) {
	for _, m := range registry.VolumeMounts {
		if !strings.HasPrefix(m.MountPath, "/etc/registry") && !strings.HasPrefix(m.MountPath, "/etc/distribution") && !strings.HasPrefix(m.MountPath, "/etc/docker/registry") {
			continue
		}
		volume := spec.volume(m.Name)
		kind, name := configMaps, textAt(volume, "configMap", "name")
		if name == "" {
			kind, name = secrets, textAt(volume, "secret", "secretName")
		}
		if name == "" {
			continue
		}
		source, err := c.get(ctx, kind, name)
		if err != nil || source == nil {
			return nil, err
		}
		text := textAt(source.Object, "data", "config.yml")
		if kind == secrets {
			decoded, err := base64.StdEncoding.DecodeString(text)
			if err != nil {
				return nil, fmt.Errorf("read the registry's configuration in the Secret %s: %w", name, err)
			}
			text = string(decoded)
		}
		if text == "" {
			continue
		}
		var configuration map[string]any
		if err := yaml.Unmarshal([]byte(text), &configuration); err != nil {
			return nil, fmt.Errorf("read the registry's configuration in %s: %w", name, err)
		}
		return configuration, nil
	}
	return nil, nil
}

// notDrivers are the keys beside the driver in the storage of a registry's configuration.
var notDrivers = []string{"cache", "delete", "maintenance", "redirect", "tag"}

func (r *Release) readConfiguration(configuration map[string]any) {
	for name, value := range mapAt(configuration, "storage") {
		if slices.Contains(notDrivers, name) {
			continue
		}
		settings, _ := value.(map[string]any)
		r.Storage = Storage{
			Driver: name, RootDirectory: textAt(settings, "rootdirectory"), Bucket: textAt(settings, "bucket"),
			Endpoint: textAt(settings, "regionendpoint"), Region: textAt(settings, "region"),
		}
		if name == "s3aws" {
			r.Storage.Driver = "s3"
		}
	}
	r.Redis.Address = textAt(configuration, "redis", "addr")
	if database, ok := at(configuration, "redis", "db").(int); ok {
		r.Redis.Database = database
	}
	// The names of Harbor's own registry, which is not that of distribution.
	r.Redis.SentinelMaster = textAt(configuration, "redis", "sentinelMasterSet")
	r.Redis.TLS, _ = at(configuration, "redis", "tls", "enabled").(bool)
}

// redisPassword is the variable by which the registry gets the password of its cache.
const redisPassword = "REGISTRY_REDIS_PASSWORD"

// lookAtPassword finds where the registry has the password of its cache from. Its value
// is not kept.
func (c *Cluster) lookAtPassword(ctx context.Context, r *Release, registry *container) error {
	if r.Redis.Address == "" {
		return nil
	}
	for _, e := range registry.Env {
		if ref := e.ValueFrom.SecretKeyRef; e.Name == redisPassword && ref.Name != "" {
			r.Redis.PasswordSecret, r.Redis.PasswordKey = ref.Name, ref.Key
			return nil
		}
	}
	for _, from := range registry.EnvFrom {
		if from.SecretRef.Name == "" {
			continue
		}
		secret, err := c.get(ctx, secrets, from.SecretRef.Name)
		if err != nil {
			return err
		}
		if secret != nil && textAt(secret.Object, "data", redisPassword) != "" {
			r.Redis.PasswordSecret, r.Redis.PasswordKey = from.SecretRef.Name, redisPassword
			return nil
		}
	}
	return nil
}

// lookAtVolume finds what the registry's root directory is on.
func (c *Cluster) lookAtVolume(ctx context.Context, r *Release, spec *podSpec, registry *container) error {
	root := cmp.Or(r.Storage.RootDirectory, "/var/lib/registry")
	m := registry.mounted(path.Clean(root))
	if m == nil {
		return nil
	}
	r.Volume.SubPath = m.SubPath
	r.Volume.Path = strings.Trim(strings.TrimPrefix(path.Clean(root), path.Clean(m.MountPath)), "/")
	source := spec.volume(m.Name)
	switch {
	case source["persistentVolumeClaim"] != nil:
		r.Volume.Kind, r.Volume.Claim = ClaimVolume, textAt(source, "persistentVolumeClaim", "claimName")
		return c.lookAtClaim(ctx, r)
	case source["hostPath"] != nil:
		r.Volume.Kind, r.Volume.HostPath = HostVolume, textAt(source, "hostPath", "path")
	case source["emptyDir"] != nil:
		r.Volume.Kind = EmptyVolume
	default:
		r.Volume.Kind = OtherVolume
	}
	return nil
}

func (c *Cluster) lookAtClaim(ctx context.Context, r *Release) error {
	v := &r.Volume
	claim, err := c.get(ctx, claims, v.Claim)
	if err != nil || claim == nil {
		return err
	}
	spec, status := mapAt(claim.Object, "spec"), mapAt(claim.Object, "status")
	modes, _ := spec["accessModes"].([]any)
	for _, mode := range modes {
		v.AccessModes = append(v.AccessModes, fmt.Sprint(mode))
	}
	v.StorageClass, v.PV = textAt(spec, "storageClassName"), textAt(spec, "volumeName")
	v.Phase, v.Capacity = textAt(status, "phase"), textAt(status, "capacity", "storage")
	v.Kept = claim.GetAnnotations()["helm.sh/resource-policy"] == "keep"
	v.Managed = claim.GetAnnotations()["meta.helm.sh/release-name"] != "" || claim.GetLabels()["heritage"] == "Helm"
	if v.PV == "" {
		return nil
	}
	pv, err := c.get(ctx, volumes, v.PV)
	if isForbidden(err) {
		return nil // it belongs to the whole cluster, and who moves a Harbor need not be allowed to look
	}
	if err != nil || pv == nil {
		return err
	}
	v.Reclaim = textAt(pv.Object, "spec", "persistentVolumeReclaimPolicy")
	return nil
}

// lookAtCore fills in what the Deployment of Harbor's core tells.
func (c *Cluster) lookAtCore(ctx context.Context, r *Release, d *deployment) error {
	r.CASecret = textAt(r.values, "caBundleSecretName")
	r.StorageCASecret = textAt(r.values, "persistence", "imageChartStorage", "caBundleSecretName")
	if d == nil {
		r.obstacle(Warns, "no-core", "Give Harbor's address with --harbor-url.", "There is no Deployment of its core.")
		return nil
	}
	core := d.Spec.Template.Spec.named("core")
	settings := map[string]string{}
	for _, from := range core.EnvFrom {
		if from.ConfigMapRef.Name == "" {
			continue
		}
		found, err := c.get(ctx, configMaps, from.ConfigMapRef.Name)
		if err != nil {
			return err
		}
		if found != nil {
			for name := range mapAt(found.Object, "data") {
				settings[name] = textAt(found.Object, "data", name)
			}
		}
	}
	for _, e := range core.Env {
		settings[e.Name] = e.Value
	}
	r.ExternalURL = cmp.Or(r.ExternalURL, settings["EXT_ENDPOINT"])
	if text, ok := settings["CONFIG_OVERWRITE_JSON"]; ok {
		var fixed map[string]any
		// Whatever it holds, its being there locks every setting.
		r.ConfigLocked = text == "" || json.Unmarshal([]byte(text), &fixed) != nil || len(fixed) > 0
	}
	if r.HarborVersion == "" {
		r.HarborVersion = tagOf(core.Image)
	}
	return nil
}
