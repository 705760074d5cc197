package kube

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lighterage/lighterage/internal/testserver"
)

// onlyPod waits for the one pod of a Job.
func (w *world) onlyPod(job string) pod {
	w.t.Helper()
	var found []pod
	testserver.Eventually(w.t, "the Job "+job+" has a pod", func() bool {
		var err error
		if found, err = w.podsOf(w.t.Context(), job); err != nil {
			w.t.Fatal(err)
		}
		return len(found) == 1
	})
	return found[0]
}

// newPod waits for a pod of a Job that has not ended.
func (w *world) newPod(job string) pod {
	w.t.Helper()
	var fresh []pod
	testserver.Eventually(w.t, "the Job "+job+" has a new pod", func() bool {
		all, err := w.podsOf(w.t.Context(), job)
		fresh = slices.DeleteFunc(all, func(p pod) bool { return p.Status.Phase != "Pending" })
		return err == nil && len(fresh) == 1
	})
	return fresh[0]
}

func (w *world) end(p pod, code int64, message string) {
	w.t.Helper()
	phase := map[bool]string{true: "Succeeded", false: "Failed"}[code == 0]
	err := w.patchStatus(p.Metadata.Name, map[string]any{"phase": phase, "containerStatuses": []any{map[string]any{
		"name": p.Spec.Containers[0].Name, "image": "x", "imageID": "", "ready": false, "restartCount": 0,
		"state": map[string]any{"terminated": map[string]any{"exitCode": code, "message": message}},
	}}})
	if err != nil {
		w.t.Error(err)
	}
}

func TestAJobThatGoesOnIsFollowedAndSaysWhatKeepsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	job := onVolume()
	job.Namespace = w.Namespace
	manifest := job.Job(CopyStep, target())
	name := job.JobName(CopyStep)

	// The first machine sees why the pod does not start, and is closed.
	ctx, leave := context.WithCancelCause(t.Context())
	left := errors.New("left")
	var notes []string
	go func() {
		p := w.onlyPod(name)
		err := w.patchStatus(p.Metadata.Name, map[string]any{"containerStatuses": []any{map[string]any{
			"name": "copy", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
			"state": map[string]any{"waiting": map[string]any{"reason": "ErrImagePull", "message": "401 Unauthorized"}},
		}}})
		if err != nil {
			t.Error(err)
		}
		w.apply(`{"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "type": "Warning", "reason": "FailedMount", "message": "Multi-Attach error",
			"involvedObject": {"kind": "Pod", "name": "` + p.Metadata.Name + `", "namespace": "` + w.Namespace + `"}}`)
	}()
	_, err := w.RunJob(ctx, manifest, Following{Note: func(text string) {
		notes = append(notes, text)
		if len(notes) == 2 {
			leave(left)
		}
	}})
	if !errors.Is(err, left) {
		t.Errorf("the first machine: %v", err)
	}
	slices.Sort(notes)
	if len(notes) != 2 || !strings.Contains(notes[0], "ErrImagePull: 401 Unauthorized") || !strings.Contains(notes[1], "FailedMount: Multi-Attach error") {
		t.Errorf("what kept the pod: %q", notes)
	}

	// The second one follows the same pod.
	p := w.onlyPod(name)
	told := 0
	out, err := w.RunJob(t.Context(), manifest, Following{Note: func(string) {
		if told++; told == 1 {
			w.end(p, 0, `{"report": {"copied": 7}}`)
		}
	}})
	if err != nil || out.Failed || number(out.Reports["copy"], "copied") != 7 || out.Exits["copy"] != 0 {
		t.Errorf("the second machine: %+v, %v", out, err)
	}
	if now := w.onlyPod(name); now.Metadata.Name != p.Metadata.Name {
		t.Errorf("another pod has run: %s, %s", p.Metadata.Name, now.Metadata.Name)
	}

	// A third run of what has ended is a new Job.
	go func() {
		testserver.Eventually(t, "there is another pod", func() bool {
			found, err := w.podsOf(t.Context(), name)
			return err == nil && len(found) == 1 && found[0].Metadata.Name != p.Metadata.Name
		})
		w.end(w.onlyPod(name), 1, "no report")
	}()
	out, err = w.RunJob(t.Context(), manifest, Following{})
	if err != nil || !out.Failed || out.Exits["copy"] != 1 || out.Reports["copy"] != nil || !strings.Contains(out.Reason, "PodFailurePolicy") {
		t.Errorf("the third run: %+v, %v", out, err)
	}
	if err := w.DeleteJob(t.Context(), name); err != nil {
		t.Error(err)
	}
	if left, err := w.list(t.Context(), jobs, metav1.ListOptions{}); err != nil || len(left) > 0 {
		t.Errorf("%d Jobs are left, %v", len(left), err)
	}
	if err := w.DeleteJob(t.Context(), name); err != nil {
		t.Errorf("delete what is gone: %v", err)
	}
}

// A pod that had to leave its node is replaced; one that could not reach the bucket is
// tried again.
func TestWhatMayPassIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := onVolume()
	r.Namespace = w.Namespace
	name := r.JobName(CopyStep)
	go func() {
		first := w.onlyPod(name)
		w.end(first, 3, "")
		var second []pod
		testserver.Eventually(t, "there is a second pod", func() bool {
			var err error
			second, err = w.podsOf(t.Context(), name)
			return err == nil && len(second) == 2
		})
		for _, p := range second {
			if p.Metadata.Name != first.Metadata.Name {
				w.end(p, 0, `{"report": {"copied": 1}}`)
			}
		}
	}()
	out, err := w.RunJob(t.Context(), r.Job(CopyStep, target()), Following{})
	if err != nil || out.Failed || number(out.Reports["copy"], "copied") != 1 {
		t.Errorf("got %+v, %v", out, err)
	}
}

func TestOnlyWhatWasPushedMeanwhileIsNoFault(t *testing.T) {
	t.Parallel()
	moved := []map[string]any{{"sign": "*", "name": "docker/registry/v2/repositories/a/_manifests/tags/v1/current/link"}}
	for name, c := range map[string]struct {
		exit        int64
		report      map[string]any
		differences []map[string]any
		want        bool
	}{
		"pushed":                    {1, map[string]any{"missing": 3.0}, nil, true},
		"deleted":                   {1, map[string]any{"extra": 3.0}, nil, true},
		"a tag that was moved":      {1, map[string]any{"different": 1.0}, moved, true},
		"a blob that differs":       {1, map[string]any{"different": 2.0}, moved, false},
		"nothing is known of which": {1, map[string]any{"different": 1.0}, nil, false},
		"something is damaged":      {1, map[string]any{"missing": 3.0, "unreadable": 1.0}, nil, false},
		"no difference, and failed": {1, map[string]any{}, nil, false},
		"no report":                 {1, nil, nil, false},
		"not all was seen":          {2, map[string]any{"missing": 3.0}, nil, false},
	} {
		o := Outcome{Failed: true, Exits: map[string]int64{"check": c.exit}, Reports: map[string]map[string]any{}}
		if c.report != nil {
			o.Reports["check"] = c.report
		}
		if got := onlyNew(o, c.differences); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
