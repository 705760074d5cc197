//go:build !linux

package testserver

import (
	"net"
	"testing"
)

// Address returns an address of 127.0.0.1 that was free a moment ago. Only Linux can
// keep it.
func Address(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}
