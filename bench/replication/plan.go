package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/lighterage/lighterage/bench/harness"
)

// memoryGoal is what planning may take. Bytes.
const memoryGoal = 200 << 20

// The exit codes of a plan.
const (
	nothingToDo   = 0
	somethingToDo = 1
)

// measurePlans has Lighterage plan the work when all of it is missing, and when nothing
// is, and prints what that takes.
func measurePlans(ctx context.Context, s settings, dir string, rtt time.Duration) error {
	target := dir + "/target"
	if err := os.RemoveAll(target); err != nil {
		return err
	}
	source, err := startRegistry(ctx, dir+"/source", rtt)
	if err != nil {
		return err
	}
	defer source.stop()
	destination, err := startRegistry(ctx, target, rtt)
	if err != nil {
		return err
	}
	defer destination.stop()
	fmt.Printf("\nplanning %d tags, round trip +%v\n", s.work.repositories*s.work.tags, rtt)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "what\ttime\tCPU\tpeak memory\tsource req.\ttarget req.\t")
	from, to := "http://"+source.host, "http://"+destination.host
	var most int64
	for _, step := range []struct {
		what string
		code int
		args []string
	}{
		{"all is missing", somethingToDo, []string{"plan", from, to}},
		{"all is missing, with bytes", somethingToDo, []string{"plan", from, to, "--bytes"}},
		{"", 0, []string{"replicate", from, to, "--quiet"}},
		{"nothing is missing", nothingToDo, []string{"plan", from, to}},
		{"nothing is missing, with bytes", nothingToDo, []string{"plan", from, to, "--bytes", "--output", "json"}},
	} {
		source.reset()
		destination.reset()
		used, err := harness.RunTo(ctx, step.code, nil, s.binary, step.args...)
		if err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
		if step.what == "" {
			continue
		}
		most = max(most, used.Memory)
		fmt.Fprintf(table, "%s\t%.2fs\t%.2fs\t%d MiB\t%d\t%d\t\n", step.what, used.Wall.Seconds(), used.CPU.Seconds(), used.Memory>>20, source.count(), destination.count())
	}
	if err := table.Flush(); err != nil {
		return err
	}
	verdict := "met"
	if most >= memoryGoal {
		verdict = "NOT met"
	}
	fmt.Printf("goal: less than %d MiB: %s\n", memoryGoal>>20, verdict)
	return nil
}
