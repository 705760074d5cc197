package tree

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
)

// inFile is content that is the rest of a file.
type inFile interface {
	io.Reader
	// from is the file, at the place where the next byte is.
	from() *os.File
	// took tells that n bytes were taken from the file.
	took(n int64)
}

// sendFile sends a body that is the rest of a file without copying it through this
// process. done is false, and nothing has happened, where that is not possible.
func (c *patientConn) sendFile(r io.Reader) (sent int64, done bool, err error) {
	limited, ok := r.(*io.LimitedReader)
	if !ok {
		return 0, false, nil
	}
	body, ok := limited.R.(*s3Body)
	if !ok {
		return 0, false, nil
	}
	file, plain := body.content.(inFile)
	tcp, direct := c.Conn.(*net.TCPConn)
	if !plain || !direct || body.reader != io.Reader(file) {
		return 0, false, nil
	}
	for {
		n, err := c.sendSome(tcp, body, file)
		sent += n
		limited.N -= n
		if err == io.EOF {
			return sent, true, nil
		}
		if err != nil {
			return sent, true, err
		}
	}
}

// sendSome sends a part of a body, and returns io.EOF at its end.
func (c *patientConn) sendSome(tcp *net.TCPConn, body *s3Body, file inFile) (int64, error) {
	const most = mebibyte // a body that is closed waits for no more
	body.mu.Lock()
	defer body.mu.Unlock()
	switch {
	case body.closed:
		return 0, os.ErrClosed
	case body.left == 0:
		return 0, io.EOF
	}
	if err := tcp.SetWriteDeadline(c.deadline()); err != nil {
		return 0, err
	}
	n, err := tcp.ReadFrom(&io.LimitedReader{R: file.from(), N: min(body.left, most)})
	c.move(int(n))
	file.took(n)
	body.left -= n
	body.sent += n
	switch {
	case n > 0 && errors.Is(err, os.ErrDeadlineExceeded):
		return n, nil // it goes on
	case n == 0 && err == nil:
		err = errShort
	case !ofFile(err):
		return n, err
	}
	body.call.source = err
	c.abort()
	return n, err
}

// ofFile reports whether sending a file has failed at the file and not at the
// connection.
func ofFile(err error) bool {
	for _, number := range []syscall.Errno{syscall.EIO, syscall.ESTALE, syscall.EACCES, syscall.EISDIR} {
		if errors.Is(err, number) {
			return true
		}
	}
	return isErr[*fs.PathError](err)
}
