package transfer_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/transfer"
)

// What the engine itself takes for a tag that a plan has found unchanged.
func BenchmarkUnchangedTagOfAPlan(b *testing.B) {
	dst := testserver.Distribution(b)
	bench := newBench(b, dst, dst)
	a := testserver.Image(b, 1, 1, 10)
	r := bench.request("library/app", "v1")
	r.SourceDigest, r.Target, r.Log = a.Digest, transfer.Holding(a.Digest), nil
	b.ReportAllocs()
	for b.Loop() {
		if _, err := bench.engine.Copy(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// Looking up many tags at a destination that takes 20 ms for an answer.
func BenchmarkInspectWithLatency(b *testing.B) {
	dst := testserver.Distribution(b)
	testserver.Push(b, dst, "library/app", "v1", testserver.Image(b, 1, 1, 10))
	dst.Faults.SetLatency(20 * time.Millisecond)
	bench := newBench(b, dst, dst)
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := bench.engine.Inspect(b.Context(), "library/app", "v1"); err != nil {
				b.Error(err)
			}
		}
	})
}

// A hundred images on one base, cold, at several distances.
func BenchmarkColdCopy(b *testing.B) {
	for _, latency := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond} {
		b.Run(latency.String(), func(b *testing.B) {
			src := testserver.Distribution(b)
			base := testserver.Image(b, 1, 6, 20_000)
			for i := range 100 {
				testserver.Push(b, src, fmt.Sprintf("library/app%d", i), "v1", testserver.ImageOn(b, base, uint64(10+i), 2, 20_000))
			}
			src.Faults.SetLatency(latency)
			for b.Loop() {
				dst := testserver.Distribution(b, testserver.WithLatency(latency))
				bench := newBench(b, src, dst)
				bench.quiet()
				var wg sync.WaitGroup
				slots := make(chan struct{}, 32)
				for i := range 100 {
					slots <- struct{}{}
					wg.Go(func() {
						defer func() { <-slots }()
						if _, err := bench.engine.Copy(b.Context(), bench.request(fmt.Sprintf("library/app%d", i), "v1")); err != nil {
							b.Error(err)
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(dst.Requests().Count()), "destination-requests")
				b.ReportMetric(float64(src.Requests().Count()), "source-requests")
			}
		})
	}
}
