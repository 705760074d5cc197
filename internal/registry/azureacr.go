package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
)

const providerAzureACR = "azure-acr"

// acrHost are the hosts of Azure's registries. Only they are shown this server's own
// identity.
var acrHost = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)?\.azurecr\.(io|cn|us|de)$`)

// acr is an Azure container registry. Its token server takes the name and password of
// an admin user, a service principal, a token or a user's exchanged access token. With
// the access ID managed-identity this server's own identity is used.
type acr struct {
	*dockerRegistry
	identity azureIdentity
}

const acrOwnIdentity = "managed-identity"

func azureACRProvider() provider {
	return provider{info: ProviderInfo{Type: providerAzureACR}, open: openACR}
}

func openACR(e Endpoint, o Options) (Adapter, error) {
	c, err := NewClient(e, o)
	if err != nil {
		return nil, err
	}
	r := &acr{dockerRegistry: newDockerRegistry(c, providerAzureACR)}
	r.info.SupportedCopyByChunk = true
	if e.Credential.AccessKey == acrOwnIdentity {
		if c.base.Scheme != "https" || !acrHost.MatchString(strings.ToLower(c.base.Host)) {
			return nil, problem.New(problem.BadRequest, "this server's own identity is shown to https://NAME.azurecr.io only, not to %s", c.URL())
		}
		// The secret is the client ID of the identity, when the machine has several.
		r.identity = azureIdentity{client: c, clientID: e.Credential.AccessSecret, environment: os.Getenv}
		c.auth.issuer = newIssuer(r.login)
		c.probe = func(ctx context.Context) error {
			if _, err := c.auth.login(ctx); err != nil {
				return err
			}
			return c.pingRegistry(ctx)
		}
	}
	c.list = []string{"metadata_read"} // Azure's own name for what listing tags needs
	r.deleteTag, r.times = r.untag, r.pushed
	return r, nil
}

// untag removes a tag by Azure's own API: a DELETE of a manifest by its tag would take
// the manifest.
func (r *acr) untag(ctx context.Context, repository, tag string) error {
	_, err := r.client.do(ctx, &request{
		method: http.MethodDelete, url: r.client.endpoint("acr", "v1", repository, "_tags", tag), limit: maxErrorBody, want: succeeded,
		scopes: []scope{repositoryScope(repository, "delete")},
	})
	if e, ok := errors.AsType[*Error](err); ok && IsUnauthorized(err) {
		e.hint = fmt.Sprintf("the account %s needs the role AcrDelete, or a token with content/delete", r.client.auth.account())
	}
	return err
}

// pushed tells when tags were set last.
func (r *acr) pushed(ctx context.Context, repository string) (map[string]time.Time, error) {
	times := map[string]time.Time{}
	u := r.client.endpoint("acr", "v1", repository, "_tags")
	u.RawQuery = "n=" + strconv.Itoa(listPage)
	for u != nil {
		a, err := r.client.do(ctx, &request{
			method: http.MethodGet, url: u, limit: maxListBody, want: []int{http.StatusOK},
			scopes: []scope{repositoryScope(repository, "metadata_read")},
		})
		if err != nil {
			return nil, err
		}
		var page struct {
			Tags []struct {
				Name           string    `json:"name"`
				LastUpdateTime time.Time `json:"lastUpdateTime"`
			} `json:"tags"`
		}
		if err := json.Unmarshal(a.body, &page); err != nil {
			return nil, fmt.Errorf("GET %s%s: the answer is no list of tags: %w", u.Host, u.Path, err)
		}
		before := len(times)
		for _, t := range page.Tags {
			times[t.Name] = t.LastUpdateTime
		}
		if u, err = r.client.nextPage(a); err != nil {
			return nil, err
		}
		if len(times) == before { // no news: the end, whatever the link says
			break
		}
	}
	return times, nil
}

// login exchanges the identity's access token for a refresh token of the registry, which
// is good for three hours (ACR's own documentation of its OAuth2 API).
func (r *acr) login(ctx context.Context) (Credential, time.Time, error) {
	access, err := r.identity.token(ctx)
	if err != nil {
		return Credential{}, time.Time{}, fmt.Errorf("get an access token of this server's identity at Azure: %w", err)
	}
	exchange := api{client: r.client.beside(r.client.base)}
	form := url.Values{"grant_type": {"access_token"}, "service": {r.client.base.Hostname()}, "access_token": {access}}
	var got struct {
		RefreshToken string `json:"refresh_token"`
	}
	if _, err := exchange.do(ctx, call{
		method: http.MethodPost, url: r.client.endpoint("oauth2", "exchange"), in: []byte(form.Encode()),
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		needs:  "this server's identity needs the role AcrPull or AcrPush on the registry",
	}, &got); err != nil {
		return Credential{}, time.Time{}, err
	}
	if got.RefreshToken == "" {
		return Credential{}, time.Time{}, fmt.Errorf("%s/oauth2/exchange answers without a token", r.client.Host())
	}
	return Credential{Type: "oauth", AccessSecret: got.RefreshToken}, time.Now().Add(3 * time.Hour), nil
}

// azureIdentity is who this process is to Azure: the workload identity of its pod, or
// the managed identity of its machine.
type azureIdentity struct {
	client      *Client
	clientID    string
	environment func(string) string
}

const (
	azureMetadata = "http://169.254.169.254"
	azureResource = "https://containerregistry.azure.net"
)

func (i azureIdentity) token(ctx context.Context) (string, error) {
	file, tenant := i.environment("AZURE_FEDERATED_TOKEN_FILE"), i.environment("AZURE_TENANT_ID")
	authority := strings.TrimRight(firstText(i.environment("AZURE_AUTHORITY_HOST"), "https://login.microsoftonline.com"), "/")
	client := firstText(i.clientID, i.environment("AZURE_CLIENT_ID"))
	base, path := azureMetadata, "metadata/identity/oauth2/token"
	c := call{method: http.MethodGet, header: http.Header{"Metadata": {"true"}}}
	if file != "" && tenant != "" {
		assertion, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		base, path = authority, url.PathEscape(tenant)+"/oauth2/v2.0/token"
		form := url.Values{
			"grant_type": {"client_credentials"}, "client_id": {client}, "scope": {azureResource + "/.default"},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {strings.TrimSpace(string(assertion))},
		}
		c = call{method: http.MethodPost, in: []byte(form.Encode()), header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
	}
	u, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("AZURE_AUTHORITY_HOST: %w", withoutURL(err))
	}
	at := api{client: i.client.beside(u)}
	c.url = at.client.endpoint(path)
	if c.method == http.MethodGet {
		query := url.Values{"api-version": {"2018-02-01"}, "resource": {azureResource}}
		if client != "" {
			query.Set("client_id", client)
		}
		c.url.RawQuery = query.Encode()
	}
	a, err := at.do(ctx, c, nil)
	if err != nil {
		return "", err
	}
	var got struct {
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal(a.body, &got) != nil || got.AccessToken == "" {
		return "", fmt.Errorf("%s answers without a token", u.Host)
	}
	return got.AccessToken, nil
}
