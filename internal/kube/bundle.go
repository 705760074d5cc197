package kube

import (
	"bytes"
	"fmt"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/lighterage/lighterage/internal/chart"
)

// File is a file of a bundle.
type File struct {
	Name    string
	Content []byte
}

// The files of a bundle that are no Jobs.
const (
	readmeFile = "README.md"
	switchFile = "switch.yaml"
	backFile   = "switch-back.yaml"
	beforeFile = "values-before.yaml"
)

// jobFile is the file that a step's Job is in.
func jobFile(step Step) string {
	if step == BlobsStep { // comes before the copy, by its name too
		return "2-blobs.yaml"
	}
	for i, s := range Steps {
		if s == step {
			return fmt.Sprintf("%d-%s.yaml", i+1, step)
		}
	}
	return string(step) + ".yaml"
}

// Bundle returns everything that moves the release, as files to be looked at, kept and
// applied by whoever changes the cluster. No file holds a secret.
func (r *Release) Bundle(t Target) ([]File, error) {
	var files []File
	add := func(name string, value any) error {
		text, err := toYAML(value)
		if err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		files = append(files, File{name, text})
		return nil
	}
	for _, step := range StepsTo(t) {
		if err := add(jobFile(step), r.Job(step, t)); err != nil {
			return nil, err
		}
	}
	there, back := r.Switch(t.S3)
	if err := add(switchFile, there); err != nil {
		return nil, err
	}
	if err := add(backFile, back); err != nil {
		return nil, err
	}
	// The values hold passwords in some installations: of them only what is changed is kept.
	before := at(r.values, "persistence", "imageChartStorage")
	if err := add(beforeFile, map[string]any{"persistence": map[string]any{"imageChartStorage": withoutKeys(before)}}); err != nil {
		return nil, err
	}
	return append(files, File{readmeFile, []byte(r.readme(t))}), nil
}

// withoutKeys leaves credentials out of the values of a storage.
func withoutKeys(value any) any {
	m, ok := value.(map[string]any)
	if !ok {
		return value
	}
	copied := map[string]any{}
	for key, inner := range m {
		switch key {
		case "accesskey", "secretkey", "accountkey", "accesskeysecret", "encodedkey", "password":
			copied[key] = "(left out)"
		default:
			copied[key] = withoutKeys(inner)
		}
	}
	return copied
}

func toYAML(value any) ([]byte, error) {
	var text bytes.Buffer
	e := yaml.NewEncoder(&text)
	e.SetIndent(2)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return text.Bytes(), e.Close()
}

