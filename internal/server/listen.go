package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
)

// Timeouts of the listener. There is none for a whole request: a layer may take
// hours on a thin link.
const (
	headerTimeout   = 30 * time.Second
	stallTimeout    = 10 * time.Minute // in which no byte of a request's body comes
	idleTimeout     = 3 * time.Minute
	shutdownTimeout = 20 * time.Second
)

// listener is the server's one port.
type listener struct {
	net.Listener
	scheme string
}

func (c Config) listen(ctx context.Context) (*listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if c.TLSCertificate == "" {
		return &listener{l, "http"}, nil
	}
	certificate := &certificateFile{cert: c.TLSCertificate, key: c.TLSKey, log: c.Log}
	if _, err := certificate.get(nil); err != nil {
		_ = l.Close()
		return nil, problem.Wrap(problem.BadRequest, err, "serve https")
	}
	return &listener{tls.NewListener(l, &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: certificate.get, NextProtos: []string{"h2", "http/1.1"},
	}), "https"}, nil
}

// url is where clients reach the listener when nothing else is configured. A
// listener on all addresses is shown by the machine's own.
func (l *listener) url() string {
	host, port, _ := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return l.scheme + "://" + net.JoinHostPort(host, port)
}

// certificateFile reads a certificate again when its file changed, so that a
// renewed one needs no restart.
type certificateFile struct {
	cert, key string
	log       *slog.Logger

	mu       sync.Mutex
	modified time.Time // of the file that was loaded
	refused  time.Time // of the last one that could not be
	loaded   *tls.Certificate
}

func (f *certificateFile) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.cert)
	if err == nil && f.loaded != nil && info.ModTime().Equal(f.modified) {
		return f.loaded, nil
	}
	if err == nil {
		var pair tls.Certificate
		if pair, err = tls.LoadX509KeyPair(f.cert, f.key); err == nil {
			f.loaded, f.modified = &pair, info.ModTime()
			return f.loaded, nil
		}
	}
	if f.loaded != nil {
		// Half-written files of a renewal: the old pair still serves. If they stay so, a
		// line tells why it is the old one.
		if info != nil && !info.ModTime().Equal(f.refused) {
			f.refused = info.ModTime()
			f.log.Warn("the new TLS certificate cannot be used yet, the old one still is", "file", f.cert, "error", err)
		}
		return f.loaded, nil
	}
	return nil, fmt.Errorf("read TLS certificate %s: %w", f.cert, err)
}

// serve answers requests until ctx ends, then lets those under way end for a while.
func serve(ctx context.Context, l net.Listener, handler http.Handler, log *slog.Logger) error {
	s := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext:       func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := s.Shutdown(patience); err != nil {
		_ = s.Close() // cut what did not end in time
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
