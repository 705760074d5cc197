package term

import (
	"bufio"
	"strings"
)

// Table is rows of cells under a header, in columns as wide as they need to be.
type Table struct {
	Header []string
	rows   [][]Cell
}

// Cell is a text in a table.
type Cell struct {
	Text  string
	Style Style
}

// Text makes a plain cell.
func Text(text string) Cell { return Cell{Text: text} }

// Row adds a row.
func (t *Table) Row(cells ...Cell) {
	for i := range cells {
		cells[i].Text = Safe(cells[i].Text)
		if cells[i].Text == "" {
			cells[i].Text = "-"
		}
	}
	t.rows = append(t.rows, cells)
}

// Len returns how many rows there are.
func (t *Table) Len() int { return len(t.rows) }

// Write writes the table to the screen's Out.
func (t *Table) Write(s *Screen) error {
	widths := make([]int, len(t.Header))
	for i, title := range t.Header {
		widths[i] = width(title)
	}
	for _, row := range t.rows {
		for i, cell := range row {
			widths[i] = max(widths[i], width(cell.Text))
		}
	}
	out := bufio.NewWriter(s.Out)
	line := func(style func(i int) Style, text func(i int) string) {
		for i := range t.Header {
			if i > 0 {
				out.WriteString("  ")
			}
			out.WriteString(s.Paint(style(i), text(i)))
			if i < len(t.Header)-1 {
				out.WriteString(strings.Repeat(" ", widths[i]-width(text(i))))
			}
		}
		out.WriteByte('\n')
	}
	line(func(int) Style { return Bold }, func(i int) string { return t.Header[i] })
	for _, row := range t.rows {
		line(func(i int) Style { return row[i].Style }, func(i int) string { return row[i].Text })
	}
	return out.Flush()
}

// Fields writes names and values below each other, for one thing in detail.
// Empty values are left out.
func (s *Screen) Fields(pairs ...[2]string) error {
	widest := 0
	for _, p := range pairs {
		if p[1] != "" {
			widest = max(widest, width(p[0]))
		}
	}
	out := bufio.NewWriter(s.Out)
	for _, p := range pairs {
		if p[1] == "" {
			continue
		}
		out.WriteString(s.Paint(Bold, p[0]) + strings.Repeat(" ", widest-width(p[0])+2))
		lines := strings.Split(SafeLines(p[1]), "\n")
		out.WriteString(strings.Join(lines, "\n"+strings.Repeat(" ", widest+2)) + "\n")
	}
	return out.Flush()
}

// width is how many columns a text takes. Chinese, Japanese and Korean
// characters take two (Unicode Standard Annex 11, classes W and F).
func width(text string) int {
	columns := 0
	for _, r := range text {
		columns += runeWidth(r)
	}
	return columns
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case r < 0x370, r >= 0x200b && r <= 0x200f, r >= 0xfe00 && r <= 0xfe0f:
		return 0 // combining marks, joiners and variation selectors
	case r < 0x1100:
		return 1
	case r <= 0x115f,
		r >= 0x2e80 && r <= 0xa4cf && r != 0x303f,
		r >= 0xac00 && r <= 0xd7a3,
		r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f,
		r >= 0xff00 && r <= 0xff60,
		r >= 0xffe0 && r <= 0xffe6,
		r >= 0x1f300 && r <= 0x1faff,
		r >= 0x20000 && r <= 0x3fffd:
		return 2
	}
	return 1
}

// cut shortens a text to a number of columns.
func cut(text string, columns int) string {
	if width(text) <= columns {
		return text
	}
	used := 0
	for i, r := range text {
		used += runeWidth(r)
		if used > columns-1 {
			return text[:i] + "…"
		}
	}
	return text
}
