package kube

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// manifestHash is the annotation that tells whether a Job that goes on is the same one.
const manifestHash = "lighterage.io/manifest"

// pollInterval is how often a Job is looked at while it goes on.
const pollInterval = 500 * time.Millisecond

// Following is who is told of a Job while it goes on. Either may be nil.
type Following struct {
	// Progress is told what the pod counts: a line of its log.
	Progress func(counts map[string]any)
	// Note is told what keeps a Job from going on, once each: an image that cannot be
	// pulled, a volume that cannot be attached, a node that is full.
	Note func(text string)
}

// Outcome is how a Job ended.
type Outcome struct {
	Failed bool
	Reason string // why, in words, if it failed
	// Reports are what the containers ended with, by their names. Exits are their codes.
	Reports map[string]map[string]any
	Exits   map[string]int64
	// Shards are those of an Indexed Job by their indexes, from 0; Reports and Exits have
	// the sum of them.
	Shards map[int]ShardEnd

	pod       string // that ended last
	container string // of the shards
}

// RunJob has a Job run to its end and says how it ended. A Job of the same manifest that
// goes on already, since who started it is gone, is followed; one that has ended is
// replaced. When ctx ends the Job goes on.
func (c *Cluster) RunJob(ctx context.Context, job map[string]any, f Following) (Outcome, error) {
	object := unstructured.Unstructured{Object: normal(job)}
	hash, err := hashOf(object.Object)
	if err != nil {
		return Outcome{}, err
	}
	object.SetAnnotations(map[string]string{manifestHash: hash})
	name := object.GetName()
	for {
		there, err := c.get(ctx, jobs, name)
		if err != nil {
			return Outcome{}, err
		}
		if there == nil {
			_, err = c.of(jobs).Create(ctx, &object, metav1.CreateOptions{})
			if apierrors.IsAlreadyExists(err) {
				continue
			}
			if err != nil {
				return Outcome{}, c.explain(err, "create", jobs, name)
			}
			break
		}
		if _, over := ended(there); !over && there.GetAnnotations()[manifestHash] == hash && there.GetDeletionTimestamp() == nil {
			break
		}
		if err := c.DeleteJob(ctx, name); err != nil {
			return Outcome{}, err
		}
	}
	return c.follow(ctx, name, f)
}

func hashOf(value any) (string, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return "", fmt.Errorf("write the Job: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// DeleteJob deletes a Job and returns when its pods are gone: two copies to a bucket get
// in each other's way, and a volume of one node stays there while a pod has it.
func (c *Cluster) DeleteJob(ctx context.Context, name string) error {
	foreground := metav1.DeletePropagationForeground
	err := c.of(jobs).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &foreground})
	if err != nil && !apierrors.IsNotFound(err) {
		return c.explain(err, "delete", jobs, name)
	}
	for {
		there, err := c.get(ctx, jobs, name)
		if err != nil {
			return err
		}
		left, err := c.podsOf(ctx, name)
		if err != nil || there == nil && len(left) == 0 {
			return err
		}
		if err := pause(ctx); err != nil {
			return fmt.Errorf("wait until the Job %s and its pods are gone: %w", name, err)
		}
	}
}

