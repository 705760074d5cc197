package cutover

import (
	"encoding/pem"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// Place says where a registry's storage is. It is kept in the database, and shown: its
// secrets are apart, see Secret.
type Place struct {
	Path string `json:"path,omitempty"` // of a directory; "": it is in a store

	Provider      string `json:"provider,omitempty"` // what the form has asked for
	Endpoint      string `json:"endpoint,omitempty"`
	Region        string `json:"region,omitempty"`
	Bucket        string `json:"bucket,omitempty"`
	Prefix        string `json:"prefix,omitempty"`
	AccessKey     string `json:"access_key,omitempty"`
	PathStyle     *bool  `json:"path_style,omitempty"`
	Insecure      bool   `json:"insecure,omitempty"`
	CACertificate string `json:"ca_certificate,omitempty"`
	StorageClass  string `json:"storage_class,omitempty"`
	ACL           string `json:"acl,omitempty"`
	Encrypt       bool   `json:"encrypt,omitempty"`
	EncryptKey    string `json:"encrypt_key,omitempty"`
}

// Secret is what of a place is never shown, and sealed wherever it is kept.
type Secret struct {
	SecretKey    string `json:"secret_key,omitempty"`
	SessionToken string `json:"session_token,omitempty"`
}

// Kinds of places.
const (
	Directory = "directory"
	S3        = "s3"
)

// Kind tells directories from stores.
func (p Place) Kind() string {
	if p.Path != "" {
		return Directory
	}
	return S3
}

// String names the place in words.
func (p Place) String() string {
	if p.Path != "" {
		return p.Path
	}
	return tree.S3Config{Bucket: p.Bucket, RootDirectory: p.Prefix, Endpoint: p.Endpoint}.String()
}

// Same reports whether two places are one, whoever looks at it and with which key.
func (p Place) Same(other Place) bool { return p.String() == other.String() }

// Location is how the place is opened. caFile is where the caller has put its
// certificates, if it has any.
func (p Place) Location(s Secret, caFile string) tree.Location {
	if p.Path != "" {
		return tree.Location{Path: p.Path}
	}
	c := tree.S3Config{
		Bucket: p.Bucket, RootDirectory: p.Prefix, Endpoint: p.Endpoint, Region: p.Region, Insecure: p.Insecure,
		AccessKey: p.AccessKey, SecretKey: s.SecretKey, SessionToken: s.SessionToken,
		StorageClass: p.StorageClass, ACL: p.ACL, Encrypt: p.Encrypt, EncryptKey: p.EncryptKey,
	}
	if p.CACertificate != "" {
		c.CAFile = caFile
	}
	switch {
	case p.PathStyle != nil && !*p.PathStyle:
		c.PathStyle = tree.PathStyleOff
	case p.PathStyle != nil || p.Endpoint != "":
		c.PathStyle = tree.PathStyleOn
	}
	return tree.Location{S3: c}
}

// PlaceOf is the place at a location, and its secrets.
func PlaceOf(l tree.Location) (Place, Secret) {
	if !l.IsS3() {
		return Place{Path: l.Path}, Secret{}
	}
	c := l.S3
	p := Place{
		Bucket: c.Bucket, Prefix: c.RootDirectory, Endpoint: c.Endpoint, Region: c.Region, Insecure: c.Insecure, AccessKey: c.AccessKey,
		StorageClass: c.StorageClass, ACL: c.ACL, Encrypt: c.Encrypt, EncryptKey: c.EncryptKey,
	}
	if c.PathStyle != tree.PathStyleAuto {
		on := c.PathStyle == tree.PathStyleOn
		p.PathStyle = &on
	}
	return p, Secret{SecretKey: c.SecretKey, SessionToken: c.SessionToken}
}

// CheckDestination refuses what no registry could be moved to, and tidies the rest.
func CheckDestination(p Place, s Secret) (Place, error) {
	refuse := func(format string, args ...any) (Place, error) {
		return p, problem.New(problem.BadRequest, "destination: "+format, args...)
	}
	p.Prefix = strings.Trim(p.Prefix, "/")
	p.Endpoint = strings.TrimRight(strings.TrimSpace(p.Endpoint), "/")
	p.CACertificate = strings.TrimSpace(p.CACertificate)
	switch {
	case p.Path != "":
		return refuse("the content can be moved to an S3 store only")
	case strings.TrimSpace(p.Bucket) == "":
		return refuse("no bucket is named")
	case (p.AccessKey == "") != (s.SecretKey == ""):
		return refuse("an access key and a secret key go together, and one of them is missing")
	case p.Endpoint == "" && p.Region == "":
		return refuse("without an endpoint it is Amazon's, and then the region has to be named, such as us-east-1")
	case p.Prefix == ".lighterage" || strings.HasPrefix(p.Prefix, ".lighterage/"):
		return refuse("the prefix .lighterage is where the journal of a copy is kept: name another")
	case strings.Contains("/"+p.Prefix+"/", "/../") || strings.Contains(p.Prefix, "//") || strings.Contains("/"+p.Prefix+"/", "/./"):
		return refuse("prefix %q: want folders' names with single slashes between them", p.Prefix)
	case p.ACL == "none":
		return refuse("the registry always says an ACL: private, or another that the bucket takes")
	case p.Insecure && p.CACertificate != "":
		return refuse("certificates to trust are given, and the store's is not to be verified: leave one of them out")
	}
	if p.CACertificate != "" {
		if block, _ := pem.Decode([]byte(p.CACertificate)); block == nil || block.Type != "CERTIFICATE" {
			return refuse("the certificates to trust are not PEM: want -----BEGIN CERTIFICATE-----")
		}
	}
	// What the tree itself refuses is refused here too, before anything is kept.
	l := p.Location(s, "")
	if err := tree.CheckS3(l.S3); err != nil {
		return p, err
	}
	return p, nil
}
