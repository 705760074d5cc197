package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// result is what was measured of one tool.
type result struct {
	tool       string
	cold, idle []sample
	raw        []time.Duration // nothing but the HEAD requests of a no-op, after each run
}

// report prints the runs of all tools with the same round-trip time. A ratio says
// how many times our time a tool took.
func report(w io.Writer, work workload, rtt time.Duration, results []result) {
	images := int64(work.repositories * work.tags)
	blobs := int64(work.repositories*work.tags*(work.own+1) + work.bases()*(work.layers-work.own))
	fmt.Fprintf(w, "\nround trip +%v\n", rtt)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "tool\tcold\tratio\tCPU\tservers' CPU\tmemory\tsource req.\ttarget req.\tno-op\tratio\tCPU\tsource req.\ttarget req.\t")
	for _, r := range results {
		cold, idle := median(r.cold), median(r.idle)
		fmt.Fprintf(table, "%s\t%.2fs\t%s\t%.2fs\t%.2fs\t%dM\t%d\t%d\t%.2fs\t%s\t%.2fs\t%d\t%d\t\n", r.tool,
			cold.Wall.Seconds(), ratio(cold, median(results[0].cold)), cold.CPU.Seconds(), cold.serverCPU.Seconds(), cold.Memory>>20, cold.sourceRequests, cold.targetRequests,
			idle.Wall.Seconds(), ratio(idle, median(results[0].idle)), idle.CPU.Seconds(), idle.sourceRequests, idle.targetRequests)
	}
	_ = table.Flush() // to a terminal or a file: an error would show there
	fmt.Fprintf(w, "needed by the protocol, at least: cold source %d (a GET for each manifest and distinct blob), cold target %d (POST and PUT for each distinct blob, PUT for each manifest); no-op one HEAD a tag and side: %d each\n",
		images+blobs, images+2*blobs, images)
	raw := slices.Sorted(slices.Values(results[0].raw))[len(results[0].raw)/2]
	fmt.Fprintf(w, "nothing but these HEAD requests, in parallel, take %.2fs; our no-op is %.2f times that\n",
		raw.Seconds(), median(results[0].idle).Wall.Seconds()/raw.Seconds())
}

func ratio(s, ours sample) string {
	return fmt.Sprintf("%.2fx", s.Wall.Seconds()/ours.Wall.Seconds())
}
