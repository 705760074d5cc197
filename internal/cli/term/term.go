// Package term writes for people: tables, amounts, and a line of progress that
// follows the work on a terminal and becomes a plain line now and then when the
// output goes to a file.
//
// What a program may want to read goes to Out; everything that only tells how
// it goes goes to Err. The package never reads a terminal, and it never lets
// text from elsewhere steer one: control characters are shown, not obeyed.
package term

import (
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// Screen is where a command writes.
type Screen struct {
	Out, Err io.Writer
	// OutTerminal and ErrTerminal tell whether a person looks at the writer now.
	OutTerminal, ErrTerminal bool
	// Colour is whether Out takes colours.
	Colour bool
	// Width returns the columns of the terminal behind Err.
	Width func() int
}

// New looks at what the writers are. Colours are used on a terminal, unless
// NO_COLOR is set (https://no-color.org) or the terminal is a dumb one.
func New(out, err io.Writer, getenv func(string) string) *Screen {
	const usualWidth = 80
	s := &Screen{Out: out, Err: err, Width: func() int { return usualWidth }}
	dumb := getenv("TERM") == "dumb"
	if _, ok := descriptor(out); ok {
		s.OutTerminal = true
		s.Colour = !dumb && getenv("NO_COLOR") == ""
	}
	if fd, ok := descriptor(err); ok && !dumb {
		s.ErrTerminal = true
		s.Width = func() int {
			if width, _, err := term.GetSize(fd); err == nil && width > 0 {
				return width
			}
			return usualWidth
		}
	}
	return s
}

func descriptor(w io.Writer) (fd int, terminal bool) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, false
	}
	fd = int(f.Fd())
	return fd, term.IsTerminal(fd)
}

// Style is how a text looks.
type Style string

// The styles; Plain is none.
const (
	Plain Style = ""
	Good  Style = "32" // green
	Bad   Style = "31" // red
	Note  Style = "33" // yellow
	Faint Style = "2"
	Bold  Style = "1"
)

// Paint returns the text in a style if Out takes colours.
func (s *Screen) Paint(style Style, text string) string {
	if !s.Colour || style == Plain || text == "" {
		return text
	}
	return "\x1b[" + string(style) + "m" + text + "\x1b[0m"
}

// Safe makes a text from elsewhere fit to stand in one line of a terminal.
func Safe(text string) string {
	if strings.IndexFunc(text, unicode.IsControl) < 0 && !strings.ContainsRune(text, unicode.ReplacementChar) {
		return strings.ToValidUTF8(text, "?")
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsControl(r):
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// SafeLines is Safe for a text of several lines.
func SafeLines(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = Safe(line)
	}
	return strings.Join(lines, "\n")
}
