package migration

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// MaxShards is how many parts there can be: blobs are in folders by the first two digits
// of their digests.
const MaxShards = 256

// Shard is one of several parts of all blobs, which different machines can copy at the
// same time. The zero value is everything. Each blob is in one shard of a set; digests
// are random, so all shards are about as large.
type Shard struct {
	Index int // from 1
	Of    int
}

// ParseShard reads "I/N".
func ParseShard(text string) (Shard, error) {
	first, second, ok := strings.Cut(text, "/")
	index, err := strconv.Atoi(first)
	of, err2 := strconv.Atoi(second)
	s := Shard{index, of}
	if !ok || err != nil || err2 != nil || s.String() != text {
		return Shard{}, problem.New(problem.BadRequest, "shard %q: want I/N, such as 1/4", text)
	}
	if of < 1 || of > MaxShards {
		return Shard{}, problem.New(problem.BadRequest, "shard %q: there can be 1 to %d shards", text, MaxShards)
	}
	if index < 1 || index > of {
		return Shard{}, problem.New(problem.BadRequest, "shard %q: of %d shards the first is 1/%d and the last %d/%d", text, of, of, of, of)
	}
	return s, nil
}

func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.Of) }

// all reports whether it is no part but everything.
func (s Shard) all() bool { return s.Of == 0 }

// folders are those of a shard: from the first to the one before to.
func (s Shard) folders() (from, to int) {
	return (s.Index - 1) * MaxShards / s.Of, s.Index * MaxShards / s.Of
}

// has reports whether a file is of a shard. Links are of none.
func (s Shard) has(f layout.File) bool {
	if s.all() {
		return true
	}
	if f.Kind != layout.Blob {
		return false
	}
	folder, err := strconv.ParseUint(f.Hex[:2], 16, 8)
	from, to := s.folders()
	return err == nil && int(folder) >= from && int(folder) < to
}

// listingsOfShard is in how many parts a shard's blobs are listed at the same time.
const listingsOfShard = 16

// parts divides the listing of all blobs of a shard into those that can go on at the
// same time.
func (s Shard) parts(ctx context.Context, t tree.Tree, o tree.ListOptions) ([]tree.ListOptions, error) {
	if s.all() {
		return blobParts(o), nil
	}
	var parts []tree.ListOptions
	from, to := s.folders()
	step := max(1, (to-from+listingsOfShard-1)/listingsOfShard)
	for algorithm, err := range t.Folders(ctx, layout.Blobs) {
		if err != nil {
			return nil, err
		}
		o.Prefix = layout.Blobs + algorithm + "/"
		bound := func(folder int) string { return fmt.Sprintf("%s%02x", o.Prefix, folder) }
		for at := from; at < to; at += step {
			part := o
			if at > 0 {
				part.After = justBefore(bound(at))
			}
			if end := min(at+step, to); end < MaxShards {
				part.Until = bound(end)
			}
			parts = append(parts, part)
		}
	}
	return parts, nil
}
