package migration

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/lighterage/lighterage/internal/layout"
	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/tree"
)

func TestASegmentIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	word := rapid.StringMatching(`[!-~]{1,40}`)
	name := rapid.Map(word, func(w string) string { return layout.Root + w })
	stored := rapid.Custom(func(t *rapid.T) record {
		r := record{op: opStored, name: name.Draw(t, "name"), size: rapid.Int64Range(0, 1<<40).Draw(t, "size"), proof: tree.Proof(rapid.IntRange(0, int(tree.ReadBack)).Draw(t, "proof"))}
		if rapid.Bool().Draw(t, "etag") {
			r.etag = rapid.StringMatching(`[0-9a-f]{32}(-[0-9]+)?`).Draw(t, "etag")
		}
		if rapid.Bool().Draw(t, "tag") {
			r.op, r.content = opTag, "sha256:"+rapid.StringMatching(`[0-9a-f]{64}`).Draw(t, "content")
		}
		return r
	})
	other := rapid.Custom(func(t *rapid.T) record {
		return record{op: rapid.SampledFrom([]op{opForget, opIntend, opRemoving, opRemoved}).Draw(t, "op"), name: name.Draw(t, "name")}
	})
	mark := rapid.Custom(func(t *rapid.T) record {
		return record{op: rapid.SampledFrom([]op{opTagsBegin, opTagsEnd, opForgetTags, opChecked, opShardsEnd}).Draw(t, "op")}
	})
	shard := rapid.Custom(func(t *rapid.T) record {
		of := rapid.IntRange(1, MaxShards).Draw(t, "of")
		s := Shard{rapid.IntRange(1, of).Draw(t, "index"), of}
		return record{op: rapid.SampledFrom([]op{opShard, opShardEnd}).Draw(t, "op"), content: s.String()}
	})
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.OneOf(stored, other, mark, shard)).Draw(t, "records")
		head := segmentHead{tree: "T", run: "R", time: time.Unix(1_700_000_000, 0).UTC()}
		var s segment
		for _, r := range want {
			s.add(r)
		}
		h, got, err := parseSegment(s.seal(head))
		if err != nil || h != head {
			t.Fatalf("%v, head %+v", err, h)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{})); len(want)+len(got) > 0 && diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestASegmentThatIsNotWholeIsRefused(t *testing.T) {
	t.Parallel()
	var s segment
	for i := range 100 {
		s.add(record{op: opStored, name: fmt.Sprint(layout.Root, i)})
	}
	whole := s.seal(segmentHead{tree: "T", run: "R"})
	for length := range whole {
		if _, _, err := parseSegment(whole[:length]); err == nil {
			t.Fatalf("%d of %d bytes are taken for the whole", length, len(whole))
		}
	}
	for _, at := range []int{5, len(whole) / 2, len(whole) - 1} {
		changed := bytes.Clone(whole)
		changed[at] ^= 1
		if _, _, err := parseSegment(changed); err == nil {
			t.Errorf("a bit flipped at %d is not noticed", at)
		}
	}
}

func FuzzSegment(f *testing.F) {
	var s segment
	s.add(record{op: opTag, name: layout.Root + "x", etag: "e", content: "c"})
	s.add(record{op: opRemoving, name: layout.Root + "x"})
	f.Add(s.seal(segmentHead{tree: "T", run: "R"}))
	f.Fuzz(func(_ *testing.T, text []byte) {
		_, _, _ = parseSegment(text)
	})
}

func FuzzRecord(f *testing.F) {
	for _, line := range []string{"+ 5 71 - a/b", "= 5 71 etag sha256:ab name", "? x", "- x", "t", "+ 9 1 - x", "+  1 - x", "= 0 0 e  x", ""} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r, ok := parseRecord(line)
		if !ok || strings.ContainsAny(line, "\n\r") {
			return
		}
		var s segment
		s.add(r)
		again, ok := parseRecord(strings.TrimSuffix(string(s.text), "\n"))
		if !ok || again != r {
			t.Errorf("%q is read as %+v, which is written as %q and read as %+v, %t", line, r, s.text, again, ok)
		}
	})
}

func TestADamagedJournalIsToldAndNotUsed(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	j, err := ReadJournal(t.Context(), dst.tree(), dst.tree())
	if err != nil || len(j.segments) == 0 {
		t.Fatalf("%v, %d segments", err, len(j.segments))
	}
	dst.write(j.segments[0], "rubbish")
	_, err = tryCopy(t, src.tree(), dst.tree(), CopyOptions{})
	if !problem.Is(err, problem.Conflict) || !strings.Contains(err.Error(), j.segments[0]) {
		t.Fatalf("got %v", err)
	}
	// Without it the copy finds out again what is there.
	dst.remove(j.segments[0])
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	src.equals(dst)
	checkVolumes(t, src.tree(), dst.tree(), CheckOptions{}).want(t)
}

func TestRemovalsThatWereInterruptedAreFinished(t *testing.T) {
	t.Parallel()
	src, dst := newVolume(t), newVolume(t)
	src.fill()
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{})
	tag := tagName("library/app", "v1")
	j, err := OpenJournal(t.Context(), dst.tree(), dst.tree(), "here")
	if err != nil {
		t.Fatal(err)
	}
	// The process was killed after it said what it was going to remove.
	if err := j.willRemove(t.Context(), []string{tag}); err != nil {
		t.Fatal(err)
	}
	src.remove(layout.TagsFolder("library/app") + "v1")
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{Final: true})
	src.equals(dst)

	// And one that came back before the next copy is sent again, not removed.
	j, err = OpenJournal(t.Context(), dst.tree(), dst.tree(), "here")
	if err != nil {
		t.Fatal(err)
	}
	if err := j.willRemove(t.Context(), []string{tagName("library/app", "v0")}); err != nil {
		t.Fatal(err)
	}
	dst.remove(layout.TagsFolder("library/app") + "v0/current")
	copyVolume(t, src.tree(), dst.tree(), CopyOptions{Final: true})
	src.equals(dst)
}
