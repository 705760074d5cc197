package registry_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/lighterage/lighterage/internal/registry"
)

// digestOf is a digest that a test can recognize.
func digestOf(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// kept is a repository of a Harbor in the words of its API.
type kept map[string]any

func (h *fakeHarbor) keep(repository string, artifacts ...kept) {
	path := "GET /api/v2.0/projects/library/repositories/" + repository + "/artifacts"
	accessory := map[string]bool{}
	for _, a := range artifacts {
		for _, acc := range references(a, "accessories", "digest") {
			accessory[acc] = true
		}
	}
	child := map[string]bool{}
	for _, a := range artifacts {
		for _, d := range references(a, "references", "child_digest") {
			child[d] = true
		}
		h.answers[path+"/"+a["digest"].(string)] = func(w http.ResponseWriter, _ *http.Request) { reply(w, a) }
	}
	h.answers[path] = func(w http.ResponseWriter, r *http.Request) {
		q, _, _ := strings.Cut(r.URL.Query().Get("q"), "digest=")
		_, wanted, _ := strings.Cut(r.URL.Query().Get("q"), "digest=")
		list := []kept{}
		for _, a := range artifacts {
			d := a["digest"].(string)
			if accessory[d] || wanted != "" && wanted != d || child[d] && a["tags"] == nil && !strings.HasPrefix(q, "base=*") {
				continue
			}
			list = append(list, a)
		}
		reply(w, list)
	}
}

func references(a kept, field, name string) (all []string) {
	list, _ := a[field].([]kept)
	for _, r := range list {
		all = append(all, r[name].(string))
	}
	return all
}

func accessories(digests ...int) (all []kept) {
	for _, d := range digests {
		all = append(all, kept{"digest": digestOf(d), "type": "signature.cosign"})
	}
	return all
}

func children(digests ...int) (all []kept) {
	for _, d := range digests {
		all = append(all, kept{"child_digest": digestOf(d)})
	}
	return all
}

func tags(names ...string) (all []kept) {
	for _, name := range names {
		all = append(all, kept{"name": name})
	}
	return all
}

// An index of two children, one with a tag; signatures of the index, of a child and of
// another signature; one of them in a tag, as cosign makes it.
func keepSigned(h *fakeHarbor) {
	h.keep("signed",
		kept{"digest": digestOf(1), "type": "IMAGE", "tags": tags("v1"), "references": children(2, 3), "accessories": accessories(10)},
		kept{"digest": digestOf(2), "type": "IMAGE", "accessories": accessories(11)},
		kept{"digest": digestOf(3), "type": "IMAGE", "tags": tags("arm")},
		kept{"digest": digestOf(10), "type": "SIGNATURE.COSIGN", "tags": tags("sha256-1.sig"), "accessories": accessories(12)},
		kept{"digest": digestOf(11), "type": "SIGNATURE.COSIGN"},
		kept{"digest": digestOf(12), "type": "SBOM"},
		kept{"digest": digestOf(4), "type": "CHART"},
	)
}

func TestAccessoriesFollowTheirSubjectInHarborsList(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	keepSigned(h)
	got, failures := listed(t, h.adapter("robot$x"), matcher(t, named("library/signed")))
	want := []registry.Artifact{
		{Digest: digestOf(1), Type: "image", Tags: []string{"v1"}, Accessories: []string{digestOf(10), digestOf(11), digestOf(12)}},
		{Digest: digestOf(3), Type: "image", Tags: []string{"arm"}},
		{Digest: digestOf(4), Type: "chart"},
		{Digest: digestOf(10), Type: "signature.cosign", Tags: []string{"sha256-1.sig"}},
	}
	byDigest := cmpopts.SortSlices(func(a, b string) bool { return a < b })
	if diff := cmp.Diff(want, got["library/signed"], byDigest, cmpopts.EquateEmpty()); diff != "" || len(failures) > 0 {
		t.Errorf("%v\n%s", failures, diff)
	}
	if n := len(h.requests()); n != 4 {
		t.Errorf("one list and three accessories took %d requests: %q", n, h.requests())
	}
}

func TestWhatCosignKeepsInTagsBelongsToItsImage(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	h.keep("attested",
		kept{"digest": digestOf(1), "tags": tags("v1")},
		kept{"digest": digestOf(2), "tags": tags("sha256-" + digestOf(1)[7:] + ".att")},
		kept{"digest": digestOf(3), "tags": tags("sha256-" + digestOf(9)[7:] + ".att")}, // of something that is not there
	)
	got, failures := listed(t, h.adapter("robot$x"), matcher(t, named("library/attested")))
	list := got["library/attested"]
	if len(failures) > 0 || len(list) != 3 || !slices.Equal(list[0].Accessories, []string{digestOf(2)}) || list[1].Accessories != nil || list[2].Accessories != nil {
		t.Errorf("%+v, %v", list, failures)
	}
}

func TestAnAccessoryThatGoesWhileItIsListedIsNoFailure(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	keepSigned(h)
	delete(h.answers, "GET /api/v2.0/projects/library/repositories/signed/artifacts/"+digestOf(11))
	got, failures := listed(t, h.adapter("robot$x"), matcher(t, named("library/signed")))
	if len(failures) > 0 || len(got["library/signed"]) != 4 {
		t.Errorf("%v, %v", got, failures)
	}
}

func TestAccessoriesThatReferToEachOtherEnd(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	h.keep("circle",
		kept{"digest": digestOf(1), "tags": tags("v1"), "references": children(1), "accessories": accessories(2)},
		kept{"digest": digestOf(2), "accessories": accessories(3)},
		kept{"digest": digestOf(3), "accessories": accessories(2)},
	)
	got, failures := listed(t, h.adapter("robot$x"), matcher(t, named("library/circle")))
	if len(failures) > 0 || len(got["library/circle"]) != 1 || len(got["library/circle"][0].Accessories) != 2 {
		t.Errorf("%v, %v", got, failures)
	}
}

func TestHarborSaysWhereAnArtifactStands(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	keepSigned(h)
	harbor := h.api("robot$x")
	for n, want := range map[int]registry.Place{
		1: registry.OnItsOwn, 2: registry.InAnIndex, 3: registry.OnItsOwn, 4: registry.OnItsOwn, 10: registry.Accessory,
	} {
		got, err := harbor.Place(t.Context(), "library/signed", digestOf(n))
		if got != want || err != nil {
			t.Errorf("%d: %v, %v, want %v", n, got, err, want)
		}
	}
	indexes, err := harbor.IndexesOf(t.Context(), "library/signed", digestOf(2))
	if err != nil || len(indexes) != 1 || indexes[0].Digest != digestOf(1) || !slices.Equal(indexes[0].Tags, []string{"v1"}) {
		t.Errorf("%+v, %v", indexes, err)
	}
	a, err := harbor.Artifact(t.Context(), "library/signed", digestOf(1))
	if err != nil || !slices.Equal(a.Children, []string{digestOf(2), digestOf(3)}) {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := harbor.Artifact(t.Context(), "library/signed", digestOf(98)); !registry.IsNotFound(err) {
		t.Errorf("%v", err)
	}
}

func (h *fakeHarbor) api(account string) *registry.Harbor {
	h.t.Helper()
	a, err := registry.NewHarbor(registry.Endpoint{
		URL: h.url, Credential: registry.Credential{AccessKey: account, AccessSecret: "p"},
	}, quick)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(a.Client().Close)
	return a
}

func TestHarborsUsersLogIn(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	harbor := h.api("robot$x")
	for name, test := range map[string]struct {
		user, password string
		found          bool
	}{
		"right": {"admin", "p", true}, "wrong": {"admin", "q", false}, "a robot": {"robot$x", "p", false},
		"none": {"", "", false}, "no password": {"admin", "", false}, "a name that Basic cannot carry": {"ad:min", "p", false},
	} {
		user, found, err := harbor.Login(t.Context(), test.user, test.password)
		if err != nil || found != test.found || found && (user.Username != "admin" || !user.SysAdmin) {
			t.Errorf("%s: %+v, %v, %v", name, user, found, err)
		}
	}
	h.answers["GET /api/v2.0/users/current"] = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
	if _, found, err := harbor.Login(t.Context(), "admin", "p"); err == nil || found {
		t.Errorf("a Harbor in trouble has said nothing about the user: %v, %v", found, err)
	}
}

func TestRefusalsOfHarborNameThePermission(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	forbidden := func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusForbidden, "FORBIDDEN", "robot$x") }
	h.answers["GET /api/v2.0/projects/library/repositories"] = forbidden
	h.answers["GET /api/v2.0/projects/library/repositories/app/artifacts"] = forbidden
	h.answers["DELETE /api/v2.0/projects/library/repositories/app/artifacts/v1/tags/v1"] = forbidden
	a := h.adapter("robot$x")
	_, failures := listed(t, a, nil)
	_, one := listed(t, a, matcher(t, named("library/app")))
	for says, err := range map[string]error{
		`"repository: list" of project library`: failures[""],
		`"artifact: list" of project library`:   one["library/app"],
		`"tag: delete" of project library`:      a.DeleteTag(t.Context(), "library/app", "v1"),
	} {
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "robot$x") {
			t.Errorf("%v does not say %s", err, says)
		}
	}
}

func TestAHarborInReadOnlyModeIsNoMissingPermission(t *testing.T) {
	t.Parallel()
	h := newFakeHarbor(t)
	var mu sync.Mutex
	heads := 0
	h.answers["POST /api/v2.0/projects"] = func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusForbidden, "DENIED", "The system is in read only mode. Any modification is prohibited.")
	}
	h.answers["HEAD /api/v2.0/projects"] = func(http.ResponseWriter, *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		heads++
	}
	err := h.adapter("robot$x").Prepare(t.Context(), []string{"new/app"}, nil)
	if !registry.IsReadOnly(err) || !strings.Contains(err.Error(), "read only mode") || strings.Contains(err.Error(), "permission") || heads > 0 {
		t.Errorf("%v, %d looks for the project", err, heads)
	}
	if registry.IsReadOnly(errors.New("read only")) {
		t.Error("any error is taken for read-only mode")
	}
}
