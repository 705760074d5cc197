package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

// harbor is a Harbor 2: the distribution protocol for content, API v2.0 for everything
// that it lacks.
type harbor struct {
	client  *Client
	session *harborSession

	mu       sync.Mutex
	projects map[string]bool        // that are known to exist
	public   map[string]knownLately // by project
}

// knownLately is whether a project is public, and when that was asked.
type knownLately struct {
	public bool
	asked  time.Time
}

// publicFor is how long an answer about a project's publicity counts.
const publicFor = 5 * time.Minute

// Public asks for the project's own setting.
func (h *harbor) Public(ctx context.Context, repository string) (bool, error) {
	name := project(repository)
	if checkRepository(repository) != nil {
		return false, nil
	}
	h.mu.Lock()
	known, ok := h.public[name]
	h.mu.Unlock()
	if ok && time.Since(known.asked) < publicFor {
		return known.public, nil
	}
	var found struct {
		Metadata struct {
			Public string `json:"public"`
		} `json:"metadata"`
	}
	a, err := h.session.do(ctx, h.request(http.MethodGet, h.api("projects", name)))
	if err == nil {
		err = decode(a, &found)
	}
	if err != nil && !IsNotFound(err) && !IsUnauthorized(err) {
		return false, err
	}
	known = knownLately{found.Metadata.Public == "true", time.Now()}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.public[name] = known
	return known.public, nil
}

// FindBlob asks for one repository that the account sees.
func (h *harbor) FindBlob(ctx context.Context, d digest.Digest) (string, error) {
	if err := checkDigest(d); err != nil {
		return "", err
	}
	r := h.request(http.MethodGet, h.api("repositories"))
	r.url.RawQuery = url.Values{"q": {"blob_digest=" + d.String()}, "page_size": {"1"}}.Encode()
	a, err := h.session.do(ctx, r)
	if err != nil {
		return "", fmt.Errorf("look for a repository with %s: %w", d, err)
	}
	var found []struct {
		Name string `json:"name"`
	}
	if err := decode(a, &found); err != nil || len(found) == 0 {
		return "", err
	}
	if err := checkRepository(found[0].Name); err != nil {
		return "", err
	}
	return found[0].Name, nil
}

const (
	harborPage = 100        // entries a page, the most that Harbor gives
	harborMost = 10_000_000 // entries of a list that we believe
)

func harborProvider() provider {
	return provider{info: ProviderInfo{Type: ProviderHarbor}, open: func(e Endpoint, o Options) (Adapter, error) {
		c, err := NewClient(e, o)
		if err != nil {
			return nil, err
		}
		return newHarbor(c), nil
	}}
}

func newHarbor(c *Client) *harbor {
	return &harbor{client: c, session: &harborSession{client: c}, projects: map[string]bool{}, public: map[string]knownLately{}}
}

func (h *harbor) Client() *Client { return h.client }

func (h *harbor) Info() Info { return harborInfo() }

// CheckRepository wants a project in front of the name.
func (h *harbor) CheckRepository(name string) error {
	if err := checkRepository(name); err != nil {
		return err
	}
	if !strings.Contains(name, "/") {
		return problem.New(problem.BadRequest, "%q cannot be a repository of Harbor: it needs a project in front, such as library/%s", name, name)
	}
	return nil
}

// Artifacts lists through the API: digests, tags, labels and types are told at once.
// Children of an index are not listed unless they have tags of their own; accessories
// are named by what they belong to, and listed for their tags only.
func (h *harbor) Artifacts(ctx context.Context, m *rule.Matcher) iter.Seq2[Listing, error] {
	names, literal := wanted(m, func() iter.Seq2[string, error] { return h.repositories(ctx) })
	return listEach(ctx, names, func(ctx context.Context, name string) (Listing, bool, error) {
		if err := h.CheckRepository(name); err != nil {
			return Listing{}, false, err
		}
		artifacts, err := h.artifacts(ctx, name, m == nil || m.HasLabelFilter())
		if IsNotFound(err) {
			return Listing{}, !literal, nil
		}
		if err != nil {
			return Listing{}, false, fmt.Errorf("list artifacts of %s: %w", name, h.lacks(err, "artifact: list", project(name)))
		}
		// To a repository that does not exist Harbor answers with an empty list too.
		return Listing{Artifacts: artifacts}, !literal || len(artifacts) > 0, nil
	})
}

