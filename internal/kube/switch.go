package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/lighterage/lighterage/internal/chart"
	"github.com/lighterage/lighterage/internal/problem"
)

// Switch returns the merge patch after which the registry keeps its images in the
// bucket, and the one that goes back to the volume. They are of the Harbor resource
// where there is one, and of the chart's values otherwise.
func (r *Release) Switch(s chart.S3) (there, back map[string]any) {
	there, back = chart.To(r.values, s), chart.Back(r.values, s)
	if r.Packaging == AlaudaResource {
		return inResource(there), inResource(back)
	}
	return there, back
}

func inResource(values map[string]any) map[string]any {
	return map[string]any{"spec": map[string]any{"helmValues": values}}
}

// Trial is what the cluster says to a manifest without keeping it.
type Trial struct {
	Name    string
	Refused error // nil: it would take it
	Untried error // the account may not do this, so that nothing is known
	// Before and After are the object's specification now and then, where it is one that
	// is there.
	Before, After map[string]any
}

// TryJob has the API server check a Job, and what admits pods to the namespace: names,
// quotas, Pod Security, other policies. Nothing is made.
func (c *Cluster) TryJob(ctx context.Context, job map[string]any) (Trial, error) {
	object := unstructured.Unstructured{Object: normal(job)}
	trial := Trial{Name: "Job " + object.GetName()}
	_, err := c.of(jobs).Create(ctx, &object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err := trial.settle(c, err, "create", jobs); err != nil || trial.Refused != nil || trial.Untried != nil {
		return trial, err
	}
	// What would refuse the Job's pods is only seen with a pod.
	pod := unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"name": object.GetName() + "-trial", "labels": at(object.Object, "spec", "template", "metadata", "labels")},
		"spec":     at(object.Object, "spec", "template", "spec"),
	}}
	_, err = c.of(pods).Create(ctx, &pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	return trial, trial.settle(c, err, "create", pods)
}

// TrySwitch has the API server apply a merge patch to the release's Harbor resource
// without keeping it.
func (c *Cluster) TrySwitch(ctx context.Context, r *Release, patch map[string]any) (Trial, error) {
	trial := Trial{Name: "Harbor " + r.Name}
	before, err := c.get(ctx, alaudaHarbor, r.Name)
	if err != nil {
		return trial, err
	}
	if before == nil {
		return trial, problem.New(problem.NotFound, "the Harbor %s in namespace %s is gone", r.Name, r.Namespace)
	}
	text, err := json.Marshal(patch)
	if err != nil {
		return trial, fmt.Errorf("write the patch of the Harbor %s: %w", r.Name, err)
	}
	after, err := c.of(alaudaHarbor).Patch(ctx, r.Name, types.MergePatchType, text, metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}})
	if err == nil {
		trial.Before, trial.After = mapAt(before.Object, "spec"), mapAt(after.Object, "spec")
	}
	return trial, trial.settle(c, err, "patch", alaudaHarbor)
}

// settle takes an answer for what it says of the manifest; other failures are returned.
func (t *Trial) settle(c *Cluster, err error, verb string, kind schema.GroupVersionResource) error {
	switch {
	case err == nil:
	case apierrors.IsAlreadyExists(err): // from an earlier time
	case lacksPermission(err, verb):
		t.Untried = c.explain(err, verb, kind, "")
	case apierrors.IsInvalid(err), apierrors.IsForbidden(err), apierrors.IsBadRequest(err):
		t.Refused = err
	default:
		return c.explain(err, verb, kind, "")
	}
	return nil
}

// lacksPermission tells a missing permission from what a policy refuses: both are
// Forbidden, and only the authorizer says "cannot".
func lacksPermission(err error, verb string) bool {
	return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "cannot "+verb+" resource")
}

// normal gives numbers the type that the client wants.
func normal(m map[string]any) map[string]any {
	copied := maps.Clone(m)
	for key, value := range copied {
		copied[key] = normalValue(value)
	}
	return copied
}

func normalValue(value any) any {
	switch value := value.(type) {
	case int:
		return int64(value)
	case map[string]any:
		return normal(value)
	case []any:
		list := make([]any, len(value))
		for i := range value {
			list[i] = normalValue(value[i])
		}
		return list
	}
	return value
}
