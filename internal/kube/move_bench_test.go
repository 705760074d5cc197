package kube_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/lighterage/lighterage/internal/kube"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// BenchmarkTheWindow moves Harbors of different sizes, and reports for how long each was
// read-only, and what of that was not the rollout: the start of Jobs and the looks at names.
func BenchmarkTheWindow(b *testing.B) {
	for _, tags := range []int{200, 2000} {
		b.Run(fmt.Sprintf("tags=%d", tags), func(b *testing.B) {
			for b.Loop() {
				f := newFleet(b)
				base := ts.Image(b, 7, 3, 2000)
				var all []ts.Placing
				for i := range tags {
					all = append(all, ts.Placing{Repository: "library/app", Tag: fmt.Sprintf("t%04d", i), Artifact: ts.ImageOn(b, base, uint64(i+100), 1, 300)})
				}
				f.set(func() { ts.PushMany(b, f.registry, all...) })
				got := f.run(b.Context(), "--output", "json")
				var m kube.Migration
				if err := json.Unmarshal([]byte(got.out), &m); err != nil || got.code != 0 {
					b.Fatalf("%v, %+v", err, got)
				}
				if m.Listed.Whole != int64(tags)+1 {
					b.Errorf("%+v", m.Listed)
				}
				b.ReportMetric(m.Window.Seconds, "window-s")
				b.ReportMetric(m.Window.Seconds-m.Window.Phases[kube.PhaseRollout], "without-rollout-s")
				b.ReportMetric(m.Window.Phases[kube.PhaseFinal], "final-s")
			}
		})
	}
}
