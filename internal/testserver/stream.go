package testserver

import (
	"bytes"
	"io"
	"net/http"
	"sync"
)

// cutBody ends with an error after some bytes.
type cutBody struct {
	io.ReadCloser
	left int64
	cut  bool
}

func (b *cutBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		// Only a body that has more is cut.
		var one [1]byte
		n, err := io.ReadFull(b.ReadCloser, one[:])
		if n == 0 {
			return 0, err
		}
		b.cut = true
		return 0, io.ErrUnexpectedEOF
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// heldAnswer keeps an answer back.
type heldAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *heldAnswer) Header() http.Header { return h.header }

func (h *heldAnswer) WriteHeader(status int) {
	if h.status == 0 && status >= 200 {
		h.status = status
	}
}

func (h *heldAnswer) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.body.Write(p)
}

func (h *heldAnswer) send(w http.ResponseWriter) {
	for name, values := range h.header {
		w.Header()[name] = values
	}
	h.WriteHeader(http.StatusOK)
	w.WriteHeader(h.status)
	_, _ = w.Write(h.body.Bytes())
}

// cutWriter fails after some bytes.
type cutWriter struct {
	http.ResponseWriter
	left int64
	cut  bool
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if int64(len(p)) <= w.left {
		n, err := w.ResponseWriter.Write(p)
		w.left -= int64(n)
		return n, err
	}
	n, err := w.ResponseWriter.Write(p[:w.left])
	w.left -= int64(n)
	w.cut = true
	if err == nil {
		err = http.NewResponseController(w.ResponseWriter).Flush()
	}
	if err == nil {
		err = errCut
	}
	return n, err
}

// heldBody stops in the middle.
type heldBody struct {
	io.ReadCloser
	hold *Hold
	r    *http.Request
	left int64
	held bool
}

func (b *heldBody) Read(p []byte) (int, error) {
	if b.left <= 0 && !b.held {
		b.held = true
		b.hold.wait(b.r)
	}
	if !b.held {
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	return n, err
}

// heldWriter stops in the middle.
type heldWriter struct {
	http.ResponseWriter
	hold *Hold
	r    *http.Request
	left int64
	held bool
}

func (w *heldWriter) Write(p []byte) (int, error) {
	if w.held || int64(len(p)) <= w.left {
		w.left -= int64(len(p))
		return w.ResponseWriter.Write(p)
	}
	first, err := w.ResponseWriter.Write(p[:w.left])
	if err != nil {
		return first, err
	}
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	w.held = true
	w.hold.wait(w.r)
	rest, err := w.ResponseWriter.Write(p[first:])
	return first + rest, err
}

// corruptWriter changes the byte at an offset.
type corruptWriter struct {
	http.ResponseWriter
	at int64
}

func (w *corruptWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(corrupt(p, w.at))
	w.at -= int64(n)
	return n, err
}

// corruptBody changes the byte at an offset.
type corruptBody struct {
	io.ReadCloser
	at int64
}

func (b *corruptBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.at >= 0 && b.at < int64(n) {
		p[b.at] ^= 1
	}
	b.at -= int64(n)
	return n, err
}

func corrupt(p []byte, at int64) []byte {
	if at < 0 || at >= int64(len(p)) {
		return p
	}
	p = bytes.Clone(p)
	p[at] ^= 1
	return p
}

// headerWriter changes the headers just before they are sent.
type headerWriter struct {
	http.ResponseWriter
	change func(http.Header)
	once   sync.Once
}

func (w *headerWriter) WriteHeader(status int) {
	if status >= 200 {
		w.once.Do(func() { w.change(w.Header()) })
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *headerWriter) Write(p []byte) (int, error) {
	w.once.Do(func() { w.change(w.Header()) })
	return w.ResponseWriter.Write(p)
}
