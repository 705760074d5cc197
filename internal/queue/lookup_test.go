package queue_test

import (
	"errors"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/queue"
	"github.com/lighterage/lighterage/internal/store"
)

func TestWaitingFindsTheJobThatANewOneWouldMergeWith(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{})
		waiting := func(key string) (id int64, found bool) {
			err := p.db.InTx(t.Context(), func(tx *store.Tx) error {
				var err error
				id, found, err = p.Waiting(t.Context(), tx, kind, key)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return id, found
		}
		if id, found := waiting("k"); found {
			t.Errorf("found %d before anything was inserted", id)
		}
		id, _ := p.insert(queue.NewJob{Key: "k", RunAt: time.Now().Add(time.Hour)})
		p.insert(queue.NewJob{Kind: "other", Key: "k"})
		if got, found := waiting("k"); !found || got != id {
			t.Errorf("got %d, %v, want %d", got, found, id)
		}
		p.execute(`UPDATE jobs SET state = 'running', owner = 'x' WHERE id = $1`, id)
		if got, found := waiting("k"); found {
			t.Errorf("found %d, which runs", got)
		}
	})
}

func TestHastenMakesAWaitingJobDue(t *testing.T) {
	onBoth(t, func(t *testing.T, w *world) {
		p := w.process(queue.Options{Poll: time.Hour})
		hasten := func(id int64, result error) (found bool) {
			err := p.db.InTx(t.Context(), func(tx *store.Tx) error {
				var err error
				if found, err = p.Hasten(t.Context(), tx, id); err != nil {
					return err
				}
				return result
			})
			if !errors.Is(err, result) {
				t.Fatal(err)
			}
			return found
		}
		later := time.Now().Add(time.Hour)
		id, _ := p.insert(queue.NewJob{Key: "k", RunAt: later})
		ran := make(chan view, 1)
		p.Handle(kind, 1, send(ran))
		p.run()
		hasten(id, errFailed)
		if got, _ := p.row(id); got.runAt != later.UnixMilli() {
			t.Error("a transaction that failed hastened the job")
		}
		if !hasten(id, nil) {
			t.Error("the job was not found")
		}
		receive(t, ran, "the job, an hour early and without a poll")
		until(t, "the job to be done", func() bool { return p.rows() == 0 })
		if hasten(id, nil) {
			t.Error("found a job that is done")
		}
	})
}
