package tree

import (
	"context"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
)

// Location says where a tree is: in a directory or in an S3 store.
type Location struct {
	Path      string // of a directory; "" if the tree is in a store
	Directory DirectoryOptions
	S3        S3Config
}

// Opened is a tree to be closed after use.
type Opened interface {
	Tree
	io.Closer
}

// ParseLocation reads where a tree is:
//
//	/path/to/folder
//	s3://BUCKET[/PREFIX]?endpoint=URL&region=R&access_key=K&secret_key=S&...
//
// The options are endpoint, region, access_key, secret_key, session_token,
// path_style, insecure, ca (a file), storage_class, acl, encrypt, encrypt_key and checksums,
// see S3Config. Keys that are not given are looked for in the environment, which getenv
// reads; nil: they are not. What cannot be understood is a problem.BadRequest.
func ParseLocation(text string, getenv func(string) string) (Location, error) {
	if !strings.Contains(text, "://") {
		if text == "" {
			return Location{}, problem.New(problem.BadRequest, "want a folder or s3://bucket/prefix, and got nothing")
		}
		return Location{Path: text}, nil
	}
	// What url.Parse says of a wrong text holds the text, and the text may hold secrets.
	address, options, _ := strings.Cut(text, "?")
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "s3":
		return Location{}, problem.New(problem.BadRequest, "want a folder or s3://bucket/prefix?..., see help")
	case u.User != nil:
		return Location{}, problem.New(problem.BadRequest, "credentials are options: s3://bucket?access_key=...&secret_key=...")
	case u.Hostname() == "":
		return Location{}, problem.New(problem.BadRequest, "no bucket in s3://bucket/prefix")
	case u.Port() != "":
		return Location{}, problem.New(problem.BadRequest, "%s is no bucket; where the store is is an option: s3://bucket?endpoint=http(s)://%s", u.Host, u.Host)
	case u.Fragment != "" || strings.Contains(options, "#"):
		return Location{}, problem.New(problem.BadRequest, "write # as %%23")
	}
	// Keys of S3 have + and no blanks; the options are no form.
	values, err := url.ParseQuery(strings.ReplaceAll(options, "+", "%2B"))
	if err != nil {
		return Location{}, problem.New(problem.BadRequest, "what follows the ? cannot be read: write %% as %%25, & as %%26 and ; as %%3B")
	}
	l := Location{S3: S3Config{Bucket: u.Host, RootDirectory: strings.Trim(u.Path, "/")}}
	for key, list := range values {
		if err := l.S3.set(key, list[len(list)-1]); err != nil {
			return Location{}, err
		}
	}
	if l.S3.EncryptKey != "" && !l.S3.Encrypt {
		return Location{}, problem.New(problem.BadRequest, "encrypt_key goes with encrypt=true")
	}
	if getenv != nil {
		l.S3 = l.S3.withEnvironment(getenv)
	}
	return l, nil
}

// set takes one option.
func (c *S3Config) set(key, value string) error {
	texts := map[string]*string{
		"region": &c.Region, "access_key": &c.AccessKey, "secret_key": &c.SecretKey, "session_token": &c.SessionToken,
		"ca": &c.CAFile, "storage_class": &c.StorageClass, "encrypt_key": &c.EncryptKey,
	}
	flags := map[string]func(bool){
		"insecure":  func(on bool) { c.Insecure = on },
		"encrypt":   func(on bool) { c.Encrypt = on },
		"checksums": func(on bool) { c.Checksums = on },
		"path_style": func(on bool) {
			c.PathStyle = map[bool]PathStyle{true: PathStyleOn, false: PathStyleOff}[on]
		},
	}
	switch {
	case key == "endpoint":
		u, err := url.Parse(value)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.User != nil {
			return problem.New(problem.BadRequest, "endpoint %q: want http(s)://host[:port]", value)
		}
		c.Endpoint = value
	case key == "acl":
		if !knownACLs[value] {
			return problem.New(problem.BadRequest, "acl %q: want private, none, or another of S3's canned ACLs", value)
		}
		c.ACL = value
	case texts[key] != nil:
		*texts[key] = value
	case flags[key] != nil:
		on, err := strconv.ParseBool(value)
		if err != nil {
			return problem.New(problem.BadRequest, "%s=%q: want true or false", key, value)
		}
		flags[key](on)
	default:
		return problem.New(problem.BadRequest, "unknown option %q", key)
	}
	return nil
}

// knownACLs are those that the registry's driver takes, and none.
var knownACLs = map[string]bool{
	"none": true, "private": true, "public-read": true, "public-read-write": true, "aws-exec-read": true, "authenticated-read": true,
	"bucket-owner-read": true, "bucket-owner-full-control": true,
}

// IsS3 reports whether the tree is in a store.
func (l Location) IsS3() bool { return l.Path == "" }

// String names the location. It holds no secrets.
func (l Location) String() string {
	if l.IsS3() {
		return l.S3.String()
	}
	return l.Path
}

// Open opens the tree at a location.
func Open(ctx context.Context, l Location) (Opened, error) {
	if l.IsS3() {
		return OpenS3(ctx, l.S3)
	}
	return OpenDirectory(l.Path, l.Directory)
}

// CheckS3 refuses what no tree can be opened with, without asking the store.
func CheckS3(c S3Config) error {
	if c.ACL != "" && !knownACLs[c.ACL] {
		return problem.New(problem.BadRequest, "acl %q: want private, or another of S3's canned ACLs", c.ACL)
	}
	_, _, err := c.check()
	return err
}
