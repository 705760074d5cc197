package registry

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/lighterage/lighterage/internal/cloudsign"
	"github.com/lighterage/lighterage/internal/problem"
)

var roleARN = regexp.MustCompile(`^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$`)

// awsIdentity is who signs calls of Amazon's APIs: an access key, the server's own
// identity, or a role that it assumes.
type awsIdentity struct {
	fixed cloudsign.Key
	own   *issuer // the server's own identity, in the fields of a Credential
	role  *issuer
}

// newAWSIdentity says as a problem.BadRequest what cannot be an identity.
func newAWSIdentity(c *Client, given Credential, region, domain string) (*awsIdentity, error) {
	if given.AccessKey != "" && !strings.HasPrefix(given.AccessKey, "arn:") {
		return &awsIdentity{fixed: cloudsign.Key{ID: given.AccessKey, Secret: given.AccessSecret}}, nil
	}
	a := &awsIdentity{own: newIssuer(ownAWSIdentity(c.short.Transport))}
	if given.AccessKey == "" {
		return a, nil
	}
	if !roleARN.MatchString(given.AccessKey) {
		return nil, problem.New(problem.BadRequest, "the access ID %q is neither an access key nor the ARN of a role, such as arn:aws:iam::123456789012:role/pusher", given.AccessKey)
	}
	sts := &api{client: c.beside(&url.URL{Scheme: "https", Host: "sts." + region + "." + domain})}
	sts.authorize = func(ctx context.Context, q *request) error {
		key, err := a.ownKey(ctx)
		if err != nil {
			return err
		}
		add := cloudsign.Amazon(cloudsign.Request{
			Method: q.method, Host: q.url.Host, Path: q.url.EscapedPath(), Body: q.body,
			Header: map[string]string{"content-type": q.header.Get("Content-Type")},
		}, key, region, "sts", time.Now())
		for name, value := range add {
			q.header.Set(name, value)
		}
		return nil
	}
	a.role = newIssuer(func(ctx context.Context) (Credential, time.Time, error) {
		return assumeRole(ctx, sts, given.AccessKey, given.AccessSecret)
	})
	return a, nil
}

// key is what to sign with now.
func (a *awsIdentity) key(ctx context.Context) (cloudsign.Key, error) {
	switch {
	case a.role != nil:
		c, err := a.role.get(ctx)
		return keyOf(c), err
	case a.own != nil:
		return a.ownKey(ctx)
	}
	return a.fixed, nil
}

func (a *awsIdentity) ownKey(ctx context.Context) (cloudsign.Key, error) {
	c, err := a.own.get(ctx)
	return keyOf(c), err
}

// keyOf reads a temporary key from a Credential: its Type is the session.
func keyOf(c Credential) cloudsign.Key {
	return cloudsign.Key{ID: c.AccessKey, Secret: c.AccessSecret, Session: c.Type}
}

// ownAWSIdentity finds who this process is to Amazon: by its environment, the shared
// credentials file, a web identity (IRSA), pod identity, the container's role, or the
// machine's, in this order.
func ownAWSIdentity(transport http.RoundTripper) func(context.Context) (Credential, time.Time, error) {
	return func(ctx context.Context) (Credential, time.Time, error) {
		local := &credentials.CredContext{Client: &http.Client{Transport: transport}, Context: ctx}
		var failures []string
		for _, source := range []struct {
			name string
			from credentials.Provider
		}{
			{"environment", &credentials.EnvAWS{}},
			{"credentials file", &credentials.FileAWSCredentials{}},
			{"role of the pod, container or machine", &credentials.IAM{}},
		} {
			v, err := source.from.RetrieveWithCredContext(local)
			if err == nil && v.AccessKeyID != "" && v.SecretAccessKey != "" {
				return Credential{AccessKey: v.AccessKeyID, AccessSecret: v.SecretAccessKey, Type: v.SessionToken}, v.Expiration, nil
			}
			if err == nil {
				err = errors.New("there is none")
			}
			failures = append(failures, source.name+": "+oneLine(err.Error()))
		}
		if ctx.Err() != nil {
			return Credential{}, time.Time{}, context.Cause(ctx)
		}
		return Credential{}, time.Time{}, problem.New(problem.Precondition,
			"this server has no identity at Amazon (%s); set the access ID and secret of an access key", strings.Join(failures, "; "))
	}
}

// assumeRole asks for temporary keys of a role (STS API Reference, AssumeRole).
func assumeRole(ctx context.Context, sts *api, role, externalID string) (Credential, time.Time, error) {
	form := url.Values{"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {role}, "RoleSessionName": {clientID}}
	if externalID != "" {
		form.Set("ExternalId", externalID)
	}
	answer, err := sts.do(ctx, call{
		method: http.MethodPost, url: sts.client.endpoint(""), in: []byte(form.Encode()),
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded; charset=utf-8"}, "Accept": {"application/xml"}},
		needs:  "this server's own identity needs the permission sts:AssumeRole on " + role + ", and the role must trust it",
	}, nil)
	if err != nil {
		return Credential{}, time.Time{}, fmt.Errorf("assume the role %s: %w", role, err)
	}
	var got struct {
		Credentials struct {
			AccessKeyID     string    `xml:"AccessKeyId"`
			SecretAccessKey string    `xml:"SecretAccessKey"`
			SessionToken    string    `xml:"SessionToken"`
			Expiration      time.Time `xml:"Expiration"`
		} `xml:"AssumeRoleResult>Credentials"`
	}
	if err := xml.Unmarshal(answer.body, &got); err != nil || got.Credentials.AccessKeyID == "" || got.Credentials.SecretAccessKey == "" {
		return Credential{}, time.Time{}, fmt.Errorf("assume the role %s: the answer has no keys", role)
	}
	k := got.Credentials
	return Credential{AccessKey: k.AccessKeyID, AccessSecret: k.SecretAccessKey, Type: k.SessionToken}, k.Expiration, nil
}