// podsOf returns the pods of a Job. Clusters before 1.27 know this label only.
func (c *Cluster) podsOf(ctx context.Context, job string) ([]pod, error) {
	all, err := c.list(ctx, pods, metav1.ListOptions{LabelSelector: "job-name=" + job})
	if err != nil {
		return nil, err
	}
	found := make([]pod, len(all))
	for i := range all {
		if err := read(all[i], &found[i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(pollInterval):
		return nil
	}
}

// ended tells the condition with which a Job is over.
func ended(job *unstructured.Unstructured) (condition map[string]any, over bool) {
	list, _ := at(job.Object, "status", "conditions").([]any)
	for _, one := range list {
		condition, _ := one.(map[string]any)
		if (condition["type"] == "Complete" || condition["type"] == "Failed") && condition["status"] == "True" {
			return condition, true
		}
	}
	return nil, false
}

// follow waits until a Job has ended.
func (c *Cluster) follow(ctx context.Context, name string, f Following) (Outcome, error) {
	said := map[string]bool{}
	note := func(text string) {
		if text = strings.TrimSpace(text); text != "" && !said[text] && f.Note != nil {
			said[text] = true
			f.Note(text)
		}
	}
	out := Outcome{Reports: map[string]map[string]any{}, Exits: map[string]int64{}}
	for {
		job, err := c.get(ctx, jobs, name)
		if err != nil {
			return out, err
		}
		if job == nil {
			return out, fmt.Errorf("the Job %s was deleted by somebody else", name)
		}
		all, err := c.podsOf(ctx, name)
		if err != nil {
			return out, err
		}
		for _, p := range all {
			out.take(p)
		}
		out.sumShards()
		if condition, over := ended(job); over {
			if condition["type"] == "Failed" {
				out.Failed = true
				out.Reason = fmt.Sprintf("%s: %s", textAt(condition, "reason"), textAt(condition, "message"))
			}
			return out, nil
		}
		for _, p := range all {
			c.tellOf(ctx, p, note)
		}
		if f.Progress != nil {
			c.tellProgress(ctx, job, all, &out, f.Progress)
		}
		if err := pause(ctx); err != nil {
			return out, err
		}
	}
}

// take keeps how the containers of a pod have ended.
func (o *Outcome) take(p pod) {
	for _, s := range append(p.Status.Init, p.Status.Containers...) {
		if s.State.Terminated == nil {
			continue
		}
		var last struct {
			Report map[string]any `json:"report"`
		}
		if json.Unmarshal([]byte(s.State.Terminated.Message), &last) != nil {
			last.Report = nil
		}
		if index, ok := p.shardOf(); ok {
			o.takeShard(index, s.Name, ShardEnd{s.State.Terminated.ExitCode, last.Report, p.Metadata.Name})
			continue
		}
		o.pod, o.Exits[s.Name] = p.Metadata.Name, s.State.Terminated.ExitCode
		if last.Report != nil {
			o.Reports[s.Name] = last.Report
		}
	}
}

// logsAtOnce is how many logs are read at the same time.
const logsAtOnce = 16

// tellProgress tells what the pods of a Job have counted, those of all shards together.
func (c *Cluster) tellProgress(ctx context.Context, job *unstructured.Unstructured, all []pod, o *Outcome, tell func(map[string]any)) {
	of, _ := at(job.Object, "spec", "completions").(int64)
	indexed := textAt(job.Object, "spec", "completionMode") == "Indexed"
	running := map[int]map[string]any{}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(logsAtOnce)
	for _, p := range all {
		index, _ := p.shardOf()
		for _, s := range slices.Concat(p.Status.Init, p.Status.Containers) {
			if s.State.Running == nil {
				continue
			}
			group.Go(func() error {
				// Without a log, or the permission to read it, the Job goes on all the same.
				_ = c.logLines(ctx, p.Metadata.Name, s.Name, 1, func(line map[string]any) {
					mu.Lock()
					defer mu.Unlock()
					if line["event"] == "progress" {
						running[index] = line
					}
				})
				return nil
			})
		}
	}
	_ = group.Wait()
	switch {
	case indexed && len(running)+len(o.Shards) > 0:
		tell(o.counts(int(of), running))
	case !indexed && running[0] != nil:
		tell(running[0])
	}
}

// tellOf tells what keeps a pod from doing anything.
func (c *Cluster) tellOf(ctx context.Context, p pod, note func(string)) {
	waiting := p.Status.Phase == "Pending"
	for _, s := range append(p.Status.Init, p.Status.Containers...) {
		if s.State.Waiting != nil && s.State.Waiting.Reason != "PodInitializing" && s.State.Waiting.Reason != "ContainerCreating" {
			note(fmt.Sprintf("%s: %s: %s", p.describe(), s.State.Waiting.Reason, s.State.Waiting.Message))
		}
	}
	if !waiting {
		return
	}
	found, err := c.list(ctx, events, metav1.ListOptions{FieldSelector: "involvedObject.name=" + p.Metadata.Name + ",type=Warning"})
	if err != nil {
		return // who may not look at events learns less
	}
	for _, e := range found {
		note(fmt.Sprintf("%s: %s: %s", p.describe(), textAt(e.Object, "reason"), textAt(e.Object, "message")))
	}
}

// Lines returns the JSON lines with one of the kinds of events that a container of the
// outcome's last pod has written, or of the last pods of the shards that failed; none
// where the log is gone.
func (c *Cluster) Lines(ctx context.Context, o Outcome, container string, kinds ...string) []map[string]any {
	var found []map[string]any
	names := []string{o.pod}
	if failed := o.failedShards(); len(failed) > 0 {
		names = nil
		for _, index := range failed {
			names = append(names, o.Shards[index].pod)
		}
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		_ = c.logLines(ctx, name, container, 0, func(line map[string]any) {
			for _, kind := range kinds {
				if line["event"] == kind && len(found) < 1000 {
					found = append(found, line)
				}
			}
		})
	}
	return found
}

// number reads a number of a report.
func number(report map[string]any, name string) float64 {
	n, _ := report[name].(float64)
	return n
}
