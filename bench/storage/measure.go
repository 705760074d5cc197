package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/lighterage/lighterage/bench/harness"
	"github.com/lighterage/lighterage/bench/volume"
)

// world is what all tools work with.
type world struct {
	volume *volume.Volume
	dir    string
	list   string // file with the volume's files, for raw
	self   string // this program
	server server
	tuning tuning
}

// sample is one measured run of one phase.
type sample struct {
	harness.Usage
	store, front time.Duration // CPU
	traffic      traffic
}

// result is what was measured of one tool.
type result struct {
	tool    string
	samples map[phase][]sample
	failed  map[phase]error
}

// outcome is what was measured on one volume with one round-trip time.
type outcome struct {
	profile volume.Profile
	scale   float64
	rtt     time.Duration
	server  string
	objects int
	bytes   int64
	blobs   int
	changes string
	tuning  tuning
	results []*result
}

// measure goes through all volumes and round-trip times.
func measure(ctx context.Context, s settings) (err error) {
	dir, err := os.MkdirTemp(s.dir, "lighterage-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(dir)) }()
	tools, err := prepareTools(s)
	if err != nil {
		return err
	}
	w := &world{dir: dir, list: filepath.Join(dir, "list")}
	if w.self, err = os.Executable(); err != nil {
		return err
	}
	if w.server, err = prepareServer(s.store); err != nil {
		return err
	}
	var all []*outcome
	for _, p := range s.profiles {
		some, err := w.measureProfile(ctx, s, p, tools)
		all = append(all, some...)
		if err != nil {
			return err
		}
	}
	reportGoals(os.Stdout, all)
	return failures(all)
}

func (w *world) measureProfile(ctx context.Context, s settings, p volume.Profile, tools []tool) (all []*outcome, err error) {
	free, err := room(w.dir)
	if err != nil {
		return nil, err
	}
	scaled, scale, err := fit(p, s.scale, free)
	if err != nil {
		return nil, err
	}
	harness.Log("generating %s, scale %v", scaled, scale)
	w.volume, err = volume.Generate(ctx, filepath.Join(w.dir, "volume"), scaled, s.seed)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, removeAll(w.volume.Root)) }()
	if err := writeList(w.list, w.volume.Files); err != nil {
		return nil, err
	}
	for _, rtt := range s.rtts {
		o := &outcome{profile: scaled, scale: scale, rtt: rtt, server: w.server.name, objects: len(w.volume.Files), bytes: w.volume.Bytes, blobs: w.volume.Blobs}
		if err := w.measureAt(ctx, s, tools, o); err != nil {
			return all, fmt.Errorf("%s, round trip +%v: %w", p.Name, rtt, err)
		}
		report(os.Stdout, o)
		all = append(all, o)
	}
	return all, nil
}

// measureAt runs all tools in turn, as often as wanted, so that a disturbance of the
// machine does not meet one of them alone.
func (w *world) measureAt(ctx context.Context, s settings, tools []tool, o *outcome) (err error) {
	if slices.ContainsFunc(tools, func(t tool) bool { return t.name == "raw" || t.name == "raw-signed" }) {
		if w.tuning, err = tune(ctx, w, o.rtt); err != nil {
			return err
		}
		o.tuning = w.tuning
	}
	for _, t := range tools {
		o.results = append(o.results, &result{t.name, map[phase][]sample{}, map[phase]error{}})
	}
	for range s.repeat {
		for i, t := range tools {
			if err := w.measureTool(ctx, s, t, o, o.results[i]); err != nil {
				return fmt.Errorf("%s: %w", t.name, err)
			}
		}
	}
	return nil
}

// measureTool runs a tool's phases on a new server. That a phase fails is a result:
// the tool's further ones are left out, and the error is for what is not its fault.
func (w *world) measureTool(ctx context.Context, s settings, t tool, o *outcome, r *result) (err error) {
	store, err := w.server.open(ctx, w.dir, o.rtt)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.close()) }()
	files, changed := w.volume.Files, []string(nil)
	for _, step := range t.steps {
		if step.phase == final {
			c, err := w.volume.Change(ctx, min(s.changes, w.volume.MostChanges()))
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, c.Undo()) }()
			files, changed = c.Files, c.Tags
			o.changes = fmt.Sprintf("%d images pushed, %d tags moved, %d tags deleted, %d images deleted", c.Pushed, c.Retagged, c.Untagged, c.Deleted)
		}
		m, err := w.measureStep(ctx, step, store)
		if err == nil && (step.phase == cold || step.phase == final) {
			if err = store.verify(ctx, w.volume.Root, files, changed, s.seed); err != nil {
				err = fmt.Errorf("the copy is not right: %w", err)
			}
		}
		if stopped := context.Cause(ctx); stopped != nil {
			return stopped
		}
		if err != nil {
			harness.Log("%s, %s: FAILED: %v", t.name, step.phase, err)
			r.failed[step.phase] = err
			return nil
		}
		harness.Log("%s, %s: %.2fs, CPU %.2fs, %d MiB, %s", t.name, step.phase, m.Wall.Seconds(), m.CPU.Seconds(), m.Memory>>20, m.traffic)
		r.samples[step.phase] = append(r.samples[step.phase], m)
	}
	return nil
}

func (w *world) measureStep(ctx context.Context, step step, o *store) (sample, error) {
	runtime.GC() // what this program left behind is not to be cleaned up meanwhile
	o.counter.take()
	own := harness.OwnCPU()
	before, err := harness.FamilyCPU(o.process.PID())
	if err != nil {
		return sample{}, err
	}
	used, err := step.run(ctx, w, o)
	if err != nil {
		return sample{}, err
	}
	after, err := harness.FamilyCPU(o.process.PID())
	if err != nil {
		return sample{}, err
	}
	m := sample{Usage: used, store: after - before, front: harness.OwnCPU() - own, traffic: o.counter.take()}
	return m, o.front.Err()
}

func failures(all []*outcome) error {
	var failed error
	for _, o := range all {
		for _, r := range o.results {
			for _, p := range phases {
				if err := r.failed[p]; err != nil {
					failed = errors.Join(failed, fmt.Errorf("%s, round trip +%v, %s, %s: %w", o.profile.Name, o.rtt, r.tool, p, err))
				}
			}
		}
	}
	return failed
}

// median returns the run with the median time.
func (r *result) median(p phase) (sample, bool) {
	all := r.samples[p]
	if len(all) == 0 || r.failed[p] != nil {
		return sample{}, false
	}
	return harness.Median(all, func(s sample) time.Duration { return s.Wall }), true
}

// of returns the median run of a tool.
func (o *outcome) of(tool string, p phase) (sample, bool) {
	for _, r := range o.results {
		if r.tool == tool {
			return r.median(p)
		}
	}
	return sample{}, false
}

// least returns the smallest of a figure over those of some tools' median runs that
// there are.
func (o *outcome) least(p phase, figure func(sample) time.Duration, tools ...string) (time.Duration, string) {
	var least time.Duration
	which := ""
	for _, t := range tools {
		if m, ok := o.of(t, p); ok && (which == "" || figure(m) < least) {
			least, which = figure(m), t
		}
	}
	return least, which
}

func wall(s sample) time.Duration { return s.Wall }

func cpu(s sample) time.Duration { return s.CPU }
