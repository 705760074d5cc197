package kube

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lighterage/lighterage/internal/problem"
	"github.com/lighterage/lighterage/internal/testserver"
)

// onShared is the Harbor of the fixture on a volume that many nodes can mount.
func onShared() *Release {
	r := onVolume()
	r.Volume.AccessModes, r.Volume.Capacity = []string{"ReadWriteMany"}, "2Ti"
	return r
}

func sharded(n int) Target {
	t := target()
	t.Shards = n
	return t
}

func TestAsManyPodsCopyAsTheVolumeSuits(t *testing.T) {
	t.Parallel()
	claim := func(mode, size string) Volume {
		return Volume{Kind: ClaimVolume, Claim: "c", AccessModes: []string{mode}, Capacity: size}
	}
	for name, c := range map[string]struct {
		volume       Volume
		wanted, want int // want 0: refused
	}{
		"a volume of one node":             {claim("ReadWriteOnce", "2Ti"), 0, 1},
		"many on a volume of one node":     {claim("ReadWriteOnce", "2Ti"), 4, 0},
		"one on a volume of one node":      {claim("ReadWriteOnce", "2Ti"), 1, 1},
		"a large shared volume":            {claim("ReadWriteMany", "2Ti"), 0, usualShards},
		"a small shared volume":            {claim("ReadWriteMany", "20Gi"), 0, 1},
		"a volume that many read":          {claim("ReadOnlyMany", "200Gi"), 0, usualShards},
		"a shared volume of unknown size":  {claim("ReadWriteMany", ""), 0, 1},
		"as many as are wanted":            {claim("ReadWriteMany", "20Gi"), 16, 16},
		"more than there can be":           {claim("ReadWriteMany", "20Gi"), 257, 0},
		"fewer than none":                  {claim("ReadWriteMany", "20Gi"), -1, 0},
		"a folder of a node":               {Volume{Kind: HostVolume, HostPath: "/srv"}, 0, 1},
		"many in a folder of a node":       {Volume{Kind: HostVolume, HostPath: "/srv"}, 2, 0},
		"a snapshot that only one may use": {claim("ReadWriteOncePod", "2Ti"), 0, 1},
	} {
		r := onVolume()
		r.Volume = c.volume
		got, err := r.Shards(c.wanted)
		if got != c.want || (c.want == 0) != problem.Is(err, problem.BadRequest) {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
}

// The bundle of several pods is looked at in a review, as that of one.
func TestTheBundleWithShardsIsAsKept(t *testing.T) {
	t.Parallel()
	limited := sharded(4)
	limited.Bandwidth = "4000001"
	files, err := onShared().Bundle(limited)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		names = append(names, file.Name)
		if file.Name != "2-blobs.yaml" && file.Name != readmeFile {
			continue
		}
		golden := filepath.Join("testdata", "bundle", "shards", file.Name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, file.Content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(file.Content)); diff != "" {
			t.Errorf("%s: %s", golden, diff)
		}
	}
	if !slices.Contains(names, "2-blobs.yaml") || !slices.Contains(names, "2-copy.yaml") {
		t.Errorf("files %q", names)
	}
}

// The real API server and Pod Security "restricted" take the Job of several pods too,
// with everything that can be said of its pods.
func TestTheClusterTakesTheJobOfSeveralPods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := onShared()
	r.Namespace = w.Namespace
	tt := sharded(16)
	tt.Pods = Pods{
		Requests: map[string]string{"cpu": "2", "memory": "512Mi", "ephemeral-storage": "10Mi"}, Limits: map[string]string{"cpu": NoAmount, "memory": "2Gi"},
		NodeSelector: map[string]string{"disk": "fast", "example.com/zone": ""}, Tolerations: []string{"copy", "a/b=c:NoSchedule", "x:NoExecute"}, PullSecrets: []string{"more"},
	}
	if err := tt.Check(); err != nil {
		t.Fatal(err)
	}
	for _, step := range append(slices.Clone(allSteps), BlobsStep) {
		if step == FlushStep || step == FlushTrialStep {
			continue // need a Redis
		}
		if trial, err := w.TryJob(t.Context(), r.Job(step, tt)); err != nil || trial.Refused != nil || trial.Untried != nil {
			t.Errorf("%s: %+v, %v", step, trial, err)
		}
	}
	spec := podOf(r, BlobsStep, tt)
	if got := len(spec["tolerations"].([]any)); got != 4 || mapAt(spec, "nodeSelector")["disk"] != "fast" || len(spec["imagePullSecrets"].([]any)) != 2 {
		t.Errorf("the pods: %v", spec)
	}
	container := spec["containers"].([]any)[0].(map[string]any)
	if limits := mapAt(container, "resources", "limits"); limits["cpu"] != nil || limits["memory"] != "2Gi" {
		t.Errorf("the limits: %v", limits)
	}
}

