package tree_test

import (
	"net/http"
	"strings"
	"testing"

	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// query fits requests with something in their query.
func query(key string) func(*http.Request) bool {
	return func(r *http.Request) bool { return r.URL.Query().Has(key) }
}

func denied() ts.Action { return ts.StoreError(http.StatusForbidden, "AccessDenied", "Access Denied.") }

// Each request that is not permitted costs what needs it, and its permission is named;
// all else is tried out all the same, and nothing is left behind.
func TestOnePermissionIsMissing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault ts.Fault
		want  []string
	}{
		"region": {ts.Fault{Class: "GET location"}, nil},
		"list": {ts.Fault{When: func(r *http.Request) bool {
			class := ts.StoreClass(r)
			return class == "GET list" || class == "GET folders"
		}}, []string{"list s3:ListBucket", "-content", "-folder markers", "-strangers", "-delete many"}},
		"versioning": {ts.Fault{When: query("versioning")}, []string{"?versioning s3:GetBucketVersioning"}},
		"lock":       {ts.Fault{When: query("object-lock")}, []string{"?object lock s3:GetBucketObjectLockConfiguration"}},
		"lifecycle":  {ts.Fault{When: query("lifecycle")}, []string{"?lifecycle s3:GetLifecycleConfiguration"}},
		"put": {ts.Fault{Class: "PUT object"}, []string{"put s3:PutObject", "-acl", "-storage class", "-encryption", "-get", "-range read", "-overwrite",
			"-payload hash", "-checksums", "-create only", "-copy", "-request size", "-redirect", "-delete many", "-delete one", "-rates"}},
		"acl": {ts.Fault{Class: "PUT object", When: func(r *http.Request) bool { return r.Header.Get("X-Amz-Acl") != "" }},
			[]string{"acl s3:PutObjectAcl"}},
		"get":                     {ts.Fault{Class: "GET object"}, []string{"get s3:GetObject", "-range read", "-overwrite", "~redirect (unreachable)"}},
		"head":                    {ts.Fault{Class: "HEAD object"}, []string{"head s3:GetObject"}},
		"head of what is missing": {ts.Fault{Class: "HEAD object", Path: "/nothing-here$"}, []string{"head (forbidden) s3:ListBucket"}},
		"begin":                   {ts.Fault{Class: "POST upload"}, []string{"multipart upload s3:PutObject", "-list parts", "-list uploads", "-uneven parts", "-copy in parts", "-abort upload"}},
		"part":                    {ts.Fault{Class: "PUT part"}, []string{"multipart upload s3:PutObject", "-list parts", "-list uploads", "-uneven parts", "-copy in parts", "-abort upload"}},
		"complete":                {ts.Fault{Class: "POST complete"}, []string{"multipart upload s3:PutObject", "-uneven parts", "-copy in parts"}},
		"list parts":              {ts.Fault{Class: "GET part"}, []string{"list parts s3:ListMultipartUploadParts"}},
		"list uploads":            {ts.Fault{Class: "GET upload"}, []string{"list uploads s3:ListBucketMultipartUploads"}},
		"copy":                    {ts.Fault{Class: "PUT copy"}, []string{"copy s3:GetObject and s3:PutObject", "copy in parts s3:GetObject and s3:PutObject"}},
		"abort":                   {ts.Fault{Class: "DELETE upload"}, []string{"abort upload s3:AbortMultipartUpload"}},
		"delete many":             {ts.Fault{Class: "POST delete"}, []string{"delete many s3:DeleteObject"}},
		"delete one":              {ts.Fault{Class: "DELETE object"}, []string{"delete one s3:DeleteObject"}},
		"delete": {ts.Fault{When: func(r *http.Request) bool {
			class := ts.StoreClass(r)
			return class == "POST delete" || class == "DELETE object"
		}}, []string{"delete many s3:DeleteObject", "delete one s3:DeleteObject", "clean-up (left) s3:DeleteObject"}},
		"everything": {ts.Fault{}, []string{"?bucket", "list s3:ListBucket", "-content", "-folder markers", "-strangers",
			"?versioning s3:GetBucketVersioning", "?object lock s3:GetBucketObjectLockConfiguration", "?lifecycle s3:GetLifecycleConfiguration",
			"put s3:PutObject", "-acl", "-storage class", "-encryption", "-get", "-range read", "-overwrite", "-payload hash", "-checksums",
			"-create only", "-copy", "-request size", "-redirect", "-delete many", "-delete one", "-rates", "head (forbidden) s3:ListBucket",
			"multipart upload s3:PutObject", "-list parts", "-list uploads", "-uneven parts", "-copy in parts", "-abort upload"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t)
			tc.fault.Do = denied()
			store.Faults.Add(tc.fault)
			got := tryOut(t, store, config(store, "root"), tree.TrialOptions{Patience: soon})
			got.want(t, tc.want...)
		})
	}
}

