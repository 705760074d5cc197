package cloudsign_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/cloudsign"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// The examples of the providers' own documentation, where there is one.
func TestDocumentedSignatures(t *testing.T) {
	t.Parallel()
	amazonKey := cloudsign.Key{ID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}
	for name, test := range map[string]struct {
		got  map[string]string
		want string
	}{
		"Amazon, get-vanilla": {
			cloudsign.Amazon(cloudsign.Request{Method: "GET", Host: "example.amazonaws.com"}, amazonKey, "us-east-1", "service", at(t, "2015-08-30T12:36:00Z")),
			"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, " +
				"Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
		},
		"Amazon, the IAM example": {
			cloudsign.Amazon(cloudsign.Request{
				Method: "GET", Host: "iam.amazonaws.com", Query: url.Values{"Action": {"ListUsers"}, "Version": {"2010-05-08"}},
				Header: map[string]string{"content-type": "application/x-www-form-urlencoded; charset=utf-8"},
			}, amazonKey, "us-east-1", "iam", at(t, "2015-08-30T12:36:00Z")),
			"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, " +
				"Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
		},
		"Alibaba": {
			cloudsign.Alibaba(cloudsign.Request{
				Method: "POST", Host: "ecs.cn-shanghai.aliyuncs.com",
				Query: url.Values{"ImageId": {"win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd"}, "RegionId": {"cn-shanghai"}},
			}, cloudsign.Key{ID: "YourAccessKeyId", Secret: "YourAccessKeySecret"}, "RunInstances", "2014-05-26", "3156853299f313e23d1673dc12e1703d", at(t, "2023-10-26T10:22:32Z")),
			"ACS3-HMAC-SHA256 Credential=YourAccessKeyId,SignedHeaders=host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version," +
				"Signature=06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
		},
		"Volcengine, as its own SDK signs it": {
			cloudsign.Volcengine(cloudsign.Request{
				Method: "POST", Host: "cr.cn-beijing.volcengineapi.com", Query: url.Values{"Action": {"GetAuthorizationToken"}, "Version": {"2022-05-12"}},
				Header: map[string]string{"content-type": "application/json; charset=utf-8"}, Body: []byte(`{"Registry":"r"}`),
			}, cloudsign.Key{ID: "AK", Secret: "SK"}, "cn-beijing", "cr", at(t, "2026-11-25T14:02:19Z")),
			"HMAC-SHA256 Credential=AK/20261125/cn-beijing/cr/request, SignedHeaders=content-type;host;x-content-sha256;x-date, " +
				"Signature=ec396a19b479ef9b5d6d9026c78e1dcdc641405896f06e0bad321f381f38024b",
		},
		"Tencent": {
			cloudsign.Tencent(cloudsign.Request{
				Method: "POST", Host: "cvm.tencentcloudapi.com", Header: map[string]string{"content-type": "application/json; charset=utf-8"},
				Body: []byte(`{"Limit": 1, "Filters": [{"Values": ["\u672a\u547d\u540d"], "Name": "instance-name"}]}`),
			}, cloudsign.Key{ID: "AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE", Secret: "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"}, "cvm", time.Unix(1551113065, 0)),
			"TC3-HMAC-SHA256 Credential=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE/2019-02-25/cvm/tc3_request, SignedHeaders=content-type;host, " +
				"Signature=72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168",
		},
	} {
		if got := test.got["authorization"]; got != test.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, test.want)
		}
	}
}

func TestTemporaryKeysShowTheirToken(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-01-02T03:04:05Z")
	r := cloudsign.Request{Method: "POST", Host: "api.example.com", Header: map[string]string{"content-type": "application/json"}, Body: []byte("{}")}
	k := cloudsign.Key{ID: "id", Secret: "very secret", Session: "session-token"}
	for name, got := range map[string]map[string]string{
		"x-amz-security-token": cloudsign.Amazon(r, k, "r", "s", now),
		"x-acs-security-token": cloudsign.Alibaba(r, k, "a", "v", "n", now),
		"x-tc-token":           cloudsign.Tencent(r, k, "s", now),
		"x-security-token":     cloudsign.Volcengine(r, k, "r", "s", now),
	} {
		if got[name] != "session-token" {
			t.Errorf("%s: %q", name, got)
		}
		for header, value := range got {
			if strings.Contains(value, "very secret") {
				t.Errorf("the secret is in %s", header)
			}
		}
	}
}

func TestEverythingThatIsSignedCounts(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-01-02T03:04:05Z")
	k := cloudsign.Key{ID: "id", Secret: "s"}
	base := cloudsign.Request{Method: "POST", Host: "h", Path: "/p", Query: url.Values{"q": {"a b"}}, Header: map[string]string{"content-type": "x"}, Body: []byte("b")}
	signers := map[string]func(cloudsign.Request) string{
		"amazon":     func(r cloudsign.Request) string { return cloudsign.Amazon(r, k, "r", "s", now)["authorization"] },
		"alibaba":    func(r cloudsign.Request) string { return cloudsign.Alibaba(r, k, "a", "v", "n", now)["authorization"] },
		"tencent":    func(r cloudsign.Request) string { return cloudsign.Tencent(r, k, "s", now)["authorization"] },
		"volcengine": func(r cloudsign.Request) string { return cloudsign.Volcengine(r, k, "r", "s", now)["authorization"] },
	}
	changes := map[string]func(*cloudsign.Request){
		"method": func(r *cloudsign.Request) { r.Method = "PUT" },
		"host":   func(r *cloudsign.Request) { r.Host = "other" },
		"path":   func(r *cloudsign.Request) { r.Path = "/other" },
		"query":  func(r *cloudsign.Request) { r.Query = url.Values{"q": {"b"}} },
		"header": func(r *cloudsign.Request) { r.Header = map[string]string{"content-type": "y"} },
		"body":   func(r *cloudsign.Request) { r.Body = []byte("c") },
	}
	for name, sign := range signers {
		for what, change := range changes {
			r := base
			change(&r)
			if sign(r) == sign(base) {
				t.Errorf("%s: another %s has the same signature", name, what)
			}
		}
	}
}

func TestAQueryIsSentAsItIsSigned(t *testing.T) {
	t.Parallel()
	if got := cloudsign.Query(url.Values{"b": {"x y+z/~"}, "a": {"1"}}); got != "a=1&b=x%20y%2Bz%2F~" {
		t.Error(got)
	}
}
