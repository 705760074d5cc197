package cli

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// The memory of the commands that go through millions of objects: they keep a few
// bytes of each and throw away much beside them, and they may run in a pod of 256 MiB
// beside a registry.
const (
	// roomyHeap is how large the heap may become before it is collected: with less to
	// throw away, collecting takes longer than the work.
	roomyHeap = 64 << 20 // bytes
	// collectAfter is by how many per cent a heap grows that is larger.
	collectAfter = 30
)

// tuneHeap has memory collected when the heap reaches roomyHeap, or has grown by
// collectAfter per cent, whichever is more. It adapts to what is in use after each
// collection, for the rest of the process.
func tuneHeap() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	debug.SetGCPercent(growth(live[0].Value.Uint64()))
	// The sentinel is garbage, so that its clean-up comes with the next collection.
	runtime.AddCleanup(&sentinel{}, func(struct{}) { tuneHeap() }, struct{}{})
}

type sentinel struct{ _ [64]byte }

// growth is by how many per cent a heap of which so many bytes are in use may grow.
func growth(live uint64) int {
	const most = 2000 // of a heap of next to nothing
	if live == 0 {
		return most
	}
	return int(min(most, max(collectAfter, (roomyHeap/float64(live)-1)*100)))
}
