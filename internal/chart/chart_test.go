package chart

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/problem"
)

func parse(t *testing.T, text string) map[string]any {
	t.Helper()
	var values map[string]any
	if err := yaml.Unmarshal([]byte(text), &values); err != nil {
		t.Fatal(err)
	}
	return values
}

// The seed's own example, and what the chart's habits make of other wishes.
func TestValuesAreChangedForTheBucketAndNothingElse(t *testing.T) {
	t.Parallel()
	minio := S3{Bucket: "harbor", Endpoint: "http://minio:9000", Secret: "s3-secret"}
	for name, c := range map[string]struct {
		before string
		s3     S3
		after  string
	}{
		"a volume with everything around it": {
			before: `
expose: {type: nodePort}
persistence:
  enabled: true
  resourcePolicy: keep
  hostPath: {registry: {path: /srv}}
  persistentVolumeClaim: {registry: {storageClass: ceph, subPath: r}, jobservice: {jobLog: {size: 1Gi}}, trivy: {size: 5Gi}}
  imageChartStorage: {filesystem: {rootdirectory: /storage, maxthreads: 100}}
core: {replicas: 2}`,
			s3: minio,
			after: `
expose: {type: nodePort}
persistence:
  enabled: true
  resourcePolicy: keep
  hostPath: {registry: {path: /srv}}
  persistentVolumeClaim: {registry: {storageClass: ceph, subPath: r}, jobservice: {jobLog: {size: 1Gi}}, trivy: {size: 5Gi}}
  imageChartStorage:
    type: s3
    disableredirect: true
    s3: {existingSecret: s3-secret, bucket: harbor, region: us-east-1, regionendpoint: "http://minio:9000", v4auth: true}
    filesystem: {rootdirectory: /storage, maxthreads: 100}
core: {replicas: 2}`,
		},
		"no values at all": {
			s3:    minio,
			after: `persistence: {imageChartStorage: {type: s3, disableredirect: true, s3: {existingSecret: s3-secret, bucket: harbor, region: us-east-1, regionendpoint: "http://minio:9000", v4auth: true}}}`,
		},
		"left-overs of another bucket go": {
			before: `persistence: {imageChartStorage: {type: filesystem, s3: {accesskey: old, secretkey: old, rootdirectory: /old, chunksize: "5242880", bucket: old}}}`,
			s3:     minio,
			after:  `persistence: {imageChartStorage: {type: s3, disableredirect: true, s3: {existingSecret: s3-secret, bucket: harbor, region: us-east-1, regionendpoint: "http://minio:9000", v4auth: true}}}`,
		},
		"skipverify needs secure beside it": {
			s3:    S3{Bucket: "b", Endpoint: "https://ceph", Region: "cn", Secret: "s", SkipVerify: true, RootDirectory: "a/b/"},
			after: `persistence: {imageChartStorage: {type: s3, disableredirect: true, s3: {existingSecret: s, bucket: b, region: cn, regionendpoint: "https://ceph", rootdirectory: /a/b, v4auth: true, secure: true, skipverify: true}}}`,
		},
		"Amazon, with redirects and a key": {
			s3:    S3{Bucket: "b", Region: "eu-central-1", Secret: "s", Redirect: true, Encrypt: true, EncryptKey: "k", StorageClass: "STANDARD", CASecret: "ca"},
			after: `persistence: {imageChartStorage: {type: s3, disableredirect: false, caBundleSecretName: ca, s3: {existingSecret: s, bucket: b, region: eu-central-1, v4auth: true, encrypt: true, keyid: k, storageclass: STANDARD}}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := parse(t, c.before)
			after := Merge(before, To(before, c.s3))
			if diff := cmp.Diff(parse(t, c.after), after); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(parse(t, c.before), before); diff != "" {
				t.Errorf("the values themselves were changed: %s", diff)
			}
		})
	}
}

func TestTheWayBackLeavesTheValuesAsTheyWere(t *testing.T) {
	t.Parallel()
	s := S3{Bucket: "harbor", Endpoint: "http://minio:9000", Secret: "s3-secret", CASecret: "ca"}
	for name, before := range map[string]string{
		"nothing said of storage": `persistence: {enabled: true, imageChartStorage: {disableredirect: false}}`,
		"a volume":                `persistence: {imageChartStorage: {type: filesystem, caBundleSecretName: own, filesystem: {rootdirectory: /storage}}}`,
		"with keys left":          `persistence: {imageChartStorage: {type: filesystem, s3: {bucket: old, chunksize: "5"}}}`,
		"from bucket to bucket":   `persistence: {imageChartStorage: {type: s3, disableredirect: true, s3: {existingSecret: old, bucket: old, region: r}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := parse(t, before)
			back := Merge(Merge(before, To(before, s)), Back(before, s))
			if diff := cmp.Diff(before, back); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A registry that is told of a volume and has the keys of S3 in its environment panics:
// "multiple storage drivers".
func TestTheWayBackNeverLeavesKeysOfS3(t *testing.T) {
	t.Parallel()
	s := S3{Bucket: "harbor", Endpoint: "http://minio:9000", Secret: "s3-secret"}
	before := parse(t, `persistence: {imageChartStorage: {s3: {existingSecret: left-over, accesskey: a, secretkey: s, bucket: old}}}`)
	back := Merge(Merge(before, To(before, s)), Back(before, s))
	if diff := cmp.Diff(parse(t, `persistence: {imageChartStorage: {s3: {bucket: old}}}`), back); diff != "" {
		t.Error(diff)
	}
}

func TestAnythingElseInTheValuesStays(t *testing.T) {
	t.Parallel()
	s := S3{Bucket: "harbor", Endpoint: "http://minio:9000", Secret: "s3-secret", CASecret: "ca"}
	value := rapid.OneOf(rapid.Just[any]("x"), rapid.Just[any](1), rapid.Just[any](false), rapid.Just[any](nil), rapid.Just[any]([]any{"a", map[string]any{"b": 1}}))
	key := rapid.SampledFrom([]string{"persistence", "imageChartStorage", "s3", "type", "filesystem", "bucket", "core", "region"})
	var tree func(depth int) *rapid.Generator[map[string]any]
	tree = func(depth int) *rapid.Generator[map[string]any] {
		of := value
		if depth > 0 {
			of = rapid.OneOf(value, rapid.Map(tree(depth-1), func(m map[string]any) any { return m }))
		}
		return rapid.MapOfN(key, of, 0, 4)
	}
	without := func(values map[string]any) map[string]any {
		values = Merge(values, nil)
		if persistence, ok := values["persistence"].(map[string]any); ok {
			persistence = Merge(persistence, nil)
			if storage, ok := persistence["imageChartStorage"].(map[string]any); ok {
				storage = Merge(storage, map[string]any{"type": nil, "disableredirect": nil, "s3": nil, "caBundleSecretName": nil})
				persistence["imageChartStorage"] = storage
			} else {
				delete(persistence, "imageChartStorage")
			}
			if storage, _ := persistence["imageChartStorage"].(map[string]any); len(storage) == 0 {
				delete(persistence, "imageChartStorage")
			}
			values["persistence"] = persistence
			if len(persistence) == 0 {
				delete(values, "persistence")
			}
		} else {
			delete(values, "persistence")
		}
		return values
	}
	rapid.Check(t, func(t *rapid.T) {
		values := tree(3).Draw(t, "values")
		after := Merge(values, To(values, s))
		if diff := cmp.Diff(without(values), without(after)); diff != "" {
			t.Error(diff)
		}
		if got := imageStorage(after)["type"]; got != "s3" {
			t.Errorf("type is %v", got)
		}
	})
}

func TestTheSecretHoldsWhatTheChartCannotSay(t *testing.T) {
	t.Parallel()
	got, err := S3{Bucket: "b", Endpoint: "https://ceph", ACL: "bucket-owner-full-control"}.Keys("access", "secret")
	want := map[string]string{
		AccessKey: "access", SecretKey: "secret", "REGISTRY_STORAGE_S3_FORCEPATHSTYLE": "true", "REGISTRY_STORAGE_S3_OBJECTACL": "bucket-owner-full-control",
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for says, keys := range map[string][2]string{"ACCESSKEY is empty": {"", "s"}, "SECRETKEY has more than one line": {"a", "s\n"}} {
		if _, err := (S3{}).Keys(keys[0], keys[1]); !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s\n") {
			t.Errorf("%q: %v", keys, err)
		}
	}
}

func TestABucketThatNoRegistryCanUseIsRefused(t *testing.T) {
	t.Parallel()
	for says, s := range map[string]S3{
		"no bucket": {Secret: "s", Region: "r"}, "no Secret": {Bucket: "b", Region: "r"}, "needs the region": {Bucket: "b", Secret: "s"},
	} {
		if err := s.Check(); !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if err := (S3{Bucket: "b", Secret: "s", Endpoint: "http://minio"}).Check(); err != nil {
		t.Error(err)
	}
}
