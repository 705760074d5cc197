package kube

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/lighterage/lighterage/internal/problem"
)

// Pods is how the pods of Jobs run: what a cluster's owner may have rules for.
type Pods struct {
	// Requests and Limits take the place of what a container asks for otherwise, by
	// resource; NoAmount takes it away.
	Requests, Limits map[string]string
	NodeSelector     map[string]string
	Tolerations      []string // KEY[=VALUE][:EFFECT], beside those of the registry's pods
	PullSecrets      []string // beside those of the registry's pods
	PriorityClass    string
	HostNetwork      bool // for stores that only the nodes reach
}

// NoAmount is an amount of a resource that is not asked for, or has no limit.
const NoAmount = "none"

// amounts are the resources that a container has unless it is told otherwise.
var (
	usualRequests = map[string]string{"cpu": "500m", "memory": "256Mi"}
	usualLimits   = map[string]string{"cpu": "4", "memory": "1Gi"}
)

// Check refuses what the cluster would not take, or what no pod could run with.
func (p Pods) Check() error {
	for what, amounts := range map[string]map[string]string{"requests": p.Requests, "limits": p.Limits} {
		for name, amount := range amounts {
			if !slices.Contains([]string{"cpu", "memory", "ephemeral-storage"}, name) {
				return bad("%s: want cpu, memory or ephemeral-storage, not %q", what, name)
			}
			if amount == NoAmount {
				continue
			}
			if q, err := resource.ParseQuantity(amount); err != nil || q.Sign() <= 0 {
				return bad("%s: %s=%s is no amount: want one such as 500m or 2 of cpu, 512Mi or 2Gi of memory, or %s", what, name, amount, NoAmount)
			}
		}
	}
	requests, limits := amounts(usualRequests, p.Requests), amounts(usualLimits, p.Limits)
	for name, limit := range limits {
		request, asked := requests[name]
		if least := quantity(request); asked && least.Cmp(quantity(limit)) > 0 {
			return bad("more %s is requested (%s) than the limit allows (%s)", name, request, limit)
		}
	}
	for key, value := range p.NodeSelector {
		if wrong := slices.Concat(validation.IsQualifiedName(key), validation.IsValidLabelValue(value)); len(wrong) > 0 {
			return bad("node selector %s=%s: %s", key, value, wrong[0])
		}
	}
	for _, text := range p.Tolerations {
		if _, err := toleration(text); err != nil {
			return err
		}
	}
	for _, name := range slices.Concat(p.PullSecrets, []string{p.PriorityClass}) {
		if wrong := validation.IsDNS1123Subdomain(name); name != "" && len(wrong) > 0 {
			return bad("%q is no name of a Secret or a priority class: %s", name, wrong[0])
		}
	}
	return nil
}

func bad(format string, args ...any) error { return problem.New(problem.BadRequest, format, args...) }

// quantity is an amount that has been checked.
func quantity(text string) resource.Quantity {
	q, _ := resource.ParseQuantity(text)
	return q
}

// amounts are the usual ones with others in their place.
func amounts(usual, other map[string]string) map[string]string {
	all := maps.Clone(usual)
	maps.Copy(all, other)
	maps.DeleteFunc(all, func(_, amount string) bool { return amount == NoAmount })
	return all
}

// toleration reads KEY[=VALUE][:EFFECT].
func toleration(text string) (map[string]any, error) {
	pair, effect, withEffect := strings.Cut(text, ":")
	key, value, withValue := strings.Cut(pair, "=")
	wrong := slices.Concat(validation.IsQualifiedName(key), validation.IsValidLabelValue(value))
	if len(wrong) > 0 {
		return nil, bad("toleration %q: want KEY[=VALUE][:EFFECT]: %s", text, wrong[0])
	}
	if withEffect && !slices.Contains([]string{"NoSchedule", "PreferNoSchedule", "NoExecute"}, effect) {
		return nil, bad("toleration %q: the effect is NoSchedule, PreferNoSchedule or NoExecute", text)
	}
	t := map[string]any{"key": key, "operator": "Exists"}
	if withValue {
		t["operator"], t["value"] = "Equal", value
	}
	if withEffect {
		t["effect"] = effect
	}
	return t, nil
}

// resources is what a container asks for.
func (p Pods) resources() map[string]any {
	all := map[string]any{}
	for name, list := range map[string]map[string]string{"requests": amounts(usualRequests, p.Requests), "limits": amounts(usualLimits, p.Limits)} {
		if len(list) > 0 {
			all[name] = anyMap(list)
		}
	}
	return all
}

func anyMap(list map[string]string) map[string]any {
	all := map[string]any{}
	for key, value := range list {
		all[key] = value
	}
	return all
}

// place says where pods of a step may run and with what they are pulled.
func (p Pods) place(r *Release, step Step, spec map[string]any) {
	var tolerations []any
	if step.usesVolume() {
		tolerations = slices.Clone(r.Registry.tolerations)
	}
	for _, text := range p.Tolerations {
		if t, err := toleration(text); err == nil { // Check has seen them
			tolerations = append(tolerations, t)
		}
	}
	if len(tolerations) > 0 {
		spec["tolerations"] = tolerations
	}
	if len(p.NodeSelector) > 0 {
		spec["nodeSelector"] = anyMap(p.NodeSelector)
	}
	pull := slices.Clone(r.Registry.pullSecrets)
	for _, name := range p.PullSecrets {
		pull = append(pull, map[string]any{"name": name})
	}
	if len(pull) > 0 {
		spec["imagePullSecrets"] = pull
	}
	if p.PriorityClass != "" {
		spec["priorityClassName"] = p.PriorityClass
	}
	if p.HostNetwork {
		spec["hostNetwork"], spec["dnsPolicy"] = true, "ClusterFirstWithHostNet"
	}
}
