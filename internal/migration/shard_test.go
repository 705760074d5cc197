package migration

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

func TestAShardIsWrittenIOfN(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Shard{"1/1": {1, 1}, "1/4": {1, 4}, "4/4": {4, 4}, "256/256": {256, 256}} {
		if got, err := ParseShard(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "1", "/", "1/", "/4", "0/4", "5/4", "-1/4", "+1/4", "01/4", "1/0", "1/257", "1/4/4", " 1/4", "1/4 ", "a/4", "1/99999999999999999999"} {
		if got, err := ParseShard(text); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// Whatever the number of shards, each blob is in one of them, and its listing finds it.
func TestEachBlobIsInOneShard(t *testing.T) {
	t.Parallel()
	v := newMemoryVolume(t)
	names := map[string]bool{}
	for i := range 600 {
		names[blobName(v.blob(fmt.Sprint("blob ", i)))] = true
	}
	for _, algorithm := range []digest.Algorithm{digest.SHA384, digest.SHA512} {
		name := blobName(algorithm.FromString("another hash"))
		v.write(name, "another hash")
		names[name] = true
	}
	src := v.tree()
	rapid.Check(t, func(rt *rapid.T) {
		of := rapid.IntRange(1, MaxShards).Draw(rt, "of")
		seen := map[string]int{}
		for index := 1; index <= of; index++ {
			s := Shard{index, of}
			if from, to := s.folders(); to-from < MaxShards/of || to-from > MaxShards/of+1 {
				rt.Fatalf("%s has %d folders", s, to-from)
			}
			parts, err := s.parts(t.Context(), src, tree.ListOptions{Implied: true})
			if err != nil {
				rt.Fatal(err)
			}
			for _, part := range parts {
				for o, err := range src.List(t.Context(), part) {
					if err != nil {
						rt.Fatal(err)
					}
					f := layout.Parse(o.Name)
					if f.Kind != layout.Blob {
						continue
					}
					if !s.has(f) {
						rt.Fatalf("%s is listed in %s and is not of it", o.Name, s)
					}
					seen[o.Name]++
				}
			}
		}
		for name := range names {
			if seen[name] != 1 {
				rt.Fatalf("%s is in %d of %d shards", name, seen[name], of)
			}
		}
	})
}

func openShard(t testing.TB, dst tree.Tree, s Shard) (*Journal, error) {
	t.Helper()
	return OpenShardJournal(t.Context(), dst, dst, "here", s, time.Minute, func() {})
}

// links are the names of links in a tree.
func links(t testing.TB, tr tree.Tree) []string {
	t.Helper()
	var found []string
	for o, err := range tr.List(t.Context(), tree.ListOptions{Prefix: layout.Repositories}) {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, o.Name)
	}
	return found
}

// All shards at once, into a place that nobody has marked; then everything.
func TestShardsAtTheSameTimeAndACopyAfterThemMakeTheWhole(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, dst tree.Tree) {
		src := newMemoryVolume(t)
		src.fill()
		src.clutter()
		const of = 5
		reports := make([]CopyReport, of)
		var group sync.WaitGroup
		for i := range of {
			group.Go(func() {
				s := Shard{i + 1, of}
				j, err := openShard(t, dst, s)
				if err == nil {
					reports[i], err = Copy(t.Context(), src.tree(), dst, j, CopyOptions{Shard: s})
				}
				if err != nil {
					t.Errorf("%s: %v", s, err)
				}
			})
		}
		group.Wait()
		blobs := 0
		for name := range src.files() {
			if layout.Parse(name).Kind == layout.Blob {
				blobs++
			}
		}
		copied := int64(0)
		for i, r := range reports {
			copied += r.Copied
			if r.Shard != fmt.Sprintf("%d/%d", i+1, of) || !r.Complete() {
				t.Errorf("report %+v", r)
			}
		}
		if copied != int64(blobs) {
			t.Errorf("%d blobs, and the shards have copied %d", blobs, copied)
		}
		if found := links(t, dst); len(found) > 0 {
			t.Errorf("shards have put links: %q", found)
		}
		r := copyVolume(t, src.tree(), dst, CopyOptions{})
		if r.Known != int64(blobs) || r.Adopted != 0 || r.Copied != int64(len(src.files())-blobs) {
			t.Errorf("after %d blobs: %+v", blobs, r)
		}
		src.is(t, dst)
		if r := copyVolume(t, src.tree(), dst, CopyOptions{Final: true}); r.Copied+r.Removed != 0 {
			t.Errorf("the final copy: %+v", r)
		}
	})
}

// A shard that never came, or came to nothing, is made up for by the copy that follows.
func TestMissingShardsAreNotTakenForCopied(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	s := Shard{1, 3}
	j, err := openShard(t, dst.tree(), s)
	if err != nil {
		t.Fatal(err)
	}
	broken := &tampered{Tree: dst.tree(), beforePut: func(name string) error {
		if layout.Parse(name).Kind == layout.Blob {
			return errors.New("the store is full of it")
		}
		return nil
	}}
	if r, err := Copy(t.Context(), src.tree(), broken, j, CopyOptions{Shard: s}); err != nil || r.Complete() || r.Failed == 0 {
		t.Fatalf("a shard of which nothing was stored: %+v, %v", r, err)
	}
	if j, err = openShard(t, dst.tree(), s); err != nil || j.shards[s] || len(j.shards) != 1 {
		t.Errorf("what is known of the shard: %v, %v", j.shards, err)
	}
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	src.equals(dst)
	dst.whole()
}