func TestWhatNoPodCouldRunWithIsRefused(t *testing.T) {
	t.Parallel()
	for says, p := range map[string]Pods{
		"no amount":                {Requests: map[string]string{"cpu": "much"}},
		"no amount: want one such": {Limits: map[string]string{"memory": "-1Gi"}},
		"want cpu, memory or":      {Limits: map[string]string{"gpu": "1"}},
		"more memory is requested": {Requests: map[string]string{"memory": "8Gi"}},
		"more cpu is requested":    {Limits: map[string]string{"cpu": "100m"}},
		"node selector":            {NodeSelector: map[string]string{"not a key": "x"}},
		"node selector a=not a":    {NodeSelector: map[string]string{"a": "not a value"}},
		"the effect is":            {Tolerations: []string{"a=b:Never"}},
		"want KEY[=VALUE]":         {Tolerations: []string{"=b"}},
		"priority class":           {PriorityClass: "Not A Name"},
		"no name of a Secret":      {PullSecrets: []string{"a/b"}},
	} {
		if err := p.Check(); !problem.Is(err, problem.BadRequest) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	if err := (Pods{Requests: map[string]string{"memory": "8Gi"}, Limits: map[string]string{"memory": NoAmount}}).Check(); err != nil {
		t.Errorf("more than the usual limit, without one: %v", err)
	}
}

// podsByShard waits until each shard of a Job has a pod that has not ended.
func (w *world) podsByShard(job string, of int) map[int]pod {
	w.t.Helper()
	found := map[int]pod{}
	testserver.Eventually(w.t, "each shard has a pod", func() bool {
		all, err := w.podsOf(w.t.Context(), job)
		if err != nil {
			w.t.Fatal(err)
		}
		clear(found)
		for _, p := range all {
			if index, ok := p.shardOf(); ok && p.Status.Phase == "Pending" {
				found[index] = p
			}
		}
		return len(found) == of
	})
	return found
}

func TestShardsAreReportedTogetherAndTriedAgainAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := onShared()
	r.Namespace = w.Namespace
	name := r.JobName(BlobsStep)
	var notes []string
	var last map[string]any
	go func() {
		pods := w.podsByShard(name, 3)
		w.apply(`{"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "type": "Warning", "reason": "FailedScheduling", "message": "no room",
			"involvedObject": {"kind": "Pod", "name": "` + pods[1].Metadata.Name + `", "namespace": "` + w.Namespace + `"}}`)
		w.end(pods[0], 0, `{"report": {"shard": "1/3", "copied": 7, "bytes": 100, "seconds": 3, "proofs": {"read back": 7}}}`)
		w.end(pods[2], 3, ``)
		w.end(w.podsByShard(name, 2)[2], 0, `{"report": {"shard": "3/3", "copied": 5, "bytes": 10, "seconds": 9, "proofs": {"read back": 4, "checksum": 1}}}`)
		testserver.Eventually(t, "the third shard has ended", func() bool {
			all, err := w.podsOf(t.Context(), name)
			return err == nil && len(all) == 4
		})
		w.end(pods[1], 0, `{"report": {"shard": "2/3", "copied": 1, "bytes": 1, "seconds": 1}}`)
	}()
	out, err := w.RunJob(t.Context(), r.Job(BlobsStep, sharded(3)), Following{
		Note: func(text string) { notes = append(notes, text) }, Progress: func(counts map[string]any) { last = counts },
	})
	want := map[string]any{"copied": 13.0, "bytes": 111.0, "seconds": 9.0, "shards": 3.0, "proofs": map[string]any{"read back": 11.0, "checksum": 1.0}}
	if err != nil || out.Failed || out.Exits["copy"] != 0 {
		t.Errorf("got %+v, %v", out, err)
	}
	if diff := cmp.Diff(want, out.Reports["copy"]); diff != "" {
		t.Error(diff)
	}
	if text := strings.Join(notes, "\n"); !strings.Contains(text, "(shard 2): FailedScheduling: no room") {
		t.Errorf("notes: %s", text)
	}
	if last["shards"] != 3.0 {
		t.Errorf("the progress: %v", last)
	}
}

