package kube

import (
	"context"
	"encoding/base64"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/lighterage/lighterage/internal/chart"
	"github.com/lighterage/lighterage/internal/problem"
)

// EnsureSecret sees to it that the Secret of the bucket is there. Without keys it must
// be; with keys it is made, and one that is there must hold the same: it may be in use.
// It reports whether it was made now.
func (c *Cluster) EnsureSecret(ctx context.Context, t Target, access, secret string) (made bool, err error) {
	name := t.S3.Secret
	there, err := c.get(ctx, secrets, name)
	if err != nil {
		return false, err
	}
	if access == "" && secret == "" {
		return false, c.checkSecret(there, name)
	}
	keys, err := t.S3.Keys(access, secret)
	if err != nil {
		return false, err
	}
	if there != nil {
		for _, key := range []string{chart.AccessKey, chart.SecretKey} {
			if textAt(there.Object, "data", key) != base64.StdEncoding.EncodeToString([]byte(keys[key])) {
				return false, problem.New(problem.Conflict, "the Secret %s in namespace %s holds another %s than you give: name another Secret, or give no keys and let it be used as it is", name, c.Namespace, key)
			}
		}
		return false, nil
	}
	data := map[string]any{}
	for key, value := range keys {
		data[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	object := unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": map[string]any{"name": name}, "data": data,
	}}
	_, err = c.of(secrets).Create(ctx, &object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return false, problem.New(problem.Conflict, "somebody else has just made the Secret %s: give the command again", name)
	}
	if err != nil {
		return false, c.explain(err, "create", secrets, name)
	}
	return true, nil
}

func (c *Cluster) checkSecret(there *unstructured.Unstructured, name string) error {
	if there == nil {
		return problem.New(problem.BadRequest, "there is no Secret %s in namespace %s: give the keys of the bucket in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, and it is made", name, c.Namespace)
	}
	for _, key := range []string{chart.AccessKey, chart.SecretKey} {
		if textAt(there.Object, "data", key) == "" {
			return problem.New(problem.BadRequest, "the Secret %s in namespace %s has no %s, which is where the registry looks for it", name, c.Namespace, key)
		}
	}
	return nil
}
