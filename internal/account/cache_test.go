package account

import (
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestCacheForgetsInTimeAndWhenTold(t *testing.T) {
	t.Parallel()
	now := start
	c := newCache[string, int](time.Second, 2, func() time.Time { return now })
	reads := 0
	load := func(key string) int {
		t.Helper()
		v, err := c.load(key, func() (int, bool, error) { reads++; return reads, true, nil })
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for range 2 {
		if load("a") != 1 {
			t.Error("read twice")
		}
	}
	now = now.Add(time.Second)
	if load("a") != 2 {
		t.Error("not read again after its time")
	}
	c.clear()
	if load("a") != 3 {
		t.Error("not read again after clear")
	}
	load("b")
	load("a")
	load("c") // pushes out b, used longest ago
	if load("a") != 3 || load("b") != 6 {
		t.Error("the wrong one was forgotten")
	}
}

func TestCacheKeepsNothingThatClearOvertook(t *testing.T) {
	t.Parallel()
	c := newCache[string, int](time.Hour, 2, time.Now)
	_, _ = c.load("a", func() (int, bool, error) {
		c.clear() // somebody changes what is being read
		return 1, true, nil
	})
	if _, found := c.get("a"); found {
		t.Error("an outdated value is remembered")
	}
}

func TestCacheKeepsNoFailuresAndNothingItShouldNot(t *testing.T) {
	t.Parallel()
	c := newCache[string, int](time.Hour, 2, time.Now)
	failure := errors.New("no")
	if _, err := c.load("a", func() (int, bool, error) { return 1, true, failure }); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	if v, err := c.load("a", func() (int, bool, error) { return 2, false, nil }); v != 2 || err != nil {
		t.Errorf("got %d, %v", v, err)
	}
	if _, found := c.get("a"); found {
		t.Error("remembered")
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const most = 5
		c := newCache[int, int](time.Hour, most, time.Now)
		model := map[int]int{}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, v := rapid.IntRange(0, 9).Draw(t, "k"), rapid.Int().Draw(t, "v")
				c.put(k, v)
				model[k] = v
			},
			"get": func(t *rapid.T) {
				k := rapid.IntRange(0, 9).Draw(t, "k")
				if v, found := c.get(k); found && v != model[k] {
					t.Fatalf("%d is %d, was put as %d", k, v, model[k])
				}
			},
			"clear": func(*rapid.T) { c.clear(); clear(model) },
			"": func(t *rapid.T) {
				if c.order.Len() != len(c.items) || len(c.items) != min(len(model), most) && len(model) <= most {
					t.Fatalf("%d items, %d in order, %d put", len(c.items), c.order.Len(), len(model))
				}
			},
		})
	})
}
