package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lighterage/lighterage/internal/chart"
)

// Operator plays what the chart and the operator make of the Harbor of the fixture, and
// the node that runs its pods.
type Operator struct {
	*Cluster
	t testing.TB
	// Helm: somebody else makes the Deployments, and only their pods are played.
	Helm bool
	// Change is told of the storage before it is given to the registry's Deployment, and
	// holds the operator back as long as it does not return.
	Change func(toBucket bool)
	// Settings is told of the value that fixes Harbor's settings when it changes.
	Settings func(text string)

	mu    sync.Mutex
	start func(name string) bool

	toBucket bool
	settings string
}

// Hold has a pod of a Deployment be ready only when start says so; nil: always.
func (o *Operator) Hold(start func(name string) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.start = start
}

func (o *Operator) mayStart(name string) bool {
	o.mu.Lock()
	start := o.start
	o.mu.Unlock()
	return start == nil || start(name)
}

// Unlock frees the lock of a move whose process was killed.
func (o *Operator) Unlock() {
	o.t.Helper()
	if err := o.merge(leases, "harbor-to-s3", map[string]any{"spec": map[string]any{"holderIdentity": ""}}); err != nil && !apierrors.IsNotFound(err) {
		o.t.Fatal(err)
	}
}

// PlayOperator plays it until the test ends.
func PlayOperator(t testing.TB, kubeconfig, namespace string, o *Operator) {
	t.Helper()
	c, err := Connect(Access{Kubeconfig: kubeconfig, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	o.Cluster, o.t = c, t
	p := &player{}
	every := func(do func() error) {
		p.wait.Go(func() {
			for t.Context().Err() == nil {
				if err := do(); err != nil && t.Context().Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
					t.Errorf("play the operator: %v", err)
				}
				select {
				case <-t.Context().Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		})
	}
	every(o.reconcile)
	every(o.runPods)
	t.Cleanup(p.wait.Wait)
}

// Harbor returns the Harbor resource.
func (o *Operator) Harbor() map[string]any {
	o.t.Helper()
	found, err := o.get(context.Background(), alaudaHarbor, "harbor")
	if err != nil || found == nil {
		o.t.Fatalf("the Harbor: %v", err)
	}
	return found.Object
}

func (o *Operator) reconcile() error {
	if o.Helm {
		return o.observe()
	}
	ctx := o.t.Context()
	harbor, err := o.get(ctx, alaudaHarbor, "harbor")
	if err != nil || harbor == nil {
		return err
	}
	if text := textAt(harbor.Object, "spec", "helmValues", "core", "configureUserSettings"); text != o.settings {
		if err := o.fix(text); err != nil {
			return err
		}
	}
	storage := mapAt(harbor.Object, "spec", "helmValues", "persistence", "imageChartStorage")
	toBucket := storage["type"] == "s3"
	if toBucket == o.toBucket {
		return nil
	}
	if o.Change != nil {
		o.Change(toBucket)
	}
	driver := map[string]any{"filesystem": map[string]any{"rootdirectory": "/storage"}}
	data := map[string]any{"persistentVolumeClaim": map[string]any{"claimName": "harbor-registry"}, "emptyDir": nil}
	var envFrom any
	if toBucket {
		s3 := mapAt(storage, "s3")
		driver = map[string]any{"s3": map[string]any{
			"bucket": s3["bucket"], "region": s3["region"], "regionendpoint": s3["regionendpoint"], "rootdirectory": s3["rootdirectory"],
		}}
		data = map[string]any{"emptyDir": map[string]any{}, "persistentVolumeClaim": nil}
		envFrom = []any{map[string]any{"secretRef": map[string]any{"name": s3["existingSecret"]}}}
	}
	driver["redirect"] = map[string]any{"disable": true}
	text, err := toYAML(map[string]any{"version": 0.1, "storage": driver, "redis": map[string]any{"addr": "harbor-redis:6379", "db": 2}})
	if err != nil {
		return err
	}
	if err := o.merge(configMaps, "harbor-registry", map[string]any{"data": map[string]any{"config.yml": string(text)}}); err != nil {
		return err
	}
	checksum := fmt.Sprint(toBucket, harbor.GetGeneration())
	registry, err := o.get(ctx, deployments, "harbor-registry")
	if err != nil || registry == nil {
		return err
	}
	template := mapAt(registry.Object, "spec", "template")
	spec := mapAt(template, "spec")
	for _, v := range spec["volumes"].([]any) {
		if volume := v.(map[string]any); volume["name"] == "registry-data" {
			for name, value := range data {
				if volume[name] = value; value == nil {
					delete(volume, name)
				}
			}
		}
	}
	for _, c := range spec["containers"].([]any) {
		if container := c.(map[string]any); envFrom != nil {
			container["envFrom"] = envFrom
		} else {
			delete(container, "envFrom")
		}
	}
	template["metadata"] = chart.Merge(mapAt(template, "metadata"), map[string]any{"annotations": map[string]any{"checksum/config": checksum}})
	if _, err := o.of(deployments).Update(ctx, registry, metav1.UpdateOptions{}); err != nil {
		return err
	}
	if err := o.merge(deployments, "harbor-core", map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{"checksum/config": checksum}}}}}); err != nil {
		return err
	}
	o.toBucket = toBucket
	return nil
}

