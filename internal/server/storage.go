package server

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/lighterage/lighterage/internal/home/embedded"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// ParseStorage reads where the home registry keeps its content:
//
//	/path/to/folder
//	s3://BUCKET[/PREFIX]?region=R&endpoint=URL&access_key=K&secret_key=S&path_style=true&insecure=true
//
// The options are those of tree.ParseLocation but ca, and v4auth.
// The layout below the folder or prefix is that of every distribution registry
// (docker/registry/v2/...), so that a Harbor's volume or bucket can be served.
// Without keys S3 credentials come from the environment (AWS_ACCESS_KEY_ID, ...).
// With an endpoint the region may be left out and requests are path-style
// unless path_style=false.
func ParseStorage(text string) (embedded.Storage, error) {
	if !strings.Contains(text, "://") {
		dir, err := filepath.Abs(text)
		if err != nil {
			return embedded.Storage{}, fmt.Errorf("storage %s: %w", text, err)
		}
		return embedded.Storage{Driver: "filesystem", Parameters: map[string]any{"rootdirectory": dir}}, nil
	}
	text, v4auth := takeOption(text, "v4auth")
	location, err := tree.ParseLocation(text, nil)
	if err != nil {
		return embedded.Storage{}, problem.Wrap(problem.BadRequest, err, "storage")
	}
	parameters, err := driverParameters(location.S3)
	if err != nil {
		return embedded.Storage{}, err
	}
	if v4auth != "" {
		on, err := strconv.ParseBool(v4auth)
		if err != nil {
			return embedded.Storage{}, problem.New(problem.BadRequest, "storage: v4auth=%q: want true or false", v4auth)
		}
		parameters["v4auth"] = on
	}
	return embedded.Storage{Driver: "s3", Parameters: parameters}, nil
}

// takeOption takes an option out of a location that only the registry's driver knows.
func takeOption(text, key string) (rest, value string) {
	address, query, _ := strings.Cut(text, "?")
	var others []string
	for pair := range strings.SplitSeq(query, "&") {
		if v, ok := strings.CutPrefix(pair, key+"="); ok {
			value = v
		} else {
			others = append(others, pair)
		}
	}
	return address + "?" + strings.Join(others, "&"), value
}

// driverParameters says where a tree is in the words of the registry's S3 driver.
func driverParameters(c tree.S3Config) (map[string]any, error) {
	switch {
	case c.CAFile != "":
		return nil, problem.New(problem.BadRequest, "storage: the registry takes no ca of its own: name it in SSL_CERT_FILE")
	case c.ACL == "none":
		return nil, problem.New(problem.BadRequest, "storage: the registry always says an acl: private, or another that the bucket takes")
	}
	p := map[string]any{"bucket": c.Bucket, "region": cmp.Or(c.Region, "us-east-1")}
	if c.RootDirectory != "" {
		p["rootdirectory"] = "/" + c.RootDirectory
	}
	if c.Endpoint != "" {
		p["regionendpoint"] = c.Endpoint
		p["secure"] = strings.HasPrefix(strings.ToLower(c.Endpoint), "https:")
		p["forcepathstyle"] = true
	}
	if c.PathStyle != tree.PathStyleAuto {
		p["forcepathstyle"] = c.PathStyle == tree.PathStyleOn
	}
	for name, value := range map[string]string{
		"accesskey": c.AccessKey, "secretkey": c.SecretKey, "sessiontoken": c.SessionToken,
		"storageclass": c.StorageClass, "keyid": c.EncryptKey, "objectacl": c.ACL,
	} {
		if value != "" {
			p[name] = value
		}
	}
	for name, on := range map[string]bool{"skipverify": c.Insecure, "encrypt": c.Encrypt} {
		if on {
			p[name] = true
		}
	}
	return p, nil
}
