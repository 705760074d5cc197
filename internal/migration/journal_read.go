package migration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// load reads all segments in their order.
func (j *Journal) load(ctx context.Context) error {
	for o, err := range j.store.List(ctx, tree.ListOptions{Prefix: journalFolder}) {
		if err != nil {
			return fmt.Errorf("find the journal in %s: %w", j.store, err)
		}
		if number, ok := segmentNumber(o.Name); ok {
			j.number = max(j.number, number)
			j.segments = append(j.segments, o.Name)
		}
	}
	unsure := map[string]bool{}
	err := j.read(ctx, func(h segmentHead, r record) {
		if r.name != "" && !j.shard.has(layout.Parse(r.name)) {
			return
		}
		switch r.op {
		case opShard, opShardEnd:
			if s, err := ParseShard(r.content); err == nil { // it has been read already
				j.shards[s] = j.shards[s] || r.op == opShardEnd
			}
		case opShardsEnd:
			clear(j.shards)
		case opStored:
			j.known.add(j.of(r.name))
			delete(j.removing, r.name)
		case opTag:
			k := j.of(r.name)
			j.known.add(k)
			j.tags[k] = j.of(r.name, r.content)
			delete(j.removing, r.name)
		case opRemoving, opForget:
			k := j.of(r.name)
			j.known.remove(k)
			delete(j.tags, k)
			if r.op == opRemoving {
				j.removing[r.name] = true
			}
		case opRemoved:
			delete(j.removing, r.name)
		case opTagsBegin:
			unsure[h.run] = true
		case opTagsEnd:
			delete(unsure, h.run)
		case opForgetTags:
			clear(j.tags)
			clear(unsure)
		}
	})
	if len(unsure) > 0 {
		j.unsure = true
		clear(j.tags)
	}
	return err
}

// segmentNumber is the number in a segment's name.
func segmentNumber(name string) (number int, ok bool) {
	base := strings.TrimPrefix(name, journalFolder)
	number, err := strconv.Atoi(base[:max(0, strings.IndexByte(base, '-'))])
	return number, err == nil && path.Ext(base) == segmentExtension
}

// readAhead is how many segments are in memory while the journal is read.
const readAhead = 4

// parsedSegment is a segment, or why it could not be read.
type parsedSegment struct {
	name    string
	head    segmentHead
	records []record
	err     error
}

// read calls each with all records in their order.
func (j *Journal) read(ctx context.Context, each func(h segmentHead, r record)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Segments are fetched and parsed at the same time, and used one by one.
	next := make(chan chan parsedSegment, readAhead-2)
	go func() {
		defer close(next)
		for _, name := range j.segments {
			parsed := make(chan parsedSegment, 1)
			select {
			case next <- parsed:
			case <-ctx.Done():
				return
			}
			go func() { parsed <- j.readSegment(ctx, name) }()
		}
	}()
	for parsed := range next {
		s := <-parsed
		if s.err != nil {
			return s.err
		}
		if j.id == "" {
			j.id = s.head.tree
		}
		if s.head.tree != j.id {
			return j.unusable(s.name, errors.New("it belongs to another destination than the others"))
		}
		for _, r := range s.records {
			each(s.head, r)
		}
	}
	return context.Cause(ctx)
}

func (j *Journal) readSegment(ctx context.Context, name string) parsedSegment {
	text, err := tree.ReadAll(ctx, j.store, name, maxSegment)
	if err != nil {
		return parsedSegment{name: name, err: fmt.Errorf("read journal %s in %s: %w", name, j.store, err)}
	}
	head, records, err := parseSegment(text)
	if err != nil {
		err = j.unusable(name, err)
	}
	return parsedSegment{name, head, records, err}
}

func (j *Journal) unusable(name string, err error) error {
	return problem.New(problem.Conflict, "journal %s in %s: %v. Without this file the copy sends again what it tells of: delete it, or restore it", name, j.store, err)
}

// sinceChecked returns what has been recorded of each name after the last check of
// everything, and when that was. ok is false when there has been none, or when more
// than limit names have been recorded since.
func (j *Journal) sinceChecked(ctx context.Context, limit int) (last map[string]record, at time.Time, ok bool, err error) {
	last = map[string]record{}
	for _, name := range slices.Backward(j.segments) {
		s := j.readSegment(ctx, name)
		if s.err != nil {
			return nil, at, false, s.err
		}
		for _, r := range slices.Backward(s.records) {
			if r.op == opChecked {
				return last, s.head.time, true, nil
			}
			if _, later := last[r.name]; later || r.name == "" {
				continue
			}
			if last[r.name] = r; len(last) > limit {
				return nil, at, false, nil
			}
		}
	}
	return nil, at, false, nil
}

// halfRemoved are the names of objects whose removal an earlier run began.
func (j *Journal) halfRemoved() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Sorted(maps.Keys(j.removing))
}

// unseen yields the names of objects that the destination holds and that nobody has
// marked, and those whose removal an earlier run began.
func (j *Journal) unseen(ctx context.Context, each func(name string)) error {
	for _, name := range j.halfRemoved() {
		each(name)
	}
	if j.known.allMarked() {
		return nil
	}
	return j.read(ctx, func(_ segmentHead, r record) {
		if r.op != opStored && r.op != opTag {
			return
		}
		if k := j.of(r.name); j.known.has(k) && !j.known.marked(k) {
			j.known.mark(k) // once is enough
			each(r.name)
		}
	})
}
