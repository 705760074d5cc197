package testserver

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestAnAddressIsKeptForAServerThatComesAndGoes(t *testing.T) {
	t.Parallel()
	address := Address(t)
	refused := func() {
		t.Helper()
		if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a connection while nothing listens: %v", err)
		}
	}
	refused()
	for range 3 {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		client, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = client.Close()
		if _, err := net.Listen("tcp", address); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("a second server at the same address: %v", err)
		}
		_ = listener.Close()
		refused()
	}
	for range 2000 {
		other, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = other.Close() }()
		if other.Addr().String() == address {
			t.Fatal("it is given to another server")
		}
	}
}
