package account

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/problem"
)

// throttle slows down guessing without locking anybody out.
//
// Every login that is not known to be right counts as wrong until it has proven
// right, so guessing in parallel gains nothing. Attempts for one name from one
// address must keep a growing distance; so must those of one address for any
// name, at a higher number. Attempts for one name from all over the world are
// delayed a little, never refused, and not at all from addresses from where the
// account has been logged in to: who guesses a name's password elsewhere cannot
// keep its owner out.
//
// It remembers a bounded number of names and addresses, the latest ones, and
// nothing of the passwords.
type throttle struct {
	most int

	mu    sync.Mutex
	order *list.List // of *strikes, most recently used first
	items map[strikeKey]*list.Element
}

type strikeKey [16]byte

type strikes struct {
	key   strikeKey
	count int       // logins that have not proven right
	next  time.Time // when the next one may be tried
	last  time.Time // when it was last used
}

// limit says how strikes slow down.
type limit struct {
	free   int           // strikes without consequences
	step   time.Duration // delay of the first one after them; doubles with each
	most   time.Duration // the longest delay
	spaced bool          // attempts wait for each other, not each on its own
}

const (
	strikesFor = 15 * time.Minute // quiet time after which strikes are forgotten
	trustFor   = 30 * 24 * time.Hour
	patience   = 20 * time.Second // who would have to wait longer is refused
)

func limits() (pair, address, name limit) {
	return limit{free: 3, step: 500 * time.Millisecond, most: 10 * time.Second, spaced: true},
		limit{free: 30, step: 250 * time.Millisecond, most: 5 * time.Second, spaced: true},
		limit{free: 10, step: 250 * time.Millisecond, most: 2 * time.Second}
}

func newThrottle(most int) *throttle {
	return &throttle{most: most, order: list.New(), items: map[strikeKey]*list.Element{}}
}

// attempt is what reserve counted for one login.
type attempt struct {
	wait         time.Duration // before the password may be looked at
	name, remote string
	counted      []strikeKey
}

// rule applies a limit to a name, an address or both.
type rule struct {
	key   strikeKey
	limit limit
}

func (t *throttle) rules(now time.Time, name, remote string) []rule {
	pair, address, anywhere := limits()
	if remote == "" {
		return []rule{{keyOf("name", name, ""), anywhere}}
	}
	rules := []rule{{keyOf("pair", name, remote), pair}}
	if !t.trusted(now, name, remote) {
		rules = append(rules, rule{keyOf("name", name, ""), anywhere}, rule{keyOf("address", "", remote), address})
	}
	return rules
}

// reserve counts a login. remote is "" when it is not known. Who would have to
// wait for longer than patience is refused, and not counted.
func (t *throttle) reserve(now time.Time, name, remote string) (attempt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rules := t.rules(now, name, remote)
	a := attempt{name: name, remote: remote}
	for _, r := range rules {
		a.wait = max(a.wait, t.use(now, r.key).next.Sub(now))
	}
	if a.wait > patience {
		return attempt{}, problem.New(problem.TooManyRequest, "too many failed logins, try again in a minute")
	}
	for _, r := range rules {
		s := t.use(now, r.key)
		s.count++
		start := now
		if r.limit.spaced && s.next.After(now) {
			start = s.next
		}
		s.next = start.Add(r.limit.delay(s.count))
		a.counted = append(a.counted, r.key)
	}
	return a, nil
}

// succeeded takes back what was counted: the password was right.
func (t *throttle) succeeded(now time.Time, a attempt) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range a.counted {
		if element, found := t.items[key]; found {
			s := element.Value.(*strikes)
			s.count = max(s.count-1, 0) // not next: others may have failed in the meantime
		}
	}
	if a.remote == "" {
		return
	}
	if element, found := t.items[keyOf("pair", a.name, a.remote)]; found {
		t.remove(element)
	}
	t.use(now, keyOf("trusted", a.name, a.remote))
}

func (t *throttle) trusted(now time.Time, name, remote string) bool {
	if remote == "" {
		return false
	}
	element, found := t.items[keyOf("trusted", name, remote)]
	if !found {
		return false
	}
	t.order.MoveToFront(element)
	return now.Sub(element.Value.(*strikes).last) < trustFor
}

func (t *throttle) use(now time.Time, key strikeKey) *strikes {
	element, found := t.items[key]
	if !found {
		element = t.order.PushFront(&strikes{key: key})
		t.items[key] = element
		if t.order.Len() > t.most {
			t.remove(t.order.Back())
		}
	}
	t.order.MoveToFront(element)
	s := element.Value.(*strikes)
	if now.Sub(s.last) >= strikesFor {
		s.count, s.next = 0, time.Time{}
	}
	s.last = now
	return s
}

func (t *throttle) remove(element *list.Element) {
	t.order.Remove(element)
	delete(t.items, element.Value.(*strikes).key)
}

func (l limit) delay(count int) time.Duration {
	over := count - l.free
	if over <= 0 {
		return 0
	}
	return min(l.step<<min(over-1, 16), l.most)
}

func keyOf(kind, name, remote string) strikeKey {
	sum := sha256.Sum256([]byte(kind + "\x00" + name + "\x00" + remote))
	return strikeKey(sum[:16])
}
