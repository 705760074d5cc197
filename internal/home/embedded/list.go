package embedded

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/lighterage/lighterage/internal/problem"
)

// maxPage bounds the entries of one answer; a client that asks for more gets a
// link to the rest. allEntries is what a list of tags without n may have, so that
// clients that follow no links see all of them.
const (
	maxPage       = 1000
	referrersPage = 500
	allEntries    = 1 << 20
)

// page reads n and last.
func page(req *http.Request, ifMissing int) (n int, last string, err error) {
	query := req.URL.Query()
	n = ifMissing
	if text := query.Get("n"); text != "" {
		n, err = strconv.Atoi(text)
		if err != nil || n < 0 {
			return 0, "", &failure{
				status: http.StatusBadRequest, code: codePaginationInvalid, message: "invalid number of results requested",
				detail: map[string]string{"n": text},
			}
		}
		n = min(n, maxPage)
	}
	return n, query.Get("last"), nil
}

// nextPage links to what follows.
func nextPage(w http.ResponseWriter, rt route, parameters url.Values) {
	w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, rt.path(), parameters.Encode()))
}

// serveTags lists the tags of a repository from the index, in the order of their
// bytes (section "Listing Tags").
func (r *Registry) serveTags(w http.ResponseWriter, req *http.Request, c call) {
	if !allow(w, req, http.MethodGet, http.MethodHead) {
		return
	}
	ctx := req.Context()
	complete, err := r.index.Complete(ctx)
	if err != nil {
		r.fault(w, req, err)
		return
	}
	if !complete { // the index is being rebuilt
		r.forward(w, req, c.route)
		return
	}
	n, last, err := page(req, allEntries)
	if err != nil {
		r.fault(w, req, err)
		return
	}
	if _, err := r.index.GetRepository(ctx, c.repository); err != nil {
		if problem.Is(err, problem.NotFound) {
			failDetailed(w, http.StatusNotFound, codeNameUnknown, "repository name not known to registry", map[string]string{"name": c.repository})
			return
		}
		r.fault(w, req, err)
		return
	}
	tags, err := r.index.TagNames(ctx, c.repository, last, n+1)
	if err != nil {
		r.fault(w, req, err)
		return
	}
	if n > 0 && len(tags) > n {
		nextPage(w, c.route, url.Values{"n": {strconv.Itoa(n)}, "last": {tags[n-1]}})
	}
	tags = tags[:min(n, len(tags))]
	if tags == nil {
		tags = []string{}
	}
	writeJSON(w, jsonType, http.StatusOK, struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{c.repository, tags})
}

// serveCatalog lists the repositories.
func (r *Registry) serveCatalog(w http.ResponseWriter, req *http.Request) {
	if !allow(w, req, http.MethodGet, http.MethodHead) {
		return
	}
	rt := route{endpoint: endpointCatalog}
	complete, err := r.index.Complete(req.Context())
	if err != nil {
		r.fault(w, req, err)
		return
	}
	if !complete {
		r.forward(w, req, rt)
		return
	}
	n, last, err := page(req, maxPage)
	if err != nil {
		r.fault(w, req, err)
		return
	}
	names, err := r.index.RepositoryNames(req.Context(), last, n+1)
	if err != nil {
		r.fault(w, req, err)
		return
	}
	if n > 0 && len(names) > n {
		nextPage(w, rt, url.Values{"n": {strconv.Itoa(n)}, "last": {names[n-1]}})
	}
	names = names[:min(n, len(names))]
	if names == nil {
		names = []string{}
	}
	writeJSON(w, jsonType, http.StatusOK, struct {
		Repositories []string `json:"repositories"`
	}{names})
}

// serveReferrers lists what refers to a digest, known or not (section "Listing
// Referrers").
func (r *Registry) serveReferrers(w http.ResponseWriter, req *http.Request, c call) {
	if !allow(w, req, http.MethodGet, http.MethodHead) {
		return
	}
	query := req.URL.Query()
	artifactType := query.Get("artifactType")
	start, err := strconv.ParseInt(query.Get("start"), 10, 64)
	if query.Get("start") != "" && err != nil {
		r.fault(w, req, &failure{status: http.StatusBadRequest, code: codePaginationInvalid, message: "invalid start of the page"})
		return
	}
	found, err := r.index.ReferrersPage(req.Context(), c.repository, c.digest(), artifactType, start, referrersPage)
	if err != nil {
		r.fault(w, req, err)
		return
	}
	if artifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	if found.Next != 0 {
		next := url.Values{"start": {strconv.FormatInt(found.Next, 10)}}
		if artifactType != "" {
			next.Set("artifactType", artifactType)
		}
		nextPage(w, c.route, next)
	}
	if found.Referrers == nil {
		found.Referrers = []ocispec.Descriptor{}
	}
	writeJSON(w, ocispec.MediaTypeImageIndex, http.StatusOK, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: found.Referrers,
	})
}