// What a store does differently is told where it matters, and the rest is tried out
// without it.
func TestAStoreDiffers(t *testing.T) {
	t.Parallel()
	refuses := func(code, message string, status int) ts.Action { return ts.StoreError(status, code, message) }
	header := func(name string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.Header.Get(name) != "" }
	}
	for name, tc := range map[string]struct {
		faults func(s *ts.Store) []ts.Fault
		change func(c *tree.S3Config)
		want   []string
		says   string // somewhere
	}{
		"it takes no ACL": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{When: header("X-Amz-Acl"), Do: refuses("AccessControlListNotSupported", "The bucket does not allow ACLs", 400)}}
		}, want: []string{"acl"}},
		"it takes no ACL and none is asked for": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{When: header("X-Amz-Acl"), Do: refuses("AccessControlListNotSupported", "The bucket does not allow ACLs", 400)}}
		}, change: func(c *tree.S3Config) { c.ACL = "none" }},
		"it does not know the registry's storage class": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{When: header("X-Amz-Storage-Class"), Do: refuses("InvalidStorageClass", "The storage class you specified is not valid", 400)}}
		}, want: []string{"storage class"}},
		"the class is left out": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{When: header("X-Amz-Storage-Class"), Do: refuses("InvalidStorageClass", "not valid", 400)}}
		}, change: func(c *tree.S3Config) { c.StorageClass = "NONE" }},
		"it encrypts not": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{When: header("X-Amz-Server-Side-Encryption"), Do: refuses("NotImplemented", "Server side encryption specified but KMS is not configured", 501)}}
		}, change: func(c *tree.S3Config) { c.Encrypt, c.EncryptKey = true, "mine" }, want: []string{"encryption (key service)"}},
		"neither ACL nor class": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{
				{When: header("X-Amz-Acl"), Do: refuses("NotImplemented", "no", 501)},
				{When: header("X-Amz-Storage-Class"), Do: refuses("InvalidArgument", "no", 400)},
			}
		}, want: []string{"acl (not known)", "storage class"}},
		"it verifies nothing": {faults: func(s *ts.Store) []ts.Fault {
			return []ts.Fault{{Class: "PUT object", Do: s.IgnorePayload()}}
		}, want: []string{"~payload hash (ignored)"}},
		"it refuses checksums": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{When: header("X-Amz-Checksum-Sha256"), Do: refuses("NotImplemented", "A header you provided is not implemented", 501)}}
		}, says: "no SHA-256 is told"},
		"it overwrites whatever is said": {faults: func(s *ts.Store) []ts.Fault {
			return []ts.Fault{{When: header("If-None-Match"), Do: s.Rewrite(func(r *http.Request) { r.Header.Del("If-None-Match") })}}
		}, says: "an object that was there was overwritten"},
		"it wants equal parts": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{Class: "POST complete", Path: "/uneven$", Do: refuses("InvalidPart", "All non-trailing parts must have the same length.", 400)}}
		}, want: []string{"~uneven parts (refused)"}, says: "same length"},
		"it copies no parts": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{Class: "PUT copy", When: query("partNumber"), Do: refuses("NotImplemented", "not implemented", 501)}}
		}, want: []string{"copy in parts (not known)"}},
		"it lists no uploads": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{Class: "GET upload", Do: ts.TruncateAnswer(0)}}
		}, want: []string{"list uploads"}},
		"it deletes one by one": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{Class: "POST delete", Do: refuses("NotImplemented", "not implemented", 501)}}
		}, want: []string{"delete many (not known)"}},
		"it reads other bytes": {faults: func(s *ts.Store) []ts.Fault {
			return []ts.Fault{{Class: "PUT object", Path: "/canary$", Do: s.Spoil()}}
		}, want: []string{"get (bytes)", "-range read", "-overwrite", "copy", "~redirect (unreachable)"}},
		"it loses what it takes": {faults: func(s *ts.Store) []ts.Fault {
			return []ts.Fault{{Class: "PUT object", Path: "/canary$", Do: s.Lose()}}
		}, want: []string{"get", "-range read", "head", "-overwrite", "copy", "~redirect (unreachable)"}},
		"it reads no parts of objects": {faults: func(s *ts.Store) []ts.Fault {
			return []ts.Fault{{Class: "GET object", When: func(r *http.Request) bool { return r.Header.Get("Range") == "bytes=11-" },
				Do: s.Rewrite(func(r *http.Request) { r.Header.Del("Range") })}}
		}, want: []string{"range read (bytes)"}},
		"a proxy refuses large requests": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{When: func(r *http.Request) bool { return r.ContentLength > 20<<20 }, Do: tooLarge}}
		}, want: []string{"request size (refused)"}, says: "16 MiB are taken, and 64 MiB are refused"},
		"a proxy refuses what the registry sends": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{When: func(r *http.Request) bool { return r.ContentLength > 1<<20 }, Do: tooLarge}}
		}, want: []string{"request size (refused)", "multipart upload", "-list parts", "-list uploads", "-uneven parts", "-copy in parts"}, says: "10 MiB are refused"},
		"its clock is behind": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{Class: "GET location", Do: ts.SetHeader("Date", "Mon, 02 Jan 2006 15:04:05 GMT")}}
		}, want: []string{"~clock"}, says: "ahead of the store's"},
		"it deletes after some days": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{When: query("lifecycle"), Do: answers(`<LifecycleConfiguration><Rule><ID>tidy</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter><Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>`)}}
		}, want: []string{"lifecycle (expiration)"}, says: `rule "tidy" deletes objects after 30 days`},
		"it deletes other things after some days": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{When: query("lifecycle"), Do: answers(`<LifecycleConfiguration>
				<Rule><ID>a</ID><Status>Enabled</Status><Filter><Prefix>backups/</Prefix></Filter><Expiration><Days>30</Days></Expiration></Rule>
				<Rule><ID>b</ID><Status>Disabled</Status><Expiration><Days>30</Days></Expiration></Rule>
				<Rule><ID>c</ID><Status>Enabled</Status><Filter></Filter><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
				</LifecycleConfiguration>`)}}
		}},
		"it moves objects to a glacier": {faults: func(*ts.Store) []ts.Fault {
			return []ts.Fault{{When: query("lifecycle"), Do: answers(`<LifecycleConfiguration><Rule><ID>cold</ID><Status>Enabled</Status><Prefix>root/</Prefix><Transition><Days>90</Days><StorageClass>GLACIER</StorageClass></Transition></Rule></LifecycleConfiguration>`)}}
		}, want: []string{"~lifecycle (transition)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t)
			for _, fault := range tc.faults(store) {
				store.Faults.Add(fault)
			}
			c := config(store, "root")
			if tc.change != nil {
				tc.change(&c)
			}
			got := tryOut(t, store, c, tree.TrialOptions{Patience: soon})
			got.want(t, tc.want...)
			if !strings.Contains(got.String(), tc.says) {
				t.Errorf("nothing says %q:\n%s", tc.says, got)
			}
		})
	}
}

