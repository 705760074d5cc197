package tree_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// skippedFrom are all kinds from one on, as they are told when nothing more can be tried.
func skippedFrom(kind tree.TrialKind) []string {
	var list []string
	for _, later := range storeKinds[slices.Index(storeKinds, kind):] {
		if later != tree.TrialClean { // there is nothing to clean up
			list = append(list, "-"+string(later))
		}
	}
	return list
}

// web serves something that is no store, and returns its address.
func web(t *testing.T, handler http.HandlerFunc, certificate *tls.Certificate) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if certificate == nil {
		server.Start()
	} else {
		server.TLS = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
		server.StartTLS()
	}
	t.Cleanup(server.Close)
	return server.URL
}

// selfSigned makes a certificate for this machine, and the file that makes it trusted.
func selfSigned(t *testing.T, from, until time.Time) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: until, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func authority(t *testing.T, store *ts.Store) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, []byte(store.CA), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// What keeps a connection from being made is told as what it is.
func TestAStoreCannotBeReached(t *testing.T) {
	t.Parallel()
	elsewhere := func(endpoint string) tree.S3Config {
		return tree.S3Config{Bucket: "harbor", Endpoint: endpoint, AccessKey: "a", SecretKey: "store-secret", Backoff: time.Millisecond}
	}
	afterReach := skippedFrom(tree.TrialCertificate)
	for name, tc := range map[string]struct {
		config func(t *testing.T) tree.S3Config
		want   []string
	}{
		"nobody listens": {func(t *testing.T) tree.S3Config {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			_ = listener.Close()
			return elsewhere("http://" + listener.Addr().String())
		}, append([]string{"reachable"}, afterReach...)},
		"no such host": {func(*testing.T) tree.S3Config { return elsewhere("http://store.invalid") },
			append([]string{"reachable (name)"}, afterReach...)},
		"a web page": {func(t *testing.T) tree.S3Config {
			return elsewhere(web(t, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "<!doctype html><html><title>Console")
			}, nil))
		}, append([]string{"reachable (no S3)"}, afterReach...)},
		"a web page that is not there": {func(t *testing.T) tree.S3Config {
			return elsewhere(web(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Method Not Allowed", http.StatusTeapot) }, nil))
		}, append([]string{"reachable (no S3)"}, afterReach...)},
		"a proxy before nothing": {func(t *testing.T) tree.S3Config {
			return elsewhere(web(t, func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "Bad Gateway", http.StatusBadGateway) }, nil))
		}, append([]string{"reachable"}, afterReach...)},
		"https where http is spoken": {func(t *testing.T) tree.S3Config {
			return elsewhere("https" + strings.TrimPrefix(web(t, http.NotFound, nil), "http"))
		}, append([]string{"reachable (plain)"}, afterReach...)},
		"http where https is spoken": {func(t *testing.T) tree.S3Config {
			return elsewhere("http" + strings.TrimPrefix(ts.S3(t, ts.WithTLS()).Endpoint, "https"))
		}, append([]string{"reachable (tls)"}, afterReach...)},
		"an unknown authority": {func(t *testing.T) tree.S3Config { return elsewhere(ts.S3(t, ts.WithTLS()).Endpoint) },
			append([]string{"certificate (authority)"}, skippedFrom(tree.TrialClock)...)},
		"a certificate for another name": {func(t *testing.T) tree.S3Config {
			store := ts.S3(t, ts.WithTLS())
			c := elsewhere("https://s3.example.com")
			c.CAFile = authority(t, store)
			return tree.DialTo(c, store.Host)
		}, append([]string{"certificate (host)"}, skippedFrom(tree.TrialClock)...)},
		"an old certificate": {func(t *testing.T) tree.S3Config {
			certificate, file := selfSigned(t, time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))
			c := elsewhere(web(t, http.NotFound, &certificate))
			c.CAFile = file
			return c
		}, append([]string{"certificate (expired)"}, skippedFrom(tree.TrialClock)...)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := run(t, t.Context(), openUntried(t, tc.config(t)), tree.TrialOptions{})
			got.want(t, tc.want...)
		})
	}
}

