package kube

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

// What is read of Kubernetes' own objects; everything else in them is not looked at.
type (
	metadata struct {
		Name        string            `json:"name"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		Generation  int64             `json:"generation"`
	}

	deployment struct {
		Metadata metadata `json:"metadata"`
		Spec     struct {
			Replicas *int64 `json:"replicas"`
			Selector struct {
				MatchLabels map[string]string `json:"matchLabels"`
			} `json:"selector"`
			Strategy struct {
				Type string `json:"type"`
			} `json:"strategy"`
			Template struct {
				Spec podSpec `json:"spec"`
			} `json:"template"`
		} `json:"spec"`
		Status struct {
			ObservedGeneration int64 `json:"observedGeneration"`
			Replicas           int64 `json:"replicas"`
			UpdatedReplicas    int64 `json:"updatedReplicas"`
			AvailableReplicas  int64 `json:"availableReplicas"`
			Conditions         []struct {
				Type    string `json:"type"`
				Status  string `json:"status"`
				Reason  string `json:"reason"`
				Message string `json:"message"`
			} `json:"conditions"`
		} `json:"status"`
	}

	pod struct {
		Metadata metadata `json:"metadata"`
		Spec     podSpec  `json:"spec"`
		Status   struct {
			Phase      string      `json:"phase"`
			Init       []endStatus `json:"initContainerStatuses"`
			Containers []endStatus `json:"containerStatuses"`
		} `json:"status"`
	}

	// endStatus is what is known of a container.
	endStatus struct {
		Name  string `json:"name"`
		State struct {
			Waiting *struct {
				Reason  string `json:"reason"`
				Message string `json:"message"`
			} `json:"waiting"`
			Running    map[string]any `json:"running"`
			Terminated *struct {
				ExitCode int64  `json:"exitCode"`
				Reason   string `json:"reason"`
				Message  string `json:"message"`
			} `json:"terminated"`
		} `json:"state"`
	}

	podSpec struct {
		NodeName         string           `json:"nodeName"`
		NodeSelector     map[string]any   `json:"nodeSelector"`
		Tolerations      []any            `json:"tolerations"`
		ImagePullSecrets []any            `json:"imagePullSecrets"`
		Containers       []container      `json:"containers"`
		Volumes          []map[string]any `json:"volumes"`
	}

	container struct {
		Name    string `json:"name"`
		Image   string `json:"image"`
		Env     []env  `json:"env"`
		EnvFrom []struct {
			ConfigMapRef struct {
				Name string `json:"name"`
			} `json:"configMapRef"`
			SecretRef struct {
				Name string `json:"name"`
			} `json:"secretRef"`
		} `json:"envFrom"`
		VolumeMounts []mount `json:"volumeMounts"`
	}

	env struct {
		Name      string `json:"name"`
		Value     string `json:"value"`
		ValueFrom struct {
			SecretKeyRef struct {
				Name string `json:"name"`
				Key  string `json:"key"`
			} `json:"secretKeyRef"`
		} `json:"valueFrom"`
	}

	mount struct {
		Name      string `json:"name"`
		MountPath string `json:"mountPath"`
		SubPath   string `json:"subPath"`
	}
)

// read fills one of the above.
func read(from unstructured.Unstructured, into any) error {
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(from.Object, into); err != nil {
		return fmt.Errorf("read %s %s: %w", from.GetKind(), from.GetName(), err)
	}
	return nil
}

// at walks into nested maps; nil where the way ends.
func at(m map[string]any, path ...string) any {
	var value any = m
	for _, key := range path {
		next, ok := value.(map[string]any)
		if !ok {
			return nil
		}
		value = next[key]
	}
	return value
}

func textAt(m map[string]any, path ...string) string {
	text, _ := at(m, path...).(string)
	return text
}

func mapAt(m map[string]any, path ...string) map[string]any {
	found, _ := at(m, path...).(map[string]any)
	return found
}

// named returns a container of the pods, nil if they have none of that name.
func (s *podSpec) named(name string) *container {
	for i := range s.Containers {
		if s.Containers[i].Name == name {
			return &s.Containers[i]
		}
	}
	return nil
}

// mounted returns the mount that a path in the container is on, nil if it is on none.
func (c *container) mounted(path string) *mount {
	var found *mount
	for i, m := range c.VolumeMounts {
		if within(path, m.MountPath) && (found == nil || len(m.MountPath) > len(found.MountPath)) {
			found = &c.VolumeMounts[i]
		}
	}
	return found
}

func within(path, folder string) bool {
	folder = strings.TrimSuffix(folder, "/")
	return path == folder || strings.HasPrefix(path, folder+"/")
}

func (s *podSpec) volume(name string) map[string]any {
	for _, v := range s.Volumes {
		if v["name"] == name {
			return v
		}
	}
	return nil
}
