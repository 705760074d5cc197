package main

import (
	"fmt"
	"io"
	"time"
)

// goal is something that Lighterage is to reach, and what it did.
type goal struct {
	what     string
	measured string // "" if the run did not measure what is needed for it
	met      bool
}

func (g goal) String() string {
	switch {
	case g.measured == "":
		return "not measured  " + g.what
	case g.met:
		return "met           " + g.what + ": " + g.measured
	default:
		return "NOT MET       " + g.what + ": " + g.measured
	}
}

// reportGoals prints for each volume and round-trip time what was reached. There are
// no goals for the tiny one, of which starting up is the most.
func reportGoals(w io.Writer, all []*outcome) {
	for _, o := range all {
		if o.profile.Name == "tiny" {
			continue
		}
		fmt.Fprintf(w, "\ngoals, %s at scale %v, round trip +%v\n", o.profile.Name, o.scale, o.rtt)
		for _, g := range goals(o, all) {
			fmt.Fprintln(w, g)
		}
	}
}

var (
	rclones       = []string{"rclone-1.71", "rclone-1.71-tuned", "rclone-1.76", "rclone-1.76-tuned"}
	mostMemory    = int64(150 << 20) // bytes
	mostGrowth    = 20.0             // bytes an object
	longestWindow = 5 * time.Second
)

func goals(o *outcome, all []*outcome) []goal {
	list := []goal{
		o.atMost("cold copy within 10 % of the fewest requests without hashing", 1.10, cold, wall, cold, rawTools...),
		o.requestsGoal(),
		o.atMost("CPU of the cold copy at most a quarter of rclone's best", 0.25, cold, cpu, cold, rclones...),
		o.atMost("nothing to do in at most a fifth of mc's time", 0.2, idle, wall, idle, "mc"),
		o.atMost("nothing to do in at most a fiftieth of the time of rclone 1.71 without options", 0.02, idle, wall, idle, "rclone-1.71"),
		o.atMost("check in at most half of the time that rclone's best needs with checksums", 0.5, check, wall, check, rclones...),
		o.atMost("check not slower than rclone's best that compares sizes only", 1, check, wall, checkSizes, rclones...),
	}
	if o.profile.Name == "many" {
		list = append(list, o.memoryGoal(), o.growthGoal(all))
		if o.rtt == 0 {
			list = append(list, o.windowGoal())
		}
	}
	if o.rtt > 0 {
		list = append(list, o.distanceGoal(all))
	}
	return list
}

// atMost compares a figure of ours with the smallest of others.
func (o *outcome) atMost(what string, share float64, p phase, figure func(sample) time.Duration, theirs phase, tools ...string) goal {
	g := goal{what: what}
	ours, ok := o.of("lighterage", p)
	least, which := o.least(theirs, figure, tools...)
	if !ok || which == "" || least == 0 {
		return g
	}
	part := figure(ours).Seconds() / least.Seconds()
	g.measured = fmt.Sprintf("%.2fs, %.3f times the %.2fs of %s", figure(ours).Seconds(), part, least.Seconds(), which)
	g.met = part <= share
	return g
}

func (o *outcome) requestsGoal() goal {
	g := goal{what: "1.00 requests an object and listing"}
	m, ok := o.of("lighterage", cold)
	if !ok {
		return g
	}
	each := float64(m.traffic.total()-m.traffic.listings()) / float64(o.objects)
	g.measured = fmt.Sprintf("%.4f an object and %d lists", each, m.traffic.listings())
	g.met = each < 1.005
	return g
}

// memory is the most that any of our phases had.
func (o *outcome) memory() int64 {
	var most int64
	for _, p := range phases {
		if m, ok := o.of("lighterage", p); ok {
			most = max(most, m.Memory)
		}
	}
	return most
}

func (o *outcome) memoryGoal() goal {
	g := goal{what: "never more than 150 MiB of memory"}
	if most := o.memory(); most > 0 {
		g.measured = fmt.Sprintf("%d MiB", most>>20)
		g.met = most < mostMemory
	}
	return g
}

// growthGoal compares with the small volume at the same round-trip time.
func (o *outcome) growthGoal(all []*outcome) goal {
	g := goal{what: "memory grows by less than 20 bytes an object from small to many"}
	for _, small := range all {
		if small.profile.Name != "small" || small.rtt != o.rtt || small.memory() == 0 || o.memory() == 0 || small.objects >= o.objects {
			continue
		}
		growth := float64(o.memory()-small.memory()) / float64(o.objects-small.objects)
		g.measured = fmt.Sprintf("%.1f bytes (%d MiB with %d objects, %d MiB with %d)", growth, small.memory()>>20, small.objects, o.memory()>>20, o.objects)
		g.met = growth < mostGrowth
	}
	return g
}

func (o *outcome) windowGoal() goal {
	g := goal{what: "read-only window under 5 seconds"}
	if copied, checked, ok := o.window(); ok {
		g.measured = fmt.Sprintf("%.2fs", (copied + checked).Seconds())
		g.met = copied+checked < longestWindow
	}
	return g
}

// distanceGoal compares what the round trip costs us with what it costs raw, which
// makes one request an object and so knows what the protocol forces.
func (o *outcome) distanceGoal(all []*outcome) goal {
	g := goal{what: "the round trip costs no more than the protocol forces"}
	for _, near := range all {
		if near.profile.Name != o.profile.Name || near.rtt != 0 {
			continue
		}
		ours, ok := o.of("lighterage", cold)
		oursNear, okNear := near.of("lighterage", cold)
		raw, which := o.least(cold, wall, rawTools...)
		rawNear, whichNear := near.least(cold, wall, rawTools...)
		if !ok || !okNear || which == "" || whichNear == "" {
			continue
		}
		cost, forced := ours.Wall-oursNear.Wall, max(0, raw-rawNear)
		g.measured = fmt.Sprintf("%+.2fs, and %+.2fs for %s", cost.Seconds(), (raw - rawNear).Seconds(), which)
		// Two runs of the same differ by this much.
		g.met = cost <= forced+oursNear.Wall/20
	}
	return g
}
