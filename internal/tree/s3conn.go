package tree

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// patientConn is a connection that ends with os.ErrDeadlineExceeded when somebody
// waits on it and no byte has moved, in either direction, for some time. A transfer
// may take as long as it likes while it goes on.
type patientConn struct {
	net.Conn
	patience atomic.Int64 // a time.Duration
	start    time.Time
	moved    atomic.Int64 // when a byte moved last, as a time.Duration since start
}

func newPatientConn(conn net.Conn, patience time.Duration) *patientConn {
	c := &patientConn{Conn: conn, start: time.Now()}
	c.setPatience(patience)
	return c
}

func (c *patientConn) setPatience(d time.Duration) { c.patience.Store(int64(d)) }

func (c *patientConn) deadline() time.Time {
	return time.Now().Add(time.Duration(c.patience.Load()))
}

func (c *patientConn) move(n int) {
	if n > 0 {
		c.moved.Store(int64(time.Since(c.start)))
	}
}

// moving reports whether a byte has moved not too long ago.
func (c *patientConn) moving() bool {
	return int64(time.Since(c.start))-c.moved.Load() < c.patience.Load()
}

// Read waits for an answer while the other direction moves, too.
func (c *patientConn) Read(p []byte) (int, error) {
	for {
		if err := c.Conn.SetReadDeadline(c.deadline()); err != nil {
			return 0, err
		}
		n, err := c.Conn.Read(p)
		c.move(n)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !c.moving() {
			return n, err
		}
	}
}

// Write goes on with what is left when a part of it went through in time.
func (c *patientConn) Write(p []byte) (int, error) {
	for sent := 0; ; {
		if err := c.Conn.SetWriteDeadline(c.deadline()); err != nil {
			return sent, err
		}
		n, err := c.Conn.Write(p[sent:])
		c.move(n)
		sent += n
		if n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return sent, err
		}
	}
}

const s3Chunk = 64 << 10 // bytes that a connection moves per system call

var s3Chunks = sync.Pool{New: func() any { return new([s3Chunk]byte) }}

// ReadFrom spares the buffer that io.Copy would make for each body.
func (c *patientConn) ReadFrom(r io.Reader) (int64, error) {
	if sent, done, err := c.sendFile(r); done {
		return sent, err
	}
	chunk := s3Chunks.Get().(*[s3Chunk]byte)
	defer s3Chunks.Put(chunk)
	for sent := int64(0); ; {
		n, err := r.Read(chunk[:])
		if n > 0 {
			written, failed := c.Write(chunk[:n])
			sent += int64(written)
			if failed != nil {
				return sent, failed
			}
		}
		if err == io.EOF {
			return sent, nil
		}
		if err != nil {
			c.abort()
			return sent, err
		}
	}
}

// abort makes the connection end with a reset. There are stores that take a body for
// whole when its connection is closed in the middle.
func (c *patientConn) abort() {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
}

// patient finds the connection below what the transport made of it.
func patient(conn net.Conn) *patientConn {
	for {
		switch c := conn.(type) {
		case *patientConn:
			return c
		case interface{ NetConn() net.Conn }: // TLS
			conn = c.NetConn()
		default:
			return nil
		}
	}
}
