package tree_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// Whenever somebody interrupts the trials, nothing is left.
func TestTrialsThatAreInterruptedLeaveNothing(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t)
			store.Put("root/docker/registry/v2/x", []byte("not ours"))
			for _, class := range []string{"PUT object", "GET object", "HEAD object", "POST upload", "PUT part", "GET upload", "POST complete",
				"PUT copy", "DELETE upload", "POST delete", "DELETE object", "GET list"} {
				for _, skip := range []int{0, 2} {
					ctx, cancel := context.WithCancelCause(t.Context())
					stopped := errors.New("stopped")
					fault := store.Faults.Add(ts.Fault{Class: class, Skip: skip, Times: 1, Do: func(next http.Handler) http.Handler {
						return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							next.ServeHTTP(w, r)
							cancel(stopped) // the answer may come or not
						})
					}})
					told := 0
					_, err := openUntried(t, config(store, "root")).Trials(ctx, tree.TrialOptions{Patience: soon, OnTrial: func(trial tree.Trial) {
						told++
						if trial.Result == tree.TrialFails {
							t.Errorf("%s %d: interrupted, and %+v", class, skip, trial)
						}
					}})
					if fault.Hits() > 0 && !errors.Is(err, stopped) {
						t.Errorf("%s %d: %v", class, skip, err)
					}
					fault.Remove()
					cancel(nil)
					if keys := store.Keys(""); !slices.Equal(keys, []string{"root/docker/registry/v2/x"}) {
						t.Fatalf("%s %d: there are %q", class, skip, keys)
					}
					if uploads := store.Uploads(); len(uploads) > 0 {
						t.Fatalf("%s %d: there are uploads: %q", class, skip, uploads)
					}
				}
			}
		})
	}
}

// What trials have left that were killed is removed, and what may be those of somebody
// else is not.
func TestTrialsRemoveWhatKilledOnesLeft(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t)
			const folder = "root/.lighterage/trial-KILLED/"
			keys := []string{folder + "canary", folder + "many/a/link", "root/.lighterage/trial-notes", "root/.lighterage/tree.json"}
			for _, key := range keys {
				store.Put(key, []byte("left"))
			}
			core := minio.Core{Client: store.Direct()}
			if _, err := core.NewMultipartUpload(t.Context(), store.Bucket, folder+"large", minio.PutObjectOptions{}); err != nil {
				t.Fatal(err)
			}
			run(t, t.Context(), openUntried(t, config(store, "root")), tree.TrialOptions{Patience: soon})
			slices.Sort(keys)
			if got := store.Keys(""); !slices.Equal(got, keys) {
				t.Errorf("what is new was removed: %q", got)
			}
			run(t, t.Context(), openUntried(t, config(store, "root")), tree.TrialOptions{Patience: soon, LeftOver: time.Nanosecond})
			if got := store.Keys(""); !slices.Equal(got, []string{"root/.lighterage/tree.json", "root/.lighterage/trial-notes"}) {
				t.Errorf("there are %q", got)
			}
			if uploads, err := core.ListMultipartUploads(t.Context(), store.Bucket, folder+"large", "", "", "", 10); err != nil || len(uploads.Uploads) > 0 {
				t.Errorf("uploads %+v, %v", uploads.Uploads, err)
			}
		})
	}
}

