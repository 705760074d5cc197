package kube

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Container is what a pod of a Job runs.
type Container struct {
	Name string
	Args []string
	Env  map[string]string
	// Files are those of the ConfigMaps that are mounted.
	Files map[string][]byte
}

// PlayPods is the node of the pods of Jobs in a namespace until the test ends: run is
// what their containers do, and its results are how they end. A pod that run holds back
// is pending so long.
func PlayPods(t testing.TB, kubeconfig, namespace string, run func(c Container) (code int, message string)) {
	t.Helper()
	c, err := Connect(Access{Kubeconfig: kubeconfig, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	p := &player{Cluster: c, t: t, run: run, begun: map[types.UID]bool{}}
	p.wait.Go(func() {
		for t.Context().Err() == nil {
			if err := p.look(); err != nil && t.Context().Err() == nil {
				t.Errorf("play the node: %v", err)
			}
			select {
			case <-t.Context().Done():
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	t.Cleanup(p.wait.Wait)
}

type player struct {
	*Cluster
	t     testing.TB
	run   func(c Container) (code int, message string)
	begun map[types.UID]bool
	wait  sync.WaitGroup
}

func (p *player) look() error {
	found, err := p.list(p.t.Context(), pods, metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name"})
	if err != nil {
		return err
	}
	for _, one := range found {
		if p.begun[one.GetUID()] || one.GetDeletionTimestamp() != nil {
			continue
		}
		p.begun[one.GetUID()] = true
		p.wait.Go(func() {
			if err := p.play(one); err != nil && p.t.Context().Err() == nil {
				p.t.Errorf("play the node: %v", err)
			}
		})
	}
	return nil
}

// play runs the containers of a pod one after the other, and those that follow one
// that failed not at all.
func (p *player) play(one unstructured.Unstructured) error {
	phase := "Succeeded"
	statuses := map[string][]any{}
	for _, part := range [][2]string{{"initContainers", "initContainerStatuses"}, {"containers", "containerStatuses"}} {
		list, _ := at(one.Object, "spec", part[0]).([]any)
		for _, c := range list {
			c := c.(map[string]any)
			if phase == "Failed" {
				break
			}
			env, err := p.environment(c)
			if err != nil {
				return err
			}
			if index := one.GetAnnotations()["batch.kubernetes.io/job-completion-index"]; index != "" {
				env["JOB_COMPLETION_INDEX"] = index // as the Job's controller has it set
			}
			files, err := p.files(one.Object, c)
			if err != nil {
				return err
			}
			container := Container{Name: textAt(c, "name"), Env: env, Files: files}
			for _, arg := range c["args"].([]any) {
				container.Args = append(container.Args, arg.(string))
			}
			code, message := p.run(container)
			if code != 0 {
				phase = "Failed"
			}
			now := time.Now().UTC().Format(time.RFC3339)
			statuses[part[1]] = append(statuses[part[1]], map[string]any{
				"name": c["name"], "image": c["image"], "imageID": "", "ready": false, "restartCount": int64(0),
				"state": map[string]any{"terminated": map[string]any{"exitCode": int64(code), "message": message, "startedAt": now, "finishedAt": now}},
			})
		}
	}
	status := map[string]any{"phase": phase}
	for name, list := range statuses {
		status[name] = list
	}
	return p.patchStatus(one.GetName(), status)
}

// patchStatus says what has become of a pod; one that is gone meanwhile is gone.
func (c *Cluster) patchStatus(pod string, status map[string]any) error {
	text, err := json.Marshal(map[string]any{"status": status})
	if err != nil {
		return err
	}
	_, err = c.of(pods).Patch(context.Background(), pod, types.MergePatchType, text, metav1.PatchOptions{}, "status")
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("change the status of pod %s: %w", pod, err)
	}
	return nil
}

// files are what a container has of ConfigMaps.
func (p *player) files(pod, c map[string]any) (map[string][]byte, error) {
	files := map[string][]byte{}
	mounts, _ := c["volumeMounts"].([]any)
	volumes, _ := at(pod, "spec", "volumes").([]any)
	for _, m := range mounts {
		for _, v := range volumes {
			mount, volume := m.(map[string]any), v.(map[string]any)
			name := textAt(volume, "configMap", "name")
			if name == "" || mount["name"] != volume["name"] {
				continue
			}
			found, err := p.get(p.t.Context(), configMaps, name)
			if err != nil || found == nil {
				return nil, fmt.Errorf("there is no ConfigMap %s: %w", name, err)
			}
			for key := range mapAt(found.Object, "binaryData") {
				content, err := base64.StdEncoding.DecodeString(textAt(found.Object, "binaryData", key))
				if err != nil {
					return nil, err
				}
				files[textAt(mount, "mountPath")+"/"+key] = content
			}
		}
	}
	return files, nil
}

// environment is what a container gets from Secrets.
func (p *player) environment(c map[string]any) (map[string]string, error) {
	env := map[string]string{}
	list, _ := c["envFrom"].([]any)
	for _, from := range list {
		name := textAt(from.(map[string]any), "secretRef", "name")
		secret, err := p.get(p.t.Context(), secrets, name)
		if err != nil || secret == nil {
			return nil, fmt.Errorf("there is no Secret %s: %w", name, err)
		}
		for key := range mapAt(secret.Object, "data") {
			value, err := base64.StdEncoding.DecodeString(textAt(secret.Object, "data", key))
			if err != nil {
				return nil, err
			}
			env[key] = string(value)
		}
	}
	return env, nil
}
