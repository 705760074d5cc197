// Command roots writes the certificates of the public authorities as PEM: what a container
// image that has nothing but a program needs to trust the servers that everybody trusts.
package main

import (
	"bufio"
	"encoding/pem"
	"fmt"
	"os"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	written := 0
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // a file of certificates cannot say what they are not to be trusted for
		}
		if err := pem.Encode(out, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			fail(err)
		}
		written++
	}
	if err := out.Flush(); err != nil {
		fail(err)
	}
	if written == 0 {
		fail(fmt.Errorf("there is no certificate in the bundle"))
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "write certificates of authorities:", err)
	os.Exit(1)
}