func TestAShardThatFailsDoesNotKeepTheOthersBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := onShared()
	r.Namespace = w.Namespace
	name := r.JobName(BlobsStep)
	go func() {
		pods := w.podsByShard(name, 2)
		w.end(pods[0], 1, `{"report": {"copied": 2, "failed": 1}}`)
		testserver.Eventually(t, "the first shard has failed", func() bool {
			job, err := w.get(t.Context(), jobs, name)
			return err == nil && textAt(job.Object, "status", "failedIndexes") == "0"
		})
		w.end(pods[1], 0, `{"report": {"copied": 3}}`)
	}()
	out, err := w.RunJob(t.Context(), r.Job(BlobsStep, sharded(2)), Following{})
	if err != nil || !out.Failed || out.Exits["copy"] != 1 || number(out.Reports["copy"], "copied") != 5 || !strings.Contains(out.Reason, "FailedIndexes") {
		t.Errorf("got %+v, %v", out, err)
	}
	if err := w.failed(t.Context(), out, BlobsStep, "copy"); !strings.Contains(err.Error(), `the step "blobs" ended with exit code 1, in shard 1`) {
		t.Errorf("says %v", err)
	}
}

func TestAMistakeEndsAllShards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := onShared()
	r.Namespace = w.Namespace
	go func() { w.end(w.podsByShard(r.JobName(BlobsStep), 2)[1], 2, "") }()
	out, err := w.RunJob(t.Context(), r.Job(BlobsStep, sharded(2)), Following{})
	if err != nil || !out.Failed || out.Exits["copy"] != 2 || !strings.Contains(out.Reason, "PodFailurePolicy") {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestWhatIsExpectedIsToldWhenEachShardHasSaidIt(t *testing.T) {
	t.Parallel()
	o := Outcome{Shards: map[int]ShardEnd{0: {Report: map[string]any{"copied": 5.0, "bytes": 50.0}}}}
	first := o.counts(3, map[int]map[string]any{1: {"copied": 1.0, "bytes": 10.0, "expected": 4.0, "expected_bytes": 40.0}})
	if first["expected"] != nil || first["copied"] != 6.0 || first["shards"] != 3.0 || first["shards_ended"] != 1.0 {
		t.Errorf("without the third: %v", first)
	}
	second := o.counts(3, map[int]map[string]any{
		1: {"copied": 1.0, "bytes": 10.0, "expected": 4.0, "expected_bytes": 40.0}, 2: {"copied": 0.0, "expected": 2.0, "expected_bytes": 20.0},
	})
	if second["expected"] != 11.0 || second["expected_bytes"] != 110.0 || second["bytes"] != 60.0 {
		t.Errorf("with all: %v", second)
	}
}
