package api

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/account"
	"github.com/lighterage/lighterage/internal/api/gen"
	"github.com/lighterage/lighterage/internal/audit"
	"github.com/lighterage/lighterage/internal/home"
	"github.com/lighterage/lighterage/internal/home/harbor"
	"github.com/lighterage/lighterage/internal/notification"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/replication"
	"github.com/lighterage/lighterage/internal/store"
)

// Contents changes what the home registry holds; the operator is who asked for it.
type Contents interface {
	DeleteArtifact(ctx context.Context, operator, repository string, d digest.Digest) error
	DeleteTag(ctx context.Context, operator, repository, tag string) error
	CreateTag(ctx context.Context, operator, repository, tag string, d digest.Digest) error
	DeleteRepository(ctx context.Context, operator, repository string) error
}

// Replication keeps endpoints and rules and runs them.
type Replication interface {
	ListEndpoints(ctx context.Context, q store.ListQuery) ([]replication.Endpoint, int64, error)
	GetEndpoint(ctx context.Context, id int64) (replication.Endpoint, error)
	CreateEndpoint(ctx context.Context, e replication.Endpoint) (int64, error)
	UpdateEndpoint(ctx context.Context, id int64, u replication.EndpointUpdate) error
	DeleteEndpoint(ctx context.Context, id int64) error
	PingEndpoint(ctx context.Context, p replication.EndpointPing) error
	EndpointInfo(ctx context.Context, id int64) (registry.Info, error)

	ListPolicies(ctx context.Context, q store.ListQuery) ([]replication.Policy, int64, error)
	GetPolicy(ctx context.Context, id int64) (replication.Policy, error)
	CreatePolicy(ctx context.Context, p replication.Policy) (int64, error)
	UpdatePolicy(ctx context.Context, p replication.Policy) error
	DeletePolicy(ctx context.Context, id int64) error
	Plan(ctx context.Context, p replication.Policy, bytes bool) (iter.Seq2[replication.PlanLine, error], error)
	KeepPlan(ctx context.Context, policy int64, bytes bool) (iter.Seq2[replication.PlanLine, error], error)

	Numbers(ctx context.Context) (replication.Numbers, error)
	Hours(ctx context.Context, hours int) ([]replication.HourNumbers, error)
	ListExecutions(ctx context.Context, f replication.ExecutionFilter, q store.ListQuery) ([]replication.Execution, int64, error)
	GetExecution(ctx context.Context, id int64) (replication.Execution, error)
	Start(ctx context.Context, policyID int64, trigger replication.Trigger) (int64, error)
	StartPlan(ctx context.Context, policy, plan int64, trigger replication.Trigger) (int64, error)
	Stop(ctx context.Context, id int64) error
	ListTasks(ctx context.Context, executionID int64, f replication.TaskFilter, q store.ListQuery) ([]replication.Task, int64, error)
	TaskLog(ctx context.Context, executionID, taskID int64) ([]replication.LogLine, error)
	Release(ctx context.Context, id int64) (tasks int64, err error)
	TaskLogAfter(ctx context.Context, executionID, taskID, line int64) ([]replication.LogLine, error)
	GetTask(ctx context.Context, executionID, taskID int64) (replication.Task, error)
	Watch(ctx context.Context) iter.Seq2[replication.Changes, error]
	RetryExecution(ctx context.Context, id int64) (int64, error)
	Drift(ctx context.Context, policy int64) (replication.Drift, error)
	ListDrift(ctx context.Context, policy int64, f replication.DriftFilter, q store.ListQuery) ([]replication.DriftEntry, int64, error)
	VerifyDrift(ctx context.Context, policy int64, deep bool) (int64, error)
	Reconcile(ctx context.Context, policy int64) (int64, error)
	RepairDrift(ctx context.Context, policy int64) (execution, items int64, err error)
	RetryTask(ctx context.Context, executionID, taskID int64) error
	Standings(ctx context.Context, repository string, artifacts []replication.StandingOf) (map[string][]replication.Standing, error)
}

