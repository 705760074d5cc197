package registry

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/lighterage/lighterage/internal/rule"
)

const (
	providerHuaweiSWR = "huawei-SWR"
	swrPage           = 100
)

var swrHost = regexp.MustCompile(`^swr\.([a-z0-9-]+)\.myhuaweicloud\.(?:com|cn|eu)$`)

// swr is Huawei Cloud's SoftWare Repository. The access ID is REGION@AK and the secret
// the login key that its console shows; or the access key itself, from which both are
// made as its documentation of long-term logins says.
type swr struct {
	*dockerRegistry
	api *api
}

func huaweiSWRProvider() provider {
	return provider{info: ProviderInfo{Type: providerHuaweiSWR}, open: openSWR}
}

func openSWR(e Endpoint, o Options) (Adapter, error) {
	given, err := parseEndpoint(e)
	if err != nil {
		return nil, err
	}
	if region := swrHost.FindStringSubmatch(strings.ToLower(given.Hostname())); region != nil {
		e.Credential = swrLogin(e.Credential, region[1])
	}
	c, err := NewClient(e, o)
	if err != nil {
		return nil, err
	}
	s := &swr{dockerRegistry: newDockerRegistry(c, providerHuaweiSWR), api: &api{client: c, login: !e.Credential.empty()}}
	s.check = someComponents("Huawei's registry", "the organization", "team/app")
	s.repositories, s.prepare = s.list, s.namespace
	return s, nil
}

// swrLogin makes the long-term login of an access key. One that is made already names
// its region.
func swrLogin(c Credential, region string) Credential {
	if c.AccessKey == "" || c.AccessSecret == "" || strings.Contains(c.AccessKey, "@") {
		return c
	}
	m := hmac.New(sha256.New, []byte(c.AccessSecret))
	m.Write([]byte(c.AccessKey))
	return Credential{Type: c.Type, AccessKey: region + "@" + c.AccessKey, AccessSecret: hex.EncodeToString(m.Sum(nil))}
}

// list reads the repositories of the account's own organizations. A page that brings
// nothing new ends it: some versions do not know pages.
func (s *swr) list(ctx context.Context, _ *rule.Matcher) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seen := map[string]bool{}
		for offset := 0; ; offset += swrPage {
			u := s.client.endpoint("dockyard", "v2", "repositories")
			u.RawQuery = url.Values{"filter": {fmt.Sprintf("center::self|offset::%d|limit::%d", offset, swrPage)}}.Encode()
			var page []struct {
				Name      string `json:"name"`
				Namespace string `json:"namespace"`
			}
			_, err := s.api.do(ctx, call{method: http.MethodGet, url: u, needs: "the account needs the permission swr:repo:list, and the access ID the form REGION@AK"}, &page)
			if err != nil {
				yield("", listFailed(s.client, err))
				return
			}
			fresh := 0
			for _, r := range page {
				name := r.Namespace + "/" + strings.ReplaceAll(r.Name, "$", "/") // a slash in a name is told as $
				if seen[name] {
					continue
				}
				seen[name] = true
				fresh++
				if !yield(name, nil) {
					return
				}
			}
			if fresh == 0 || len(page) < swrPage {
				return
			}
		}
	}
}

// namespace makes the organization. Repositories come to be by a push.
func (s *swr) namespace(ctx context.Context, repository string, _ bool) error {
	name, _, _ := strings.Cut(repository, "/")
	var found struct {
		Name string `json:"name"`
	}
	_, err := s.api.do(ctx, call{method: http.MethodGet, url: s.client.endpoint("dockyard", "v2", "namespaces", name)}, &found)
	if err == nil && found.Name == name {
		return nil
	}
	if err != nil && !IsNotFound(err) {
		return keepTemporary(err)
	}
	_, err = s.api.do(ctx, call{
		method: http.MethodPost, url: s.client.endpoint("dockyard", "v2", "namespaces"), in: map[string]string{"namespace": name},
		needs: "the account needs the permission swr:namespace:create, or make the organization " + name + " there",
	}, nil)
	if err != nil && !isConflict(err) {
		return fmt.Errorf("make the organization %s: %w", name, err)
	}
	return nil
}
