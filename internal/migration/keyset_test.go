package migration

import (
	"fmt"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

func TestKeySetBehavesLikeAMap(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		// One shard and few homes: everything collides.
		var set keySet
		model := map[key]bool{} // key: marked
		small := rapid.Custom(func(t *rapid.T) key {
			return key{7, byte(rapid.IntRange(0, 255).Draw(t, "home")), 0, 0, 0, byte(rapid.IntRange(1, 3).Draw(t, "rest"))}
		})
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				k := small.Draw(t, "key")
				marked, there := model[k]
				if set.add(k) == there {
					t.Fatalf("add %x: new %t", k, there)
				}
				model[k] = marked
			},
			"remove": func(t *rapid.T) {
				k := small.Draw(t, "key")
				set.remove(k)
				delete(model, k)
			},
			"mark": func(t *rapid.T) {
				k := small.Draw(t, "key")
				set.mark(k)
				if _, there := model[k]; there {
					model[k] = true
				}
			},
			"unmarkAll": func(*rapid.T) {
				set.unmarkAll()
				for k := range model {
					model[k] = false
				}
			},
			"": func(t *rapid.T) {
				if set.len() != len(model) {
					t.Fatalf("%d keys, want %d", set.len(), len(model))
				}
				all := true
				for k, marked := range model {
					all = all && marked
					if !set.has(k) || set.marked(k) != marked {
						t.Fatalf("%x: has %t, marked %t, want %t", k, set.has(k), set.marked(k), marked)
					}
				}
				if set.allMarked() != all {
					t.Fatalf("all are marked: %t, want %t", !all, all)
				}
				if k := small.Draw(t, "other"); set.has(k) {
					if _, there := model[k]; !there {
						t.Fatalf("%x is there", k)
					}
				}
			},
		})
	})
}

func TestKeysDependOnHowNamesAreDivided(t *testing.T) {
	t.Parallel()
	k := newKeyer()
	if k.of("ab", "c") == k.of("a", "bc") || k.of("a") == k.of("a", "") {
		t.Error("two things have one key")
	}
	if first, again := k.of("a", "b"), k.of("a", "b"); first != again {
		t.Error("one thing has two keys")
	}
	if other := newKeyer(); other.of("a") == k.of("a") {
		t.Error("another process has the same keys")
	}
}

func BenchmarkKeySet(b *testing.B) {
	keyer := newKeyer()
	for b.Loop() {
		const n = 1_000_000
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		set := &keySet{}
		for i := range n {
			set.add(keyer.of(fmt.Sprintf("docker/registry/v2/blobs/sha256/ab/%064d/data", i)))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "bytes/key")
		if set.len() != n {
			b.Fatalf("%d keys", set.len())
		}
	}
}
