package term

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// How often progress is written: often enough to see it move on a terminal, and
// rarely enough not to fill a log.
const (
	redrawInterval = 150 * time.Millisecond
	plainInterval  = 5 * time.Second
)

// Live is a line of progress on Err. On a terminal it is redrawn in place;
// elsewhere it is written as a line of its own every few seconds.
type Live struct {
	screen *Screen
	text   func() string

	mu    sync.Mutex
	shown bool   // the line stands on the terminal now
	last  string // the last plain line
	stop  chan struct{}
	done  sync.WaitGroup
}

// NewLive starts to show what text returns, until Stop. A quiet Live shows
// nothing and still lets Print through. text is called from another goroutine.
func (s *Screen) NewLive(quiet bool, text func() string) *Live {
	l := &Live{screen: s, text: text, stop: make(chan struct{})}
	if quiet {
		return l
	}
	interval := plainInterval
	if s.ErrTerminal {
		interval = redrawInterval
	}
	l.done.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-l.stop:
				return
			case <-ticker.C:
				l.draw()
			}
		}
	})
	return l
}

func (l *Live) draw() {
	text := l.text()
	l.mu.Lock()
	defer l.mu.Unlock()
	if text == "" {
		return
	}
	if l.screen.ErrTerminal {
		fmt.Fprintf(l.screen.Err, "\r\x1b[K%s", cut(text, l.screen.Width()-1))
		l.shown = true
		return
	}
	if text != l.last {
		fmt.Fprintln(l.screen.Err, text)
		l.last = text
	}
}

// Print lets f write lines to Out without disturbing the progress.
func (l *Live) Print(f func(out io.Writer) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	return f(l.screen.Out)
}

// Note writes a line of its own to Err, above the progress.
func (l *Live) Note(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
	fmt.Fprintln(l.screen.Err, line)
}

// clear takes the line off the terminal; the next draw brings it back.
func (l *Live) clear() {
	if l.shown {
		fmt.Fprint(l.screen.Err, "\r\x1b[K")
		l.shown = false
	}
}

// Stop ends the progress and leaves the terminal at the beginning of a line.
func (l *Live) Stop() {
	close(l.stop)
	l.done.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clear()
}
