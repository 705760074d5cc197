package migration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// intentsFolder is beside the journal's segments, and holds segments too.
const intentsFolder = ownFolder + "intents/"

// intentsAtOnce is how many names a copy gathers at most before it says that it is
// going to put them: the puts wait for it.
const intentsAtOnce = 2000

// intents are the names of objects that are going to be put. A copy that is killed
// has put what it has no record of; when that is deleted in the source before the next
// copy, nothing but its intent tells it from what others have put there.
//
// They are stored before the objects, and removed when a copy has come to its end
// and all is recorded. A final copy looks at those that are left.
type intents struct {
	mu       sync.Mutex
	pending  segment
	number   int
	segments []string // of this run
	writing  sync.Mutex
}

// intend makes it durable that objects are going to be put. Callers at the same time
// share a write.
func (j *Journal) intend(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	i := &j.intents
	i.mu.Lock()
	for _, name := range names {
		i.pending.add(record{op: opIntend, name: name})
	}
	i.mu.Unlock()
	i.writing.Lock()
	defer i.writing.Unlock()
	i.mu.Lock()
	full := i.pending
	i.pending = segment{}
	i.number++
	segmentName := fmt.Sprintf("%s%08d-%s%s", intentsFolder, i.number, j.run, segmentExtension)
	i.mu.Unlock()
	if full.records == 0 {
		return nil // somebody who waited less has written them
	}
	err := j.isOurs(ctx)
	if err == nil {
		_, err = j.store.Put(ctx, segmentName, tree.BytesContent(full.seal(segmentHead{tree: j.id, run: j.run, time: time.Now()})))
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil {
		i.pending.text = append(full.text, i.pending.text...)
		i.pending.records += full.records
		return fmt.Errorf("write journal %s in %s: %w", segmentName, j.store, err)
	}
	i.segments = append(i.segments, segmentName)
	return nil
}

// fulfilled removes the intents of this run: each object has been recorded.
func (j *Journal) fulfilled(ctx context.Context) error {
	j.intents.mu.Lock()
	segments := j.intents.segments
	j.intents.segments = nil
	j.intents.mu.Unlock()
	return j.dropIntents(ctx, segments)
}

func (j *Journal) dropIntents(ctx context.Context, segments []string) error {
	if len(segments) == 0 {
		return nil
	}
	if err := j.store.Remove(ctx, segments); err != nil {
		return fmt.Errorf("tidy the journal in %s: %w", j.store, err)
	}
	return nil
}

// leftovers returns the names that runs before this one meant to put and have no
// record of, and the segments that tell of them.
func (j *Journal) leftovers(ctx context.Context) (names, segments []string, err error) {
	seen := map[string]bool{}
	for o, err := range j.store.List(ctx, tree.ListOptions{Prefix: intentsFolder}) {
		if err != nil {
			return nil, nil, fmt.Errorf("find the journal in %s: %w", j.store, err)
		}
		if !strings.HasSuffix(o.Name, segmentExtension) {
			continue
		}
		text, err := tree.ReadAll(ctx, j.store, o.Name, maxSegment)
		if tree.IsNotExist(err) {
			continue // another copy has come to its end
		}
		if err != nil {
			return nil, nil, fmt.Errorf("read journal %s in %s: %w", o.Name, j.store, err)
		}
		head, records, err := parseSegment(text)
		if err != nil {
			return nil, nil, problem.New(problem.Conflict, "journal %s in %s: %v. Without this file something that has gone from the source may stay in the destination: delete it, or restore it", o.Name, j.store, err)
		}
		for _, r := range records {
			if head.tree == j.id && r.op == opIntend && !seen[r.name] && !j.has(r.name) {
				seen[r.name] = true
				names = append(names, r.name)
			}
		}
		segments = append(segments, o.Name)
	}
	return names, segments, nil
}
