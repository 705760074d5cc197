package testserver

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"testing"
)

// Proxy starts a front for a server that runs elsewhere: at the proxy's URL is the
// server, and Faults, Requests, latency and credentials work as for a registry of
// this package. The server sees the proxy's host in the Host header, so that the
// addresses it answers with lead to the proxy too. Stop ends the proxy alone.
func Proxy(t testing.TB, targetURL string, list ...Option) *Registry {
	t.Helper()
	target, err := url.Parse(targetURL)
	if err != nil {
		t.Fatalf("start a proxy: %v", err)
	}
	return serve(t, gather(list), func() (http.Handler, func()) { return reverse(target) })
}

// reverse returns a handler that hands everything on to target. A client that goes
// away in the middle of a request shows there as a connection that is reset, as one
// does that has crashed.
func reverse(target *url.URL) (http.Handler, func()) {
	transport := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100, DialContext: dialAbruptly}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host
		},
		Transport:     transport,
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	return proxy, transport.CloseIdleConnections
}

func dialAbruptly(ctx context.Context, network, address string) (net.Conn, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = errors.Join(err, tcp.SetLinger(0))
	}
	return conn, err
}

func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Host
}
