// Package chart knows the values of Harbor's Helm chart that say where the images are
// kept, and what the chart makes of them. It is pure: it turns values into a change of
// values.
//
// The chart has habits that a change has to know of. It writes a boolean only when it
// is true; it hands each key of s3.existingSecret to the registry as an environment
// variable, whatever the type of the storage is; and a registry that is told of two
// storages does not start.
package chart

import (
	"maps"
	"slices"
	"strings"

	"github.com/lighterage/lighterage/internal/problem"
)

// S3 is a bucket as the registry is to use it.
type S3 struct {
	Bucket        string
	Endpoint      string // "": Amazon's
	Region        string // "": us-east-1, which stores without regions take
	RootDirectory string // the prefix
	Secret        string // the Secret with the keys, see Keys
	CASecret      string // "", or a Secret whose ca.crt has the authorities of the endpoint
	Redirect      bool   // clients are sent to the store for blobs, so that they must reach it
	SkipVerify    bool
	Encrypt       bool
	EncryptKey    string
	StorageClass  string
	ACL           string // "": private
}

// DefaultRegion is written where a store has no regions: the registry needs one.
const DefaultRegion = "us-east-1"

// Check refuses what no registry can use.
func (s S3) Check() error {
	switch {
	case s.Bucket == "":
		return problem.New(problem.BadRequest, "no bucket for the registry")
	case s.Secret == "":
		return problem.New(problem.BadRequest, "no Secret with the keys of the bucket %s", s.Bucket)
	case s.Endpoint == "" && s.Region == "":
		return problem.New(problem.BadRequest, "the registry needs the region of the bucket %s: give it as region=...", s.Bucket)
	}
	return nil
}

// settings are the values below persistence.imageChartStorage.s3.
func (s S3) settings() map[string]any {
	region := s.Region
	if region == "" {
		region = DefaultRegion
	}
	set := map[string]any{"existingSecret": s.Secret, "bucket": s.Bucket, "region": region, "v4auth": true}
	for name, text := range map[string]string{"regionendpoint": s.Endpoint, "rootdirectory": rooted(s.RootDirectory), "keyid": s.EncryptKey, "storageclass": s.StorageClass} {
		if text != "" {
			set[name] = text
		}
	}
	if s.Encrypt {
		set["encrypt"] = true
	}
	if s.SkipVerify { // the chart looks at it only beside secure
		set["secure"], set["skipverify"] = true, true
	}
	return set
}

func rooted(prefix string) string {
	if prefix = strings.Trim(prefix, "/"); prefix == "" {
		return ""
	}
	return "/" + prefix
}

// To returns the merge patch (RFC 7386) of the chart's values after which the registry
// keeps its images in the bucket. Of what s3 had before nothing is left; everything
// outside of persistence.imageChartStorage stays as it is.
func To(values map[string]any, s S3) map[string]any {
	before := imageStorage(values)
	settings := s.settings()
	old, _ := before["s3"].(map[string]any)
	for key := range old {
		if _, set := settings[key]; !set {
			settings[key] = nil
		}
	}
	change := map[string]any{"type": "s3", "disableredirect": !s.Redirect, "s3": settings}
	if s.CASecret != "" {
		change["caBundleSecretName"] = s.CASecret
	}
	return below(change)
}

// Back returns the merge patch that undoes To(values, s): each value that it changed is
// what it was, and those that were not there are gone. Unless images were in S3 before,
// a Secret of S3 that the values named all the same is taken away, as with it a registry
// on a volume does not start, and so are keys, which were of no use and belong into no
// patch.
func Back(values map[string]any, s S3) map[string]any {
	before := imageStorage(values)
	change := map[string]any{}
	for _, key := range []string{"type", "disableredirect"} {
		change[key] = before[key] // nil, which removes it, where there was none
	}
	if s.CASecret != "" {
		change["caBundleSecretName"] = before["caBundleSecretName"]
	}
	old, had := before["s3"].(map[string]any)
	if !had {
		change["s3"] = nil
		return below(change)
	}
	settings := maps.Clone(old)
	for key := range s.settings() {
		if _, kept := old[key]; !kept {
			settings[key] = nil
		}
	}
	if before["type"] != "s3" {
		for _, key := range []string{"existingSecret", "accesskey", "secretkey"} {
			settings[key] = nil
		}
	}
	change["s3"] = settings
	return below(change)
}

func imageStorage(values map[string]any) map[string]any {
	persistence, _ := values["persistence"].(map[string]any)
	storage, _ := persistence["imageChartStorage"].(map[string]any)
	return storage
}

func below(change map[string]any) map[string]any {
	return map[string]any{"persistence": map[string]any{"imageChartStorage": change}}
}

// Merge applies a merge patch (RFC 7386) to values, and leaves both as they are.
func Merge(values, patch map[string]any) map[string]any {
	merged := maps.Clone(values)
	if merged == nil {
		merged = map[string]any{}
	}
	for key, change := range patch {
		switch change := change.(type) {
		case nil:
			delete(merged, key)
		case map[string]any:
			inner, _ := merged[key].(map[string]any)
			merged[key] = Merge(inner, change)
		default:
			merged[key] = change
		}
	}
	return merged
}

// The names that the registry reads its keys by.
const (
	AccessKey = "REGISTRY_STORAGE_S3_ACCESSKEY"
	SecretKey = "REGISTRY_STORAGE_S3_SECRETKEY"
)

// Keys returns what the Secret of the bucket holds: the two keys, and what the chart
// has no value for. Release 3 of the registry looks for a bucket at a host of its own
// unless it is told to use a path; release 2 ignores that setting.
func (s S3) Keys(access, secret string) (map[string]string, error) {
	keys := map[string]string{AccessKey: access, SecretKey: secret}
	if s.Endpoint != "" {
		keys["REGISTRY_STORAGE_S3_FORCEPATHSTYLE"] = "true"
	}
	if s.ACL != "" {
		keys["REGISTRY_STORAGE_S3_OBJECTACL"] = s.ACL
	}
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		switch value := keys[name]; {
		case value == "":
			return nil, problem.New(problem.BadRequest, "%s is empty", name)
		case strings.ContainsAny(value, "\r\n"): // charts that export the Secret's files leave such a value out
			return nil, problem.New(problem.BadRequest, "%s has more than one line", name)
		}
	}
	return keys, nil
}