// readme tells the steps, with the command of each.
func (r *Release) readme(t Target) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	kubectl := "kubectl -n " + r.Namespace
	code := func(lines ...string) { say("\n```sh\n%s\n```\n", strings.Join(lines, "\n")) }
	job := func(step Step) {
		name := r.JobName(step)
		code(
			fmt.Sprintf("%s delete job %s --ignore-not-found", kubectl, name),
			fmt.Sprintf("%s apply -f %s", kubectl, jobFile(step)),
			fmt.Sprintf("%s logs -f job/%s --all-containers --pod-running-timeout=10m", kubectl, name),
			fmt.Sprintf("%s get job %s", kubectl, name),
		)
	}
	say("# Moving the images of Harbor %s from %s to the bucket %s\n", r.Name, r.Volume.Describe(), t.S3.Bucket)
	say("Every Job can be applied again at any time: what is there already is not sent again. A Job has ended well when it is `Complete`;")
	say("its log and the message of its pod's end hold a report in JSON. Exit code 1: something is damaged or differs; 2: a mistake in the")
	say("settings; 3: the bucket is not reached, or refuses the keys.")

	say("\n## 1. The keys of the bucket\n")
	say("The registry and the Jobs read them from the same Secret.")
	code(r.secretCommand(kubectl, t)...)
	say("## 2. Try out the bucket, from inside the cluster")
	job(PreflightStep)
	say("What it says about settings of Harbor belongs into `%s`.", switchFile)
	say("\n## 3. Copy, while Harbor is in use\n")
	say("As often as you like; each further copy brings only what is new. What the last one took is about what the window will take.")
	if t.Shards > 1 {
		say("The first time with %d pods, which copy the blobs; the copy after them brings what they left out, and the links.", t.Shards)
		job(BlobsStep)
	}
	job(CopyStep)
	say("Prove everything once. What was pushed since the copy is told with a `+`, and is no fault.")
	job(CheckStep)
	say("## 4. The window\n")
	say("1. In Harbor, switch off the schedules of garbage collection, retention and replication, and wait until none of them runs.")
	if r.ConfigLocked {
		say("2. Add `\"read_only\": true` to the value core.configureUserSettings, and have it applied: it fixes Harbor's settings. Pulls go on.")
	} else {
		say("2. *Administration, Configuration, System Settings, Repository Read Only*: switch it on. Pulls go on.")
	}
	say("3. Copy what is new and check it, in one Job. Do not go on unless it is `Complete`.")
	job(FinalStep)
	say("4. Give the registry the bucket.")
	r.readmeSwitch(code, say, kubectl, switchFile)
	code(
		fmt.Sprintf("%s rollout status deployment %s-registry", kubectl, r.FullName),
		fmt.Sprintf("%s rollout status deployment %s-core", kubectl, r.FullName),
	)
	say("`%s` is what the values said of the storage before, without keys.", beforeFile)
	say("\n5. Pull an image that no node has. Switch read-only off, push an image, and find it in the bucket. Switch the schedules on again.")
	say("\nKeep %s until you are sure.", r.Volume.Describe())
	say("\n## Going back\n")
	say("Before anything was pushed: give the registry its volume again, and switch read-only off. After that: read-only on first, then")
	say("the volume gets what was pushed since, then the registry gets the volume.")
	job(BackStep)
	say("The pods of the Jobs must be gone before the registry can have a volume that is one node's: `%s delete job %s`.", kubectl, r.JobName(BackStep))
	r.readmeSwitch(code, say, kubectl, backFile)
	return b.String()
}

// secretCommand makes the Secret without putting the keys into a file.
func (r *Release) secretCommand(kubectl string, t Target) []string {
	keys, _ := t.S3.Keys("$AWS_ACCESS_KEY_ID", "$AWS_SECRET_ACCESS_KEY")
	lines := []string{
		fmt.Sprintf("%s create secret generic %s \\", kubectl, t.S3.Secret),
		fmt.Sprintf(`  --from-literal=%s="%s" \`, chart.AccessKey, keys[chart.AccessKey]),
		fmt.Sprintf(`  --from-literal=%s="%s"`, chart.SecretKey, keys[chart.SecretKey]),
	}
	for _, name := range []string{"REGISTRY_STORAGE_S3_FORCEPATHSTYLE", "REGISTRY_STORAGE_S3_OBJECTACL"} {
		if keys[name] != "" {
			lines[len(lines)-1] += " \\"
			lines = append(lines, fmt.Sprintf("  --from-literal=%s=%s", name, keys[name]))
		}
	}
	return lines
}

func (r *Release) readmeSwitch(code func(...string), say func(string, ...any), kubectl, file string) {
	switch r.Packaging {
	case AlaudaResource:
		code(fmt.Sprintf("%s patch harbors.operator.alaudadevops.io %s --type merge --patch-file %s", kubectl, r.Name, file))
		say("Where Argo CD or Flux keeps the resource, change it there: `%s` is a merge patch, `null` takes a value away.", file)
	case HelmRelease:
		r.readmeHelm(code, say, file)
	default:
		say("\nAdd `%s` to the values that the manifests are rendered with, and apply them; `null` takes a value away.", file)
	}
}

// readmeHelm gives all values: with --reuse-values Helm would take a value that is null
// in a file from the values that the release had.
func (r *Release) readmeHelm(code func(...string), say func(string, ...any), file string) {
	upgrade := fmt.Sprintf("helm -n %s upgrade %s CHART --version %s --reset-values -f values.yaml", r.Namespace, r.Name, r.ChartVersion)
	if file == backFile {
		code(upgrade)
		say("values.yaml is the file from before the switch. If you changed other values since, take those of now without what `%s` sets.", switchFile)
		return
	}
	code(
		fmt.Sprintf("helm -n %s get values %s -o yaml > values.yaml # keep it: it is the way back, and may hold passwords", r.Namespace, r.Name),
		upgrade+" -f "+file,
	)
	say("CHART is where the chart was installed from, such as harbor/harbor. Its version stays: do one thing at a time.")
}
