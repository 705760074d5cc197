package kube

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// MaxShards is how many pods may copy at the same time at most.
const MaxShards = 256

// largeVolume is from where several pods are better than one.
var largeVolume = resource.MustParse("200Gi")

// usualShards is how many pods copy a large volume that can be mounted by many.
const usualShards = 4

// Shards returns how many pods are to copy a volume at the same time: as many as are
// wanted, and if that is 0 what suits the volume. One that is of one node has one.
func (r *Release) Shards(wanted int) (int, error) {
	many := r.Volume.Kind == ClaimVolume && r.Volume.shared()
	switch {
	case wanted < 0 || wanted > MaxShards:
		return 0, bad("%d shards: want 1 to %d", wanted, MaxShards)
	case wanted > 1 && !many:
		return 0, bad("%d shards: %s is reached on one node only (%s), where several pods would be no faster than one; shards are for volumes that are ReadWriteMany or ReadOnlyMany",
			wanted, r.Volume.Describe(), strings.Join(slices.Concat(r.Volume.AccessModes, kindIfNoClaim(r.Volume)), ", "))
	case wanted > 0:
		return wanted, nil
	}
	if size, err := resource.ParseQuantity(r.Volume.Capacity); many && err == nil && size.Cmp(largeVolume) >= 0 {
		return usualShards, nil
	}
	return 1, nil
}

func kindIfNoClaim(v Volume) []string {
	if v.Kind == ClaimVolume {
		return nil
	}
	return []string{string(v.Kind)}
}

// StepsTo are the steps that people can do one by one on the way to a target.
func StepsTo(t Target) []Step {
	if t.Shards > 1 {
		return slices.Insert(slices.Clone(Steps), slices.Index(Steps, CopyStep), BlobsStep)
	}
	return Steps
}

// index has a Job be an Indexed one: a pod for each shard. What fails for good in one of
// them does not keep the others back, except for mistakes that all of them have.
func (t Target) index(job, labels map[string]any) {
	spec := mapAt(job, "spec")
	delete(spec, "backoffLimit")
	maps.Copy(spec, map[string]any{
		"completionMode": "Indexed", "completions": t.Shards, "parallelism": t.Shards, "backoffLimitPerIndex": attempts,
		"podFailurePolicy": map[string]any{"rules": []any{
			disrupted(),
			map[string]any{"action": "FailIndex", "onExitCodes": map[string]any{"operator": "In", "values": []any{1}}},
			map[string]any{"action": "FailJob", "onExitCodes": map[string]any{"operator": "In", "values": []any{2}}},
		}},
	})
	// On nodes of their own where there are so many: that is what they are for.
	mapAt(spec, "template", "spec")["topologySpreadConstraints"] = []any{map[string]any{
		"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
		"labelSelector": map[string]any{"matchLabels": map[string]any{"lighterage.io/harbor": labels["lighterage.io/harbor"], "lighterage.io/step": labels["lighterage.io/step"]}},
	}}
}

// shareOf is a bandwidth divided by the pods that have it together.
func (t Target) shareOf(bandwidth string) string {
	all, err := strconv.ParseInt(bandwidth, 10, 64)
	if err != nil || t.Shards < 2 {
		return bandwidth
	}
	return strconv.FormatInt(max(1, all/int64(t.Shards)), 10)
}

// ShardEnd is how the pod of a shard ended.
type ShardEnd struct {
	Exit   int64
	Report map[string]any

	pod string
}

// shardOf is the index of a pod of an Indexed Job, from 0.
func (p pod) shardOf() (index int, ok bool) {
	text := p.Metadata.Annotations["batch.kubernetes.io/job-completion-index"]
	if text == "" {
		return 0, false
	}
	index, err := strconv.Atoi(text)
	return index, err == nil
}

// describe names a pod in notes, by its shard too.
func (p pod) describe() string {
	if index, ok := p.shardOf(); ok {
		return fmt.Sprintf("pod %s (shard %d)", p.Metadata.Name, index+1)
	}
	return "pod " + p.Metadata.Name
}

// takeShard keeps how a shard ended. One that was tried again after a failure has ended
// well when one of its pods has.
func (o *Outcome) takeShard(index int, name string, end ShardEnd) {
	if o.Shards == nil {
		o.Shards = map[int]ShardEnd{}
	}
	if before, known := o.Shards[index]; known && before.Exit == 0 {
		return
	}
	o.Shards[index] = end
	o.container = name
}

// failedShards are the indexes of those that did not end well.
func (o *Outcome) failedShards() []int {
	var failed []int
	for _, index := range slices.Sorted(maps.Keys(o.Shards)) {
		if o.Shards[index].Exit != 0 {
			failed = append(failed, index)
		}
	}
	return failed
}

// sumShards makes one report and one exit code of those of all shards.
func (o *Outcome) sumShards() {
	if len(o.Shards) == 0 {
		return
	}
	var reports []map[string]any
	for _, index := range slices.Sorted(maps.Keys(o.Shards)) {
		end := o.Shards[index]
		if end.Report != nil {
			reports = append(reports, end.Report)
		}
		o.pod, o.Exits[o.container] = end.pod, end.Exit
	}
	if failed := o.failedShards(); len(failed) > 0 {
		first := o.Shards[failed[0]]
		o.pod, o.Exits[o.container] = first.pod, first.Exit
	}
	if len(reports) == 0 {
		return
	}
	sum := sumOf(reports)
	delete(sum, "shard")
	sum["shards"] = float64(len(reports))
	o.Reports[o.container] = sum
}

// sumOf adds up the figures of reports; of times and passes, which all have together, it
// takes the most.
func sumOf(reports []map[string]any) map[string]any {
	sum := map[string]any{}
	for _, report := range reports {
		for name, value := range report {
			switch value := value.(type) {
			case float64:
				before, _ := sum[name].(float64)
				if name == "seconds" || name == "pass" || name == "passes" {
					sum[name] = max(before, value)
				} else {
					sum[name] = before + value
				}
			case map[string]any:
				before, _ := sum[name].(map[string]any)
				sum[name] = sumOf([]map[string]any{before, value})
			default:
				if sum[name] == nil {
					sum[name] = value
				}
			}
		}
	}
	return sum
}

// counts is what the pods of a Job have counted so far, all together. What there is to
// be copied in all is only known when each shard has said its part of it.
func (o *Outcome) counts(of int, running map[int]map[string]any) map[string]any {
	var all []map[string]any
	expected := 0
	for index := range of {
		end, ended := o.Shards[index]
		counts := running[index]
		if ended && (counts == nil || end.Exit == 0) {
			if counts = maps.Clone(end.Report); counts != nil {
				counts["expected"], counts["expected_bytes"] = counts["copied"], counts["bytes"]
				expected++
			}
		} else if number(counts, "expected") > 0 {
			expected++
		}
		if counts != nil {
			all = append(all, counts)
		}
	}
	sum := sumOf(all)
	if expected < of {
		delete(sum, "expected")
		delete(sum, "expected_bytes")
	}
	sum["shards"], sum["shards_ended"] = float64(of), float64(len(o.Shards)-len(o.failedShards()))
	return sum
}

// shardWords names shards by their numbers from 1.
func shardWords(indexes []int) string {
	names := make([]string, len(indexes))
	for i, index := range indexes {
		names[i] = strconv.Itoa(index + 1)
	}
	if len(names) == 1 {
		return "shard " + names[0]
	}
	return "shards " + strings.Join(names, ", ")
}
