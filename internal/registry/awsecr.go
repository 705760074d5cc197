package registry

import (
	"context"
	"encoding/base64"
	"fmt"
	"iter"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/cloudsign"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/rule"
)

const (
	providerAWSECR = "aws-ecr"
	ecrTarget      = "AmazonEC2ContainerRegistry_V20150921."
	ecrPage        = 1000
	ecrLogin       = "AWS" // the user of docker login
)

// ecrHost reads the hosts of Amazon ECR: that of a region's API, by which Harbor knows
// the registries of an account, or of one account's registry.
var ecrHost = regexp.MustCompile(`^(?:api\.ecr|(\d{12})\.dkr\.ecr|ecr)(-fips)?\.([a-z0-9-]+)\.(amazonaws\.com|amazonaws\.com\.cn|amazonaws\.eu|sc2s\.sgov\.gov|c2s\.ic\.gov)$`)

// ecr is Amazon's Elastic Container Registry (its API Reference, version 2015-09-21).
// The access ID is that of an access key; or the ARN of a role, which the server's own
// identity assumes, with the secret as the external ID; or there is none and the
// server's own identity is used.
// A login that docker has, of the user AWS, works until it runs out.
type ecr struct {
	*dockerRegistry
	api     *api
	aws     *awsIdentity
	region  string
	account string // "" until the registry is known, when the URL does not say

	mu    sync.Mutex
	place *url.URL // of the registry, when the URL does not say
}

func awsECRProvider() provider {
	var endpoints []ProviderEndpoint
	for _, region := range []string{
		"us-east-2", "us-east-1", "us-west-1", "us-west-2", "af-south-1", "ap-east-1", "ap-south-1", "ap-northeast-3", "ap-northeast-2",
		"ap-southeast-1", "ap-southeast-2", "ap-northeast-1", "ca-central-1", "cn-north-1", "cn-northwest-1", "eu-central-1", "eu-west-1",
		"eu-west-2", "eu-south-1", "eu-west-3", "eu-north-1", "me-south-1", "sa-east-1",
	} {
		endpoints = append(endpoints, ProviderEndpoint{Key: region, Value: "https://api.ecr." + region + ".amazonaws.com"})
	}
	return provider{info: ProviderInfo{Type: providerAWSECR, EndpointPattern: listed("List", endpoints...)}, open: openECR}
}

func openECR(e Endpoint, o Options) (Adapter, error) {
	given, err := parseEndpoint(e)
	if err != nil {
		return nil, err
	}
	parts := ecrHost.FindStringSubmatch(strings.ToLower(given.Hostname()))
	if parts == nil || given.Scheme != "https" || given.Port() != "" {
		return nil, problem.New(problem.BadRequest,
			"the URL of an aws-ecr registry is https://api.ecr.REGION.amazonaws.com or https://ACCOUNT.dkr.ecr.REGION.amazonaws.com, not %s", given)
	}
	account, fips, region, domain := parts[1], parts[2], parts[3], parts[4]
	if strings.HasPrefix(region, "cn-") {
		domain = "amazonaws.com.cn" // Harbor's list of endpoints leaves .cn out
	}
	host := "api.ecr." + region + "." + domain
	if fips != "" {
		host = "ecr-fips." + region + "." + domain
	}
	if account == "" {
		e.URL = "https://" + host
	}
	c, err := NewClient(e, o)
	if err != nil {
		return nil, err
	}
	r := &ecr{dockerRegistry: newDockerRegistry(c, providerAWSECR), region: region, account: account}
	r.api = &api{client: c.beside(&url.URL{Scheme: "https", Host: host}), authorize: r.sign}
	signer := e.Credential
	switch {
	case signer.AccessKey != ecrLogin:
		c.auth.issuer = newIssuer(r.login)
		c.probe = issuedProbe(c, r.api)
	case account == "":
		return nil, problem.New(problem.BadRequest, "a login of docker (%s) is for one registry: give its own URL, https://ACCOUNT.dkr.ecr.REGION.amazonaws.com, or an access key", ecrLogin)
	default:
		signer = Credential{}
	}
	if r.aws, err = newAWSIdentity(c, signer, region, domain); err != nil {
		return nil, err
	}
	if account == "" {
		c.locate = r.locate
	}
	r.repositories, r.prepare, r.deleteTag, r.times = r.list, r.create, r.untag, r.pushed
	return r, nil
}

// call asks for an action of the API.
func (r *ecr) call(ctx context.Context, action string, in map[string]any, out any) error {
	if r.account != "" && action != "GetAuthorizationToken" {
		in["registryId"] = r.account
	}
	_, err := r.api.do(ctx, call{
		method: http.MethodPost, url: r.api.client.endpoint(""), in: in,
		header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}, "X-Amz-Target": {ecrTarget + action}},
		needs:  fmt.Sprintf("%s is needed, and %s has not got it or its key is wrong", "the permission ecr:"+action, r.client.auth.account()),
	}, out)
	return err
}

func (r *ecr) sign(ctx context.Context, q *request) error {
	key, err := r.aws.key(ctx)
	if err != nil {
		return err
	}
	add := cloudsign.Amazon(cloudsign.Request{
		Method: q.method, Host: q.url.Host, Path: q.url.EscapedPath(), Body: q.body,
		Header: map[string]string{"content-type": q.header.Get("Content-Type"), "x-amz-target": q.header.Get("X-Amz-Target")},
	}, key, r.region, "ecr", time.Now())
	for name, value := range add {
		q.header.Set(name, value)
	}
	return nil
}

