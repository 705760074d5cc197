package migration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// preflight tries out a store through its front, as the command does.
func preflight(t *testing.T, store *ts.Store, change func(c *tree.S3Config), o PreflightOptions) PreflightReport {
	t.Helper()
	c := tree.S3Config{Bucket: store.Bucket, RootDirectory: "root", Endpoint: store.Endpoint, AccessKey: store.AccessKey, SecretKey: store.SecretKey, Backoff: time.Millisecond}
	if change != nil {
		change(&c)
	}
	dst, err := tree.OpenForTrials(t.Context(), tree.Location{S3: c})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dst.Close() }()
	before := store.Keys("")
	told := 0
	o.OnRow = func(PreflightRow) { told++ }
	o.Trials.Patience = 300 * time.Millisecond
	r, err := Preflight(t.Context(), dst, o)
	if err != nil {
		t.Fatal(err)
	}
	if after := store.Keys(""); !slices.Equal(after, before) || len(store.Uploads()) > 0 {
		t.Errorf("there are %q and %q, before %q", after, store.Uploads(), before)
	}
	if told != len(r.Rows) {
		t.Errorf("%d rows were told, %d are reported", told, len(r.Rows))
	}
	for _, row := range r.Rows {
		if row.Found == "" || row.Means == "" || row.State == RowWarn && row.Advice == "" || row.State == RowFail && row.Advice == "" {
			t.Errorf("something is not explained: %+v", row)
		}
		if row.State == RowOK && row.Form == "" || strings.Count(row.Form, "{}") != len(row.Values) {
			t.Errorf("it cannot be said in another language: %+v", row)
		}
	}
	return r
}

func (r PreflightReport) row(t *testing.T, kind tree.TrialKind) PreflightRow {
	t.Helper()
	for _, row := range r.Rows {
		if row.Name == string(kind) {
			return row
		}
	}
	t.Fatalf("no row %q", kind)
	return PreflightRow{}
}

// unusual are the rows that are not ok, in short.
func (r PreflightReport) unusual() []string {
	var list []string
	for _, row := range r.Rows {
		if row.State != RowOK && row.Name != string(tree.TrialRates) {
			list = append(list, fmt.Sprintf("%s %s", row.State, row.Name))
		}
	}
	return list
}

func (r PreflightReport) lines() []string {
	var list []string
	for _, s := range r.Settings {
		list = append(list, s.Name+"="+s.Value)
	}
	return list
}

func TestPreflightOfRealStores(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t)
			r := preflight(t, store, nil, PreflightOptions{Rates: true})
			// Nobody else gets to this machine's own address.
			if diff := cmp.Diff([]string{"warn redirect"}, r.unusual()); diff != "" || r.Verdict != RowWarn || r.Unreachable || r.Permissions != nil {
				t.Errorf("%+v\n%s", r, diff)
			}
			if r.Rates == nil || r.Rates.Requests <= 0 || r.Rates.Bandwidth <= 0 || r.Rates.LatencySeconds <= 0 {
				t.Errorf("rates %+v", r.Rates)
			}
			want := []string{
				"persistence.imageChartStorage.type=s3",
				"persistence.imageChartStorage.s3.bucket=harbor",
				"persistence.imageChartStorage.s3.region=us-east-1",
				"persistence.imageChartStorage.s3.regionendpoint=" + store.Endpoint,
				"persistence.imageChartStorage.s3.rootdirectory=/root",
				"persistence.imageChartStorage.disableredirect=true",
				"REGISTRY_STORAGE_S3_FORCEPATHSTYLE=true",
			}
			if diff := cmp.Diff(want, r.lines()); diff != "" {
				t.Errorf("settings (-want +got)\n%s", diff)
			}
			d := r.Destination
			if d.SinglePut != 256<<20 || d.PartSize != 16<<20 || d.MaxParts != 10_000 || d.ListPage != 1000 || d.Concurrency < 1 ||
				d.Bandwidth <= 0 || d.RequestRate <= 0 || d.Latency <= 0 {
				t.Errorf("for an estimate: %+v", d)
			}
			text, err := json.Marshal(r)
			if err != nil || strings.Contains(string(text), store.SecretKey) {
				t.Errorf("%s, %v", text, err)
			}
		})
	}
}

