package migration

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

// The journal's place in a tree, beside the registry's own folder.
const (
	ownFolder     = ".lighterage/"
	journalFolder = ownFolder + "journal/"
	identityName  = ownFolder + "tree.json"
)

// Records are written when so many are there, or the oldest waits for so long: what
// a killed copy forgets, it sends again.
const (
	segmentRecords = 20_000
	segmentAge     = 10 * time.Second
)

// Journal is what is known of a destination: which objects it holds, and how it is
// known that their bytes are right. It only ever says less than the truth: a record
// is made after the store has answered, so a copy that was killed sends again what
// it had not recorded.
//
// It is a sequence of segments, see segment.go, in the destination itself or in a
// folder, and belongs to one destination, which it knows by an identity that is kept
// there. Of each object a process remembers a key of a few bytes.
type Journal struct {
	store tree.Tree
	id    string // of the destination
	run   string // of this process

	keyer
	known    keySet // names of what the destination holds
	segments []string

	mu       sync.Mutex
	tags     map[key]key // name of a tag: name and content
	removing map[string]bool
	began    bool // this run has begun to change tags
	unsure   bool // an earlier run changed tags and did not come to its end
	pending  segment
	oldest   time.Time // of the pending records
	number   int       // of the newest segment
	writing  sync.Mutex

	shard  Shard          // whose blobs alone are remembered
	shards map[Shard]bool // that have begun since the last copy of everything: whether they have ended

	intents intents
	// made tells whether the identity that this run has given to a destination is still
	// the one that it has; nil: it had one.
	made    func(ctx context.Context) (bool, error)
	crossed bool // another run has written beside this one
}

// identity tells one destination from another, and from itself before it was emptied.
type identity struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	// Source is where the first copy came from, to notice when another is meant.
	Source string `json:"source"`
}

// OpenJournal reads the journal of dst from store, which is dst itself or a folder.
// A destination without one gets an identity; source is noted in it. The error is a
// problem.Conflict when the journal in store belongs to another destination, or to
// this one before somebody emptied it.
func OpenJournal(ctx context.Context, dst, store tree.Tree, source string) (*Journal, error) {
	return openJournal(ctx, dst, newJournal(store), source, readIdentity)
}

func openJournal(ctx context.Context, dst tree.Tree, j *Journal, source string, readIdentity func(ctx context.Context, t tree.Tree) (identity, error)) (*Journal, error) {
	store := j.store
	if err := j.load(ctx); err != nil {
		return nil, err
	}
	found, err := readIdentity(ctx, dst)
	if err != nil {
		return nil, err
	}
	switch {
	case found.ID == "" && j.id != "":
		return nil, problem.New(problem.Conflict,
			"the journal at %s belongs to a destination that is not %s any more: its %s is missing, so somebody has emptied it or it is another one. Name another folder for the journal to begin anew",
			store, dst, identityName)
	case found.ID != "" && j.id != "" && found.ID != j.id:
		return nil, problem.New(problem.Conflict, "the journal at %s belongs to another destination than %s", store, dst)
	case found.ID == "":
		found = identity{ID: rand.Text(), Created: time.Now().UTC().Truncate(time.Second), Source: source}
		if err := writeIdentity(ctx, dst, found); err != nil {
			return nil, err
		}
		j.made = func(ctx context.Context) (bool, error) {
			now, err := readIdentity(ctx, dst)
			return now.ID == found.ID, err
		}
	}
	j.id = found.ID
	return j, nil
}

// ReadJournal reads the journal of dst without changing anything. A destination that
// has none has an empty one, and nothing can be recorded in it.
func ReadJournal(ctx context.Context, dst, store tree.Tree) (*Journal, error) {
	j := newJournal(store)
	if err := j.load(ctx); err != nil {
		return nil, err
	}
	found, err := readIdentity(ctx, dst)
	if err != nil {
		return nil, err
	}
	if found.ID != j.id && len(j.segments) > 0 {
		return nil, problem.New(problem.Conflict, "the journal at %s belongs to another destination than %s", store, dst)
	}
	j.id = found.ID
	return j, nil
}

// writable reports whether something can be recorded: whether it is known which
// destination the journal belongs to.
func (j *Journal) writable() bool { return j.id != "" }

