package kube

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
)

// Account is an administrator of a Harbor, and where it is reached.
type Account struct {
	URL      string // "": as the release says
	User     string // "": admin
	Password string // "": what the cluster's Secret has
	CA       []byte // PEM of authorities to trust beside the system's
	Insecure bool   // do not verify its certificate
}

// Activity is what Harbor itself says about what changes its storage.
type Activity struct {
	ReadOnly  bool       `json:"read_only"`
	Editable  bool       `json:"read_only_editable"` // whether the API may change that
	Schedules []Schedule `json:"schedules"`
	Running   []string   `json:"running"` // kinds of jobs that go on now and change the storage
	Paused    []string   `json:"paused"`  // kinds of them whose queue is paused
	Queues    []string   `json:"-"`       // kinds of them that have a queue: each has one from its first job on
}

// Schedule is when something runs by itself.
type Schedule struct {
	Kind string `json:"kind"` // in Harbor's word
	ID   int64  `json:"id,omitempty"`
	Cron string `json:"cron"`
}

// changing are the kinds of Harbor's jobs that delete or push images.
var changing = []string{"GARBAGE_COLLECTION", "RETENTION", "REPLICATION"}

// Ask has the Harbor of a release say what goes on in it, and adds what that means for
// a migration to what stands in the way.
func (c *Cluster) Ask(ctx context.Context, r *Release, a Account) error {
	if r.Packaging == HarborCluster {
		return nil // there is nothing to prepare
	}
	h, err := c.harbor(ctx, r, a)
	if err != nil {
		return err
	}
	defer h.client.CloseIdleConnections()
	if r.Activity, err = h.activity(ctx); err != nil {
		return err
	}
	r.judgeActivity()
	return nil
}

func (r *Release) judgeActivity() {
	a := r.Activity
	if _, byValues := r.settings(); !a.Editable && !r.ConfigLocked && !byValues {
		r.obstacle(Stops, "config-locked", "Look at why under Administration, Configuration; it may be fixed by CONFIG_OVERWRITE_JSON.",
			"Harbor says that read-only mode may not be changed through its API.")
	}
	if a.ReadOnly {
		r.obstacle(Warns, "read-only", "Switch it off under Administration, Configuration, unless somebody needs it.",
			"Harbor is read-only already: nobody can push.")
	}
	for _, kind := range a.Running {
		r.obstacle(Warns, "running", "Wait until it has ended before the window, or stop it.", "A job goes on that changes the storage: %s.", kind)
	}
	r.Steps = r.steps()
}

// harborAPI is Harbor's API v2.0 for what a migration asks of it.
type harborAPI struct {
	address, base, user, password string
	authority                     string // PEM
	insecure                      bool
	client                        *http.Client
}

