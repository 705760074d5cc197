package transfer_test

import (
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/pace"
	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

// A copy may take longer than its bandwidth allows, on a busy machine, but never less.
func TestBytesOfAllCopiesTogetherMoveWithinTheBandwidth(t *testing.T) {
	t.Parallel()
	for name, artifact := range map[string]func(n uint64) *testserver.Artifact{
		"a large layer":     func(n uint64) *testserver.Artifact { return testserver.Image(t, n, 1, 400<<10) },
		"many small layers": func(n uint64) *testserver.Artifact { return testserver.Image(t, n, 40, 10<<10) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := cold(t)
			limit := pace.NewBandwidth(1 << 20)
			begin := time.Now()
			results := make(chan transfer.Result, 2)
			for i, tag := range []string{"v1", "v2"} {
				testserver.Push(t, b.src, "library/app", tag, artifact(uint64(i+1)))
				r := b.request("library/app", tag)
				r.Bandwidth = pace.Limits{limit}
				go func() { results <- b.do(r) }()
			}
			sent := (<-results).BytesSent + (<-results).BytesSent
			if sent < 700<<10 {
				t.Fatalf("only %d bytes were sent", sent)
			}
			if least := time.Duration(float64(sent)/(1<<20)*float64(time.Second)) - 200*time.Millisecond; time.Since(begin) < least {
				t.Errorf("%d bytes took %s, want %s at least", sent, time.Since(begin), least)
			}
		})
	}
}

func TestABandwidthThatIsTakenAwayFreesACopyUnderWay(t *testing.T) {
	t.Parallel()
	b := cold(t)
	a := testserver.Image(t, 1, 2, 600<<10) // four days at a byte a second
	testserver.Push(t, b.src, "library/app", "v1", a)
	r := b.request("library/app", "v1")
	limit := pace.NewBandwidth(1)
	r.Bandwidth = pace.Limits{limit}
	b.quiet()
	done := make(chan transfer.Result, 1)
	go func() { done <- b.do(r) }()
	testserver.Eventually(t, "the copy has begun", func() bool { return b.src.Requests().Count("GET blob") > 0 })
	select {
	case <-done:
		t.Fatal("nothing held the copy back")
	default:
	}
	limit.SetRate(0)
	if got := <-done; got.Outcome != transfer.Copied {
		t.Errorf("%+v", got)
	}
	b.whole("library/app", "v1", a)
}
