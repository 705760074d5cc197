package inspection

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/store"
)

const (
	// mostFindings of damage, and as many that were mended, and mostNotes of things
	// that are no damage are kept of one look.
	mostFindings = 50_000
	mostNotes    = 5_000
	// noteEvery is how often what was found, and how far it is, gets into the database.
	noteEvery = 500 * time.Millisecond
	// rowsAtOnce are inserted by one statement; a finding has seven columns.
	rowsAtOnce = 500
)

// notes takes down what a look finds. It never waits for the database where it is told
// of something: the look would wait too.
type notes struct {
	s  *Service
	id int64

	mu         sync.Mutex
	pending    []Finding
	position   int64 // of the last one that was written
	severities map[string]int64
	found      int64
	repairable int64
}

func (s *Service) newNotes(id int64) *notes {
	return &notes{s: s, id: id, severities: map[string]int64{}}
}

func (n *notes) add(d migration.Damage) {
	n.take(Finding{Damage: d, Severity: d.Severity().String(), Message: d.String()})
}

func (n *notes) mended(d migration.Damage, target string) {
	d.Repairable = false // any more
	n.take(Finding{Damage: d, Severity: Mended, Target: target, Message: fmt.Sprintf("mended: %s leads to %s", d.Path, target)})
}

func (n *notes) take(f Finding) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.found++
	if f.Damage.Repairable {
		n.repairable++
	}
	most := int64(mostFindings)
	if f.Severity == migration.Note.String() {
		most = mostNotes
	}
	if n.severities[f.Severity] < most {
		n.severities[f.Severity]++
		n.pending = append(n.pending, f)
	}
}

func (n *notes) kept() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.position
}

// follow writes down from time to time how far it is and what was found, until the
// function that it returns is called.
func (n *notes) follow(ctx context.Context, p *migration.FsckProgress, repairing bool) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		ticker := time.NewTicker(noteEvery)
		defer ticker.Stop()
		for {
			select {
			case <-done: // and no sooner than what is being written is written
				return
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			// What fails here is tried again, and counts when the look has ended.
			_ = n.flush(ctx)
			_ = n.s.o.DB.InTx(ctx, func(tx *store.Tx) error {
				_, err := tx.ExecContext(ctx, `UPDATE storage_inspections SET progress = $2 WHERE id = $1 AND job_id <> 0`,
					n.id, store.JSON(progressOf(p, repairing)))
				return err
			})
		}
	})
	return func() { close(done); wg.Wait() }
}

// flush writes what was found since the last time.
func (n *notes) flush(ctx context.Context) error {
	n.mu.Lock()
	pending, position := n.pending, n.position
	n.pending = nil
	n.mu.Unlock()
	for len(pending) > 0 {
		batch := pending[:min(len(pending), rowsAtOnce)]
		err := n.s.o.DB.InTx(ctx, func(tx *store.Tx) error { return insertFindings(ctx, tx, n.id, position, batch) })
		n.mu.Lock()
		if err != nil {
			n.pending = append(pending, n.pending...)
			n.mu.Unlock()
			return fmt.Errorf("write down what was found in the storage: %w", err)
		}
		position += int64(len(batch))
		n.position = position
		n.mu.Unlock()
		pending = pending[len(batch):]
	}
	return nil
}

func insertFindings(ctx context.Context, tx *store.Tx, id, position int64, batch []Finding) error {
	var rows []string
	var args []any
	for i, f := range batch {
		severity, _ := severityNumber(f.Severity)
		first := len(args)
		rows = append(rows, fmt.Sprintf("($%d, $%d, $%d, $%d, $%d, $%d, $%d)", first+1, first+2, first+3, first+4, first+5, first+6, first+7))
		args = append(args, id, position+int64(i)+1, severity, string(f.Damage.Kind), f.Damage.Repository, f.Damage.Repairable, store.JSON(f))
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO storage_findings (inspection_id, position, severity, kind, repository, repairable, finding)
		VALUES `+strings.Join(rows, ", "), args...)
	return err
}
