package migration

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// identityPause is how often a shard looks whether the first one has marked the
// destination.
const identityPause = 500 * time.Millisecond

// ErrFirstShard: the shard that all others wait for is not being copied.
var ErrFirstShard = errors.New("the first shard has not begun to copy")

// OpenShardJournal is OpenJournal for a copy of a shard. Shards may be copied at the same
// time: each adds segments of its own to the same journal, and remembers its own blobs
// only.
//
// Of a new destination the first shard makes the identity, since no store is sure to let
// only one of several do that; the others wait for it as long as patience says, and
// waiting is told before; the error is ErrFirstShard when that was in vain. It is a
// problem.BadRequest when a set of another number of shards has been begun and no copy of
// everything has followed it.
func OpenShardJournal(ctx context.Context, dst, store tree.Tree, source string, s Shard, patience time.Duration, waiting func()) (*Journal, error) {
	j := newJournal(store)
	j.shard = s
	j, err := openJournal(ctx, dst, j, source, func(ctx context.Context, t tree.Tree) (identity, error) {
		found, err := readIdentity(ctx, t)
		if err != nil || found.ID != "" || j.id != "" || s.Index == 1 {
			return found, err
		}
		waiting()
		return awaitIdentity(ctx, t, patience)
	})
	if err != nil {
		return nil, err
	}
	for other := range j.shards {
		if other.Of != s.Of {
			return nil, problem.New(problem.BadRequest,
				"blobs are being copied to %s in %d shards (%s has begun), not in %d: go on with %d, or end that with a copy of everything, without a shard",
				dst, other.Of, other, s.Of, other.Of)
		}
	}
	if j.made == nil {
		id := j.id
		j.made = func(ctx context.Context) (bool, error) {
			now, err := readIdentity(ctx, dst)
			return now.ID == id, err
		}
	}
	return j, nil
}

func awaitIdentity(ctx context.Context, t tree.Tree, patience time.Duration) (identity, error) {
	late := time.Now().Add(patience)
	for {
		select {
		case <-ctx.Done():
			return identity{}, context.Cause(ctx)
		case <-time.After(min(identityPause, patience)):
		}
		found, err := readIdentity(ctx, t)
		if err != nil || found.ID != "" {
			return found, err
		}
		if time.Now().After(late) {
			return identity{}, fmt.Errorf("%w to %s: a new destination is marked by that one, and the others wait for it", ErrFirstShard, t)
		}
	}
}

// shardBegins makes it durable that a shard is being copied.
func (j *Journal) shardBegins(ctx context.Context, s Shard) error {
	return j.addShard(ctx, record{op: opShard, content: s.String()})
}

// shardEnds makes it durable that the destination has all of a shard.
func (j *Journal) shardEnds(ctx context.Context, s Shard) error {
	return j.addShard(ctx, record{op: opShardEnd, content: s.String()})
}

// endShards keeps that a copy of everything has followed the shards.
func (j *Journal) endShards(ctx context.Context) error {
	if len(j.shards) == 0 {
		return nil
	}
	clear(j.shards)
	return j.addShard(ctx, record{op: opShardsEnd})
}

func (j *Journal) addShard(ctx context.Context, r record) error {
	j.mu.Lock()
	j.pending.add(r)
	j.mu.Unlock()
	if err := j.flush(ctx); err != nil {
		return fmt.Errorf("keep how far shards are: %w", err)
	}
	return nil
}
