// Package chart_test has a real Kubernetes judge what the Helm chart writes.
package chart_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

const namespace = "registry"

var kinds = map[string]schema.GroupVersionResource{
	"ConfigMap":             {Version: "v1", Resource: "configmaps"},
	"Deployment":            {Group: "apps", Version: "v1", Resource: "deployments"},
	"Ingress":               {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"},
	"NetworkPolicy":         {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
	"PersistentVolumeClaim": {Version: "v1", Resource: "persistentvolumeclaims"},
	"PodDisruptionBudget":   {Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	"Service":               {Version: "v1", Resource: "services"},
	"ServiceAccount":        {Version: "v1", Resource: "serviceaccounts"},
}

// TestAClusterTakesTheChart makes what the chart writes in a namespace that takes restricted
// pods only, field by field validated, and waits for the pods.
func TestAClusterTakesTheChart(t *testing.T) {
	ts.KubernetesAvailable(t)
	plane, err := ts.StartKubernetes(ts.KubernetesParts{Controllers: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(plane.Stop)
	config, err := clientcmd.BuildConfigFromFlags("", plane.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	shared := []string{"replicas=2", "database.existingSecret=db", "key.existingSecret=key", "storage.s3.bucket=images", "storage.s3.existingSecret=s3"}
	for name, c := range map[string]struct {
		pods     int
		settings []string
	}{
		"defaults": {1, nil},
		"everything": {2, append(shared, "ingress.enabled=true", "ingress.host=registry.example.com", "ingress.tlsSecret=web", "ingress.className=nginx", "tls.existingSecret=tls",
			"metrics.enabled=true", "metrics.dashboard.enabled=true", "networkPolicy.enabled=true", "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.name=monitoring",
			"networkPolicy.egress[0].ports[0].port=443", "caCertificates=-----BEGIN CERTIFICATE-----", "admin.existingSecret=admin", "image.pullSecrets[0].name=login",
			"nodeSelector.disk=ssd", "podLabels.team=a", "podAnnotations.note=b", "serviceAccount.annotations.role=r", "extraEnv[0].name=A", "extraEnv[0].value=b")},
		"a Harbor as home": {1, []string{"home.url=https://h", "home.username=u", "home.existingSecret=s", "home.insecure=true", "persistence.enabled=false", "database.existingSecret=db", "key.existingSecret=key"}},
	} {
		t.Run(name, func(t *testing.T) {
			space := namespaceFor(t, client)
			for _, thing := range rendered(t, c.settings...) {
				kind, known := kinds[thing.GetKind()]
				if !known {
					t.Errorf("no cluster without an operator knows a %s", thing.GetKind())
					continue
				}
				_, err := client.Resource(kind).Namespace(space).Create(t.Context(), &thing, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
				if err != nil {
					t.Errorf("%s %s: %v", thing.GetKind(), thing.GetName(), err)
				}
			}
			if t.Failed() {
				return
			}
			ts.Eventually(t, "the pods are there", func() bool {
				pods, err := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "pods"}).Namespace(space).List(t.Context(), metav1.ListOptions{})
				return err == nil && len(pods.Items) == c.pods
			})
		})
	}
}

func namespaceFor(t *testing.T, client dynamic.Interface) string {
	t.Helper()
	spaces := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	made, err := spaces.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Namespace",
		"metadata": map[string]any{"generateName": namespace + "-", "labels": map[string]any{"pod-security.kubernetes.io/enforce": "restricted"}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = spaces.Delete(context.Background(), made.GetName(), metav1.DeleteOptions{}) })
	return made.GetName()
}

// rendered is what the chart writes, as Helm does.
func rendered(t *testing.T, settings ...string) []unstructured.Unstructured {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", append([]string{"-C", "../../tools/chart", "run", ".", "render", "../../deploy/chart/lighterage"}, settings...)...)
	var problems bytes.Buffer
	command.Stderr = &problems
	text, err := command.Output()
	if err != nil {
		t.Fatalf("render the chart: %v\n%s", err, problems.String())
	}
	var things []unstructured.Unstructured
	for decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096); ; {
		thing := map[string]any{}
		if err := decoder.Decode(&thing); errors.Is(err, io.EOF) {
			return things
		} else if err != nil {
			t.Fatal(err)
		}
		if len(thing) > 0 {
			things = append(things, unstructured.Unstructured{Object: thing})
		}
	}
}