// tooLarge answers as a proxy with a limit does: without a look at the body.
func tooLarge(http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "close")
		http.Error(w, "<html>413 Request Entity Too Large</html>", http.StatusRequestEntityTooLarge)
	})
}

func answers(xml string) ts.Action {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/xml")
			_, _ = w.Write([]byte(xml))
		})
	}
}

// A store that fails now and then is no store that lacks something.
func TestTrialsOutlastFailures(t *testing.T) {
	t.Parallel()
	for name, action := range map[string]ts.Action{"busy": ts.SlowDown(0), "reset": ts.Reset(), "error": ts.StoreError(500, "InternalError", "We encountered an internal error.")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.S3(t)
			for _, class := range []string{"GET location", "GET list", "GET folders", "GET other", "PUT object", "GET object", "HEAD object", "POST upload",
				"PUT part", "GET part", "GET upload", "POST complete", "PUT copy", "DELETE upload", "POST delete", "DELETE object"} {
				when := func(r *http.Request) bool {
					return r.ContentLength <= 20<<20 && r.URL.Query().Get("X-Amz-Signature") == ""
				}
				store.Faults.Add(ts.Fault{Class: class, When: when, Times: 3, Do: action})
			}
			got := tryOut(t, store, config(store, "root"), tree.TrialOptions{Patience: soon})
			got.want(t)
		})
	}
}
