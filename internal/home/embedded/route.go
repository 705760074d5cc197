package embedded

import (
	"net/http"
	"path"
	"regexp"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// endpoint is one of the kinds of URLs under /v2/ (distribution specification,
// section "Endpoints").
type endpoint int

const (
	endpointBase endpoint = iota
	endpointCatalog
	endpointManifest
	endpointBlob
	endpointUploads // start of an upload
	endpointUpload  // one upload
	endpointTags
	endpointReferrers
)

// route is what a URL under /v2/ means.
type route struct {
	endpoint   endpoint
	repository string
	reference  string // tag, digest or id of an upload
}

// maxNameLength is the longest repository name. Bytes.
const maxNameLength = 255

// parseRoute reads the path of a URL.
func parseRoute(urlPath string) (route, *failure) {
	rest, ok := strings.CutPrefix(urlPath, "/v2")
	switch {
	case !ok || rest != "" && rest[0] != '/':
		return route{}, &failure{status: http.StatusNotFound, code: codeUnsupported, message: "not a path of the registry API"}
	case rest == "" || rest == "/":
		return route{endpoint: endpointBase}, nil
	case rest == "/_catalog":
		return route{endpoint: endpointCatalog}, nil
	}
	rt, name, found := splitRoute(rest[1:])
	if !found {
		return route{}, &failure{status: http.StatusNotFound, code: codeNameUnknown, message: "not a path of the registry API"}
	}
	if !validName(name) {
		return route{}, &failure{status: http.StatusBadRequest, code: codeNameInvalid, message: "invalid repository name"}
	}
	rt.repository = name
	return rt, rt.check()
}

// splitRoute finds the endpoint at the end of a path; what stands before it is the
// name.
func splitRoute(rest string) (rt route, name string, found bool) {
	if name, ok := strings.CutSuffix(rest, "/tags/list"); ok {
		return route{endpoint: endpointTags}, name, true
	}
	for _, suffix := range []string{"/blobs/uploads/", "/blobs/uploads"} {
		if name, ok := strings.CutSuffix(rest, suffix); ok {
			return route{endpoint: endpointUploads}, name, true
		}
	}
	before, last := path.Split(strings.TrimSuffix(rest, "/"))
	for _, kind := range []struct {
		marker   string
		endpoint endpoint
	}{
		{"/blobs/uploads/", endpointUpload}, {"/blobs/", endpointBlob},
		{"/manifests/", endpointManifest}, {"/referrers/", endpointReferrers},
	} {
		if name, ok := strings.CutSuffix(before, kind.marker); ok && last != "" {
			return route{endpoint: kind.endpoint, reference: last}, name, true
		}
	}
	return route{}, "", false
}

// namePattern is the specification's (section "Pulling Manifests"). The library's
// own takes names that begin with a host, too.
var namePattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

func validName(name string) bool {
	return len(name) <= maxNameLength && namePattern.MatchString(name)
}

// check validates the reference. A tag that no tag can have is not there; a
// digest that is none is the client's mistake.
func (rt route) check() *failure {
	switch rt.endpoint {
	case endpointBlob, endpointReferrers:
		if _, err := digest.Parse(rt.reference); err != nil {
			return &failure{status: http.StatusBadRequest, code: codeDigestInvalid, message: "invalid digest: " + err.Error()}
		}
	case endpointManifest:
		if strings.Contains(rt.reference, ":") {
			if _, err := digest.Parse(rt.reference); err != nil {
				return &failure{status: http.StatusBadRequest, code: codeDigestInvalid, message: "invalid digest: " + err.Error()}
			}
		}
	case endpointUpload:
		for _, c := range rt.reference {
			if !strings.ContainsRune(uploadIDCharacters, c) {
				return &failure{status: http.StatusNotFound, code: "BLOB_UPLOAD_UNKNOWN", message: "blob upload unknown to registry"}
			}
		}
	}
	return nil
}

const uploadIDCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.="

// path is the reverse of parseRoute.
func (rt route) path() string {
	switch rt.endpoint {
	case endpointCatalog:
		return "/v2/_catalog"
	case endpointManifest:
		return "/v2/" + rt.repository + "/manifests/" + rt.reference
	case endpointBlob:
		return "/v2/" + rt.repository + "/blobs/" + rt.reference
	case endpointUploads:
		return "/v2/" + rt.repository + "/blobs/uploads/"
	case endpointUpload:
		return "/v2/" + rt.repository + "/blobs/uploads/" + rt.reference
	case endpointTags:
		return "/v2/" + rt.repository + "/tags/list"
	case endpointReferrers:
		return "/v2/" + rt.repository + "/referrers/" + rt.reference
	default:
		return "/v2/"
	}
}

// digest returns the digest that the route names, "" when it names a tag.
func (rt route) digest() digest.Digest {
	if !strings.Contains(rt.reference, ":") {
		return ""
	}
	return digest.Digest(rt.reference)
}

func validTag(tag string) bool {
	return reference.TagRegexp.FindString(tag) == tag && tag != ""
}