// fix gives core the settings of a value, and new pods with them.
func (o *Operator) fix(text string) error {
	o.settings = text
	if o.Settings != nil {
		o.Settings(text)
	}
	if err := o.merge(configMaps, "harbor-core", map[string]any{"data": map[string]any{"CONFIG_OVERWRITE_JSON": text}}); err != nil {
		return err
	}
	return o.merge(deployments, "harbor-core", map[string]any{"spec": map[string]any{"template": map[string]any{"metadata": map[string]any{
		"annotations": map[string]any{"checksum/settings": text}}}}})
}

// observe tells of a Deployment that has got another storage.
func (o *Operator) observe() error {
	registry, err := o.get(o.t.Context(), deployments, "harbor-registry")
	if err != nil || registry == nil {
		return err
	}
	var d deployment
	if err := read(*registry, &d); err != nil {
		return err
	}
	if toBucket := d.Spec.Template.Spec.volume("registry-data")["emptyDir"] != nil; toBucket != o.toBucket {
		o.toBucket = toBucket
		o.Change(toBucket)
	}
	return nil
}

func (o *Operator) merge(kind schema.GroupVersionResource, name string, patch map[string]any) error {
	text, err := json.Marshal(patch)
	if err != nil {
		return err
	}
	_, err = o.of(kind).Patch(o.t.Context(), name, types.MergePatchType, text, metav1.PatchOptions{})
	return err
}

// runPods has the pods of Deployments run, and end when they are to.
func (o *Operator) runPods() error {
	all, err := o.list(o.t.Context(), pods, metav1.ListOptions{LabelSelector: "component in (registry, core)"})
	if err != nil {
		return err
	}
	for _, one := range all {
		if err := o.runPod(one); err != nil {
			return err
		}
	}
	return nil
}

func (o *Operator) runPod(one unstructured.Unstructured) error {
	ctx, name := o.t.Context(), one.GetName()
	if one.GetDeletionTimestamp() != nil {
		now := int64(0)
		return o.of(pods).Delete(ctx, name, metav1.DeleteOptions{GracePeriodSeconds: &now})
	}
	if textAt(one.Object, "status", "phase") == "Running" || !o.mayStart(name) {
		return nil
	}
	return o.patchStatus(name, map[string]any{"phase": "Running", "conditions": []any{map[string]any{
		"type": "Ready", "status": "True", "lastTransitionTime": time.Now().UTC().Format(time.RFC3339),
	}}})
}