// repositories yields the repositories of all projects that the account sees.
func (h *harbor) repositories(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		type named struct {
			Name string `json:"name"`
		}
		projects, err := listAll[named](ctx, h, h.api("projects"), url.Values{})
		if err != nil {
			yield("", fmt.Errorf("list projects of %s: %w", h.client.Host(), err))
			return
		}
		pages, failures := make([][]named, len(projects)), make([]error, len(projects))
		var group errgroup.Group
		group.SetLimit(listers)
		for i, p := range projects {
			group.Go(func() error {
				var err error
				pages[i], err = listAll[named](ctx, h, h.api("projects", url.PathEscape(p.Name), "repositories"), url.Values{})
				if err != nil && !IsNotFound(err) { // deleted in between is no failure
					failures[i] = fmt.Errorf("list repositories of project %s: %w", p.Name, h.lacks(err, "repository: list", p.Name))
				}
				return nil
			})
		}
		_ = group.Wait() // the failures are kept beside the pages
		for _, r := range slices.Concat(pages...) {
			if !yield(r.Name, nil) {
				return
			}
		}
		if err := errors.Join(failures...); err != nil {
			yield("", err)
		}
	}
}

// Prepare makes the projects that do not exist. A project that is a proxy cache takes
// no pushes and is an error.
func (h *harbor) Prepare(ctx context.Context, repositories []string, public map[string]bool) error {
	wanted := map[string]bool{} // project -> public
	for _, name := range repositories {
		if err := h.CheckRepository(name); err != nil {
			return err
		}
		project, _, _ := strings.Cut(name, "/")
		wanted[project] = wanted[project] || public[name] || public[project]
	}
	var failures []error
	for project, public := range wanted {
		h.mu.Lock()
		known := h.projects[project]
		h.mu.Unlock()
		if known {
			continue
		}
		if err := h.prepareProject(ctx, project, public); err != nil {
			failures = append(failures, fmt.Errorf("prepare project %s at %s: %w", project, h.client.Host(), err))
			continue
		}
		h.mu.Lock()
		h.projects[project] = true
		h.mu.Unlock()
	}
	return errors.Join(failures...)
}

func (h *harbor) prepareProject(ctx context.Context, project string, public bool) error {
	var found []struct {
		Name       string `json:"name"`
		RegistryID int64  `json:"registry_id"`
	}
	look := h.request(http.MethodGet, h.api("projects"))
	look.url.RawQuery = url.Values{"name": {project}, "page_size": {strconv.Itoa(harborPage)}}.Encode()
	a, err := h.client.do(ctx, look)
	if err == nil {
		err = decode(a, &found)
	}
	// An account may push to a project without being allowed to list any: go on and see.
	if err != nil && !IsUnauthorized(err) {
		return err
	}
	for _, p := range found {
		if p.Name == project && p.RegistryID > 0 {
			return problem.New(problem.Precondition, "the project is a proxy cache of another registry, which takes no pushes")
		}
		if p.Name == project {
			return nil
		}
	}
	create := h.request(http.MethodPost, h.api("projects"))
	create.header.Set("Content-Type", "application/json")
	create.want = []int{http.StatusCreated, http.StatusConflict}
	if create.body, err = json.Marshal(map[string]any{
		"project_name": project, "metadata": map[string]string{"public": strconv.FormatBool(public)},
	}); err != nil {
		return err
	}
	_, err = h.client.do(ctx, create)
	if !IsUnauthorized(err) || IsReadOnly(err) {
		return err
	}
	// It may be there without our being allowed to see it.
	exists := h.request(http.MethodHead, h.api("projects"))
	exists.url.RawQuery = url.Values{"project_name": {project}}.Encode()
	if _, headErr := h.client.do(ctx, exists); headErr == nil {
		return nil
	}
	return fmt.Errorf("it does not exist and %s may not create it; create it there, or give the account the system permission \"project: create\": %w", h.client.auth.account(), err)
}