func newJournal(store tree.Tree) *Journal {
	return &Journal{store: store, run: rand.Text()[:8], keyer: newKeyer(), tags: map[key]key{}, removing: map[string]bool{}, shards: map[Shard]bool{}}
}

func readIdentity(ctx context.Context, t tree.Tree) (identity, error) {
	text, err := tree.ReadAll(ctx, t, identityName, 64<<10)
	if tree.IsNotExist(err) {
		return identity{}, nil
	}
	if err != nil {
		return identity{}, fmt.Errorf("read the identity of %s: %w", t, err)
	}
	var found identity
	if err := json.Unmarshal(text, &found); err != nil || found.ID == "" {
		return identity{}, problem.New(problem.Conflict, "%s in %s cannot be understood: it was not written by this program", identityName, t)
	}
	return found, nil
}

func writeIdentity(ctx context.Context, t tree.Tree, i identity) error {
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	if _, err := t.Put(ctx, identityName, tree.BytesContent(append(text, '\n'))); err != nil {
		return fmt.Errorf("mark %s as a destination: %w", t, err)
	}
	return nil
}

// Empty reports whether nothing is known of the destination.
func (j *Journal) Empty() bool { return len(j.segments) == 0 && j.known.len() == 0 }

// Len is the number of objects that the destination is known to hold.
func (j *Journal) Len() int { return j.known.len() }

// has reports whether the destination is known to hold an object whose content
// follows from its name.
func (j *Journal) has(name string) bool { return j.known.has(j.of(name)) }

// hasTag reports whether the destination is known to hold a tag with this content.
func (j *Journal) hasTag(name, content string) bool {
	k, want := j.of(name), j.of(name, content)
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tags[k] == want
}

// stored records an object that the destination holds.
func (j *Journal) stored(ctx context.Context, name string, size int64, r tree.Receipt) error {
	j.known.add(j.of(name))
	j.mu.Lock()
	delete(j.removing, name)
	j.mu.Unlock()
	return j.add(ctx, record{op: opStored, proof: r.Proof, size: size, etag: r.ETag, name: name})
}

// storedTag records what a tag stands for at the destination. beginTags comes before.
func (j *Journal) storedTag(ctx context.Context, name, content string, r tree.Receipt) error {
	k := j.of(name)
	j.known.add(k)
	j.mu.Lock()
	j.tags[k] = j.of(name, content)
	delete(j.removing, name)
	j.mu.Unlock()
	return j.add(ctx, record{op: opTag, proof: r.Proof, size: int64(len(content)), etag: r.ETag, content: content, name: name})
}

// isOurs returns an error if two copies have begun to fill a destination at the same
// time, and this is not the one whose identity it has.
func (j *Journal) isOurs(ctx context.Context) error {
	if j.made == nil {
		return nil
	}
	ours, err := j.made(ctx)
	if err == nil && !ours {
		err = problem.New(problem.Conflict, "another copy to this destination has begun at the same time: let it come to its end, and give the command again")
	}
	return err
}

// beginTags makes it durable that tags are going to change: until endTags, what an
// earlier record says of a tag may be wrong.
func (j *Journal) beginTags(ctx context.Context) error {
	j.mu.Lock()
	if j.began {
		j.mu.Unlock()
		return nil
	}
	j.began = true
	if j.unsure {
		j.pending.add(record{op: opForgetTags})
		j.unsure = false
	}
	j.pending.add(record{op: opTagsBegin})
	j.mu.Unlock()
	return j.flush(ctx)
}

// endTags says that every tag that was changed since beginTags has been recorded. It
// does not say so when another run has written into the journal meanwhile: which of
// the two was the last to change a tag is not known, so the next copy looks at all of
// them again.
func (j *Journal) endTags(ctx context.Context) error {
	j.mu.Lock()
	began := j.began
	j.began = false
	j.mu.Unlock()
	if began {
		if err := j.lookBeside(ctx); err != nil {
			return err
		}
	}
	if began {
		j.mu.Lock()
		last := opTagsEnd
		if j.crossed { // what the other run has said of this one's beginning does not count
			last = opTagsBegin
		}
		j.pending.add(record{op: last})
		j.mu.Unlock()
	}
	return j.flush(ctx)
}

