package replication

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

const (
	// maxLogLines bounds what one attempt may write: beyond it a log helps nobody.
	maxLogLines = 20_000
	// A task that is tried for weeks tells in its latest lines all there is to know.
	manyAttempts = 10
	linesOfMany  = 200
)

// logBuffer holds lines of a task's log that are not in the database yet.
type logBuffer struct {
	mu    sync.Mutex
	lines []LogLine
	count int
}

func (b *logBuffer) add(at time.Time, level, text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	switch {
	case b.count < maxLogLines:
		b.lines = append(b.lines, LogLine{Time: at, Level: level, Text: text})
	case b.count == maxLogLines:
		b.lines = append(b.lines, LogLine{Time: at, Level: "WARNING", Text: "the log is full: further lines are left out"})
	}
}

// take returns the lines that wait and forgets them.
func (b *logBuffer) take() []LogLine {
	b.mu.Lock()
	defer b.mu.Unlock()
	lines := b.lines
	b.lines = nil
	return lines
}

// putBack returns lines that could not be written to the front of those that wait.
func (b *logBuffer) putBack(lines []LogLine) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(lines[:len(lines):len(lines)], b.lines...)
}

// writeLog adds lines to a task's log, many in one statement: an attempt may write
// thousands.
func writeLog(ctx context.Context, tx *store.Tx, task int64, lines []LogLine) error {
	const linesAtOnce = 100
	for some := range slices.Chunk(lines, linesAtOnce) {
		var rows strings.Builder
		args := []any{task}
		for i, l := range some {
			if i > 0 {
				rows.WriteString(", ")
			}
			fmt.Fprintf(&rows, "($1, $%d, $%d, $%d)", len(args)+1, len(args)+2, len(args)+3)
			args = append(args, store.Millis(l.Time), l.Level, l.Text)
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO task_logs (task_id, time, level, text) VALUES `+rows.String(), args...); err != nil {
			return fmt.Errorf("write log of task %d: %w", task, err)
		}
	}
	return nil
}

// shortenLog removes all but the latest lines of a task's log.
func shortenLog(ctx context.Context, tx *store.Tx, task int64) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM task_logs WHERE task_id = $1
		AND id <= (SELECT id FROM task_logs WHERE task_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)`, task, linesOfMany)
	if err != nil {
		return fmt.Errorf("shorten log of task %d: %w", task, err)
	}
	return nil
}
