package embedded

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestSpec has a test for each requirement of the OCI distribution specification
// 1.1, under the name of its section.
func TestSpec(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(t *testing.T, h *harness){
		"Pulling Manifests":                           pullingManifests,
		"Pulling Blobs":                               pullingBlobs,
		"Checking if Content Exists":                  checkingContent,
		"POST then PUT":                               postThenPut,
		"Single POST":                                 singlePost,
		"Pushing a Blob in Chunks":                    pushingInChunks,
		"Getting the Upload Status and Cancelling":    uploadStatus,
		"Mounting a Blob from Another Repository":     mountingBlobs,
		"Pushing Manifests":                           pushingManifests,
		"Pushing Manifests with Subject":              pushingWithSubject,
		"Pushing Manifests by Other Digests":          pushingOtherDigests,
		"Listing Tags":                                listingTags,
		"Listing Referrers":                           listingReferrers,
		"Deleting Tags":                               deletingTags,
		"Deleting Manifests":                          deletingManifests,
		"Deleting Blobs":                              deletingBlobs,
		"Determining Support":                         determiningSupport,
		"Error Codes":                                 errorCodes,
		"Pushing Manifests with Missing Dependencies": missingDependencies,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

const repo = "library/app"

func pullingManifests(t *testing.T, h *harness) {
	image := h.image(repo, "a")
	h.put(repo, "v1", image)
	d := digest.FromBytes(image)
	for _, reference := range []string{"v1", d.String()} {
		got := h.want(200, "GET", "/v2/"+repo+"/manifests/"+reference, nil, "Accept", ocispec.MediaTypeImageManifest)
		if !bytes.Equal(got.body, image) {
			t.Errorf("GET by %s changed the bytes", reference)
		}
		if got.header.Get("Docker-Content-Digest") != d.String() || got.header.Get("Content-Type") != ocispec.MediaTypeImageManifest {
			t.Errorf("GET by %s: headers %v", reference, got.header)
		}
	}
	for _, accept := range []string{"", "*/*", "text/html, */*;q=0.1"} {
		if got := h.want(200, "GET", "/v2/"+repo+"/manifests/v1", nil, "Accept", accept); !bytes.Equal(got.body, image) {
			t.Errorf("Accept %q: other bytes", accept)
		}
	}
	for _, missing := range []string{"v2", ".INVALID_TAG", digest.FromString("x").String()} {
		if got := h.want(404, "GET", "/v2/"+repo+"/manifests/"+missing, nil); got.code() != codeManifestUnknown {
			t.Errorf("missing %s: code %s", missing, got.code())
		}
	}
	h.want(404, "GET", "/v2/library/nope/manifests/v1", nil)
}

func pullingBlobs(t *testing.T, h *harness) {
	d := h.blob(repo, []byte("0123456789"))
	got := h.want(200, "GET", "/v2/"+repo+"/blobs/"+d.String(), nil)
	if string(got.body) != "0123456789" || got.header.Get("Docker-Content-Digest") != d.String() {
		t.Errorf("got %q, %v", got.body, got.header)
	}
	part := h.want(206, "GET", "/v2/"+repo+"/blobs/"+d.String(), nil, "Range", "bytes=4-6")
	if string(part.body) != "456" || part.header.Get("Content-Range") != "bytes 4-6/10" {
		t.Errorf("range: %q, %v", part.body, part.header)
	}
	h.want(416, "GET", "/v2/"+repo+"/blobs/"+d.String(), nil, "Range", "bytes=20-30")
	if got := h.want(404, "GET", "/v2/"+repo+"/blobs/"+digest.FromString("x").String(), nil); got.code() != codeBlobUnknown {
		t.Errorf("code %s", got.code())
	}
	h.want(404, "GET", "/v2/library/other/blobs/"+d.String(), nil) // a blob belongs to its repository
}

func checkingContent(t *testing.T, h *harness) {
	image := h.image(repo, "a")
	h.put(repo, "v1", image)
	layer := digest.FromString("layer a")
	for path, length := range map[string]int{
		"/manifests/v1": len(image), "/manifests/" + digest.FromBytes(image).String(): len(image), "/blobs/" + layer.String(): len("layer a"),
	} {
		got := h.want(200, "HEAD", "/v2/"+repo+path, nil, "Accept", ocispec.MediaTypeImageManifest)
		if len(got.body) != 0 || got.header.Get("Content-Length") != fmt.Sprint(length) || got.header.Get("Docker-Content-Digest") == "" {
			t.Errorf("HEAD %s: %d bytes, %v", path, len(got.body), got.header)
		}
	}
	for _, path := range []string{"/manifests/v2", "/manifests/" + layer.String(), "/blobs/" + digest.FromString("x").String()} {
		h.want(404, "HEAD", "/v2/"+repo+path, nil)
	}
}

// upload starts an upload and returns where it goes on, with a query.
func (h *harness) upload(repository string) string {
	h.t.Helper()
	started := h.want(202, "POST", "/v2/"+repository+"/blobs/uploads/", nil)
	return started.header.Get("Location")
}

func with(location, query string) string {
	separator := "?"
	if strings.Contains(location, "?") {
		separator = "&"
	}
	return location + separator + query
}

func postThenPut(t *testing.T, h *harness) {
	content := []byte("content")
	d := digest.FromBytes(content)
	done := h.want(201, "PUT", with(h.upload(repo), "digest="+d.String()), content, "Content-Type", "application/octet-stream")
	if got := h.want(200, "GET", done.header.Get("Location"), nil); !bytes.Equal(got.body, content) {
		t.Errorf("got %q", got.body)
	}
	wrong := h.want(400, "PUT", with(h.upload(repo), "digest="+digest.FromString("other").String()), content)
	if wrong.code() != codeDigestInvalid {
		t.Errorf("wrong digest: %s", wrong.code())
	}
	h.want(400, "PUT", with(h.upload(repo), "digest=nonsense"), content)
	empty := digest.FromBytes(nil)
	h.want(201, "PUT", with(h.upload(repo), "digest="+empty.String()), nil)
	h.want(200, "HEAD", "/v2/"+repo+"/blobs/"+empty.String(), nil)
}

func singlePost(t *testing.T, h *harness) {
	content := []byte("in one request")
	for _, d := range []digest.Digest{digest.FromBytes(content), digest.SHA512.FromBytes(content)} {
		done := h.want(201, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+d.String(), content, "Content-Type", "application/octet-stream")
		if done.header.Get("Location") != "/v2/"+repo+"/blobs/"+d.String() {
			t.Errorf("Location %s", done.header.Get("Location"))
		}
		h.want(200, "HEAD", "/v2/"+repo+"/blobs/"+d.String(), nil)
	}
	if wrong := h.want(400, "POST", "/v2/"+repo+"/blobs/uploads/?digest="+digest.FromString("x").String(), content); wrong.code() != codeDigestInvalid {
		t.Errorf("wrong digest: %s", wrong.code())
	}
}

func pushingInChunks(t *testing.T, h *harness) {
	location := h.upload(repo)
	first := h.want(202, "PATCH", location, []byte("0123"), "Content-Type", "application/octet-stream", "Content-Range", "0-3")
	if first.header.Get("Range") != "0-3" {
		t.Errorf("Range %q", first.header.Get("Range"))
	}
	location = first.header.Get("Location")
	h.want(416, "PATCH", location, []byte("89"), "Content-Type", "application/octet-stream", "Content-Range", "8-9")
	second := h.want(202, "PATCH", location, []byte("456"), "Content-Type", "application/octet-stream", "Content-Range", "4-6")
	d := digest.FromString("0123456789")
	h.want(201, "PUT", with(second.header.Get("Location"), "digest="+d.String()), []byte("789"), "Content-Range", "7-9")
	if got := h.want(200, "GET", "/v2/"+repo+"/blobs/"+d.String(), nil); string(got.body) != "0123456789" {
		t.Errorf("got %q", got.body)
	}
}

func uploadStatus(t *testing.T, h *harness) {
	location := h.upload(repo)
	patched := h.want(202, "PATCH", location, []byte("0123"), "Content-Type", "application/octet-stream")
	status := h.want(204, "GET", patched.header.Get("Location"), nil)
	if status.header.Get("Range") != "0-3" || status.header.Get("Location") == "" {
		t.Errorf("status: %v", status.header)
	}
	h.want(204, "DELETE", status.header.Get("Location"), nil)
	h.want(404, "GET", status.header.Get("Location"), nil)
	h.want(404, "PATCH", status.header.Get("Location"), []byte("4"))
}

func mountingBlobs(t *testing.T, h *harness) {
	image := h.image("library/from", "a")
	h.put("library/from", "v1", image)
	layer := digest.FromString("layer a")
	done := h.want(201, "POST", "/v2/"+repo+"/blobs/uploads/?mount="+layer.String()+"&from=library/from", nil)
	if done.header.Get("Location") != "/v2/"+repo+"/blobs/"+layer.String() {
		t.Errorf("Location %s", done.header.Get("Location"))
	}
	h.want(200, "GET", "/v2/"+repo+"/blobs/"+layer.String(), nil)
	h.want(201, "POST", "/v2/library/third/blobs/uploads/?mount="+layer.String(), nil) // from wherever it is
	for _, query := range []string{
		"mount=" + digest.FromString("x").String() + "&from=library/from", "mount=" + layer.String() + "&from=library/none",
		"mount=" + layer.String() + "&from=../../etc", "mount=nonsense&from=library/from",
	} {
		if got := h.want(202, "POST", "/v2/library/fourth/blobs/uploads/?"+query, nil); got.header.Get("Location") == "" {
			t.Errorf("%s: no upload to go on with", query)
		}
	}
}

func pushingManifests(t *testing.T, h *harness) {
	image := h.image(repo, "a")
	d := digest.FromBytes(image)
	for _, reference := range []string{"v1", d.String()} {
		done := h.put(repo, reference, image)
		if done.header.Get("Location") != "/v2/"+repo+"/manifests/"+d.String() || done.header.Get("Docker-Content-Digest") != d.String() {
			t.Errorf("PUT %s: %v", reference, done.header)
		}
		if done.header.Get("OCI-Subject") != "" {
			t.Error("OCI-Subject without a subject")
		}
	}
	h.put(repo, "index", indexOf(t, image))
	done := h.put(repo, d.String()+"?tag=a&tag=b", image)
	if tags := done.header.Values("OCI-Tag"); !slices.Equal(tags, []string{"a", "b"}) {
		t.Errorf("OCI-Tag %v", tags)
	}
	if got := h.want(200, "GET", "/v2/"+repo+"/manifests/b", nil); !bytes.Equal(got.body, image) {
		t.Error("a tag parameter did not set its tag")
	}
	// A manifest is what it says it is when the header says nothing.
	h.want(201, "PUT", "/v2/"+repo+"/manifests/v2", image)
	refused := func(reference, contentType string, manifest []byte, code string) {
		t.Helper()
		if got := h.want(400, "PUT", "/v2/"+repo+"/manifests/"+reference, manifest, "Content-Type", contentType); got.code() != code {
			t.Errorf("%s as %s: code %s, want %s", reference, contentType, got.code(), code)
		}
	}
	refused("bad", ocispec.MediaTypeImageManifest, []byte("{"), codeManifestInvalid)
	refused("bad", ocispec.MediaTypeImageIndex, image, codeManifestInvalid)
	refused("bad", "text/html", image, codeManifestInvalid)
	refused(digest.FromString("x").String(), ocispec.MediaTypeImageManifest, image, codeDigestInvalid)
	refused(".bad", ocispec.MediaTypeImageManifest, image, codeTagInvalid)
	refused("sha256:short", ocispec.MediaTypeImageManifest, image, codeDigestInvalid)
}

func (h *harness) referrer(subject digest.Digest, artifactType, seed string) []byte {
	return h.image(repo, seed, func(m *ocispec.Manifest) {
		m.ArtifactType = artifactType
		m.Subject = &ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: subject, Size: 7}
		m.Annotations = map[string]string{"seed": seed}
	})
}

func pushingWithSubject(t *testing.T, h *harness) {
	image := h.image(repo, "a")
	subject := digest.FromBytes(image)
	referrer := h.referrer(subject, "application/vnd.example.sbom", "r") // before its subject
	done := h.put(repo, digest.FromBytes(referrer).String(), referrer)
	if done.header.Get("OCI-Subject") != subject.String() {
		t.Errorf("OCI-Subject %q", done.header.Get("OCI-Subject"))
	}
	h.put(repo, "v1", image)
	if got := h.referrers(subject, ""); len(got) != 1 || got[0].Digest != digest.FromBytes(referrer) {
		t.Errorf("referrers %v", got)
	}
}

// referrers reads all pages.
func (h *harness) referrers(subject digest.Digest, artifactType string) []ocispec.Descriptor {
	h.t.Helper()
	path := "/v2/" + repo + "/referrers/" + subject.String()
	if artifactType != "" {
		path += "?artifactType=" + artifactType
	}
	var all []ocispec.Descriptor
	for path != "" {
		got := h.want(200, "GET", path, nil)
		var index ocispec.Index
		if err := json.Unmarshal(got.body, &index); err != nil || got.header.Get("Content-Type") != ocispec.MediaTypeImageIndex {
			h.t.Fatalf("%s: %v %v", got.body, got.header, err)
		}
		if index.MediaType != ocispec.MediaTypeImageIndex || index.SchemaVersion != 2 || index.Manifests == nil {
			h.t.Errorf("not an index: %s", got.body)
		}
		if applied := got.header.Get("OCI-Filters-Applied"); (applied == "artifactType") != (artifactType != "") {
			h.t.Errorf("OCI-Filters-Applied %q", applied)
		}
		all = append(all, index.Manifests...)
		path = nextOf(got)
	}
	return all
}

func nextOf(a answer) string {
	link, found := strings.CutSuffix(a.header.Get("Link"), `>; rel="next"`)
	if !found {
		return ""
	}
	return strings.TrimPrefix(link, "<")
}

func pushingOtherDigests(t *testing.T, h *harness) {
	content := []byte("layer by sha512")
	layer := digest.SHA512.FromBytes(content)
	done := h.want(201, "PUT", with(h.upload(repo), "digest="+layer.String()), content)
	if got := done.header.Get("Docker-Content-Digest"); got != layer.String() {
		t.Errorf("Docker-Content-Digest of the push %s", got)
	}
	if got := h.want(200, "GET", done.header.Get("Location"), nil); !bytes.Equal(got.body, content) ||
		got.header.Get("Docker-Content-Digest") != layer.String() {
		t.Errorf("blob: %q %v", got.body, got.header)
	}
	image := h.image(repo, "a", func(m *ocispec.Manifest) { m.Layers[0].Digest = layer })
	d := digest.SHA512.FromBytes(image)
	h.put(repo, d.String()+"?tag=v512", image)
	for _, reference := range []string{d.String(), "v512"} {
		got := h.want(200, "GET", "/v2/"+repo+"/manifests/"+reference, nil)
		if !bytes.Equal(got.body, image) || got.header.Get("Docker-Content-Digest") != d.String() {
			t.Errorf("GET %s: %v", reference, got.header)
		}
	}
	h.want(404, "GET", "/v2/"+repo+"/manifests/"+digest.FromBytes(image).String(), nil)
	h.want(201, "POST", "/v2/library/other/blobs/uploads/?mount="+layer.String()+"&from="+repo, nil)
	h.want(200, "GET", "/v2/library/other/blobs/"+layer.String(), nil)
	h.agrees()
	h.want(202, "DELETE", "/v2/"+repo+"/manifests/"+d.String(), nil)
	h.want(404, "GET", "/v2/"+repo+"/manifests/v512", nil)
	h.agrees()
}

func (h *harness) tags(path string) ([]string, answer) {
	h.t.Helper()
	got := h.want(200, "GET", path, nil)
	var list struct {
		Name string
		Tags []string
	}
	if err := json.Unmarshal(got.body, &list); err != nil || list.Name != repo || list.Tags == nil {
		h.t.Fatalf("%s: %v", got.body, err)
	}
	return list.Tags, got
}

func listingTags(t *testing.T, h *harness) {
	image := h.image(repo, "a")
	for _, tag := range []string{"b", "10", "B", "a_1", "a", "9"} {
		h.put(repo, tag, image)
	}
	all := []string{"10", "9", "B", "a", "a_1", "b"}
	if got, _ := h.tags("/v2/" + repo + "/tags/list"); !slices.Equal(got, all) {
		t.Errorf("tags %v", got)
	}
	var paged []string
	for path := "/v2/" + repo + "/tags/list?n=2"; path != ""; {
		part, got := h.tags(path)
		paged = append(paged, part...)
		path = nextOf(got)
	}
	if !slices.Equal(paged, all) {
		t.Errorf("page by page %v", paged)
	}
	for query, want := range map[string][]string{"n=0": {}, "last=a": {"a_1", "b"}, "n=1&last=9": {"B"}, "n=100": all, "last=zzz": {}, "last=aa": {"b"}} {
		if got, _ := h.tags("/v2/" + repo + "/tags/list?" + query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	if got := h.want(404, "GET", "/v2/library/none/tags/list", nil); got.code() != codeNameUnknown {
		t.Errorf("code %s", got.code())
	}
	h.want(400, "GET", "/v2/"+repo+"/tags/list?n=-1", nil)
	h.want(400, "GET", "/v2/"+repo+"/tags/list?n=x", nil)
}

func listingReferrers(t *testing.T, h *harness) {
	image := h.image(repo, "a")
	subject := digest.FromBytes(image)
	h.put(repo, "v1", image)
	if got := h.referrers(subject, ""); len(got) != 0 {
		t.Errorf("before: %v", got)
	}
	sbom := h.referrer(subject, "application/vnd.example.sbom", "sbom")
	plain := h.referrer(subject, "", "plain") // its type is that of its config
	h.put(repo, digest.FromBytes(sbom).String(), sbom)
	h.put(repo, "plain", plain)
	index := []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[],"subject":{"mediaType":%q,"digest":%q,"size":1}}`,
		ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageManifest, subject))
	h.put(repo, digest.FromBytes(index).String(), index)

	got := map[digest.Digest]ocispec.Descriptor{}
	for _, d := range h.referrers(subject, "") {
		got[d.Digest] = d
	}
	want := map[digest.Digest]ocispec.Descriptor{}
	for _, d := range []ocispec.Descriptor{
		{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(sbom), Size: int64(len(sbom)), ArtifactType: "application/vnd.example.sbom", Annotations: map[string]string{"seed": "sbom"}},
		{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(plain), Size: int64(len(plain)), ArtifactType: ocispec.MediaTypeImageConfig, Annotations: map[string]string{"seed": "plain"}},
		{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(index), Size: int64(len(index))},
	} {
		want[d.Digest] = d
	}
	if !maps.EqualFunc(got, want, func(a, b ocispec.Descriptor) bool { return string(marshal(t, a)) == string(marshal(t, b)) }) {
		t.Errorf("referrers %v, want %v", got, want)
	}
	if got := h.referrers(subject, "application/vnd.example.sbom"); len(got) != 1 || got[0].Digest != digest.FromBytes(sbom) {
		t.Errorf("filtered: %v", got)
	}
	h.want(202, "DELETE", "/v2/"+repo+"/manifests/"+digest.FromBytes(sbom).String(), nil)
	if got := h.referrers(subject, "application/vnd.example.sbom"); len(got) != 0 {
		t.Errorf("after its removal: %v", got)
	}
	for _, unknown := range []string{"/v2/" + repo + "/referrers/" + digest.FromString("x").String(), "/v2/library/none/referrers/" + subject.String()} {
		if got := h.want(200, "GET", unknown, nil); !strings.Contains(string(got.body), `"manifests":[]`) {
			t.Errorf("%s: %s", unknown, got.body)
		}
	}
	h.want(400, "GET", "/v2/"+repo+"/referrers/nonsense", nil)
}

func deletingTags(t *testing.T, h *harness) {
	image := h.image(repo, "a")
	h.put(repo, "v1", image)
	h.put(repo, "v2", image)
	h.want(202, "DELETE", "/v2/"+repo+"/manifests/v1", nil)
	h.want(404, "GET", "/v2/"+repo+"/manifests/v1", nil)
	h.want(200, "GET", "/v2/"+repo+"/manifests/v2", nil) // a sibling
	h.want(200, "GET", "/v2/"+repo+"/manifests/"+digest.FromBytes(image).String(), nil)
	if tags, _ := h.tags("/v2/" + repo + "/tags/list"); !slices.Equal(tags, []string{"v2"}) {
		t.Errorf("tags %v", tags)
	}
	if got := h.want(404, "DELETE", "/v2/"+repo+"/manifests/v1", nil); got.code() != codeManifestUnknown {
		t.Errorf("again: %s", got.code())
	}
	h.agrees()
}

func deletingManifests(t *testing.T, h *harness) {
	image, other := h.image(repo, "a"), h.image(repo, "b")
	h.put(repo, "v1", image)
	h.put(repo, "v2", image)
	h.put(repo, "v3", other)
	d := digest.FromBytes(image).String()
	h.want(202, "DELETE", "/v2/"+repo+"/manifests/"+d, nil)
	for _, gone := range []string{d, "v1", "v2"} {
		h.want(404, "GET", "/v2/"+repo+"/manifests/"+gone, nil)
	}
	if tags, _ := h.tags("/v2/" + repo + "/tags/list"); !slices.Equal(tags, []string{"v3"}) {
		t.Errorf("tags %v", tags)
	}
	h.want(404, "DELETE", "/v2/"+repo+"/manifests/"+d, nil)
	h.agrees()
}

func deletingBlobs(t *testing.T, h *harness) {
	d := h.blob(repo, []byte("x"))
	h.want(202, "DELETE", "/v2/"+repo+"/blobs/"+d.String(), nil)
	h.want(404, "GET", "/v2/"+repo+"/blobs/"+d.String(), nil)
	if got := h.want(404, "DELETE", "/v2/"+repo+"/blobs/"+d.String(), nil); got.code() != codeBlobUnknown {
		t.Errorf("again: %s", got.code())
	}
}

func determiningSupport(t *testing.T, h *harness) {
	for _, path := range []string{"/v2/", "/v2"} {
		if got := h.want(200, "GET", path, nil); got.header.Get("Docker-Distribution-Api-Version") != "registry/2.0" {
			t.Errorf("%s: %v", path, got.header)
		}
	}
}

func errorCodes(t *testing.T, h *harness) {
	for request, want := range map[string]string{
		"GET /v2/Upper/app/tags/list":                          "400 NAME_INVALID",
		"GET /v2/library/../../etc/tags/list":                  "400 NAME_INVALID",
		"GET /v2/a/b/c":                                        "404 NAME_UNKNOWN",
		"GET /v2/library/app/blobs/sha256:zz":                  "400 DIGEST_INVALID",
		"GET /v2/library/app/manifests/no":                     "404 MANIFEST_UNKNOWN",
		"POST /v2/library/app/tags/list":                       "405 UNSUPPORTED",
		"POST /v2/library/app/manifests/v1":                    "405 UNSUPPORTED",
		"PUT /v2/library/app/blobs/uploads/":                   "405 UNSUPPORTED",
		"POST /v2/_catalog":                                    "405 UNSUPPORTED",
		"GET /v2/library/app/blobs/uploads/%20":                "404 BLOB_UPLOAD_UNKNOWN",
		"GET /v2/" + strings.Repeat("a", 256) + "/b/tags/list": "400 NAME_INVALID",
	} {
		method, path, _ := strings.Cut(request, " ")
		got := h.do(method, path, nil)
		if text := fmt.Sprintf("%d %s", got.status, got.code()); text != want {
			t.Errorf("%s: %s, want %s (%s)", request, text, want, got.body)
		}
		if got.header.Get("Docker-Distribution-Api-Version") == "" || !strings.HasPrefix(got.header.Get("Content-Type"), "application/json") {
			t.Errorf("%s: headers %v", request, got.header)
		}
	}
}

func missingDependencies(t *testing.T, h *harness) {
	image := h.image(repo, "a")
	missing := digest.FromString("not there")
	for name, manifest := range map[string][]byte{
		"layer":           h.image(repo, "b", func(m *ocispec.Manifest) { m.Layers[0].Digest = missing }),
		"config":          h.image(repo, "b", func(m *ocispec.Manifest) { m.Config.Digest = missing }),
		"child":           indexOf(t, image), // not pushed
		"blob as a child": []byte(fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"mediaType":"x","size":1,"digest":%q}]}`, ocispec.MediaTypeImageIndex, digest.FromString("layer a"))),
	} {
		got := h.want(400, http.MethodPut, "/v2/"+repo+"/manifests/v1", manifest, "Content-Type", mediaTypeOf(manifest))
		if got.code() != codeManifestBlobUnknown {
			t.Errorf("%s: code %s", name, got.code())
		}
	}
	elsewhere := h.image(repo, "c", func(m *ocispec.Manifest) {
		m.Layers[0].Digest, m.Layers[0].URLs = missing, []string{"https://example.com/layer"}
	})
	h.put(repo, "foreign", elsewhere)
	h.agrees()
}
