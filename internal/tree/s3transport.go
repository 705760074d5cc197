package tree

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/pace"
	"github.com/lighterage/lighterage/internal/problem"
)

// s3Lane is a kind of request with a concurrency of its own. A Put may feed on a
// reader of the same store, which must not wait until a Put has ended.
type s3Lane int

const (
	s3Rest s3Lane = iota
	s3Read
	s3Lanes
)

// s3Call is one attempt at something in a store: what its request needs, and what
// came of it. The transport finds it in the request's context.
type s3Call struct {
	lane s3Lane
	// open returns the body of the request; nil: the request has its own, or none. It
	// is called when the request's turn has come.
	open func(ctx context.Context) (io.ReadCloser, error)
	slow bool // the store may work for minutes before it answers

	header http.Header // of the answer
	err    error       // why there was no answer
	source error       // why the body could not be read
}

type s3CallKey struct{}

// s3Transport sends requests: not more at a time than the store has shown it can
// take, and bodies within the bandwidth.
type s3Transport struct {
	base      *http.Transport
	patience  time.Duration
	lanes     [s3Lanes]*pace.Limiter
	bandwidth *pace.Bandwidth
}

const (
	s3StartConcurrency = 16
	s3SlowPatience     = 10 * time.Minute
)

func newS3Transport(c S3Config) (*s3Transport, error) {
	trust, err := s3Trust(c)
	if err != nil {
		return nil, err
	}
	dial := c.dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	}
	t := &s3Transport{bandwidth: c.Bandwidth, patience: c.StallTimeout, base: &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return newPatientConn(conn, c.StallTimeout), nil
		},
		TLSClientConfig:     trust,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: int(s3Lanes) * c.MaxConcurrency,
		IdleConnTimeout:     30 * time.Second, // before the store does it, in the middle of a request
		DisableCompression:  true,             // content must come as it is
		ReadBufferSize:      s3Chunk,
		WriteBufferSize:     s3Chunk,
		Protocols:           new(http.Protocols),
	}}
	t.base.Protocols.SetHTTP1(true)
	for i := range t.lanes {
		t.lanes[i] = pace.NewLimiter(s3StartConcurrency, c.MaxConcurrency)
	}
	return t, nil
}

func s3Trust(c S3Config) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: c.Insecure} //nolint:gosec // asked for
	if c.CAFile == "" {
		return config, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, problem.Wrap(problem.BadRequest, err, "S3: authorities to trust")
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, problem.New(problem.BadRequest, "S3: authorities to trust: no certificate in %s", c.CAFile)
	}
	config.RootCAs = pool
	return config, nil
}

func (t *s3Transport) close() { t.base.CloseIdleConnections() }

// RoundTrip implements http.RoundTripper. What is not an attempt of ours, such as a
// request for credentials, goes through as it is.
func (t *s3Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	call, ours := ctx.Value(s3CallKey{}).(*s3Call)
	if !ours {
		return t.base.RoundTrip(r)
	}
	lane := t.lanes[call.lane]
	if err := lane.Acquire(ctx); err != nil {
		return nil, err
	}
	turn := &s3Turn{lane: lane, start: time.Now()}
	if call.slow {
		r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) {
			if conn := patient(got.Conn); conn != nil {
				conn.setPatience(max(t.patience, s3SlowPatience))
				turn.restore = func() { conn.setPatience(t.patience) }
			}
		}}))
	}
	if call.open != nil && r.ContentLength > 0 {
		content, err := call.open(ctx)
		if err != nil {
			call.source = err
			turn.end(0)
			return nil, err
		}
		turn.body = &s3Body{content: content, reader: t.bandwidth.Reader(ctx, content), left: r.ContentLength, call: call}
		withBody := *r
		withBody.Body = turn.body
		r = &withBody
	}
	answer, err := t.base.RoundTrip(r)
	if err != nil {
		call.header, call.err = nil, err
		if isTimeout(err) {
			lane.Halve(turn.start)
		}
		turn.end(0)
		return nil, err
	}
	call.header, call.err = answer.Header, nil
	if answer.StatusCode == http.StatusServiceUnavailable || answer.StatusCode == http.StatusTooManyRequests {
		lane.Halve(turn.start)
	}
	body := answer.Body
	answer.Body = &s3Answer{ReadCloser: body, reader: body, turn: turn}
	if call.lane == s3Read {
		answer.Body.(*s3Answer).reader = t.bandwidth.Reader(ctx, body)
	}
	return answer, nil
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}

// s3Turn is the right to have one request under way.
type s3Turn struct {
	lane  *pace.Limiter
	start time.Time
	body  *s3Body
	once  sync.Once

	restore func() // makes the connection as impatient as before
}

// end gives the right back when nothing reads the request's body any more.
func (t *s3Turn) end(received int64) {
	t.once.Do(func() {
		moved := received
		if t.body != nil {
			_ = t.body.Close()
			moved += t.body.sent
		}
		if t.restore != nil {
			t.restore()
		}
		t.lane.Release(time.Since(t.start), moved)
	})
}

// s3Answer is the body of an answer. Closing it ends the turn.
type s3Answer struct {
	io.ReadCloser
	reader io.Reader
	turn   *s3Turn
	read   int64
}

func (a *s3Answer) Read(p []byte) (int, error) {
	n, err := a.reader.Read(p)
	a.read += int64(n)
	if err != nil && isTimeout(err) {
		a.turn.lane.Halve(a.turn.start)
	}
	return n, err
}

func (a *s3Answer) Close() error {
	err := a.ReadCloser.Close()
	a.turn.end(a.read)
	return err
}

// s3Body is the body of a request: content of the size that was promised. After
// Close it is not read any more, also not by a Read that was under way.
type s3Body struct {
	content io.ReadCloser
	reader  io.Reader
	call    *s3Call
	once    sync.Once
	mu      sync.Mutex // held while it is read
	left    int64
	sent    int64
	closed  bool
}

func (b *s3Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, os.ErrClosed
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	n, err := b.reader.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.sent += int64(n)
	if b.left == 0 {
		return n, nil
	}
	if err == io.EOF {
		err = errShort
	}
	if err != nil {
		b.call.source = err
	}
	return n, err
}

// errShort is that content has fewer bytes than it should have.
var errShort = fmt.Errorf("it is shorter than it should be: %w", io.ErrUnexpectedEOF)

func (b *s3Body) Close() error {
	b.once.Do(func() { _ = b.content.Close() }) // also wakes up a Read that waits
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// retryAfter is how long the store asked to be left alone, 0 if it did not.
func (c *s3Call) retryAfter() time.Duration {
	value := c.header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(at)-c.skew())
	}
	return 0
}

// skew is how far this machine's clock is ahead of the store's, 0 if that is unknown.
func (c *s3Call) skew() time.Duration {
	at, err := http.ParseTime(c.header.Get("Date"))
	if err != nil {
		return 0
	}
	return time.Since(at).Truncate(time.Second)
}
