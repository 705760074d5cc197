package harbor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/registry"
	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
)

// Attachment says which projects of the Harbor send their webhooks here, and how.
type Attachment struct {
	// Projects are patterns on project names, as in a rule's name filter; none: all.
	Projects []string `json:"projects"`
	// Address is where the Harbor reaches this server's WebhookPath.
	Address string `json:"address"`
	// CloudEvents has the Harbor send that format; before 2.8 it knows only its own.
	CloudEvents bool `json:"cloud_events,omitempty"`
	// SkipCertVerify has the Harbor not verify this server's certificate.
	SkipCertVerify bool `json:"skip_cert_verify,omitempty"`
}

// Attached is what was done in one project.
type Attached struct {
	Project string
	Action  string // created, updated, unchanged, removed, none or failed
	Reason  string // why it failed
}

const (
	attachSetting  = "harbor.attachment"
	attachInterval = 5 * time.Minute
	projectsAtOnce = 16
)

// policy is a webhook policy of a project, as Harbor's API has it.
type policy struct {
	ID          int64    `json:"id,omitempty"`
	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Enabled     bool     `json:"enabled"`
	EventTypes  []string `json:"event_types"`
	Targets     []target `json:"targets"`
}

type target struct {
	Type           string `json:"type"`
	Address        string `json:"address"`
	AuthHeader     string `json:"auth_header,omitempty"`
	SkipCertVerify bool   `json:"skip_cert_verify"`
	PayloadFormat  string `json:"payload_format,omitempty"`
}

// wanted is the policy that a project should have. The format is only named where it
// is not the usual one: Harbor before 2.8 knows no such field.
func (h *Home) wanted(a Attachment) policy {
	t := target{Type: "http", Address: a.Address, AuthHeader: "Bearer " + h.secret, SkipCertVerify: a.SkipCertVerify}
	if a.CloudEvents {
		t.PayloadFormat = "CloudEvents"
	}
	return policy{
		Name: "lighterage", Description: "Tells Lighterage of pushes and deletions, made by lighterage harbor attach", Enabled: true,
		EventTypes: []string{"PUSH_ARTIFACT", "DELETE_ARTIFACT"}, Targets: []target{t},
	}
}

// same reports whether a policy does what another one says.
func (p policy) same(q policy) bool {
	if p.Enabled != q.Enabled || len(p.Targets) != 1 || len(p.EventTypes) != len(q.EventTypes) {
		return false
	}
	for _, e := range q.EventTypes {
		if !slices.Contains(p.EventTypes, e) {
			return false
		}
	}
	mine, other := p.Targets[0], q.Targets[0]
	mine.PayloadFormat, other.PayloadFormat = format(mine), format(other)
	return mine == other
}

func format(t target) string {
	if t.PayloadFormat == "" {
		return "Default"
	}
	return t.PayloadFormat
}

// goesTo reports whether a policy sends to an address.
func (p policy) goesTo(address string) bool {
	return slices.ContainsFunc(p.Targets, func(t target) bool { return t.Address == address })
}

// Attach has the matching projects send their webhooks here, and remembers it, so that
// projects that come later do so too. What is as it should be is left alone. It
// returns what it did in each project, by name.
func (h *Home) Attach(ctx context.Context, a Attachment) ([]Attached, error) {
	if err := a.check(h.URL()); err != nil {
		return nil, err
	}
	before, err := h.Attachment(ctx)
	if err != nil {
		return nil, err
	}
	addresses := []string{a.Address}
	if before != nil {
		addresses = append(addresses, before.Address)
	}
	done, err := h.inProjects(ctx, a, func(ctx context.Context, project string) (string, error) {
		return h.attach(ctx, project, h.wanted(a), addresses)
	})
	if err != nil {
		return done, err
	}
	err = h.db.InTx(ctx, func(tx *store.Tx) error { return store.SetSetting(ctx, tx, attachSetting, store.JSON(a)) })
	return done, err
}

// attach makes or mends the policy of one project. It is known by where it sends to, now
// or before: names and secrets may be those of another server.
func (h *Home) attach(ctx context.Context, project string, want policy, addresses []string) (action string, err error) {
	list, err := h.policies(ctx, project)
	if err != nil {
		return "", err
	}
	at := -1
	for _, address := range addresses {
		if at < 0 {
			at = slices.IndexFunc(list, func(p policy) bool { return p.goesTo(address) })
		}
	}
	if at >= 0 && list[at].same(want) {
		return "unchanged", nil
	}
	if at >= 0 {
		want.Name, want.ID = list[at].Name, list[at].ID
		err := h.api.Send(ctx, http.MethodPut, want, "projects", project, "webhook", "policies", strconv.FormatInt(want.ID, 10))
		return "updated", h.api.Lacks(err, "notification policy: update", project)
	}
	for n := 2; slices.ContainsFunc(list, func(p policy) bool { return p.Name == want.Name }); n++ {
		want.Name = fmt.Sprintf("lighterage-%d", n) // the name belongs to another server
	}
	err = h.api.Send(ctx, http.MethodPost, want, "projects", project, "webhook", "policies")
	return "created", h.api.Lacks(err, "notification policy: create", project)
}

func (h *Home) policies(ctx context.Context, project string) ([]policy, error) {
	list, err := registry.HarborList[policy](ctx, h.api, url.Values{}, "projects", project, "webhook", "policies")
	return list, h.api.Lacks(err, "notification policy: list", project)
}