// What a store lacks is said as what it means, with what to do and where to set it.
func TestPreflightSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault   ts.Fault
		change  func(c *tree.S3Config)
		kind    tree.TrialKind
		state   RowState
		advice  string
		setting string // in the list of settings
		lacks   string
	}{
		"a permission": {fault: ts.Fault{Class: "GET part", Do: ts.StoreError(403, "AccessDenied", "Access Denied.")},
			kind: tree.TrialListParts, state: RowFail, advice: "Permit s3:ListMultipartUploadParts", lacks: "s3:ListMultipartUploadParts"},
		"a permission that is no harm": {fault: ts.Fault{When: func(r *http.Request) bool { return r.URL.Query().Has("versioning") }, Do: ts.StoreError(403, "AccessDenied", "Access Denied.")},
			kind: tree.TrialVersioning, state: RowUnknown, advice: "Permit s3:GetBucketVersioning to have it looked at", lacks: "s3:GetBucketVersioning"},
		"copies in parts": {fault: ts.Fault{Class: "PUT copy", When: func(r *http.Request) bool { return r.URL.Query().Has("partNumber") }, Do: ts.StoreError(501, "NotImplemented", "no")},
			kind: tree.TrialCopyParts, state: RowFail, advice: "up to 5 GiB", setting: "persistence.imageChartStorage.s3.multipartcopythresholdsize=5368709120"},
		"the storage class": {fault: ts.Fault{When: func(r *http.Request) bool { return r.Header.Get("X-Amz-Storage-Class") != "" }, Do: ts.StoreError(400, "InvalidStorageClass", "no")},
			kind: tree.TrialClass, state: RowFail, advice: "storage_class=NONE", setting: "persistence.imageChartStorage.s3.storageclass=NONE"},
		"equal parts": {fault: ts.Fault{Class: "POST complete", Path: "/uneven$", Do: ts.StoreError(400, "InvalidPart", "All non-trailing parts must have the same length.")},
			kind: tree.TrialUneven, state: RowWarn, advice: "chunked copying"},
		"the region": {change: func(c *tree.S3Config) { c.Region = "mars-1" },
			kind: tree.TrialRegion, state: RowFail, advice: "region=us-east-1", setting: "persistence.imageChartStorage.s3.region=us-east-1"},
		"an ACL of one's own": {change: func(c *tree.S3Config) { c.ACL = "bucket-owner-full-control" },
			kind: tree.TrialACL, state: RowOK, setting: "REGISTRY_STORAGE_S3_OBJECTACL=bucket-owner-full-control"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.MinIO(t)
			if tc.fault.Do != nil {
				store.Faults.Add(tc.fault)
			}
			r := preflight(t, store, tc.change, PreflightOptions{})
			row := r.row(t, tc.kind)
			if row.State != tc.state || !strings.Contains(row.Advice, tc.advice) {
				t.Errorf("%+v", row)
			}
			if r.Verdict != RowFail && tc.state == RowFail || r.Verdict == RowFail && tc.state != RowFail {
				t.Errorf("the verdict is %s", r.Verdict)
			}
			if tc.setting != "" && !slices.Contains(r.lines(), tc.setting) {
				t.Errorf("settings %q", r.lines())
			}
			if tc.lacks != "" && !slices.Equal(r.Permissions, []string{tc.lacks}) {
				t.Errorf("lacking %q", r.Permissions)
			}
		})
	}
}