func TestAShardThatWasCopiedIsNotCopiedAgain(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	for round := range 2 {
		for index := 1; index <= 2; index++ {
			s := Shard{index, 2}
			j, err := openShard(t, dst.tree(), s)
			if err != nil {
				t.Fatal(err)
			}
			r, err := Copy(t.Context(), src.tree(), dst.tree(), j, CopyOptions{Shard: s})
			if err != nil || r.Found == 0 || round == 0 && r.Copied != r.Found || round == 1 && (r.Copied != 0 || r.Known != r.Found || r.Adopted != 0) {
				t.Errorf("round %d, %s: %+v, %v", round, s, r, err)
			}
			if j, err = openShard(t, dst.tree(), s); err != nil || !j.shards[s] || int64(j.Len()) != r.Found {
				t.Errorf("the journal of %s knows %d of %d blobs, and %v: %v", s, j.Len(), r.Found, j.shards, err)
			}
		}
	}
}

func TestAnotherNumberOfShardsIsRefusedUntilACopyOfEverything(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	one := Shard{2, 2}
	if _, err := OpenJournal(t.Context(), dst.tree(), dst.tree(), "here"); err != nil { // marks it
		t.Fatal(err)
	}
	j, err := openShard(t, dst.tree(), one)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), src.tree(), dst.tree(), j, CopyOptions{Shard: one}); err != nil {
		t.Fatal(err)
	}
	if _, err := openShard(t, dst.tree(), Shard{1, 3}); !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), "in 2 shards (2/2 has begun), not in 3") {
		t.Errorf("another number: %v", err)
	}
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{DryRun: true})
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{Repositories: func(string) bool { return true }})
	if _, err := openShard(t, dst.tree(), Shard{1, 3}); !problem.Is(err, problem.BadRequest) {
		t.Errorf("after copies that were not of everything: %v", err)
	}
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	if _, err := openShard(t, dst.tree(), Shard{1, 3}); err != nil {
		t.Errorf("after a copy of everything: %v", err)
	}
}

func TestOtherShardsWaitForTheFirstToMarkANewDestination(t *testing.T) {
	t.Parallel()
	dst := newVolume(t)
	waited := 0
	_, err := OpenShardJournal(t.Context(), dst.tree(), dst.tree(), "here", Shard{2, 2}, time.Millisecond, func() { waited++ })
	if !errors.Is(err, ErrFirstShard) || waited != 1 {
		t.Errorf("without the first: %v, told %d times", err, waited)
	}
	if _, err := openShard(t, dst.tree(), Shard{1, 2}); err != nil {
		t.Fatal(err)
	}
	if _, err = openShard(t, dst.tree(), Shard{2, 2}); err != nil {
		t.Errorf("after the first: %v", err)
	}
}

// A shard that finds what another tool has put there takes it over, and goes by its own
// blobs only.
func TestAShardAdoptsItsBlobs(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	dst.fill()
	s := Shard{1, 2}
	j, err := openShard(t, dst.tree(), s)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Copy(t.Context(), src.tree(), dst.tree(), j, CopyOptions{Shard: s})
	if err != nil || r.Adopted == 0 || r.Adopted != r.Found || r.Copied != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestAShardIsNeitherFinalNorOfRepositories(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	s := Shard{1, 1}
	for _, o := range []CopyOptions{{Shard: s, Final: true}, {Shard: s, Repositories: func(string) bool { return true }}} {
		j, err := openShard(t, dst.tree(), s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Copy(t.Context(), src.tree(), dst.tree(), j, o); !problem.Is(err, problem.BadRequest) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestASurveyOfShardsAddsUpToAllBlobs(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	objects, bytes, wantObjects, wantBytes := int64(0), int64(0), int64(0), int64(0)
	for name, content := range src.files() {
		if layout.Parse(name).Kind == layout.Blob {
			wantObjects++
			wantBytes += int64(len(content))
		}
	}
	for index := 1; index <= 3; index++ {
		s := Shard{index, 3}
		j, err := openShard(t, dst.tree(), s)
		if err != nil {
			t.Fatal(err)
		}
		p := &Progress{}
		if err := Survey(t.Context(), src.tree(), j, CopyOptions{Shard: s, Progress: p}); err != nil {
			t.Fatal(err)
		}
		objects, bytes = objects+p.Counts().Expected, bytes+p.Counts().ExpectedBytes
	}
	if objects != wantObjects || bytes != wantBytes {
		t.Errorf("%d objects of %d bytes, want %d of %d", objects, bytes, wantObjects, wantBytes)
	}
}

// Processes that copy shards of a bucket are killed again and again, with a copy of
// everything between: what ends well is whole.
func TestKilledShardsAreResumed(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	src := newMemoryVolume(t)
	src.fill()
	for i := range 300 {
		src.image("library/many", fmt.Sprintf("v%d", i), fmt.Sprint("many ", i))
	}
	src.age()
	e := errand{From: src.root, To: store.Location("registry")}
	killed, span := 0, time.Second
	const of = 3
	for attempt := range 4 {
		for index := 1; index <= of; index++ {
			e.Shard = fmt.Sprintf("%d/%d", index, of)
			if index == 1 && attempt == 0 {
				e.finish(t) // the others would wait for it
				continue
			}
			if e.killed(t, attempt, &span) {
				killed++
			}
		}
		if found := links(t, at(t, store, "registry")); len(found) > 0 {
			t.Fatalf("shards have put links: %q", found)
		}
	}
	copied := int64(0)
	for index := 1; index <= of; index++ {
		e.Shard = fmt.Sprintf("%d/%d", index, of)
		copied += e.finish(t).Report.Known
	}
	e.Shard = ""
	last := e.finish(t)
	src.is(t, at(t, store, "registry"))
	t.Logf("%d copies were killed; %d blobs were known to the last shards, %d to the copy", killed, copied, last.Report.Known)
}