// Notifications keeps who is told what happens.
type Notifications interface {
	List(ctx context.Context, q store.ListQuery) ([]notification.Target, int64, error)
	Get(ctx context.Context, id int64) (notification.Target, error)
	Create(ctx context.Context, t notification.Target) (int64, error)
	Update(ctx context.Context, t notification.Target, authHeader *string) error
	Delete(ctx context.Context, id int64) error
	Test(ctx context.Context, id int64) (notification.Attempt, error)
	Deliveries(ctx context.Context, id int64, q store.ListQuery) ([]notification.Delivery, int64, error)
}

// HarborHome is a Harbor that is home.
type HarborHome interface {
	URL() string
	Check(ctx context.Context) error
	Permissions(ctx context.Context) ([]harbor.Lack, error)
	Attachment(ctx context.Context) (*harbor.Attachment, error)
	Attach(ctx context.Context, a harbor.Attachment) ([]harbor.Attached, error)
	Detach(ctx context.Context, a harbor.Attachment) ([]harbor.Attached, error)
}

// Options are what the API works with. Those without a default are required.
type Options struct {
	Accounts      *account.Service
	Index         *home.Index
	Contents      Contents // not with Harbor
	Replication   Replication
	Settings      *Settings
	Notifications Notifications
	Applied       *Applied
	Audit         *audit.Log
	// Storage is that of the home registry; not with Harbor.
	Storage     Storage
	Inspections Inspections // not with Harbor
	// Home reads manifests and configs of the home registry, in process.
	Home *registry.Client
	// Harbor is home, in the place of a registry here: what that would hold cannot be
	// asked for then. Default: none.
	Harbor HarborHome
	// WebhookURL is where Harbor's webhooks are taken.
	WebhookURL string
	// Health looks at the parts of the server that can fail; an error says how.
	Health func(ctx context.Context) []Component
	// Version is Lighterage's own version, shown to those who are logged in.
	Version string
	// ExternalURL is the address that clients use, such as https://harbor.example.com.
	// Default: what the request says.
	ExternalURL string
	// StorageProvider is what the home registry is stored on: filesystem, s3.
	StorageProvider func() string
	// Volume returns the free and total bytes of the storage. Default: unknown, 0.
	Volume func() (free, total uint64, err error)
	// Certificate is the PEM of the root certificate that clients should trust. Default: none.
	Certificate []byte
	// Ending is closed when the server ends: answers that go on are ended then.
	Ending <-chan struct{}
	// Remote returns the address a request comes from. Default: that of its connection.
	Remote func(r *http.Request) string
	Clock  func() time.Time // default time.Now
	Log    *slog.Logger     // default slog.Default
}

// Component is a part of the server and what is wrong with it, if anything.
type Component struct {
	Name string
	Err  error
}

// api implements gen.StrictServerInterface, one file a resource.
type api struct {
	o          Options
	mux        *http.ServeMux
	origins    *http.CrossOriginProtection
	operations map[string]operation  // by the pattern they are routed under
	kinds      map[string]audit.Kind // of the entries of what is audited, by ids of operations
}

// New returns the handler of /api/, of /service/token and of /c/, where sessions begin and end.
func New(o Options) (http.Handler, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Remote == nil {
		o.Remote = func(r *http.Request) string { return r.RemoteAddr }
	}
	operations, err := readSpec(specText)
	if err != nil {
		return nil, fmt.Errorf("make the API: %w", err)
	}
	kinds, err := auditKinds(operations)
	if err != nil {
		return nil, fmt.Errorf("make the API: %w", err)
	}
	a := &api{o: o, mux: http.NewServeMux(), origins: http.NewCrossOriginProtection(), operations: operations, kinds: kinds}
	if o.ExternalURL != "" { // behind a proxy the Host of requests may be another one
		if err := a.origins.AddTrustedOrigin(originOf(o.ExternalURL)); err != nil {
			return nil, fmt.Errorf("make the API: external URL %s: %w", o.ExternalURL, err)
		}
	}
	strict := gen.NewStrictHandlerWithOptions(a, nil, gen.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  a.badBody,
		ResponseErrorHandlerFunc: a.fail,
	})
	gen.HandlerWithOptions(strict, gen.StdHTTPServerOptions{
		BaseURL:          basePath,
		BaseRouter:       a.mux,
		ErrorHandlerFunc: a.fail, // never for what a client sent: validate has refused that
	})
	return a, nil
}