// login gets the registry's password, which is good for twelve hours, and learns where
// the account's registry is.
func (r *ecr) login(ctx context.Context) (Credential, time.Time, error) {
	var got struct {
		AuthorizationData []struct {
			AuthorizationToken string  `json:"authorizationToken"`
			ExpiresAt          float64 `json:"expiresAt"`
			ProxyEndpoint      string  `json:"proxyEndpoint"`
		} `json:"authorizationData"`
	}
	if err := r.call(ctx, "GetAuthorizationToken", map[string]any{}, &got); err != nil {
		return Credential{}, time.Time{}, err
	}
	if len(got.AuthorizationData) == 0 {
		return Credential{}, time.Time{}, fmt.Errorf("GetAuthorizationToken at %s: the answer has no token", r.api.client.Host())
	}
	data := got.AuthorizationData[0]
	pair, err := base64.StdEncoding.DecodeString(data.AuthorizationToken)
	name, password, ok := strings.Cut(string(pair), ":")
	if err != nil || !ok || password == "" {
		return Credential{}, time.Time{}, fmt.Errorf("GetAuthorizationToken at %s: the answer has no usable token", r.api.client.Host())
	}
	if r.client.locate != nil {
		place, err := url.Parse(data.ProxyEndpoint)
		if err != nil || place.Scheme != "https" || !ecrHost.MatchString(place.Host) {
			return Credential{}, time.Time{}, fmt.Errorf("GetAuthorizationToken at %s names a registry that is none of Amazon's: %q", r.api.client.Host(), oneLine(data.ProxyEndpoint))
		}
		r.mu.Lock()
		r.place = &url.URL{Scheme: place.Scheme, Host: place.Host}
		r.mu.Unlock()
	}
	return Credential{AccessKey: name, AccessSecret: password}, awsTime(data.ExpiresAt), nil
}

// awsTime reads seconds since 1970; zero: none.
func awsTime(text float64) time.Time {
	seconds, rest := math.Modf(text)
	if seconds <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), int64(rest*1e9))
}

func (r *ecr) locate(ctx context.Context) (*url.URL, error) {
	if _, err := r.client.auth.issuer.get(ctx); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.place, nil
}

func (r *ecr) list(ctx context.Context, _ *rule.Matcher) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		in := map[string]any{"maxResults": ecrPage}
		for {
			var page struct {
				NextToken    string `json:"nextToken"`
				Repositories []struct {
					RepositoryName string `json:"repositoryName"`
				} `json:"repositories"`
			}
			if err := r.call(ctx, "DescribeRepositories", in, &page); err != nil {
				yield("", fmt.Errorf("list the repositories of %s: %w", r.client.Host(), err))
				return
			}
			for _, found := range page.Repositories {
				if !yield(found.RepositoryName, nil) {
					return
				}
			}
			if page.NextToken == "" || page.NextToken == in["nextToken"] {
				return
			}
			in["nextToken"] = page.NextToken
		}
	}
}

// create makes the repository: a push to none is refused.
func (r *ecr) create(ctx context.Context, repository string, _ bool) error {
	err := r.call(ctx, "DescribeRepositories", map[string]any{"repositoryNames": []string{repository}}, nil)
	if err == nil {
		return nil
	}
	if !IsNotFound(err) && !IsUnauthorized(err) { // who may not look may still make
		return err
	}
	err = r.call(ctx, "CreateRepository", map[string]any{"repositoryName": repository}, nil)
	if isConflict(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the repository: %w", err)
	}
	return nil
}

// untag removes a tag. With the last of them Amazon removes the image.
func (r *ecr) untag(ctx context.Context, repository, tag string) error {
	var got struct {
		Failures []struct {
			FailureCode   string `json:"failureCode"`
			FailureReason string `json:"failureReason"`
		} `json:"failures"`
	}
	err := r.call(ctx, "BatchDeleteImage", map[string]any{
		"repositoryName": repository, "imageIds": []map[string]string{{"imageTag": tag}},
	}, &got)
	if err != nil || len(got.Failures) == 0 {
		return err
	}
	f := got.Failures[0]
	e := &Error{
		Method: "BatchDeleteImage", Host: r.api.client.Host(), Path: "/" + repository + ":" + tag, Status: http.StatusConflict,
		Codes: []Code{{Code: oneLine(f.FailureCode), Message: oneLine(f.FailureReason)}},
	}
	if f.FailureCode == "ImageNotFound" {
		e.Status = http.StatusNotFound
	}
	return e
}

// pushed tells when the images that have tags were pushed. That of a tag is not told.
func (r *ecr) pushed(ctx context.Context, repository string) (map[string]time.Time, error) {
	times := map[string]time.Time{}
	in := map[string]any{"repositoryName": repository, "maxResults": ecrPage, "filter": map[string]string{"tagStatus": "TAGGED"}}
	for {
		var page struct {
			NextToken    string `json:"nextToken"`
			ImageDetails []struct {
				ImageTags     []string `json:"imageTags"`
				ImagePushedAt float64  `json:"imagePushedAt"`
			} `json:"imageDetails"`
		}
		if err := r.call(ctx, "DescribeImages", in, &page); err != nil {
			return nil, err
		}
		for _, image := range page.ImageDetails {
			for _, tag := range image.ImageTags {
				times[tag] = awsTime(image.ImagePushedAt)
			}
		}
		if page.NextToken == "" || page.NextToken == in["nextToken"] {
			return times, nil
		}
		in["nextToken"] = page.NextToken
	}
}
