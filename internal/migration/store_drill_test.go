package migration

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/layout"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// The objects that the stores below play tricks with.
var (
	aBlob   = blobName(digest.FromString("config of library/app 0"))
	theBase = blobName(digest.FromString("base"))
	aTag    = tagName("library/app", "v1")
)

// storeVolume is a volume with a blob that is sent in parts.
func storeVolume(t testing.TB) *volume {
	t.Helper()
	v := newMemoryVolume(t)
	v.fill()
	large := v.blob(strings.Repeat("large", 6<<18))
	v.write(linkName(layout.LayerLink, "library/large", "", large), large.String())
	v.age()
	return v
}

// every is true for the last of each n requests.
func every(n int64) func(*http.Request) bool {
	var count atomic.Int64
	return func(*http.Request) bool { return count.Add(1)%n == 0 }
}

// burst is how many requests in a row are refused: fewer than the attempts at one, so
// that one that finds itself alone gets through.
const burst = 12

// How a copy to a bad store has to end.
const (
	completes = iota
	fails     // and says for which objects
	ends      // with an error
	believes  // what the store says, which is not so
)

var badStores = map[string]struct {
	faults func(s *ts.Store) []ts.Fault
	copy   int
	says   string // what its error, or the first failure, has to say
}{
	"asks for less, in bursts":                 {faults: one(ts.Fault{Skip: 15, Times: burst, Do: ts.SlowDown(0)}, ts.Fault{Skip: 100, Times: burst, Do: ts.SlowDown(1)})},
	"asks for less for one object, for ever":   {one(ts.Fault{Path: aBlob, Do: ts.SlowDown(0)}), fails, "SlowDown"},
	"fails for one object, for ever":           {one(ts.Fault{Path: theBase, Method: "PUT", Do: ts.StoreError(500, "InternalError", "x")}), fails, "InternalError"},
	"cuts requests off":                        {faults: one(ts.Fault{When: every(3), Do: ts.Reset()})},
	"cuts bodies off":                          {faults: one(ts.Fault{Method: "PUT", When: every(3), Do: ts.ResetRequest(40)})},
	"loses answers":                            {faults: one(ts.Fault{When: every(3), Do: ts.ResetAnswer()})},
	"loses all answers after a while":          {one(ts.Fault{Skip: 40, Do: ts.ResetAnswer()}), ends, ""},
	"cuts answers off":                         {faults: one(ts.Fault{Method: "GET", When: every(2), Do: ts.ResetResponse(60)})},
	"truncates listings":                       {faults: one(ts.Fault{Class: "GET list", When: every(2), Do: ts.TruncateAnswer(200)})},
	"truncates what tells whose journal it is": {one(ts.Fault{Class: "GET object", Path: "tree.json", Do: ts.TruncateAnswer(60)}), ends, "cannot be understood"},
	"tells wrong ETags":                        {faults: one(ts.Fault{Class: "PUT object", Do: ts.SetHeader("ETag", `"0123456789abcdef0123456789abcdef"`)})},
	"tells no ETags":                           {faults: one(ts.Fault{Class: "PUT object", Do: ts.DropHeader("ETag")})},
	"tells wrong checksums":                    {faults: one(ts.Fault{Class: "HEAD object", Do: ts.SetHeader("X-Amz-Checksum-Sha256", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")})},
	"damages bytes on their way":               {faults: one(ts.Fault{Class: "PUT object", When: every(3), Do: ts.CorruptRequest(7)}, ts.Fault{Class: "PUT part", Times: 1, Do: ts.CorruptRequest(7)})},
	"damages one object, for ever":             {one(ts.Fault{Path: aBlob, Do: ts.CorruptRequest(7)}), fails, "damaged on its way"},
	"ends uploads with an error in a success":  {faults: one(ts.Fault{Class: "POST complete", Times: 2, Do: ts.StoreError(200, "InternalError", "x")})},
	"verifies nothing":                         {faults: func(s *ts.Store) []ts.Fault { return ignoring(s) }},
	"verifies nothing and damages bytes": {faults: func(s *ts.Store) []ts.Fault {
		return append(ignoring(s), ts.Fault{Class: "PUT object", When: every(5), Do: ts.CorruptRequest(7)}, ts.Fault{Class: "PUT part", Times: 2, Do: ts.CorruptRequest(7)})
	}},
	"verifies nothing and damages one object, for ever": {func(s *ts.Store) []ts.Fault {
		return append(ignoring(s), ts.Fault{Path: aBlob, Do: ts.CorruptRequest(7)})
	}, fails, "damaged on its way"},
	"verifies nothing, damages one object and tells nothing": {func(s *ts.Store) []ts.Fault {
		return append(ignoring(s), ts.Fault{Path: aBlob, Do: ts.CorruptRequest(7)}, ts.Fault{Class: "PUT object", Do: ts.SetHeader("ETag", `"opaque"`)})
	}, believes, ""},
	"loses a blob": {func(s *ts.Store) []ts.Fault { return losing(s, aBlob) }, believes, ""},
	"loses a tag":  {func(s *ts.Store) []ts.Fault { return losing(s, aTag) }, believes, ""},
	"loses every 5th": {func(s *ts.Store) []ts.Fault {
		return []ts.Fault{{Method: "PUT", Path: layout.Root, When: every(5), Do: s.Lose()}}
	}, believes, ""},
	"loses the journal": {faults: func(s *ts.Store) []ts.Fault { return losing(s, ".lighterage/journal") }},
	"keeps other bytes": {func(s *ts.Store) []ts.Fault {
		return []ts.Fault{{Method: "PUT", Path: aBlob + "|" + aTag, Do: s.Spoil()}}
	}, believes, ""},
	"takes the rights away":              {one(ts.Fault{Method: "PUT", Skip: 40, Do: ts.StoreError(403, "AccessDenied", "no")}), ends, "AccessDenied"},
	"takes the right to one object away": {one(ts.Fault{Method: "PUT", Path: aBlob, Do: ts.StoreError(403, "AccessDenied", "no")}), ends, "AccessDenied"},
	"changes its keys":                   {one(ts.Fault{Method: "PUT", Skip: 40, Do: ts.StoreError(403, "SignatureDoesNotMatch", "no")}), ends, "SignatureDoesNotMatch"},
	"has no bucket any more":             {one(ts.Fault{Skip: 40, Do: ts.StoreError(404, "NoSuchBucket", "no")}), ends, "NoSuchBucket"},
	"is full":                            {one(ts.Fault{Method: "PUT", Skip: 40, Do: ts.StoreError(507, "XMinioStorageFull", "no")}), ends, "the store is full"},
	"is out of quota":                    {one(ts.Fault{Method: "PUT", Skip: 40, Do: ts.StoreError(403, "QuotaExceeded", "no")}), ends, "the bucket is full"},
	"takes no large objects":             {one(ts.Fault{Class: "POST upload", Do: ts.StoreError(501, "NotImplemented", "no")}), ends, "NotImplemented"},
	"is far away":                        {faults: func(s *ts.Store) []ts.Fault { s.Faults.SetLatency(10e6); return nil }},
}

func one(faults ...ts.Fault) func(*ts.Store) []ts.Fault {
	return func(*ts.Store) []ts.Fault { return faults }
}

func ignoring(s *ts.Store) []ts.Fault {
	return []ts.Fault{{Class: "PUT object", Do: s.IgnorePayload()}, {Class: "PUT part", Do: s.IgnorePayload()}}
}

func losing(s *ts.Store, path string) []ts.Fault {
	return []ts.Fault{{Method: "PUT", Path: path, Do: s.Lose()}}
}

// Whatever a store does: what a copy says to be there is there, unless the store has
// said so too and lied; the journal knows of nothing that is not; a check finds what
// is wrong and nothing else; and the next copy mends it.
func TestABadStoreLosesNothingUnseen(t *testing.T) {
	t.Parallel()
	src := storeVolume(t)
	for name, c := range badStores {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStore(t)
			dst := at(t, store, "registry")
			for _, f := range c.faults(store) {
				store.Faults.Add(f)
			}
			failures := []string{}
			r, err := tryCopy(t, src.tree(), dst, CopyOptions{OnFailure: func(name string, err error) { failures = append(failures, name+": "+err.Error()) }})
			store.Faults.Clear()
			wrong := differencesPast(t, src, store, "registry/")
			switch said := fmt.Sprint(err, failures); {
			case (c.copy == completes || c.copy == believes) != (err == nil && r.Complete()), (c.copy == ends) != (err != nil):
				t.Errorf("the copy: %v, %+v, %q", err, r, failures)
			case !strings.Contains(said, c.says):
				t.Errorf("the copy says %s, which does not tell of %q", said, c.says)
			case c.copy == completes && len(wrong) > 0:
				t.Errorf("the copy is said to be complete, and it is not: %q", wrong)
			case c.copy == fails && (len(wrong) == 0 || int64(len(wrong)) > r.Failed+r.Postponed || int64(len(failures)) != r.Failed):
				t.Errorf("wrong are %q, and the copy says %+v, %q", wrong, r, failures)
			case c.copy == believes && len(wrong) == 0:
				t.Error("the store played no trick")
			}
			if len(r.Damage) > 0 {
				t.Errorf("the source was blamed: %+v", r.Damage)
			}

			j, err := ReadJournal(t.Context(), dst, dst)
			if err != nil {
				t.Fatal(err)
			}
			for _, difference := range wrong {
				if c.copy != believes && j.has(difference[2:]) {
					t.Errorf("the journal knows of an object that is wrong: %s", difference)
				}
			}
			if diff := cmp.Diff(wrong, checkCopy(t, src.tree(), dst)); diff != "" {
				t.Errorf("the check (-really +found):\n%s", diff)
			}
			if r := copyVolume(t, src.tree(), dst, CopyOptions{}); !r.Complete() {
				t.Errorf("the next copy: %+v", r)
			}
			none(t, differencesPast(t, src, store, "registry/"))
			none(t, checkCopy(t, src.tree(), dst))
		})
	}
}

// none fails the test for each difference.
func none(t testing.TB, differences []string) {
	t.Helper()
	if len(differences) > 0 {
		t.Errorf("differences: %q", differences)
	}
}

// differencesPast compares a volume with what a store really holds.
func differencesPast(t testing.TB, v *volume, store *ts.Store, prefix string) []string {
	t.Helper()
	differences := []string{}
	files := v.files()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		content, there := store.Get(prefix + name)
		switch {
		case !there:
			differences = append(differences, "+ "+name)
		case !bytes.Equal(content, []byte(files[name])):
			differences = append(differences, "* "+name)
		}
	}
	for _, key := range store.Keys(prefix + layout.Root) {
		if _, ours := files[strings.TrimPrefix(key, prefix)]; !ours {
			differences = append(differences, "- "+strings.TrimPrefix(key, prefix))
		}
	}
	slices.Sort(differences)
	return differences
}

// A disk that rots shows only to those who read it: the store goes on saying what it
// knew.
func TestRotIsFoundByReadingBack(t *testing.T) {
	t.Parallel()
	src, store := storeVolume(t), newStore(t)
	dst := at(t, store, "")
	moves(t, src.tree(), dst)
	link := linkName(layout.LayerLink, "library/app", "", digest.FromString("base"))
	for _, name := range []string{theBase, aTag, link} {
		store.Damage(name, 3)
	}
	if all, r := checkOnce(t, src.tree(), dst, CheckOptions{}); len(all) > 0 || r.Proofs["read back"] > 0 {
		t.Errorf("the store said so: %q, %+v", all, r)
	}
	want := []string{"* " + theBase, "* " + aTag, "* " + link}
	all, r := checkOnce(t, src.tree(), dst, CheckOptions{Deep: true, Correct: true})
	differ(t, want, all)
	if r.Proofs["read back"] != r.Same {
		t.Errorf("report %+v", r)
	}
	if r := copyVolume(t, src.tree(), dst, CopyOptions{}); r.Copied != 3 || !r.Complete() {
		t.Errorf("the next copy: %+v", r)
	}
	none(t, differencesPast(t, src, store, ""))
}

// What a store says of objects that somebody else put there is not believed when it
// accuses them: they are read.
func TestAStoreThatTellsWrongChecksumsAccusesNothing(t *testing.T) {
	t.Parallel()
	src, store := storeVolume(t), newStore(t)
	for name, content := range src.files() {
		store.Put(name, []byte(content))
	}
	store.Faults.Add(ts.Fault{Class: "HEAD object", Do: ts.SetHeader("X-Amz-Checksum-Sha256", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")})
	all, r := checkOnce(t, src.tree(), at(t, store, ""), CheckOptions{})
	if diff := cmp.Diff([]string{}, all); diff != "" || r.Same != int64(len(src.files())) {
		t.Errorf("%s\n%+v", diff, r)
	}
}

// A source that answers badly is not taken for damaged, and what is copied from it is
// right.
func TestABadSourceStoreLosesNothingUnseen(t *testing.T) {
	t.Parallel()
	v := storeVolume(t)
	for name, fault := range map[string]ts.Fault{
		"cuts answers off":         {Method: "GET", When: every(3), Do: ts.ResetResponse(30)},
		"cuts requests off":        {When: every(3), Do: ts.Reset()},
		"asks for less":            {Skip: 15, Times: burst, Do: ts.SlowDown(0)},
		"truncates listings":       {Class: "GET list", When: every(2), Do: ts.TruncateAnswer(300)},
		"truncates objects":        {Class: "GET object", When: every(4), Do: ts.TruncateAnswer(3)},
		"damages objects":          {Class: "GET object", When: every(4), Do: ts.CorruptResponse(3)},
		"denies to list":           {Class: "GET list", Skip: 3, Do: ts.StoreError(403, "AccessDenied", "no")},
		"denies to list folders":   {Class: "GET folders", Skip: 3, Do: ts.StoreError(403, "AccessDenied", "no")},
		"denies to read an object": {Class: "GET object", Path: aBlob, Do: ts.StoreError(403, "AccessDenied", "no")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := newStore(t)
			for name, content := range v.files() {
				store.Put(name, []byte(content))
			}
			src, dst := at(t, store, ""), newMemoryVolume(t)
			extra := dst.blob("somebody else's")
			store.Faults.Add(fault)
			for _, final := range []bool{false, true} {
				r, err := tryCopy(t, src, dst.tree(), CopyOptions{Final: final})
				files := dst.files()
				if _, there := files[blobName(extra)]; !there || r.Removed > 0 {
					t.Errorf("something was removed: %+v", r)
				}
				delete(files, blobName(extra))
				for name, content := range files {
					if v.files()[name] != content {
						t.Errorf("%s is wrong in the copy", name)
					}
				}
				if err == nil && r.Complete() && len(files) != len(v.files()) {
					t.Errorf("final %t: %v, %+v, and %d of %d files are there", final, err, r, len(files), len(v.files()))
				}
			}
			store.Faults.Clear()
			copyVolume(t, src, dst.tree(), CopyOptions{Final: true})
			dst.remove(strings.TrimSuffix(blobName(extra), "/data"))
			v.equals(dst)
			none(t, checkCopy(t, src, dst.tree()))
		})
	}
}
