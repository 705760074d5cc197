package tree

import (
	"context"
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/lighterage/lighterage/internal/problem"
)

// s3Credentials returns the credentials that are given or can be found, and an error
// in words when there are none.
func s3Credentials(ctx context.Context, c S3Config) (*credentials.Credentials, error) {
	if c.AccessKey != "" {
		return credentials.NewStaticV4(c.AccessKey, c.SecretKey, c.SessionToken), nil
	}
	if c = c.withEnvironment(os.Getenv); c.AccessKey != "" {
		return credentials.NewStaticV4(c.AccessKey, c.SecretKey, c.SessionToken), nil
	}
	// Where there is no role nobody answers at the address of the metadata service.
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	if os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "" { // asked of a service in the net
		client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true}}
	}
	found := credentials.NewChainCredentials([]credentials.Provider{
		&credentials.FileAWSCredentials{},
		&credentials.IAM{Client: client},
	})
	value, err := found.GetWithContext(&credentials.CredContext{Client: client, Context: ctx})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err == nil && value.AccessKeyID == "":
		err = errors.New("none are given, and neither the environment, nor ~/.aws/credentials, nor a role has any")
	}
	if err != nil {
		return nil, problem.Wrap(problem.BadRequest, err, "credentials for %s", c)
	}
	return found, nil
}

// withEnvironment takes credentials from the environment where none are given.
func (c S3Config) withEnvironment(getenv func(string) string) S3Config {
	if c.AccessKey != "" || c.SecretKey != "" {
		return c
	}
	for _, names := range [][3]string{
		{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"},
		{"REGISTRY_STORAGE_S3_ACCESSKEY", "REGISTRY_STORAGE_S3_SECRETKEY", "REGISTRY_STORAGE_S3_SESSIONTOKEN"},
	} {
		if access, secret := getenv(names[0]), getenv(names[1]); access != "" && secret != "" {
			c.AccessKey, c.SecretKey, c.SessionToken = access, secret, getenv(names[2])
			return c
		}
	}
	return c
}
