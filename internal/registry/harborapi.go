package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Harbor is a Harbor for those who need more of its API v2.0 than an Adapter gives.
// It is safe for concurrent use.
type Harbor struct{ adapter *harbor }

// NewHarbor makes the API of an endpoint, whose provider is taken to be ProviderHarbor.
// It does no I/O.
func NewHarbor(e Endpoint, o Options) (*Harbor, error) {
	e.Provider = ProviderHarbor
	c, err := NewClient(e, o)
	if err != nil {
		return nil, err
	}
	return &Harbor{newHarbor(c)}, nil
}

// Adapter is the same Harbor as every rule may have it as a side; it shares all that
// is known of the host.
func (h *Harbor) Adapter() Adapter { return h.adapter }

// Client returns the client that all requests go through.
func (h *Harbor) Client() *Client { return h.adapter.client }

// Account is the name of the credential, for messages.
func (h *Harbor) Account() string { return h.adapter.client.auth.account() }

// HarborArtifact is an artifact and the manifests that it contains.
type HarborArtifact struct {
	Artifact          // without Accessories
	Children []string // digests that an index names
}

// Artifact returns what a tag or digest is now, with its tags and labels. IsGone when
// it is nothing.
func (h *Harbor) Artifact(ctx context.Context, repository, reference string) (HarborArtifact, error) {
	if err := h.adapter.CheckRepository(repository); err != nil {
		return HarborArtifact{}, err
	}
	if _, err := checkReference(reference); err != nil {
		return HarborArtifact{}, err
	}
	a, err := h.adapter.artifact(ctx, repository, reference)
	if err != nil {
		return HarborArtifact{}, fmt.Errorf("look at %s of %s: %w", reference, repository, err)
	}
	return a.harborArtifact(), nil
}

func (a harborArtifact) harborArtifact() HarborArtifact {
	out := HarborArtifact{Artifact: a.artifact()}
	for _, r := range a.References {
		out.Children = append(out.Children, r.ChildDigest)
	}
	return out
}

// Place is where an artifact stands among the others of its repository.
type Place int

// The places.
const (
	OnItsOwn  Place = iota // it has tags, or no index names it
	InAnIndex              // an index names it, and it has no tags
	Accessory              // it refers to another manifest
)

// Place tells the place of an artifact that is there, from which lists it appears in:
// Harbor says neither which indexes contain a manifest nor what an accessory refers to.
func (h *Harbor) Place(ctx context.Context, repository, digest string) (Place, error) {
	if err := h.adapter.CheckRepository(repository); err != nil {
		return OnItsOwn, err
	}
	if d, err := checkReference(digest); err != nil || d == "" {
		return OnItsOwn, fmt.Errorf("%q is no digest", digest)
	}
	for _, among := range []struct {
		base  string
		place Place
	}{{"", OnItsOwn}, {"base=*,", InAnIndex}} {
		query := url.Values{"q": {among.base + "digest=" + digest}, "with_tag": {"false"}}
		list, err := listAll[harborArtifact](ctx, h.adapter, h.adapter.repository(repository, "artifacts"), query)
		if err != nil && !IsGone(err) {
			return OnItsOwn, fmt.Errorf("look for %s in %s: %w", digest, repository, err)
		}
		if slices.ContainsFunc(list, func(a harborArtifact) bool { return a.Digest == digest }) {
			return among.place, nil
		}
	}
	return Accessory, nil
}

// IndexesOf returns the artifacts that contain a manifest, directly or through other
// indexes.
func (h *Harbor) IndexesOf(ctx context.Context, repository, digest string) ([]HarborArtifact, error) {
	query := url.Values{"q": {"base=*"}, "with_tag": {"true"}, "with_label": {"true"}}
	list, err := listAll[harborArtifact](ctx, h.adapter, h.adapter.repository(repository, "artifacts"), query)
	if err != nil {
		return nil, fmt.Errorf("look for what contains %s in %s: %w", digest, repository, err)
	}
	inside := map[string]bool{digest: true}
	var all []HarborArtifact
	for more := true; more; {
		more = false
		for _, a := range list {
			if err := a.check(); err != nil {
				return nil, err
			}
			one := a.harborArtifact()
			if !inside[one.Digest] && slices.ContainsFunc(one.Children, func(d string) bool { return inside[d] }) {
				inside[one.Digest], more = true, true
				all = append(all, one)
			}
		}
	}
	return all, nil
}

// Get asks for a path below /api/v2.0 and reads the JSON that is answered into a value.
// The parts of the path are escaped here.
func (h *Harbor) Get(ctx context.Context, into any, query url.Values, path ...string) error {
	r := h.adapter.request(http.MethodGet, h.adapter.api(escaped(path)...))
	r.url.RawQuery = query.Encode()
	a, err := h.adapter.session.do(ctx, r)
	if err != nil {
		return err
	}
	return decode(a, into)
}

// HarborList reads all pages of a list below /api/v2.0; see Harbor.Get.
func HarborList[T any](ctx context.Context, h *Harbor, query url.Values, path ...string) ([]T, error) {
	return listAll[T](ctx, h.adapter, h.adapter.api(escaped(path)...), query)
}

// Send makes a change below /api/v2.0. A nil body sends none.
func (h *Harbor) Send(ctx context.Context, method string, body any, path ...string) error {
	r := h.adapter.request(method, h.adapter.api(escaped(path)...))
	r.want = []int{http.StatusOK, http.StatusCreated, http.StatusAccepted, http.StatusNoContent}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		r.body = text
		r.header.Set("Content-Type", "application/json")
	}
	_, err := h.adapter.client.do(ctx, r)
	return err
}

func escaped(parts []string) []string {
	out := make([]string, len(parts))
	for i, part := range parts {
		out[i] = url.PathEscape(part)
	}
	return out
}

// Lacks adds to a refusal which permission of a project the account lacks.
func (h *Harbor) Lacks(err error, permission, project string) error {
	return h.adapter.lacks(err, permission, project)
}

// HarborUser is an account of a person at a Harbor.
type HarborUser struct {
	ID       int64  `json:"user_id"`
	Username string `json:"username"`
	Email    string `json:"email"`
	Realname string `json:"realname"`
	SysAdmin bool   `json:"sysadmin_flag"`
	// AdminByGroup: the directory that Harbor asks makes it an administrator.
	AdminByGroup bool `json:"admin_role_in_auth"`
}

// Login asks who has a name and password: found is false when nobody has. Robot
// accounts are nobody.
func (h *Harbor) Login(ctx context.Context, name, password string) (user HarborUser, found bool, err error) {
	if name == "" || password == "" || strings.Contains(name, ":") { // Basic knows no such name
		return HarborUser{}, false, nil
	}
	r := h.adapter.request(http.MethodGet, h.adapter.api("users", "current"))
	r.want = []int{http.StatusOK, http.StatusPreconditionFailed}
	a, err := h.adapter.client.exchange(ctx, r, basicOf(name, password))
	if IsUnauthorized(err) || err == nil && a.status == http.StatusPreconditionFailed {
		return HarborUser{}, false, nil
	}
	if err != nil {
		return HarborUser{}, false, fmt.Errorf("ask %s who %q is: %w", h.adapter.client.Host(), name, err)
	}
	if err := decode(a, &user); err != nil {
		return HarborUser{}, false, err
	}
	return user, user.ID != 0 && user.Username != "", nil
}