// What a store says of those who ask is told as what it is.
func TestAStoreRefusesWhoAsks(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fault  ts.Action
		class  string
		change func(c *tree.S3Config)
		want   []string
	}{
		"the key is not known to a list": {class: "GET list", fault: ts.StoreError(403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."),
			want: append([]string{"credentials (key)"}, skippedFrom(tree.TrialBucket)...)},
		"the key is not known": {change: func(c *tree.S3Config) { c.AccessKey = "nobody" },
			want: append([]string{"credentials (key)"}, skippedFrom(tree.TrialRegion)...)},
		"the secret key is wrong": {change: func(c *tree.S3Config) { c.SecretKey = "store-secret-no" },
			want: append([]string{"credentials (signature)"}, skippedFrom(tree.TrialRegion)...)},
		"the token has expired": {fault: ts.StoreError(400, "ExpiredToken", "The provided token has expired."),
			want: append([]string{"credentials (token)"}, skippedFrom(tree.TrialRegion)...)},
		"the signature is too new": {fault: ts.StoreError(400, "InvalidRequest", "The authorization mechanism you have provided is not supported. Please use Signature Version 2."),
			want: append([]string{"credentials (version)"}, skippedFrom(tree.TrialRegion)...)},
		"the clock is wrong": {fault: ts.StoreError(403, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
			want: append([]string{"clock"}, skippedFrom(tree.TrialCredentials)...)},
		"there is no such bucket": {change: func(c *tree.S3Config) { c.Bucket = "nothing" },
			want: append([]string{"bucket (missing)"}, skippedFrom(tree.TrialList)...)},
		"the bucket is elsewhere": {fault: ts.StoreError(301, "PermanentRedirect", "The bucket must be addressed using another endpoint."),
			want: append([]string{"bucket (elsewhere)"}, skippedFrom(tree.TrialList)...)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := ts.MinIO(t)
			if tc.fault != nil {
				store.Faults.Add(ts.Fault{Class: tc.class, Do: tc.fault})
			}
			c := config(store, "root")
			if tc.change != nil {
				tc.change(&c)
			}
			got := run(t, t.Context(), openUntried(t, c), tree.TrialOptions{})
			got.want(t, tc.want...)
			if keys := store.Keys(""); len(keys) > 0 {
				t.Errorf("there are %q", keys)
			}
		})
	}
}

func TestCertificatesAreToldApart(t *testing.T) {
	t.Parallel()
	store := ts.S3(t, ts.WithTLS())
	c := config(store, "root")
	c.Insecure = true
	tryOut(t, store, c, tree.TrialOptions{Patience: soon}).want(t, "~certificate (unverified)")
	c.Insecure, c.CAFile = false, authority(t, store)
	// It is valid for a day.
	tryOut(t, store, c, tree.TrialOptions{Patience: soon}).want(t, "~certificate (expires)")

	certificate, file := selfSigned(t, time.Now().Add(-time.Hour), time.Now().Add(365*24*time.Hour))
	c = tree.S3Config{Bucket: "harbor", Endpoint: web(t, http.NotFound, &certificate), CAFile: file, AccessKey: "a", SecretKey: "b", Backoff: time.Millisecond}
	got := run(t, t.Context(), openUntried(t, c), tree.TrialOptions{})
	if trial := got[tree.TrialCertificate]; trial.Result != tree.TrialWorks || trial.Reason != tree.ReasonOwn {
		t.Errorf("an authority that was given: %+v", trial)
	}
}

// A region that is wrong is told, and everything else is tried out with the right one.
func TestAWrongRegionIsTold(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t, ts.WithRegion("eu-nowhere-1"))
			c := config(store, "root")
			for given, want := range map[string][]string{"": nil, "eu-nowhere-1": nil, "us-west-1": {"region"}} {
				c.Region = given
				got := tryOut(t, store, c, tree.TrialOptions{Patience: soon})
				got.want(t, want...)
				if value := got[tree.TrialRegion].Value; value != "eu-nowhere-1" {
					t.Errorf("given %q: the region is %q\n%s", given, value, got)
				}
			}
		})
	}
}

func TestBothWaysToAddressABucketAreTried(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, ...ts.Option) *ts.Store{"versitygw": ts.S3, "MinIO": ts.MinIO} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := start(t)
			c := config(store, "root")
			_, port, err := net.SplitHostPort(store.Host)
			if err != nil {
				t.Fatal(err)
			}
			c.Endpoint = "http://" + net.JoinHostPort(ts.StoreDomain, port)
			c = tree.DialTo(c, store.Host)
			got := tryOut(t, store, c, tree.TrialOptions{Patience: soon})
			got.want(t)
			if got[tree.TrialAddressing].Value != "both" {
				t.Errorf("%+v", got[tree.TrialAddressing])
			}
			store.Faults.Add(ts.Fault{Path: "^/" + store.Bucket + "/", Do: ts.StoreError(403, "SecondLevelDomainForbidden", "Please use virtual hosted style to access.")})
			c.PathStyle = tree.PathStyleOff
			got = tryOut(t, store, c, tree.TrialOptions{Patience: soon})
			got.want(t, "~addressing")
			if got[tree.TrialAddressing].Value != "host" {
				t.Errorf("%+v", got[tree.TrialAddressing])
			}
		})
	}
}