// Detach removes this server's webhook policies from the matching projects: those that
// send to the address, or to the one that Attach was told last. If all projects match,
// none are made any more.
func (h *Home) Detach(ctx context.Context, a Attachment) ([]Attached, error) {
	before, err := h.Attachment(ctx)
	if err != nil {
		return nil, err
	}
	addresses := []string{a.Address}
	if before != nil {
		addresses = append(addresses, before.Address)
	}
	// First, so that nothing is made again behind this one's back.
	if len(a.Projects) == 0 && before != nil {
		err := h.db.InTx(ctx, func(tx *store.Tx) error {
			_, err := tx.ExecContext(ctx, `DELETE FROM settings WHERE name = $1`, attachSetting)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("forget the attachment: %w", err)
		}
	}
	return h.inProjects(ctx, a, func(ctx context.Context, project string) (string, error) {
		list, err := h.policies(ctx, project)
		if err != nil {
			return "", err
		}
		action := "none"
		for _, p := range list {
			if !slices.ContainsFunc(addresses, func(address string) bool { return address != "" && p.goesTo(address) }) {
				continue
			}
			err := h.api.Send(ctx, http.MethodDelete, nil, "projects", project, "webhook", "policies", strconv.FormatInt(p.ID, 10))
			if err != nil && !registry.IsGone(err) {
				return "", h.api.Lacks(err, "notification policy: delete", project)
			}
			action = "removed"
		}
		return action, nil
	})
}

// Attachment is what Attach was told last; nil: nothing.
func (h *Home) Attachment(ctx context.Context) (*Attachment, error) {
	text, found, err := h.db.Setting(ctx, attachSetting)
	if err != nil || !found {
		return nil, err
	}
	var a Attachment
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return nil, fmt.Errorf("read setting %s: %w", attachSetting, err)
	}
	return &a, nil
}

// keepAttached makes the policies that new projects lack, and mends those that somebody
// has changed.
func (h *Home) keepAttached(ctx context.Context) {
	a, err := h.Attachment(ctx)
	if err == nil && a != nil {
		var done []Attached
		done, err = h.Attach(ctx, *a)
		for _, p := range done {
			switch p.Action {
			case "created", "updated":
				h.log.Info("a project of the Harbor sends its webhooks here now", "project", p.Project)
			case "failed":
				h.log.Warn("a project of the Harbor does not send its webhooks here", "project", p.Project, "reason", p.Reason)
			}
		}
	}
	if err != nil && ctx.Err() == nil {
		h.log.Warn("the webhooks of the Harbor are not looked after", "error", err)
	}
}

// inProjects does something in every matching project. What fails in one does not keep
// the others back.
func (h *Home) inProjects(ctx context.Context, a Attachment, do func(ctx context.Context, project string) (string, error)) ([]Attached, error) {
	match, err := matchProjects(a.Projects)
	if err != nil {
		return nil, err
	}
	projects, err := h.projects(ctx)
	if err != nil {
		return nil, err
	}
	projects = slices.DeleteFunc(projects, func(p project) bool { return !match(p.Name) })
	done := make([]Attached, len(projects))
	var group errgroup.Group
	group.SetLimit(projectsAtOnce)
	for i, p := range projects {
		group.Go(func() error {
			action, err := do(ctx, p.Name)
			if err != nil {
				action = "failed"
				done[i].Reason = err.Error()
			}
			done[i].Project, done[i].Action = p.Name, action
			return nil
		})
	}
	_ = group.Wait() // its functions return nil
	slices.SortFunc(done, func(a, b Attached) int { return strings.Compare(a.Project, b.Project) })
	return done, ctx.Err()
}

type project struct {
	ID   int64  `json:"project_id"`
	Name string `json:"name"`
}

func (h *Home) projects(ctx context.Context) ([]project, error) {
	list, err := registry.HarborList[project](ctx, h.api, url.Values{}, "projects")
	if err != nil {
		return nil, fmt.Errorf("list the projects of %s: %w", h.api.Client().Host(), err)
	}
	return list, nil
}

// matchProjects returns whether one of the patterns matches a name.
func matchProjects(patterns []string) (func(string) bool, error) {
	for _, pattern := range patterns {
		if _, err := rule.MatchPattern(pattern, "project"); err != nil {
			return nil, problem.Wrap(problem.BadRequest, err, "project pattern %q", pattern)
		}
	}
	return func(name string) bool {
		return len(patterns) == 0 || slices.ContainsFunc(patterns, func(pattern string) bool {
			ok, _ := rule.MatchPattern(pattern, name) // it has been tried
			return ok
		})
	}, nil
}

// check refuses addresses to which a Harbor cannot send.
func (a Attachment) check(harbor string) error {
	u, err := url.Parse(a.Address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return problem.New(problem.BadRequest, "address %q: want http(s)://HOST[:PORT]%s, as the Harbor reaches this server", a.Address, WebhookPath)
	}
	if !strings.HasSuffix(u.Path, WebhookPath) {
		return problem.New(problem.BadRequest, "address %q: this server takes webhooks at %s", a.Address, WebhookPath)
	}
	there, err := url.Parse(harbor)
	if err != nil {
		return errors.New("the URL of the Harbor cannot be read")
	}
	if onThisMachine(u.Hostname()) && !onThisMachine(there.Hostname()) {
		return problem.New(problem.BadRequest,
			"address %q is this machine only, and the Harbor is another one: say under which address it reaches this server", a.Address)
	}
	return nil
}

func onThisMachine(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && (ip.IsLoopback() || ip.IsUnspecified()) || net.ParseIP(host).IsLoopback()
}