func (c *Cluster) harbor(ctx context.Context, r *Release, a Account) (*harborAPI, error) {
	address := strings.TrimSuffix(cmp.Or(a.URL, r.ExternalURL), "/")
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, problem.New(problem.BadRequest, "it is not known where Harbor %s is reached: give its address with --harbor-url http(s)://HOST[:PORT]", r.Name)
	}
	if a.Password == "" {
		if a.Password, err = c.adminPassword(ctx, r); err != nil {
			return nil, err
		}
	}
	trust := &tls.Config{InsecureSkipVerify: a.Insecure}
	if len(a.CA) > 0 {
		if trust.RootCAs, err = x509.SystemCertPool(); err != nil {
			trust.RootCAs = x509.NewCertPool()
		}
		if !trust.RootCAs.AppendCertsFromPEM(a.CA) {
			return nil, problem.New(problem.BadRequest, "the file of --harbor-ca has no certificate in PEM")
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = trust
	return &harborAPI{
		address: address, base: address + "/api/v2.0", user: cmp.Or(a.User, "admin"), password: a.Password,
		authority: string(a.CA), insecure: a.Insecure,
		client: &http.Client{
			Transport: transport, Timeout: 30 * time.Second,
			// The password is for this address and no other.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// adminPassword reads what the chart has for the administrator's first password. It may
// have been changed in Harbor since.
func (c *Cluster) adminPassword(ctx context.Context, r *Release) (string, error) {
	name, key := textAt(r.values, "existingSecretAdminPassword"), cmp.Or(textAt(r.values, "existingSecretAdminPasswordKey"), "HARBOR_ADMIN_PASSWORD")
	if name == "" {
		name, key = r.FullName+"-core", "HARBOR_ADMIN_PASSWORD"
	}
	secret, err := c.get(ctx, secrets, name)
	if err != nil {
		return "", err
	}
	if secret != nil {
		if password, err := base64.StdEncoding.DecodeString(textAt(secret.Object, "data", key)); err == nil && len(password) > 0 {
			return string(password), nil
		}
	}
	return "", problem.New(problem.BadRequest, "the Secret %s has no %s: give the password of Harbor's administrator in HARBOR_PASSWORD", name, key)
}

func (h *harborAPI) activity(ctx context.Context) (*Activity, error) {
	a, err := h.readOnly(ctx)
	if err != nil {
		return nil, err
	}
	const page = 100
	for n := 1; ; n++ {
		var schedules []struct {
			Kind string `json:"vendor_type"`
			ID   int64  `json:"vendor_id"`
			Cron string `json:"cron"`
		}
		if err := h.get(ctx, fmt.Sprintf("/schedules?page=%d&page_size=%d", n, page), &schedules); err != nil {
			return nil, err
		}
		for _, s := range schedules {
			if slices.Contains(changing, s.Kind) {
				a.Schedules = append(a.Schedules, Schedule{s.Kind, max(s.ID, 0), s.Cron})
			}
		}
		if len(schedules) < page {
			break
		}
	}
	var queues []struct {
		Kind   string `json:"job_type"`
		Paused bool   `json:"paused"`
	}
	if err := h.get(ctx, "/jobservice/queues", &queues); err != nil {
		return nil, err
	}
	for _, q := range queues {
		if slices.Contains(changing, q.Kind) {
			a.Queues = append(a.Queues, q.Kind)
		}
		if q.Paused && slices.Contains(changing, q.Kind) {
			a.Paused = append(a.Paused, q.Kind)
		}
	}
	var workers []struct {
		Kind string `json:"job_name"`
	}
	if err := h.get(ctx, "/jobservice/pools/all/workers", &workers); err != nil {
		return nil, err
	}
	for _, w := range workers {
		if slices.Contains(changing, w.Kind) && !slices.Contains(a.Running, w.Kind) {
			a.Running = append(a.Running, w.Kind)
		}
	}
	return a, nil
}

// readOnly asks whether Harbor is in read-only mode, and whether that can be changed.
func (h *harborAPI) readOnly(ctx context.Context) (*Activity, error) {
	var configuration struct {
		ReadOnly struct {
			Value    bool `json:"value"`
			Editable bool `json:"editable"`
		} `json:"read_only"`
	}
	if err := h.get(ctx, "/configurations", &configuration); err != nil {
		return nil, err
	}
	return &Activity{
		ReadOnly: configuration.ReadOnly.Value, Editable: configuration.ReadOnly.Editable,
		Schedules: []Schedule{}, Running: []string{}, Paused: []string{},
	}, nil
}

// answerLimit bounds what is read of an answer.
const answerLimit = 16 << 20

func (h *harborAPI) get(ctx context.Context, path string, into any) error {
	return h.call(ctx, http.MethodGet, path, nil, into)
}

// call sends a request, with body as JSON if there is one, and reads the answer into
// into unless that is nil.
func (h *harborAPI) call(ctx context.Context, method, path string, body, into any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("write the request to Harbor: %w", err)
		}
		content = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, h.base+path, content)
	if err != nil {
		return err
	}
	request.SetBasicAuth(h.user, h.password)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := h.client.Do(request)
	if err != nil {
		return fmt.Errorf("ask Harbor at %s: %w", h.base, withoutURL(err))
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, answerLimit))
	if err != nil {
		return fmt.Errorf("ask Harbor at %s: %w", h.base, err)
	}
	if answer.StatusCode/100 != 2 {
		return h.refused(method, path, answer, text)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(text, into); err != nil {
		return fmt.Errorf("what Harbor at %s answers to %s is not its API: %w", h.base, path, err)
	}
	return nil
}

// refused says what an answer means that is no success.
func (h *harborAPI) refused(method, path string, answer *http.Response, text []byte) error {
	verb := "look at"
	if method != http.MethodGet {
		verb = "change"
	}
	switch code := answer.StatusCode; {
	case code == http.StatusUnauthorized:
		return problem.New(problem.Unauthorized, "Harbor at %s does not accept the password of %s: give the right one in HARBOR_PASSWORD", h.base, h.user)
	case code == http.StatusForbidden && isReadOnlyAnswer(text):
		return problem.New(problem.Denied, "Harbor at %s is in read-only mode, and refuses to change %s", h.base, path)
	case code == http.StatusForbidden:
		return problem.New(problem.Forbidden, "Harbor at %s does not let %s %s %s: an administrator is needed", h.base, h.user, verb, path)
	case code == http.StatusNotFound:
		return problem.New(problem.NotFound, "Harbor at %s knows no %s: is it a Harbor of 2.7 or later, and its address?", h.base, path)
	case code == http.StatusConflict:
		return problem.New(problem.Conflict, "Harbor at %s: %s exists", h.base, path)
	}
	return fmt.Errorf("ask Harbor at %s for %s: %s", h.base, path, answer.Status)
}

// isReadOnlyAnswer reports whether a refusal is that of read-only mode, by which Harbor
// answers everything that changes something.
func isReadOnlyAnswer(text []byte) bool {
	return strings.Contains(strings.ToLower(string(text)), "read only mode")
}

// withoutURL is the cause of a failed request: the address is said already.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}
