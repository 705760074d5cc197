package testserver

import (
	"net"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Address returns a free address of 127.0.0.1 and keeps it for a server that listens
// there, stops, and comes back: connections are refused in between, and nobody else is
// given it until the test has ended.
//
// A socket has the port and never listens. Linux lets another one listen at a port
// that is bound, if both want SO_REUSEADDR as Go's listeners do, and does not give
// such a port to those that ask for any.
func Address(t testing.TB) string {
	t.Helper()
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	t.Cleanup(func() { _ = unix.Close(socket) })
	if err := unix.SetsockoptInt(socket, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	if err := unix.Bind(socket, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	bound, err := unix.Getsockname(socket)
	if err != nil {
		t.Fatalf("find a free port: %v", err)
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.(*unix.SockaddrInet4).Port))
}
