package kube

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"

	"github.com/lighterage/lighterage/internal/testserver"
)

// plane is the control plane that all tests of the package share. Each has a
// namespace of its own in it.
var plane struct {
	once    sync.Once
	kube    *testserver.Kubernetes
	err     error
	started atomic.Int64
}

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for a control plane far more than they calculate.
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		_ = parallel.Value.Set("6")
	}
	code := m.Run()
	if plane.kube != nil {
		plane.kube.Stop()
	}
	os.Exit(code)
}

// world is a namespace of a real control plane.
type world struct {
	*Cluster
	t          testing.TB
	kubeconfig string
}

// newWorld makes a namespace, and puts what testdata/NAME.yaml has into it.
func newWorld(t testing.TB, fixtures ...string) *world {
	t.Helper()
	testserver.KubernetesAvailable(t)
	plane.once.Do(func() {
		if plane.kube, plane.err = testserver.StartKubernetes(testserver.KubernetesParts{Controllers: true}); plane.err == nil {
			plane.err = definitions(plane.kube.Kubeconfig)
		}
	})
	if plane.err != nil {
		t.Fatal(plane.err)
	}
	namespace := fmt.Sprintf("harbor-%d", plane.started.Add(1))
	c, err := Connect(Access{Kubeconfig: plane.kube.Kubeconfig, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{c, t, plane.kube.Kubeconfig}
	w.apply("apiVersion: v1\nkind: Namespace\nmetadata: {name: " + namespace + ", labels: {pod-security.kubernetes.io/enforce: restricted}}")
	for _, name := range fixtures {
		w.apply(fixture(t, name))
	}
	return w
}

// limited is the same namespace for the user who has only the given rules.
func (w *world) limited() *Cluster {
	w.t.Helper()
	c, err := Connect(Access{Kubeconfig: w.kubeconfig, Context: "limited", Namespace: w.Namespace})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

var kinds = map[string]schema.GroupVersionResource{
	"Namespace": {Version: "v1", Resource: "namespaces"}, "Node": {Version: "v1", Resource: "nodes"},
	"Deployment": deployments, "Pod": pods, "ConfigMap": configMaps, "Secret": secrets, "PersistentVolumeClaim": claims, "PersistentVolume": volumes,
	"Harbor": alaudaHarbor, "HarborCluster": cluster, "CustomResourceDefinition": {Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"},
	"Event": events, "Role": {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}, "RoleBinding": {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
}

// apply makes or replaces the things of a YAML file, with their status.
func (w *world) apply(text string) {
	w.t.Helper()
	if err := w.Cluster.applyAll(text); err != nil {
		w.t.Fatal(err)
	}
}

func (c *Cluster) applyAll(text string) error {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader([]byte(strings.ReplaceAll(text, "$NAMESPACE", c.Namespace))), 4096)
	for {
		thing := map[string]any{}
		if err := decoder.Decode(&thing); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := c.applyOne(unstructured.Unstructured{Object: thing}); err != nil {
			return err
		}
	}
}

// wide are the kinds that are in no namespace.
var wide = []string{"Namespace", "Node", "PersistentVolume", "CustomResourceDefinition"}

func (c *Cluster) applyOne(thing unstructured.Unstructured) error {
	kind, known := kinds[thing.GetKind()]
	if !known {
		return fmt.Errorf("no test knows the kind %q", thing.GetKind())
	}
	of := dynamic.ResourceInterface(c.client.Resource(kind))
	if !slices.Contains(wide, thing.GetKind()) {
		of = c.client.Resource(kind).Namespace(c.Namespace)
	}
	ctx := context.Background()
	status := thing.Object["status"]
	made, err := of.Create(ctx, &thing, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err == nil && status != nil {
		made.Object["status"] = status
		_, err = of.UpdateStatus(ctx, made, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("make %s %s: %w", thing.GetKind(), thing.GetName(), err)
	}
	return nil
}

// definitions has the cluster know the resources of the operators.
func definitions(kubeconfig string) error {
	c, err := Connect(Access{Kubeconfig: kubeconfig, Namespace: "default"})
	if err != nil {
		return err
	}
	text, err := os.ReadFile("testdata/definitions.yaml")
	if err != nil {
		return err
	}
	if err := c.applyAll(string(text)); err != nil {
		return err
	}
	for _, kind := range []schema.GroupVersionResource{alaudaHarbor, cluster} {
		for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
			if _, err = c.client.Resource(kind).List(context.Background(), metav1.ListOptions{}); err == nil {
				break
			}
			if time.Now().After(end) {
				return err
			}
		}
	}
	return nil
}

func fixture(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// run puts the pods of a Deployment on nodes, as the scheduler does.
func (w *world) run(deployment string, nodes ...string) {
	w.t.Helper()
	ctx := w.t.Context()
	var unbound []unstructured.Unstructured
	testserver.Eventually(w.t, "the pods of "+deployment+" are there", func() bool {
		all, err := w.list(ctx, pods, metav1.ListOptions{})
		if err != nil {
			w.t.Fatal(err)
		}
		unbound = slices.DeleteFunc(all, func(p unstructured.Unstructured) bool { return !strings.HasPrefix(p.GetName(), deployment+"-") })
		return len(unbound) == len(nodes)
	})
	for i, p := range unbound {
		binding := unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Binding", "metadata": map[string]any{"name": p.GetName()},
			"target": map[string]any{"apiVersion": "v1", "kind": "Node", "name": nodes[i]},
		}}
		if _, err := w.of(pods).Create(ctx, &binding, metav1.CreateOptions{}, "binding"); err != nil {
			w.t.Fatal(err)
		}
	}
}

// bound waits until a claim has its volume.
func (w *world) bound(claim string) {
	w.t.Helper()
	testserver.Eventually(w.t, claim+" is bound", func() bool {
		found, err := w.get(w.t.Context(), claims, claim)
		return err == nil && found != nil && textAt(found.Object, "status", "phase") == "Bound"
	})
}

// helmSecret keeps a revision of a release as Helm does.
func (w *world) helmSecret(name string, revision int, status, content string) {
	w.t.Helper()
	w.apply(fmt.Sprintf(`{"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1",
		"metadata": {"name": "sh.helm.release.v1.%s.v%d", "labels": {"owner": "helm", "name": %q, "status": %q, "version": "%d"}},
		"stringData": {"release": %q}}`, name, revision, name, status, revision, content))
}

// allow has the namespace take pods of a Pod Security level.
func (w *world) allow(level string) {
	w.t.Helper()
	patch := fmt.Sprintf(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":%q}}}`, level)
	if _, err := w.client.Resource(kinds["Namespace"]).Patch(w.t.Context(), w.Namespace, types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		w.t.Fatal(err)
	}
}
