package harness

import (
	"io"
	"net"
	"sync"
	"time"
)

// Watcher sees what passes on one connection, before it is passed on.
type Watcher interface {
	// Sent sees bytes of the client, in order and from one goroutine. An error ends
	// the connection.
	Sent(p []byte) error
	// Answered sees how many bytes the server has sent, from another goroutine.
	Answered(n int)
}

// Front forwards connections to a server and holds every byte back for half a round
// trip in each direction. It does not limit how much is under way, up to 32 MiB a
// connection, so a stream is late but not slow, as on a long fat link.
type Front struct {
	Address string // host:port

	to       string
	rtt      time.Duration
	watch    func() Watcher
	listener net.Listener

	mu     sync.Mutex
	open   map[net.Conn]bool // nil: closed
	failed error
}

// NewFront starts a front of the server at an address. watch makes a Watcher for
// each connection; it may be nil.
func NewFront(to string, rtt time.Duration, watch func() Watcher) (*Front, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &Front{Address: l.Addr().String(), to: to, rtt: rtt, watch: watch, listener: l, open: map[net.Conn]bool{}}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(client)
		}
	}()
	return f, nil
}

// Close ends the front and its connections.
func (f *Front) Close() {
	_ = f.listener.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.open {
		_ = c.Close()
	}
	f.open = nil
}

// Err is the first error of a Watcher.
func (f *Front) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

func (f *Front) serve(client net.Conn) {
	defer f.forget(client)
	if !f.keep(client) {
		return
	}
	time.Sleep(f.rtt) // the handshake
	upstream, err := net.Dial("tcp", f.to)
	if err != nil {
		return
	}
	defer f.forget(upstream)
	if !f.keep(upstream) {
		return
	}
	var sent, answered func([]byte) error
	if f.watch != nil {
		w := f.watch()
		sent = w.Sent
		answered = func(p []byte) error { w.Answered(len(p)); return nil }
	}
	var both sync.WaitGroup
	both.Go(func() { f.carry(upstream, client, sent) })
	both.Go(func() { f.carry(client, upstream, answered) })
	both.Wait()
}

func (f *Front) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		return false
	}
	f.open[c] = true
	return true
}

func (f *Front) forget(c net.Conn) {
	f.mu.Lock()
	delete(f.open, c)
	f.mu.Unlock()
	_ = c.Close()
}

func (f *Front) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.failed == nil {
		f.failed = err
	}
}

// carry passes on what comes in one direction until it ends. What cannot be passed
// on any more is read all the same, so that the other side can end its sending.
func (f *Front) carry(to, from net.Conn, see func([]byte) error) {
	defer closeWrite(to)
	switch {
	case f.rtt > 0:
		f.carryLate(to, from, see)
	case see == nil:
		_, _ = io.Copy(to, from) // in the kernel, on Linux
	default:
		f.carryNow(to, from, see)
	}
}

func (f *Front) carryNow(to, from net.Conn, see func([]byte) error) {
	buffer := make([]byte, 64<<10)
	broken := false
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if failed := see(buffer[:n]); failed != nil {
				f.fail(failed)
				_ = from.Close()
				return
			}
			if !broken {
				_, failed := to.Write(buffer[:n])
				broken = failed != nil
			}
		}
		if err != nil {
			return
		}
	}
}

func closeWrite(c net.Conn) {
	if half, ok := c.(*net.TCPConn); ok {
		_ = half.CloseWrite()
	}
}
