package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/server"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// challenge is what an anonymous client is told about where to log in.
func challenge(t *testing.T, url, host string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url+"/v2/", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.Header.Get("WWW-Authenticate")
}

func TestClientsAreSentForTokensWhereTheyReachedTheServer(t *testing.T) {
	t.Parallel()
	anywhere := start(t, server.Config{DataDir: t.TempDir(), Listen: "0.0.0.0:0"})
	if got := challenge(t, anywhere.url, "registry.example:8580"); !strings.Contains(got, `realm="http://registry.example:8580/service/token"`) {
		t.Errorf("without an external URL: %s", got)
	}
	address := ts.Address(t)
	behind := start(t, server.Config{DataDir: t.TempDir(), ExternalURL: "https://harbor.example.com/", Listen: address})
	if behind.url != "https://harbor.example.com" {
		t.Errorf("the server says it is at %s", behind.url)
	}
	if got := challenge(t, "http://"+address, "internal:80"); !strings.Contains(got, `realm="https://harbor.example.com/service/token"`) {
		t.Errorf("behind a proxy: %s", got)
	}
}

func TestTLSFollowsItsFiles(t *testing.T) {
	t.Parallel()
	cert, key, authority := ts.CertificateFiles(t)
	home := start(t, server.Config{DataDir: t.TempDir(), TLSCertificate: cert, TLSKey: key})
	connect := func(authority string) (*http.Response, error) {
		pem, err := os.ReadFile(authority)
		if err != nil {
			t.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
		defer transport.CloseIdleConnections()
		answer, err := (&http.Client{Transport: transport}).Get(home.url + "/readyz")
		if err == nil {
			_ = answer.Body.Close()
		}
		return answer, err
	}
	answer, err := connect(authority)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Proto != "HTTP/2.0" {
		t.Errorf("spoken is %s", answer.Proto)
	}

	newCert, newKey, newAuthority := ts.CertificateFiles(t)
	replace(t, cert, newCert) // the key follows: until then the pair does not fit
	if _, err := connect(authority); err != nil {
		t.Errorf("in the middle of a renewal: %v", err)
	}
	replace(t, key, newKey)
	if _, err := connect(newAuthority); err != nil {
		t.Errorf("after a renewal: %v", err)
	}
	if _, err := connect(authority); err == nil {
		t.Error("the old certificate is still served")
	}
}

func TestACertificateThatCannotBeUsedIsAMistakeInTheConfiguration(t *testing.T) {
	t.Parallel()
	cert, _, _ := ts.CertificateFiles(t)
	_, otherKey, _ := ts.CertificateFiles(t)
	for what, c := range map[string]server.Config{
		"no such file":   {TLSCertificate: cert + ".gone", TLSKey: otherKey},
		"does not match": {TLSCertificate: cert, TLSKey: otherKey},
	} {
		c.DataDir, c.Listen = t.TempDir(), "127.0.0.1:0"
		err := server.Run(t.Context(), c)
		if !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), c.TLSCertificate) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// replace gives a file the content of another one, and a later time.
func replace(t *testing.T, file, with string) {
	t.Helper()
	text, err := os.ReadFile(with)
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	later := time.Now().Add(time.Minute)
	if err == nil {
		err = os.Chtimes(file, later, later)
	}
	if err != nil {
		t.Fatal(err)
	}
}
