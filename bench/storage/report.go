package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// rawTools are the least that a copy takes.
var rawTools = []string{"raw", "raw-signed"}

// report prints the runs of all tools on one volume with one round-trip time.
func report(w io.Writer, o *outcome) {
	fmt.Fprintf(w, "\n%s, scale %v: %d tags, %d files of which %d are blobs, %.2f GB; round trip +%v; %s\n",
		o.profile.Name, o.scale, o.profile.Tags(), o.objects, o.blobs, float64(o.bytes)/1e9, o.rtt, o.server)
	if o.tuning.parallel > 0 {
		fmt.Fprintf(w, "raw is best with %d requests at a time; without a round trip added it makes %.0f a second through the front that counts, and %.0f past it; the round trip makes a small request %v later\n",
			o.tuning.parallel, o.tuning.through, o.tuning.past, o.tuning.late.Round(10*time.Microsecond))
	}
	for _, p := range phases {
		reportPhase(w, o, p)
	}
	reportWindow(w, o)
}

// reportPhase prints what all tools needed for a phase. A ratio says how many times
// our time, or the time of the better raw, a tool took.
func reportPhase(w io.Writer, o *outcome, p phase) {
	var any bool
	for _, r := range o.results {
		_, measured := r.median(p)
		any = any || measured || r.failed[p] != nil
	}
	if !any {
		return
	}
	fmt.Fprintf(w, "\n%s\n", p)
	ours, _ := o.least(p, wall, "lighterage")
	raw, _ := o.least(p, wall, rawTools...)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "tool\ttime\tof ours\tof raw\tCPU\tmemory\tserver's CPU\tfront's CPU\trequests\tan object\tMB sent\tMB received\t")
	for _, r := range o.results {
		m, ok := r.median(p)
		if !ok {
			continue
		}
		fmt.Fprintf(table, "%s\t%.2fs\t%s\t%s\t%.2fs\t%dM\t%.2fs\t%.2fs\t%d\t%.2f\t%.1f\t%.1f\t\n", r.tool,
			m.Wall.Seconds(), ratio(m.Wall, ours), ratio(m.Wall, raw), m.CPU.Seconds(), m.Memory>>20, m.store.Seconds(), m.front.Seconds(),
			m.traffic.total(), float64(m.traffic.total())/float64(o.objects), float64(m.traffic.sent)/1e6, float64(m.traffic.received)/1e6)
	}
	_ = table.Flush() // to a terminal or a file: an error would show there
	for _, r := range o.results {
		if err := r.failed[p]; err != nil {
			fmt.Fprintf(w, "  %s FAILED: %v\n", r.tool, err)
		} else if m, ok := r.median(p); ok {
			fmt.Fprintf(w, "  %s: %s\n", r.tool, m.traffic)
		}
	}
}

func ratio(took, of time.Duration) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", took.Seconds()/of.Seconds())
}

// window is how long a registry has to be read-only after a live copy: a copy of what
// changed and a check of that.
func (o *outcome) window() (copied, checked time.Duration, ok bool) {
	c, hasCopy := o.of("lighterage", final)
	k, hasCheck := o.of("lighterage", recent)
	return c.Wall, k.Wall, hasCopy && hasCheck
}

func reportWindow(w io.Writer, o *outcome) {
	if copied, checked, ok := o.window(); ok {
		fmt.Fprintf(w, "\nread-only window after %s: final copy with a second look %.2fs + check %.2fs = %.2fs\n",
			o.changes, copied.Seconds(), checked.Seconds(), (copied + checked).Seconds())
	}
	copied, hasCopy := o.of("rclone-1.71", cold)
	again, hasAgain := o.of("rclone-1.71", idle)
	checked, hasCheck := o.of("rclone-1.71", check)
	if hasCopy && hasAgain && hasCheck {
		fmt.Fprintf(w, "the procedure with rclone-1.71 is read-only for sync %.2fs + check %.2fs = %.2fs; had it copied before, for sync %.2fs + check = %.2fs\n",
			copied.Wall.Seconds(), checked.Wall.Seconds(), (copied.Wall + checked.Wall).Seconds(), again.Wall.Seconds(), (again.Wall + checked.Wall).Seconds())
	}
}
