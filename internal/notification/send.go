package notification

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	dialTime = 10 * time.Second
	sendTime = 30 * time.Second // for one attempt as a whole
	mostRead = 64 << 10         // bytes of an answer, so that its connection ends in order
)

// metadata is where clouds tell machines their credentials: over addresses that are
// link-local, and this one.
var metadata = netip.MustParsePrefix("fd00:ec2::/32")

// refuse ends connections to where no target can be. It sees the address that is
// really connected to, so that a name cannot be made to mean something else later.
// Private and loopback addresses are allowed: that is where most targets are.
func refuse(_, address string, _ syscall.RawConn) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return err
	}
	ip = ip.Unmap().WithZone("")
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || metadata.Contains(ip) {
		return fmt.Errorf("%s is no address of a target: link-local, multicast and metadata addresses are refused", ip)
	}
	return nil
}

// delivery is what is sent.
type delivery struct {
	eventID, event, contentType, body string
	attempt                           int64
}

// send makes one attempt. status is 0 when there was no answer. The error never has
// the URL in it, whose path may be a secret.
func (s *Service) send(ctx context.Context, t Target, d delivery) (status int, err error) {
	if t.locked != nil {
		return 0, t.locked
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL, strings.NewReader(d.body))
	if err != nil {
		return 0, errors.New("the URL cannot be used")
	}
	r.Header.Set("Content-Type", d.contentType)
	r.Header.Set("User-Agent", s.o.UserAgent)
	r.Header.Set("X-Lighterage-Event", d.event)
	r.Header.Set("X-Lighterage-Event-Id", d.eventID)
	r.Header.Set("X-Lighterage-Attempt", fmt.Sprint(d.attempt))
	if t.AuthHeader != "" {
		r.Header.Set("Authorization", t.AuthHeader)
	}
	transport, err := t.transport()
	if err != nil {
		return 0, err
	}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %s", sendTime)
		}
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, mostRead)) // what it says does not matter
	switch {
	case answer.StatusCode/100 == 2:
		return answer.StatusCode, nil
	case answer.StatusCode/100 == 3:
		return answer.StatusCode, fmt.Errorf("answered %s; redirects are not followed: use the address it leads to", answer.Status)
	default:
		return answer.StatusCode, fmt.Errorf("answered %s", answer.Status)
	}
}

// transport connects anew each time: events are few, and a target that is changed
// or removed leaves nothing behind.
func (t Target) transport() (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.SkipCertVerify}
	if t.CACertificate != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a machine without authorities of its own
		}
		if !pool.AppendCertsFromPEM([]byte(t.CACertificate)) {
			return nil, errors.New("the CA certificate cannot be read")
		}
		config.RootCAs = pool
	}
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: dialTime, Control: refuse}).DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: dialTime,
		ForceAttemptHTTP2:   true,
	}, nil
}