// lookBeside finds out whether another run has written into the journal since this one
// has read it.
func (j *Journal) lookBeside(ctx context.Context) error {
	for o, err := range j.store.List(ctx, tree.ListOptions{Prefix: journalFolder}) {
		if err != nil {
			return fmt.Errorf("look at the journal in %s: %w", j.store, err)
		}
		number, ok := segmentNumber(o.Name)
		if !ok || strings.HasSuffix(o.Name, "-"+j.run+segmentExtension) {
			continue
		}
		j.mu.Lock()
		if !slices.Contains(j.segments, o.Name) {
			j.crossed, j.number = true, max(j.number, number)
		}
		j.mu.Unlock()
	}
	return nil
}

// forget records that an object is not what the journal says, so that the next copy
// sends it again.
func (j *Journal) forget(ctx context.Context, name string) error {
	j.drop(name)
	return j.add(ctx, record{op: opForget, name: name})
}

// checked records that a check of everything has found no difference.
func (j *Journal) checked(ctx context.Context) error {
	j.mu.Lock()
	j.pending.add(record{op: opChecked})
	j.mu.Unlock()
	return j.flush(ctx)
}

// willRemove makes it durable that objects are going to be removed.
func (j *Journal) willRemove(ctx context.Context, names []string) error {
	j.mu.Lock()
	for _, name := range names {
		j.removing[name] = true
		j.pending.add(record{op: opRemoving, name: name})
	}
	j.mu.Unlock()
	for _, name := range names {
		j.drop(name)
	}
	return j.flush(ctx)
}

// removed records that objects are gone.
func (j *Journal) removed(ctx context.Context, names []string) error {
	j.mu.Lock()
	for _, name := range names {
		delete(j.removing, name)
		j.pending.add(record{op: opRemoved, name: name})
	}
	j.mu.Unlock()
	return j.flushIfDue(ctx)
}

func (j *Journal) drop(name string) {
	k := j.of(name)
	j.known.remove(k)
	j.mu.Lock()
	delete(j.tags, k)
	j.mu.Unlock()
}

func (j *Journal) add(ctx context.Context, r record) error {
	j.mu.Lock()
	j.pending.add(r)
	if j.oldest.IsZero() {
		j.oldest = time.Now()
	}
	j.mu.Unlock()
	return j.flushIfDue(ctx)
}

func (j *Journal) flushIfDue(ctx context.Context) error {
	j.mu.Lock()
	due := j.pending.records >= segmentRecords || !j.oldest.IsZero() && time.Since(j.oldest) > segmentAge
	j.mu.Unlock()
	if !due || !j.writing.TryLock() { // who writes now does it for us, or comes again
		return nil
	}
	defer j.writing.Unlock()
	return j.write(ctx)
}

// flush makes durable what was recorded so far.
func (j *Journal) flush(ctx context.Context) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	return j.write(ctx)
}

// write stores the pending records as a segment. The caller holds j.writing.
func (j *Journal) write(ctx context.Context) error {
	j.mu.Lock()
	if j.pending.records == 0 {
		j.mu.Unlock()
		return nil
	}
	full := j.pending
	j.pending, j.oldest = segment{}, time.Time{}
	j.number++
	name := fmt.Sprintf("%s%08d-%s%s", journalFolder, j.number, j.run, segmentExtension)
	j.mu.Unlock()
	text := full.seal(segmentHead{tree: j.id, run: j.run, time: time.Now()})
	err := j.isOurs(ctx)
	if err == nil {
		_, err = j.store.Put(ctx, name, tree.BytesContent(text))
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil { // they are not durable yet: whoever flushes next must know
		j.pending.text = append(full.text, j.pending.text...)
		j.pending.records += full.records
		return fmt.Errorf("write journal %s in %s: %w", name, j.store, err)
	}
	j.segments = append(j.segments, name)
	return nil
}

// Holds reports whether the destination is known to hold an object. Of tags see HoldsTag.
func (j *Journal) Holds(name string) bool { return j.has(name) }

// HoldsTag reports whether the destination's link of a tag is known to hold this digest.
func (j *Journal) HoldsTag(name, digest string) bool { return j.hasTag(name, digest) }