func TestTrialsTellWhatIsThere(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("ab", 32)
	blob := "docker/registry/v2/blobs/sha256/ab/" + digest + "/data"
	link := "docker/registry/v2/repositories/x/_layers/sha256/" + digest + "/link"
	for name, tc := range map[string]struct {
		keys  []string
		value string
		want  []string
		says  []string
	}{
		"nothing":             {value: "empty"},
		"other things":        {keys: []string{"backup/x", "notes.txt"}, value: "empty", says: []string{"other things are beside it"}},
		"an earlier copy":     {keys: []string{blob, link, ".lighterage/tree.json"}, value: "copy", says: []string{"1 blobs and 1 links, with the journal"}},
		"a journal":           {keys: []string{".lighterage/journal/1"}, value: "copy"},
		"a registry":          {keys: []string{blob, link, link + "x"}, value: "registry", want: []string{"~content", "~strangers"}, says: []string{"1: " + link + "x"}},
		"only other trials":   {keys: []string{".lighterage/trial-A/canary", ".lighterage/probe-A"}, value: "empty"},
		"uploads":             {keys: []string{"docker/registry/v2/repositories/x/_uploads/1/startedat"}, value: "empty"},
		"markers of folders":  {keys: []string{"", "docker/", "docker/registry/v2/repositories/x/_manifests/tags/"}, value: "empty", want: []string{"~folder markers"}, says: []string{"3: ", "root/", "docker/,"}},
		"many of them":        {keys: []string{"docker/a", "docker/b", "docker/c", "docker/d", "docker/e", "docker/f"}, value: "empty", want: []string{"~strangers"}, says: []string{"6: docker/a, docker/b, docker/c, docker/d, docker/e and 1 more"}},
		"more than looked at": {keys: append(numbered("docker/", 20), blob), value: "empty", want: []string{"~strangers"}, says: []string{"≥ 20"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.MinIO(t)
			for _, key := range tc.keys {
				store.Put("root/"+key, []byte("x"))
			}
			got := run(t, t.Context(), openUntried(t, config(store, "root")), tree.TrialOptions{Patience: soon, MostListed: 20})
			got.want(t, tc.want...)
			if got[tree.TrialContent].Value != tc.value {
				t.Errorf("%+v, want %s", got[tree.TrialContent], tc.value)
			}
			all := got[tree.TrialContent].Found + "\n" + got[tree.TrialMarkers].Found + "\n" + got[tree.TrialStrangers].Found
			for _, text := range tc.says {
				if !strings.Contains(all, text) {
					t.Errorf("nothing says %q in\n%s", text, all)
				}
			}
			if keys := store.Keys(""); len(keys) != len(tc.keys) {
				t.Errorf("there are %q", keys)
			}
		})
	}
}

func numbered(folder string, n int) []string {
	var names []string
	for i := range n {
		names = append(names, folder+"a"+string(rune('a'+i)))
	}
	return names
}

