package testserver

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
)

// CertificateFiles writes the PEM files of a server certificate for this machine,
// of its key and of the authority that signed it.
func CertificateFiles(t testing.TB) (certificate, key, authority string) {
	t.Helper()
	ca, config := certificatePair(t)
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	der, err := x509.MarshalPKCS8PrivateKey(config.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	certificate = write("server.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: config.Certificate[0]}))
	key = write("server.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	return certificate, key, write("authority.pem", []byte(ca))
}
