package account

import (
	"container/list"
	"sync"
	"time"
)

// cache remembers values for a while, the most recently used ones when there are
// too many.
type cache[K comparable, V any] struct {
	lifetime time.Duration
	most     int
	now      func() time.Time

	mu    sync.Mutex
	epoch uint64     // grows with every clear
	order *list.List // of *entry[K, V], most recently used first
	items map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key     K
	value   V
	expires time.Time
}

func newCache[K comparable, V any](lifetime time.Duration, most int, now func() time.Time) *cache[K, V] {
	return &cache[K, V]{lifetime: lifetime, most: most, now: now, order: list.New(), items: map[K]*list.Element{}}
}

func (c *cache[K, V]) get(key K) (value V, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, found := c.items[key]
	if !found {
		return value, false
	}
	e := element.Value.(*entry[K, V])
	if !c.now().Before(e.expires) {
		c.remove(element)
		return value, false
	}
	c.order.MoveToFront(element)
	return e.value, true
}

func (c *cache[K, V]) put(key K, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.store(key, value)
}

// load returns the remembered value, or else the one that read returns, which it
// remembers if keep is true. A value that was being read while clear was called is
// not remembered: it may be older than what clear was called for.
func (c *cache[K, V]) load(key K, read func() (value V, keep bool, err error)) (V, error) {
	if value, found := c.get(key); found {
		return value, nil
	}
	c.mu.Lock()
	epoch := c.epoch
	c.mu.Unlock()
	value, keep, err := read()
	if err != nil {
		return value, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if keep && epoch == c.epoch {
		c.store(key, value)
	}
	return value, nil
}

func (c *cache[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.order.Init()
	clear(c.items)
}

func (c *cache[K, V]) store(key K, value V) {
	expires := c.now().Add(c.lifetime)
	if element, found := c.items[key]; found {
		*element.Value.(*entry[K, V]) = entry[K, V]{key, value, expires}
		c.order.MoveToFront(element)
		return
	}
	c.items[key] = c.order.PushFront(&entry[K, V]{key, value, expires})
	if c.order.Len() > c.most {
		c.remove(c.order.Back())
	}
}

func (c *cache[K, V]) remove(element *list.Element) {
	c.order.Remove(element)
	delete(c.items, element.Value.(*entry[K, V]).key)
}
