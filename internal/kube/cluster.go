package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/lighterage/lighterage/internal/problem"
)

// Access says which cluster is meant, as kubectl's flags of these names do.
type Access struct {
	Kubeconfig string // "": KUBECONFIG, ~/.kube/config, or the pod's own account
	Context    string // "": the current one
	Namespace  string // "": that of the context
	UserAgent  string
}

// Cluster is one namespace of a cluster, and what of the cluster as a whole can be
// seen from it. It is safe for concurrent use.
type Cluster struct {
	Namespace string

	client dynamic.Interface
	server string
	http   *http.Client // for what is no object: logs
	base   string       // what the paths of the API come after
}

// Connect makes a client. It reads the kubeconfig, and sends nothing to the cluster yet.
func Connect(a Access) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = a.Kubeconfig
	config := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: a.Context})
	namespace := a.Namespace
	var err error
	if namespace == "" {
		if namespace, _, err = config.Namespace(); err != nil {
			return nil, problem.Wrap(problem.BadRequest, err, "read the kubeconfig")
		}
	}
	access, err := config.ClientConfig()
	if err != nil {
		return nil, problem.Wrap(problem.BadRequest, err, "read the kubeconfig")
	}
	access.UserAgent = a.UserAgent
	access.QPS, access.Burst = 50, 100        // a person waits for this
	access.WarningHandler = rest.NoWarnings{} // of deprecated versions: nothing that a user could change
	access.ContentType = "application/json"   // custom resources know no other
	client, err := dynamic.NewForConfig(access)
	if err != nil {
		return nil, problem.Wrap(problem.BadRequest, err, "use the kubeconfig")
	}
	plain, err := rest.HTTPClientFor(access)
	if err != nil {
		return nil, problem.Wrap(problem.BadRequest, err, "use the kubeconfig")
	}
	access.GroupVersion = &schema.GroupVersion{Version: "v1"}
	base, _, err := rest.DefaultServerUrlFor(access)
	if err != nil {
		return nil, problem.Wrap(problem.BadRequest, err, "use the kubeconfig")
	}
	return &Cluster{Namespace: namespace, client: client, server: access.Host, http: plain, base: strings.TrimSuffix(base.String(), "/")}, nil
}

// Server is the address of the API server.
func (c *Cluster) Server() string { return c.server }

// The kinds of things that are looked at.
var (
	deployments  = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	pods         = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	configMaps   = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	secrets      = schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	claims       = schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumeclaims"}
	events       = schema.GroupVersionResource{Version: "v1", Resource: "events"}
	jobs         = schema.GroupVersionResource{Group: "batch", Version: "v1", Resource: "jobs"}
	volumes      = schema.GroupVersionResource{Version: "v1", Resource: "persistentvolumes"}
	alaudaHarbor = schema.GroupVersionResource{Group: "operator.alaudadevops.io", Version: "v1alpha1", Resource: "harbors"}
	cluster      = schema.GroupVersionResource{Group: "goharbor.io", Version: "v1beta1", Resource: "harborclusters"}
)

// of returns what a kind of thing is read from and written to.
func (c *Cluster) of(kind schema.GroupVersionResource) dynamic.ResourceInterface {
	if kind == volumes {
		return c.client.Resource(kind)
	}
	return c.client.Resource(kind).Namespace(c.Namespace)
}

// list returns all things of a kind with a label selector, page by page. A kind that
// the cluster does not know has none.
func (c *Cluster) list(ctx context.Context, kind schema.GroupVersionResource, o metav1.ListOptions) ([]unstructured.Unstructured, error) {
	var found []unstructured.Unstructured
	o.Limit = 200
	for {
		page, err := c.of(kind).List(ctx, o)
		if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
			return nil, nil
		}
		if err != nil {
			return nil, c.explain(err, "list", kind, "")
		}
		found = append(found, page.Items...)
		if o.Continue = page.GetContinue(); o.Continue == "" {
			return found, nil
		}
	}
}

// get returns one thing, nil when it is not there.
func (c *Cluster) get(ctx context.Context, kind schema.GroupVersionResource, name string) (*unstructured.Unstructured, error) {
	found, err := c.of(kind).Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, c.explain(err, "get", kind, name)
	}
	return found, nil
}

// explain says what was being done, and which permission is missing when that is it.
func (c *Cluster) explain(err error, verb string, kind schema.GroupVersionResource, name string) error {
	what := strings.TrimSpace(kind.Resource + " " + name)
	if kind != volumes {
		what += " in namespace " + c.Namespace
	}
	switch {
	case apierrors.IsUnauthorized(err):
		return problem.Wrap(problem.Unauthorized, err, "%s %s: the cluster at %s does not accept the kubeconfig's credential", verb, what, c.server)
	case apierrors.IsForbidden(err):
		return problem.Wrap(problem.Forbidden, err, "%s %s: your account in the cluster lacks the permission %q on %s", verb, what, verb, group(kind))
	}
	return fmt.Errorf("%s %s: %w", verb, what, err)
}

func group(kind schema.GroupVersionResource) string {
	if kind.Group == "" {
		return kind.Resource
	}
	return kind.Resource + "." + kind.Group
}

// isForbidden reports whether the cluster refused for want of a permission.
func isForbidden(err error) bool {
	status := apierrors.APIStatus(nil)
	return errors.As(err, &status) && status.Status().Code == http.StatusForbidden
}
