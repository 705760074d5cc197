//go:build unix

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/chart"
	"github.com/lighterage/lighterage/internal/kube"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// step runs the containers of a step's Job one after the other, as a node does: the
// program with the arguments of the manifest, the keys from the Secret, the volume
// where it is mounted. It returns the reports that the containers end with.
func (m *migration) step(want int, step kube.Step, r *kube.Release, t kube.Target) []map[string]any {
	m.t.Helper()
	spec := r.Job(step, t)["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	first, _ := spec["initContainers"].([]any)
	containers := append(first, spec["containers"].([]any)...)
	var reports []map[string]any
	for i, c := range containers {
		message := filepath.Join(m.t.TempDir(), "termination-log")
		if err := os.WriteFile(message, nil, 0o666); err != nil {
			m.t.Fatal(err)
		}
		var args []string
		for _, arg := range c.(map[string]any)["args"].([]any) {
			text := strings.Replace(arg.(string), "/storage", m.volume, 1)
			args = append(args, strings.Replace(text, "/dev/termination-log", message, 1))
		}
		cmd, out, errs := program(m.t, args...)
		cmd.Env = append(cmd.Env, chart.AccessKey+"="+m.store.AccessKey, chart.SecretKey+"="+m.store.SecretKey)
		code := 0
		if i == len(containers)-1 {
			code = want
		}
		m.run(code, cmd, out, errs)
		text, err := os.ReadFile(message)
		if err != nil {
			m.t.Fatal(err)
		}
		var report struct {
			Report map[string]any `json:"report"`
		}
		if err := json.Unmarshal(text, &report); err != nil {
			m.t.Fatalf("%s: the last words of %v are no report: %v\n%s", step, args, err, text)
		}
		if step != kube.PreflightStep && len(text) > 4096 {
			m.t.Errorf("%s: the report has %d bytes, and Kubernetes keeps 4096", step, len(text))
		}
		reports = append(reports, report.Report)
	}
	return reports
}

func TestTheJobsMoveARegistryAndBringItBack(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	r := &kube.Release{
		Name: "harbor", Namespace: "tools", FullName: "harbor",
		Volume: kube.Volume{Kind: kube.ClaimVolume, Claim: "harbor-registry"},
	}
	to := kube.Target{
		Image: "lighterage",
		S3:    chart.S3{Bucket: m.store.Bucket, Endpoint: m.store.Endpoint, Region: m.store.Region, RootDirectory: "registry", Secret: "s3-secret"},
	}
	if row := m.step(0, kube.PreflightStep, r, to)[0]; row["unreachable"] != false {
		t.Errorf("the store: %v", row)
	}
	if got := m.step(0, kube.CopyStep, r, to)[0]; got["copied"] == 0.0 || got["failed"] != 0.0 {
		t.Errorf("the first copy: %v", got)
	}
	m.step(0, kube.CheckStep, r, to)

	// Harbor is in use until it is read-only.
	push := func(tag string, seed uint64, options ...ts.Option) {
		registry := ts.Distribution(t, options...)
		ts.Push(t, registry, "library/app", tag, ts.Image(t, seed, 1, 500))
		registry.Stop()
	}
	push("late", 77, ts.WithRoot(m.volume))
	m.step(1, kube.CheckStep, r, to)
	final := m.step(0, kube.FinalStep, r, to)
	if final[0]["final"] != true || final[0]["copied"] == 0.0 || final[1]["missing"] != 0.0 || final[1]["before"] == nil {
		t.Errorf("the window: %v", final)
	}

	// The registry has the bucket now, and something is pushed to it.
	push("later", 78, ts.WithStore(m.store, "registry"))
	back := m.step(0, kube.BackStep, r, to)
	if back[0]["copied"] == 0.0 || back[1]["different"] != 0.0 {
		t.Errorf("the way back: %v", back)
	}
	if _, err := os.Stat(filepath.Join(m.volume, m.tag("later"))); err != nil {
		t.Errorf("what was pushed after the change is not in the volume: %v", err)
	}
}
