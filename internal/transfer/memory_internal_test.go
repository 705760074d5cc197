package transfer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/lighterage/lighterage/internal/registry"
)

func TestExistenceIsBelievedOnlyForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newExistence(time.Minute, 100)
		a := digest.FromString("a")
		x.remember(aBlob, "library/app", a)
		time.Sleep(time.Minute)
		if !x.holds(aBlob, "library/app", a) {
			t.Error("forgotten too early")
		}
		if x.holds(aManifest, "library/app", a) || x.holds(aBlob, "library/other", a) {
			t.Error("a blob in one repository was taken for something else")
		}
		time.Sleep(time.Second)
		if x.holds(aBlob, "library/app", a) {
			t.Error("believed too long")
		}
		if home := x.home(a, "library/other"); home != "library/app" {
			t.Errorf("where to mount it from is forgotten: %q", home)
		}
		if home := x.home(a, "library/app"); home != "" {
			t.Errorf("it would be mounted from itself: %q", home)
		}
		x.forget(aBlob, "library/app", a)
		if home := x.home(a, "library/other"); home != "" {
			t.Errorf("it would be mounted from where it is not: %q", home)
		}
	})
}

func TestExistenceStaysSmallAndKeepsWhatIsUsed(t *testing.T) {
	t.Parallel()
	x := newExistence(time.Hour, 2000)
	used := digest.FromString("used")
	x.remember(aBlob, "library/app", used)
	for i := range 50_000 {
		x.remember(aBlob, fmt.Sprintf("library/app%d", i%500), digest.FromString(fmt.Sprint(i)))
		if i%100 == 0 && !x.holds(aBlob, "library/app", used) {
			t.Fatalf("what is used all the time was forgotten after %d others", i)
		}
	}
	if n := len(x.young) + len(x.old); n > 2000 {
		t.Errorf("%d entries are kept", n)
	}
	if n := len(x.youngHomes) + len(x.oldHomes); n > 2000 {
		t.Errorf("%d places to mount from are kept", n)
	}
	if n := len(x.names); n > 501 {
		t.Errorf("%d names are kept", n)
	}
}

func TestWhatIsMissingCastsDoubtOnItsRepository(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	x := newExistence(time.Minute, 100)
	x.now = func() time.Time { return now }
	blob, index := digest.FromString("blob"), digest.FromString("index")
	learn := func() {
		for _, repository := range []string{"a", "b"} {
			x.remember(aBlob, repository, blob)
			x.remember(aManifest, repository, index)
			x.rememberTag(repository, "v1")
		}
	}
	for _, reference := range []string{"v1", string(index)} {
		learn()
		x.missing("a", "v2")
		if !x.holds(aBlob, "a", blob) {
			t.Error("a tag that was never there casts doubt")
		}
		x.missing("a", reference)
		if x.holds(aBlob, "a", blob) || x.holds(aManifest, "a", index) || x.holds(aTag, "a", "v1") {
			t.Errorf("%s is missing, and the rest is believed to be there", reference)
		}
		if !x.holds(aBlob, "b", blob) {
			t.Error("another repository is doubted")
		}
		now = now.Add(time.Second)
		learn()
		if !x.holds(aBlob, "a", blob) {
			t.Error("what was learned anew is doubted")
		}
	}
	now = now.Add(2 * time.Minute)
	for i := range 200 {
		x.remember(aBlob, "c", digest.FromString(fmt.Sprint(i)))
	}
	if len(x.doubted) != 0 {
		t.Errorf("%d doubts outlive what they were about", len(x.doubted))
	}
}

func TestMountingIsGivenUpOnlyForAWhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMounting()
		for range refusalsOfStranger {
			if m.hopeless() {
				t.Error("given up too early")
			}
			m.refused()
		}
		if !m.hopeless() || m.proven() {
			t.Error("a registry that always refuses is asked on")
		}
		time.Sleep(mountHoliday)
		if m.hopeless() {
			t.Error("never asked again")
		}
		m.accepted()
		for range refusalsOfFriend - 1 {
			m.refused()
		}
		if m.hopeless() || !m.proven() {
			t.Error("a registry that has mounted lost its credit too early")
		}
	})
}

func TestFlightIsSharedAndOutlivesTheOneWhoBeganIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s flights[string, int]
		var runs atomic.Int32
		proceed := make(chan struct{})
		f := func(ctx context.Context) (int, error) {
			runs.Add(1)
			select {
			case <-proceed:
				return 42, nil
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, _, err := s.do(ctx, "x", f); !errors.Is(err, context.Canceled) {
				t.Errorf("the first: %v", err)
			}
		})
		synctest.Wait()
		for range 5 {
			wg.Go(func() {
				if v, shared, err := s.do(t.Context(), "x", f); v != 42 || !shared || err != nil {
					t.Errorf("%d, %v, %v", v, shared, err)
				}
			})
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(proceed)
		wg.Wait()
		if runs.Load() != 1 {
			t.Errorf("it ran %d times", runs.Load())
		}
	})
}

func TestFlightEndsWithItsLastCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s flights[string, int]
		reason := errors.New("enough")
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		go func() {
			_, _, err := s.do(ctx, "x", func(ctx context.Context) (int, error) {
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return 0, context.Cause(ctx)
			})
			done <- err
		}()
		synctest.Wait()
		cancel(reason)
		if err := <-done; !errors.Is(err, reason) {
			t.Errorf("%v", err)
		}
		if err := <-ended; !errors.Is(err, reason) {
			t.Errorf("the work saw %v", err)
		}
		if v, _, err := s.do(t.Context(), "x", func(context.Context) (int, error) { return 1, nil }); v != 1 || err != nil {
			t.Errorf("the next one got %d, %v", v, err)
		}
	})
}

func TestEachBeginsNothingAfterAFailure(t *testing.T) {
	t.Parallel()
	for _, final := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			failed := &Error{Side: Source, Op: "read", Retryable: !final, Err: errors.New("bad")}
			var begun, stopped, finished atomic.Int32
			err := each(t.Context(), 4, []int{0, 1, 2, 3, 4, 5, 6, 7}, func(ctx context.Context, i int) error {
				begun.Add(1)
				if i == 0 {
					time.Sleep(time.Second)
					return failed
				}
				select {
				case <-time.After(time.Minute):
					finished.Add(1)
				case <-ctx.Done():
					stopped.Add(1)
					return ctx.Err()
				}
				return nil
			})
			if !errors.Is(err, failed) || begun.Load() != 4 {
				t.Errorf("%v after %d were begun", err, begun.Load())
			}
			if final && stopped.Load() != 3 || !final && finished.Load() != 3 {
				t.Errorf("final %v: %d were stopped, %d finished", final, stopped.Load(), finished.Load())
			}
		})
	}
}

func TestPatienceCountsOnlyWhatBroughtNothing(t *testing.T) {
	t.Parallel()
	p := &patience{attempts: 2, highWater: -1}
	for offset := range int64(100) {
		p.reached(offset)
		for range 2 {
			if p.exhausted() {
				t.Fatalf("lost at %d though it moves", offset)
			}
		}
	}
	p.reached(5) // back again is no progress
	if !p.exhausted() {
		t.Error("endless patience")
	}
}

func TestPauseHonoursRetryAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &patience{attempts: 5, first: time.Millisecond, longest: time.Second}
		p.exhausted()
		start := time.Now()
		if err := p.pause(t.Context(), &registry.Error{Status: 429, RetryAfter: 17 * time.Second}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took < 17*time.Second {
			t.Errorf("waited %s", took)
		}
	})
}
