package registry

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	dialTimeout = 10 * time.Second
	tlsTimeout  = 10 * time.Second
	idleTimeout = 90 * time.Second
	socketChunk = 64 << 10 // bytes a connection moves per system call
)

// transports are the connections of one endpoint. Short requests share HTTP/2 where
// the host offers it. Bodies get HTTP/1.1 connections of their own: over a long link
// many TCP windows carry more than one, and no request waits behind a layer.
type transports struct {
	short, bulk http.RoundTripper
	close       func()
}

func newTransports(cfg *tls.Config, idlePerHost int) transports {
	short := newTransport(cfg.Clone(), idlePerHost)
	short.Protocols.SetHTTP2(true)
	short.HTTP2 = &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second}
	bulk := newTransport(cfg.Clone(), idlePerHost)
	return transports{short: short, bulk: bulk, close: func() {
		short.CloseIdleConnections()
		bulk.CloseIdleConnections()
	}}
}

func newTransport(cfg *tls.Config, idlePerHost int) *http.Transport {
	t := &http.Transport{
		Proxy:               proxy,
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:     cfg,
		TLSHandshakeTimeout: tlsTimeout,
		MaxIdleConns:        0, // bounded per host
		MaxIdleConnsPerHost: idlePerHost,
		IdleConnTimeout:     idleTimeout,
		// Content is addressed by the digest of its bytes; a transport that unpacks
		// them on the way would change them.
		DisableCompression: true,
		ReadBufferSize:     socketChunk,
		WriteBufferSize:    socketChunk,
		Protocols:          new(http.Protocols),
	}
	t.Protocols.SetHTTP1(true)
	return t
}

// proxy is the environment's, but never for the metadata service of a cloud's machine:
// what that gives away is meant for this machine alone.
func proxy(r *http.Request) (*url.URL, error) {
	if ip := net.ParseIP(r.URL.Hostname()); ip != nil && ip.IsLinkLocalUnicast() {
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}
