package embedded

import "sync"

// locks lets changes of one tag or digest happen one after the other, while
// others of the same repository go on, and lets a change of a whole repository
// happen alone.
type locks struct {
	mu   sync.Mutex
	held map[string]*lock
}

type lock struct {
	sync.RWMutex
	users int // that hold it or wait for it
}

func newLocks() *locks { return &locks{held: map[string]*lock{}} }

// reference locks some references of a repository; names must be sorted.
func (l *locks) reference(repository string, names ...string) (unlock func()) {
	unlocks := []func(){l.take(repository, false)}
	for _, name := range names {
		unlocks = append(unlocks, l.take(repository+"\x00"+name, true))
	}
	return func() {
		for i := len(unlocks) - 1; i >= 0; i-- {
			unlocks[i]()
		}
	}
}

// repository locks all references of a repository.
func (l *locks) repository(name string) (unlock func()) { return l.take(name, true) }

func (l *locks) take(key string, alone bool) (release func()) {
	l.mu.Lock()
	k := l.held[key]
	if k == nil {
		k = &lock{}
		l.held[key] = k
	}
	k.users++
	l.mu.Unlock()
	if alone {
		k.Lock()
	} else {
		k.RLock()
	}
	return func() {
		if alone {
			k.Unlock()
		} else {
			k.RUnlock()
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if k.users--; k.users == 0 {
			delete(l.held, key)
		}
	}
}
