package replication

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPlansOfARepositoryAreDeliveredTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var mu sync.Mutex
		at := map[int64]time.Duration{}
		add := gather(t.Context(), 3, func(p RepositoryPlan) error {
			mu.Lock()
			defer mu.Unlock()
			at[p.DestinationID] = time.Since(start)
			return nil
		})
		var wg sync.WaitGroup
		send := func(repository string, destination int64, after time.Duration) {
			wg.Go(func() {
				time.Sleep(after)
				if err := add(RepositoryPlan{SourceRepository: repository, DestinationID: destination}); err != nil {
					t.Error(err)
				}
			})
		}
		send("a", 1, 0)
		send("a", 2, 100*time.Millisecond)
		send("a", 3, 200*time.Millisecond)
		wg.Wait()
		for id, when := range at {
			if when != 200*time.Millisecond {
				t.Errorf("the plan for %d came after %s", id, when)
			}
		}
		// One that keeps the others waiting does so once.
		start = time.Now()
		send("b", 4, 0)
		send("b", 5, 0)
		send("b", 6, time.Hour)
		send("c", 7, 2*time.Second)
		wg.Wait()
		if at[4] != gatherTime || at[5] != gatherTime || at[6] != time.Hour || at[7] != 2*time.Second {
			t.Errorf("they came after %v", at)
		}
	})
}

func TestPlansThatWaitForOthersEndWithTheirContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	add := gather(ctx, 2, func(RepositoryPlan) error { return nil })
	if err := add(RepositoryPlan{SourceRepository: "a"}); err != context.Canceled {
		t.Error(err)
	}
}
