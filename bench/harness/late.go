package harness

import (
	"net"
	"sync"
	"time"
)

// pieceSize and underWay bound what one direction of a connection holds back.
const (
	pieceSize = 32 << 10
	underWay  = 1024 // pieces
)

// piece is some bytes and when they are to be passed on.
type piece struct {
	buffer *[pieceSize]byte
	size   int
	at     time.Time
}

var buffers = sync.Pool{New: func() any { return new([pieceSize]byte) }}

// carryLate is carry with half a round trip between reading and writing.
func (f *Front) carryLate(to, from net.Conn, see func([]byte) error) {
	pieces := make(chan piece, underWay)
	go func() {
		defer close(pieces)
		for {
			buffer := buffers.Get().(*[pieceSize]byte)
			n, err := from.Read(buffer[:])
			if n > 0 && see != nil {
				if failed := see(buffer[:n]); failed != nil {
					f.fail(failed)
					_ = from.Close()
					return
				}
			}
			if n > 0 {
				pieces <- piece{buffer, n, time.Now().Add(f.rtt / 2)}
			}
			if err != nil {
				return
			}
		}
	}()
	broken := false
	for p := range pieces {
		if !broken {
			time.Sleep(time.Until(p.at))
			_, err := to.Write(p.buffer[:p.size])
			broken = err != nil
		}
		buffers.Put(p.buffer)
	}
}
