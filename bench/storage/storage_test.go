package main

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/lighterage/lighterage/bench/harness"
	"github.com/lighterage/lighterage/bench/volume"
	"github.com/lighterage/lighterage/internal/layout"
)

func TestNothingToMeasureIsRefused(t *testing.T) {
	t.Parallel()
	if s, err := parse([]string{"-profile", "tiny,many", "-rtt", "0,5"}); err != nil || len(s.profiles) != 2 || len(s.rtts) != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	for want, args := range map[string][]string{
		"-profile":   {"-profile", "huge"},
		"-rtt":       {"-rtt", "x"},
		"-scale":     {"-scale", "-1"},
		"-repeat":    {"-repeat", "0"},
		"-changes":   {"-changes", "0"},
		"-store":     {"-store", "ceph"},
		"-dir":       {"-dir", ""},
		"unexpected": {"small"},
	} {
		if _, err := parse(args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := prepareTools(settings{tools: []string{"cp"}}); err == nil {
		t.Error("there is no such tool")
	}
	if _, err := prepareTools(settings{tools: []string{"lighterage"}, binary: filepath.Join(t.TempDir(), "none")}); err == nil || !strings.Contains(err.Error(), "-binary") {
		t.Error(err)
	}
}

func TestAVolumeIsScaledToTheRoomThereIs(t *testing.T) {
	t.Parallel()
	large := volume.Profiles()["large"]
	p, scale, err := fit(large, 0, 20<<30)
	if err != nil || scale >= 1 || 2*p.Room()+spare > 20<<30 {
		t.Errorf("%v at %v, %v", p, scale, err)
	}
	if _, scale, err := fit(large, 0, 1<<40); err != nil || scale != 1 {
		t.Errorf("%v, %v", scale, err)
	}
	if p, _, err := fit(large, 0.05, 20<<30); err != nil || p.Repositories*p.Images != 5 {
		t.Errorf("%v, %v", p, err)
	}
	if _, _, err := fit(large, 1, 20<<30); err == nil {
		t.Error("it does not fit")
	}
	if _, _, err := fit(large, 0, spare); err == nil {
		t.Error("nothing fits")
	}
	if free, err := room(t.TempDir()); err != nil || free <= 0 {
		t.Errorf("%d, %v", free, err)
	}
}

// TestACopyIsVerified has raw copy a volume to a real server, and then spoils the
// copy.
func TestACopyIsVerified(t *testing.T) {
	t.Parallel()
	v, err := volume.Generate(t.Context(), filepath.Join(t.TempDir(), "volume"), volume.Profiles()["tiny"], 1)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "list")
	if err := writeList(list, v.Files); err != nil {
		t.Fatal(err)
	}
	s, err := prepareServer("versitygw")
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.open(t.Context(), t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.close(); err != nil {
			t.Error(err)
		}
	})
	verify := func() error { return o.verify(t.Context(), v.Root, v.Files, nil, 1) }
	if err := verify(); err == nil {
		t.Error("an empty bucket was taken for a copy")
	}
	for _, signed := range []string{"-signed=false", "-signed"} {
		o.counter.take()
		if err := runRaw(t.Context(), []string{"-root", v.Root, "-to", o.rawURL(""), "-list", list, "-parallel", "8", signed}); err != nil {
			t.Fatal(err)
		}
		if got := o.counter.take(); got.requests["PUT object"] != int64(len(v.Files)) || got.total() != int64(len(v.Files)) || got.sent < v.Bytes {
			t.Errorf("%s: %v, %d bytes", signed, got, got.sent)
		}
		if err := verify(); err != nil {
			t.Errorf("%s: %v", signed, err)
		}
	}
	if cpu, err := harness.FamilyCPU(o.process.PID()); err != nil || cpu <= 0 {
		t.Errorf("%v, %v", cpu, err)
	}

	chosen := excerptOf(v.Files, 1)
	blob := chosen[slices.IndexFunc(chosen, func(name string) bool { return layout.Parse(name).Kind == layout.Blob })]
	tag := chosen[slices.IndexFunc(chosen, func(name string) bool { return layout.Parse(name).Kind == layout.TagLink })]
	put := func(name, content string) {
		t.Helper()
		if _, err := o.client.PutObject(t.Context(), bucket, name, strings.NewReader(content), int64(len(content)), minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	spoiled := func(what string) {
		t.Helper()
		if err := verify(); err == nil {
			t.Errorf("%s was not noticed", what)
		}
	}
	put(tag, "sha256:"+strings.Repeat("0", 64))
	spoiled("another tag")
	if err := o.client.RemoveObject(t.Context(), bucket, tag, minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	spoiled("a lost tag")
	if err := runRaw(t.Context(), []string{"-root", v.Root, "-to", o.rawURL(""), "-list", list}); err != nil {
		t.Fatal(err)
	}
	put(ownObjects+"journal/1", "x")
	if err := verify(); err != nil {
		t.Errorf("what is ours was taken for the volume's: %v", err)
	}
	put("docker/registry/v2/stray", "x")
	spoiled("a stray object")
	if err := o.client.RemoveObject(t.Context(), bucket, "docker/registry/v2/stray", minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	put(blob, "x")
	spoiled("a cut blob")
}

func TestRawFailsWithTheServersWords(t *testing.T) {
	t.Parallel()
	v, err := volume.Generate(t.Context(), filepath.Join(t.TempDir(), "volume"), volume.Profiles()["tiny"].Scaled(0.1), 1)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(t.TempDir(), "list")
	if err := writeList(list, v.Files); err != nil {
		t.Fatal(err)
	}
	s, err := prepareServer("versitygw")
	if err != nil {
		t.Fatal(err)
	}
	o, err := s.open(t.Context(), t.TempDir(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.close(); err != nil {
			t.Error(err)
		}
	}()
	err = runRaw(t.Context(), []string{"-root", v.Root, "-to", "http://" + o.address + "/nowhere", "-list", list})
	if err == nil || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Error(err)
	}
}

func samples(wall, cpu time.Duration, memory int64, requests map[string]int64) []sample {
	return []sample{{Usage: harness.Usage{Wall: wall, CPU: cpu, Memory: memory}, traffic: traffic{requests: requests}}}
}

// outcomes are a run in which all goals are met if late is 0, and none otherwise.
func outcomes(late time.Duration) []*outcome {
	var all []*outcome
	for name, objects := range map[string]int{"small": 30_000, "many": 280_000} {
		for _, rtt := range []time.Duration{0, 10 * time.Millisecond} {
			memory, extra := int64(40<<20), int64(0)
			if name == "many" {
				memory += 4 << 20
			}
			if late > 0 {
				memory, extra = memory*int64(objects)/50_000, int64(objects)
			}
			o := &outcome{profile: volume.Profiles()[name], scale: 1, rtt: rtt, objects: objects, changes: "changes"}
			o.results = []*result{
				{"lighterage", map[phase][]sample{
					cold:   samples(30*time.Second+late+late*time.Duration(rtt/time.Millisecond), 5*time.Second+late, memory, map[string]int64{"PUT object": int64(objects) + extra, "GET list": 30}),
					idle:   samples(200*time.Millisecond+late, 0, memory, nil),
					check:  samples(time.Second+late, 0, memory, nil),
					final:  samples(time.Second+late, 0, memory, nil),
					recent: samples(time.Second+late, 0, memory, nil),
				}, nil},
				{"raw", map[phase][]sample{cold: samples(29*time.Second, 0, 0, nil)}, nil},
				{"mc", map[phase][]sample{cold: samples(60*time.Second, 50*time.Second, 0, nil), idle: samples(2*time.Second, 0, 0, nil)}, nil},
				{"rclone-1.71", map[phase][]sample{cold: samples(70*time.Second, 50*time.Second, 0, nil), idle: samples(57*time.Second, 0, 0, nil), check: samples(40*time.Second, 0, 0, nil)}, nil},
				{"rclone-1.76-tuned", map[phase][]sample{cold: samples(50*time.Second, 40*time.Second, 0, nil), check: samples(3*time.Second, 0, 0, nil), checkSizes: samples(2*time.Second, 0, 0, nil)}, nil},
			}
			all = append(all, o)
		}
	}
	return all
}

func TestGoalsAreMetOrNotMet(t *testing.T) {
	t.Parallel()
	for late, want := range map[time.Duration]bool{0: true, 10 * time.Second: false} {
		all := outcomes(late)
		seen := map[string]bool{}
		for _, o := range all {
			for _, g := range goals(o, all) {
				seen[g.what] = true
				if g.measured == "" || g.met != want {
					t.Errorf("%s at +%v, late by %v: %v", o.profile.Name, o.rtt, late, g)
				}
			}
		}
		if len(seen) != 11 {
			t.Errorf("%d goals: %v", len(seen), seen)
		}
	}
}

func TestAGoalForWhichNothingWasMeasuredIsNotMet(t *testing.T) {
	t.Parallel()
	o := &outcome{profile: volume.Profiles()["many"], rtt: 10 * time.Millisecond, objects: 1}
	for _, g := range append(goals(o, []*outcome{o}), o.windowGoal()) {
		if g.met || g.measured != "" || !strings.HasPrefix(g.String(), "not measured") {
			t.Errorf("%v", g)
		}
	}
}

func TestAReportHasEveryPhaseAndFailure(t *testing.T) {
	t.Parallel()
	all := outcomes(0)
	o := all[0]
	o.results[4].failed = map[phase]error{checkSizes: errFailed}
	var text bytes.Buffer
	report(&text, o)
	reportGoals(&text, all)
	for _, want := range []string{
		string(cold), string(idle), string(check), "rclone-1.76-tuned FAILED: it broke", "read-only window after changes",
		"procedure with rclone-1.71 is read-only for sync 70.00s", "1.03x", "met ",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, text.String())
		}
	}
	if strings.Contains(text.String(), string(checkDeep)) {
		t.Error("a phase that nobody did is in it")
	}
	if err := failures(all); err == nil || !strings.Contains(err.Error(), "it broke") {
		t.Error(err)
	}
}

type failedError string

func (e failedError) Error() string { return string(e) }

const errFailed = failedError("it broke")