func TestPreflightOfAStoreThatIsNotThere(t *testing.T) {
	t.Parallel()
	store := ts.MinIO(t)
	r := preflight(t, store, func(c *tree.S3Config) { c.SecretKey = "no" }, PreflightOptions{Rates: true})
	if row := r.row(t, tree.TrialCredentials); !r.Unreachable || r.Verdict != RowFail || row.State != RowFail || len(r.Settings) > 0 || r.Rates != nil {
		t.Errorf("%+v", r)
	}
	if row := r.row(t, tree.TrialMultipart); row.State != RowSkipped || row.Needs != "credentials" {
		t.Errorf("%+v", row)
	}
	r = preflight(t, store, func(c *tree.S3Config) { c.Bucket = "nothing" }, PreflightOptions{})
	if row := r.row(t, tree.TrialBucket); r.Unreachable || r.Verdict != RowFail || !strings.Contains(row.Advice, "Make the bucket") {
		t.Errorf("%+v", r)
	}
}

// Who pulls from a registry that redirects nobody never sees the store's address.
func TestPreflightForARegistryThatRedirectsNobodyLeavesRedirectsAlone(t *testing.T) {
	t.Parallel()
	store := ts.MinIO(t)
	r := preflight(t, store, nil, PreflightOptions{HandsOn: true})
	if row := r.row(t, tree.TrialRedirect); row.State != RowOK || row.Advice != "" || row.Setting != "" || !strings.Contains(row.Means, "redirects nobody") {
		t.Errorf("%+v", row)
	}
	if r.Verdict != RowOK || slices.Contains(r.lines(), "persistence.imageChartStorage.disableredirect=true") {
		t.Errorf("the verdict is %s, and the settings %q", r.Verdict, r.lines())
	}
	r = preflight(t, store, func(c *tree.S3Config) { c.SecretKey = "no" }, PreflightOptions{HandsOn: true})
	if row := r.row(t, tree.TrialRedirect); row.State != RowSkipped {
		t.Errorf("without keys: %+v", row)
	}
}

func TestPreflightOfADirectory(t *testing.T) {
	t.Parallel()
	v := newVolume(t)
	dst, err := tree.OpenForTrials(t.Context(), tree.Location{Path: v.root})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dst.Close() }()
	r, err := Preflight(t.Context(), dst, PreflightOptions{Rates: true, NeedBytes: 1 << 20, NeedObjects: 10})
	if err != nil || r.Verdict != RowOK || r.Place != v.root || r.Settings != nil || r.Rates == nil {
		t.Errorf("%+v, %v", r, err)
	}
	if d := r.Destination; d.SinglePut != 0 || d.Concurrency != DefaultConcurrency || d.RequestRate <= 0 || d.Bandwidth <= 0 {
		t.Errorf("%+v", d)
	}
	if _, changed := r.Fits(1 << 20); changed || r.Verdict != RowOK {
		t.Errorf("a MiB does not fit: %+v", r)
	}
	if row, changed := r.Fits(1 << 60); !changed || row.State != RowFail || r.Verdict != RowFail || r.row(t, tree.TrialSpace).State != RowFail {
		t.Errorf("all fits: %+v", r)
	}
	r, err = Preflight(t.Context(), dst, PreflightOptions{NeedBytes: 1 << 60})
	if row := r.row(t, tree.TrialSpace); err != nil || r.Verdict != RowFail || row.State != RowFail || row.Advice == "" {
		t.Errorf("%+v, %v", row, err)
	}
}

func TestHostsThatOnlyTheClusterKnows(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"minio:9000": true, "minio.storage.svc:9000": true, "minio.storage.svc.cluster.local": true, "localhost": true, "127.0.0.1:9000": true, "[::1]:9000": true,
		"s3.amazonaws.com": false, "harbor.s3.eu-central-1.amazonaws.com": false, "10.0.0.7:9000": false, "minio.example.com:443": false,
	} {
		if got := isInternal(host); got != want {
			t.Errorf("%s: %t", host, got)
		}
	}
}