// DeleteTag removes the tag from its artifact; the artifact stays.
func (h *harbor) DeleteTag(ctx context.Context, repository, tag string) error {
	if err := h.CheckRepository(repository); err != nil {
		return err
	}
	if err := checkTag(tag); err != nil {
		return err
	}
	r := h.request(http.MethodDelete, h.repository(repository, "artifacts", tag, "tags", tag))
	if _, err := h.client.do(ctx, r); err != nil {
		if e, ok := errors.AsType[*Error](err); ok && e.Status == http.StatusPreconditionFailed {
			e.hint = "a tag immutability rule of the destination protects the tag"
		}
		return fmt.Errorf("delete tag %s:%s: %w", repository, tag, h.lacks(err, "tag: delete", project(repository)))
	}
	return nil
}

func (h *harbor) api(parts ...string) *url.URL {
	return h.client.endpoint(append([]string{"api", "v2.0"}, parts...)...)
}

// repository is a URL below a repository. Harbor wants slashes in names encoded twice.
func (h *harbor) repository(name string, parts ...string) *url.URL {
	project, rest, _ := strings.Cut(name, "/")
	return h.api(append([]string{"projects", project, "repositories", strings.ReplaceAll(rest, "/", "%252F")}, parts...)...)
}

func (h *harbor) request(method string, u *url.URL) *request {
	return &request{
		method: method, url: u, limit: maxListBody, want: []int{http.StatusOK}, password: true,
		// A project may be named 123; without this Harbor takes that for an id.
		header: http.Header{"Accept": {"application/json"}, "X-Is-Resource-Name": {"true"}},
	}
}

func decode(a *answer, v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return fmt.Errorf("%s %s%s: the answer is not what Harbor's API says: %w", a.request.method, a.request.url.Host, a.request.url.Path, err)
	}
	return nil
}

// listAll reads all pages of a list; the first tells how many there are, the others
// come at the same time.
func listAll[T any](ctx context.Context, h *harbor, u *url.URL, query url.Values) ([]T, error) {
	page := func(ctx context.Context, n int) (items []T, total int, err error) {
		r := h.request(http.MethodGet, new(*u))
		q := url.Values{"page": {strconv.Itoa(n)}, "page_size": {strconv.Itoa(harborPage)}}
		for name, values := range query {
			q[name] = values
		}
		r.url.RawQuery = q.Encode()
		a, err := h.session.do(ctx, r)
		if err != nil {
			return nil, 0, err
		}
		if total, err = strconv.Atoi(a.header.Get("X-Total-Count")); err != nil {
			total = -1
		}
		err = decode(a, &items)
		return items, total, err
	}
	first, total, err := page(ctx, 1)
	if err != nil {
		return nil, err
	}
	if total < 0 { // an old Harbor, or a proxy that drops the header
		all := first
		for n, items := 2, first; len(items) == harborPage; n++ {
			if items, _, err = page(ctx, n); err != nil {
				return nil, err
			}
			all = append(all, items...)
		}
		return all, nil
	}
	if total > harborMost {
		return nil, fmt.Errorf("GET %s%s: a list of %d entries: %w", u.Host, u.Path, total, ErrTooLarge)
	}
	pages := make([][]T, max(1, (total+harborPage-1)/harborPage))
	pages[0] = first
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(listers)
	for i := 1; i < len(pages); i++ {
		group.Go(func() (err error) {
			pages[i], _, err = page(ctx, i+1)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(pages...), nil
}