// Where objects have versions no old ones are left; where they cannot be deleted
// nothing is stored.
func TestVersionsAndLocks(t *testing.T) {
	t.Parallel()
	store := ts.MinIO(t)
	direct := store.Direct()
	versions := func(bucket string) (n int) {
		for range direct.ListObjectsIter(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
			n++
		}
		return n
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(direct.EnableVersioning(t.Context(), store.Bucket))
	c := config(store, "root")
	try := func() tried { return run(t, t.Context(), openUntried(t, c), tree.TrialOptions{Patience: soon}) }
	got := try()
	got.want(t, "~versioning")
	if got[tree.TrialVersioning].Value != "Enabled" || versions(c.Bucket) > 0 {
		t.Errorf("%+v, and %d versions are left", got[tree.TrialVersioning], versions(c.Bucket))
	}
	store.Faults.Add(ts.Fault{Class: "DELETE object", When: query("versionId"), Do: denied()})
	got = try()
	got.want(t, "~versioning", "~clean-up (left) s3:DeleteObjectVersion")
	store.Faults.Clear()
	check(direct.SuspendVersioning(t.Context(), store.Bucket))
	try().want(t)

	c.Bucket = "locked"
	check(direct.MakeBucket(t.Context(), c.Bucket, minio.MakeBucketOptions{ObjectLocking: true}))
	try().want(t, "~versioning", "~object lock (locked)")
	if n := versions(c.Bucket); n > 0 {
		t.Errorf("%d versions are left", n)
	}
	mode, days, unit := minio.Governance, uint(3), minio.Days
	check(direct.SetBucketObjectLockConfig(t.Context(), c.Bucket, &mode, &days, &unit))
	got = try()
	if trial := got[tree.TrialLock]; trial.Result != tree.TrialFails || trial.Reason != tree.ReasonRetention || !strings.Contains(trial.Found, "3 days") {
		t.Errorf("%+v", trial)
	}
	if got[tree.TrialPut].Needs != tree.TrialLock || got[tree.TrialMultipart].Needs != tree.TrialLock || got[tree.TrialAddressing].Result != tree.TrialWorks {
		t.Errorf("%s", got)
	}
	if n := versions(c.Bucket); n > 0 {
		t.Errorf("%d versions that cannot be deleted", n)
	}
}

// A real store with a real policy says the same as one that is made to refuse.
func TestAPolicyLacksOnePermission(t *testing.T) {
	t.Parallel()
	store := ts.MinIO(t)
	all := []string{"s3:GetBucketLocation", "s3:ListBucket", "s3:GetBucketVersioning", "s3:GetBucketObjectLockConfiguration", "s3:GetLifecycleConfiguration",
		"s3:ListBucketMultipartUploads", "s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListMultipartUploadParts", "s3:AbortMultipartUpload"}
	for lacking, want := range map[string][]string{
		"":                                    nil,
		"s3:GetBucketLocation":                nil,
		"s3:ListBucket":                       {"list s3:ListBucket", "-content", "-folder markers", "-strangers", "-delete many"},
		"s3:GetBucketVersioning":              {"?versioning s3:GetBucketVersioning"},
		"s3:GetBucketObjectLockConfiguration": {"?object lock s3:GetBucketObjectLockConfiguration"},
		"s3:GetLifecycleConfiguration":        {"?lifecycle s3:GetLifecycleConfiguration"},
		"s3:ListBucketMultipartUploads":       {"list uploads s3:ListBucketMultipartUploads"},
		"s3:ListMultipartUploadParts":         {"list parts s3:ListMultipartUploadParts"},
		"s3:AbortMultipartUpload":             {"abort upload s3:AbortMultipartUpload"},
		"s3:DeleteObject":                     {"delete many s3:DeleteObject", "delete one s3:DeleteObject", "clean-up (left) s3:DeleteObject"},
		"s3:GetObject": {"get s3:GetObject", "-range read", "-overwrite", "head s3:GetObject", "copy s3:GetObject and s3:PutObject",
			"copy in parts s3:GetObject and s3:PutObject", "~redirect (unreachable)"},
		"s3:PutObject": {"put s3:PutObject", "-acl", "-storage class", "-encryption", "-get", "-range read", "-overwrite", "-payload hash", "-checksums",
			"-create only", "-copy", "-request size", "-redirect", "-delete many", "-delete one", "-rates",
			"multipart upload s3:PutObject", "-list parts", "-list uploads", "-uneven parts", "-copy in parts", "-abort upload"},
	} {
		t.Run("without "+lacking, func(t *testing.T) {
			allowed := slices.DeleteFunc(slices.Clone(all), func(action string) bool { return action == lacking })
			c := config(store, "root")
			c.AccessKey, c.SecretKey, c.SessionToken = session(t, store, allowed)
			got := run(t, t.Context(), openUntried(t, c), tree.TrialOptions{Patience: soon})
			got.want(t, want...)
			left := store.Keys("")
			if (len(left) > 0 || len(store.Uploads()) > 0) != (lacking == "s3:DeleteObject") {
				t.Errorf("there are %q, %q", left, store.Uploads())
			}
			store.Remove(left...)
		})
	}
}

// session returns credentials that may do some things only.
func session(t *testing.T, store *ts.Store, actions []string) (access, secret, token string) {
	t.Helper()
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["` + strings.Join(actions, `","`) + `"],"Resource":["arn:aws:s3:::*"]}]}`
	creds, err := credentials.NewSTSAssumeRole(store.Direct().EndpointURL().String(), credentials.STSAssumeRoleOptions{
		AccessKey: store.AccessKey, SecretKey: store.SecretKey, Policy: policy, Location: store.Region,
	})
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	value, err := creds.GetWithContext(&credentials.CredContext{Client: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	return value.AccessKeyID, value.SecretAccessKey, value.SessionToken
}
