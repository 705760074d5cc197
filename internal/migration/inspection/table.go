package inspection

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/lighterage/lighterage/internal/migration"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

// keptInspections is how many looks can be looked up; older ones are forgotten.
const keptInspections = 5

// insert makes a look and the job that carries it out. The jobs of one key never wait
// two at a time, so that of two requests at the same moment one finds the other's job.
func (s *Service) insert(ctx context.Context, tx *store.Tx, operator string, r Request) (id int64, err error) {
	err = tx.QueryRowContext(ctx, `INSERT INTO storage_inspections (operator, deep, repair, status, creation_time)
		VALUES ($1, $2, $3, 'waiting', $4) RETURNING id`, operator, r.Deep, r.Repair, store.Millis(s.now())).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("insert a look at the storage: %w", err)
	}
	job, merged, err := s.o.Queue.Insert(ctx, tx, queue.NewJob{Kind: jobKind, Key: "home", Payload: strconv.FormatInt(id, 10)})
	if err != nil {
		return 0, err
	}
	var others int64
	err = tx.QueryRowContext(ctx, `SELECT count(*) FROM storage_inspections WHERE job_id <> 0`).Scan(&others)
	switch {
	case err != nil:
		return 0, fmt.Errorf("look for other looks at the storage: %w", err)
	case merged || others > 0:
		return 0, problem.New(problem.Conflict, "the storage is being looked at already: wait until that has ended, or stop it")
	}
	if _, err := tx.ExecContext(ctx, `UPDATE storage_inspections SET job_id = $2 WHERE id = $1`, id, job); err != nil {
		return 0, fmt.Errorf("insert a look at the storage: %w", err)
	}
	return id, nil
}

// jobOf is the job of a look, 0 if it has ended.
func jobOf(ctx context.Context, tx *store.Tx, id int64) (job int64, err error) {
	err = tx.QueryRowContext(ctx, `SELECT job_id FROM storage_inspections WHERE id = $1`, id).Scan(&job)
	if store.IsNotFound(err) {
		return 0, notFound(id)
	}
	return job, err
}

func notFound(id int64) error {
	return problem.New(problem.NotFound, "look %d at the storage not found", id)
}

// begin makes a look begin, or begin anew: what was found before is forgotten. It
// reports false for one that has ended.
func (s *Service) begin(ctx context.Context, id int64) (r Request, ok bool, err error) {
	err = s.o.DB.InTx(ctx, func(tx *store.Tx) error {
		err := tx.QueryRowContext(ctx, `UPDATE storage_inspections SET status = 'running', start_time = $2, progress = '{}'
			WHERE id = $1 AND job_id <> 0 RETURNING deep, repair`, id, store.Millis(s.now())).Scan(&r.Deep, &r.Repair)
		if ok = err == nil; store.IsNotFound(err) {
			return nil
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, `DELETE FROM storage_findings WHERE inspection_id = $1`, id)
		}
		return err
	})
	if err != nil {
		return r, false, fmt.Errorf("begin a look at the storage: %w", err)
	}
	return r, ok, nil
}

// end remembers how a look has ended, unless it had ended before, and forgets old ones.
func end(ctx context.Context, tx *store.Tx, id int64, status Status, failure string, report *Report, now time.Time) error {
	text := ""
	if report != nil {
		text = store.JSON(report)
	}
	_, err := tx.ExecContext(ctx, `UPDATE storage_inspections SET job_id = 0, status = $2, error = $3, report = $4, end_time = $5
		WHERE id = $1 AND job_id <> 0`, id, string(status), failure, text, store.Millis(now))
	if err == nil {
		// The newest report stays, however many looks after it have failed.
		_, err = tx.ExecContext(ctx, `DELETE FROM storage_inspections WHERE job_id = 0
			AND id NOT IN (SELECT id FROM storage_inspections ORDER BY id DESC LIMIT $1)
			AND id <> (SELECT coalesce(max(id), 0) FROM storage_inspections WHERE report <> '')`, keptInspections)
	}
	if err != nil {
		return fmt.Errorf("end a look at the storage: %w", err)
	}
	return nil
}

const inspectionFields = `id, operator, deep, repair, status, error, progress, report, creation_time, start_time, end_time`

type scanner interface{ Scan(into ...any) error }

func scanInspection(row scanner) (Inspection, error) {
	var i Inspection
	var progress, report string
	var created, began, ended int64
	err := row.Scan(&i.ID, &i.Operator, &i.Deep, &i.Repair, &i.Status, &i.Error, &progress, &report, &created, &began, &ended)
	if err != nil {
		return i, err
	}
	i.Created, i.Began, i.Ended = store.Time(created), store.Time(began), store.Time(ended)
	if err := store.FromJSON(progress, &i.Progress); err != nil {
		return i, err
	}
	if report != "" {
		i.Report = &Report{}
		return i, store.FromJSON(report, i.Report)
	}
	return i, nil
}

// List returns the looks that are kept, the newest first.
func (s *Service) List(ctx context.Context) ([]Inspection, error) {
	list, err := s.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("list looks at the storage: %w", err)
	}
	return list, nil
}

func (s *Service) list(ctx context.Context) (list []Inspection, err error) {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT `+inspectionFields+` FROM storage_inspections ORDER BY id DESC`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		i, err := scanInspection(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, rows.Err()
}

// Get returns one look.
func (s *Service) Get(ctx context.Context, id int64) (Inspection, error) {
	i, err := scanInspection(s.o.DB.QueryRowContext(ctx, `SELECT `+inspectionFields+` FROM storage_inspections WHERE id = $1`, id))
	if store.IsNotFound(err) {
		return i, notFound(id)
	}
	if err != nil {
		return i, fmt.Errorf("read look %d at the storage: %w", id, err)
	}
	return i, nil
}

// Mended is the severity of what was wrong and was mended.
const Mended = "mended"

// Severities are the words that findings are filtered by, the worst first.
var Severities = []string{migration.Broken.String(), migration.Damaged.String(), migration.Note.String(), Mended}

func severityNumber(word string) (int64, bool) {
	for i, w := range Severities {
		if w == word {
			return int64(2 - i), true
		}
	}
	return 0, false
}
