package home

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/lighterage/lighterage/internal/store"
)

// pull is what was pulled: a manifest, by a tag or ("") by its digest.
type pull struct{ repository, digest, tag string }

type pullCount struct {
	times int64
	last  time.Time
}

// CountPull notes that a manifest was pulled by somebody ("": anonymous). It writes
// nothing; FlushPulls does.
func (x *Index) CountPull(ctx context.Context, operator, repository, digest, tag string, now time.Time) {
	x.recordPull(ctx, operator, repository, digest, tag, now)
	x.mu.Lock()
	defer x.mu.Unlock()
	key := pull{repository, digest, tag}
	count := x.pulls[key]
	x.pulls[key] = pullCount{times: count.times + 1, last: now}
}

// FlushPulls writes the pulls that were counted since the last time.
func (x *Index) FlushPulls(ctx context.Context) error {
	x.mu.Lock()
	pulls := x.pulls
	x.pulls = map[pull]pullCount{}
	x.mu.Unlock()
	if len(pulls) == 0 {
		return nil
	}
	err := x.db.InTx(ctx, func(tx *store.Tx) error {
		// In one order everywhere, so that processes do not lock each other out.
		for _, p := range slices.SortedFunc(maps.Keys(pulls), compare) {
			if err := writePull(ctx, tx, p, pulls[p]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		x.restorePulls(pulls)
		return fmt.Errorf("write pull counts: %w", err)
	}
	return nil
}

func compare(a, b pull) int {
	return cmp.Or(cmp.Compare(a.repository, b.repository), cmp.Compare(a.digest, b.digest), cmp.Compare(a.tag, b.tag))
}

// restorePulls puts counts back that could not be written.
func (x *Index) restorePulls(pulls map[pull]pullCount) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for p, newer := range x.pulls {
		pulls[p] = pullCount{times: pulls[p].times + newer.times, last: newer.last}
	}
	x.pulls = pulls
}

func writePull(ctx context.Context, tx *store.Tx, p pull, count pullCount) error {
	last := store.Millis(count.last)
	var repositoryID int64
	err := tx.QueryRowContext(ctx, `UPDATE repositories SET pull_count = pull_count + $2 WHERE name = $1 RETURNING id`,
		p.repository, count.times).Scan(&repositoryID)
	if store.IsNotFound(err) { // deleted since
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE artifacts SET pull_time = $3 WHERE repository_id = $1 AND digest = $2 AND pull_time < $3`,
		repositoryID, p.digest, last); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE tags SET pull_time = $3 WHERE repository_id = $1 AND name = $2 AND pull_time < $3`,
		repositoryID, p.tag, last)
	return err
}
