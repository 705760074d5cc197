package kube_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lighterage/lighterage/internal/cli"
	"github.com/lighterage/lighterage/internal/kube"
)

type ended struct {
	code        int
	out, errors string
}

func command(t *testing.T, args ...string) ended {
	t.Helper()
	var out, errs bytes.Buffer
	code := cli.Main(t.Context(), cli.Options{
		Args: append([]string{"migrate"}, args...), Program: "lighterage", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: func(string) string { return "" },
	})
	return ended{code, out.String(), errs.String()}
}

func TestTheCommandsFindAHarborAndWriteWhatMovesIt(t *testing.T) {
	t.Parallel()
	kubeconfig, namespace := kube.HarborInCluster(t)
	where := []string{"--kubeconfig", kubeconfig, "--namespace", namespace}

	got := command(t, append([]string{"discover"}, where...)...)
	if got.code != 0 || !strings.Contains(got.out, "Ready, with warnings.") || !strings.Contains(got.out, "PVC harbor-registry, subPath harbor/registry") {
		t.Errorf("discover: %+v", got)
	}
	got = command(t, append([]string{"discover", "--output", "json"}, where...)...)
	var document struct {
		Releases []struct {
			Name      string
			Obstacles []struct {
				Code   string
				WayOut string `json:"way_out"`
			}
		}
	}
	if err := json.Unmarshal([]byte(got.out), &document); err != nil || len(document.Releases) != 1 || document.Releases[0].Obstacles[0].Code != "reclaim" || document.Releases[0].Obstacles[0].WayOut == "" {
		t.Errorf("discover as JSON: %v, %+v", err, got)
	}

	folder := filepath.Join(t.TempDir(), "to-s3")
	manifests := append([]string{"manifests", "s3://harbor/images?endpoint=https://minio.storage:9000", "--image", "registry.example.com/lighterage:1.0", "--dir", folder}, where...)
	got = command(t, manifests...)
	for _, want := range []string{"ok       Job harbor-to-s3-final", "ok       Harbor harbor", "+                existingSecret: s3-secret", "Nothing was applied"} {
		if got.code != 0 || !strings.Contains(strings.ReplaceAll(got.out, "\t", " "), want) {
			t.Errorf("%q is missing: %+v", want, got)
		}
	}
	for line := range strings.Lines(got.out) {
		if strings.HasPrefix(line, "-") && !strings.HasPrefix(line, "---") {
			t.Errorf("something is taken away: %s", line)
		}
	}
	final, err := os.ReadFile(filepath.Join(folder, "4-final.yaml"))
	if err != nil || !strings.Contains(string(final), "secretName: company-ca") || !strings.Contains(string(final), "namespace: "+namespace) {
		t.Errorf("%v:\n%s", err, final)
	}

	plain := filepath.Join(t.TempDir(), "plain")
	got = command(t, append([]string{"manifests", "s3://harbor?endpoint=http://minio.storage:9000", "--image", "i", "--dir", plain}, where...)...)
	if files, err := filepath.Glob(filepath.Join(plain, "*.yaml")); err != nil || len(files) != 8 || got.code != 0 || strings.Contains(got.out, "company-ca") {
		t.Errorf("without a certificate to be trusted: %q, %v, %+v", files, err, got)
	}

	if got = command(t, manifests...); got.code != 0 {
		t.Errorf("the same again: %+v", got)
	}
	if got = command(t, append(manifests, "--bandwidth", "50M")...); got.code != 2 || !strings.Contains(got.errors, "2-copy.yaml is there and differs") {
		t.Errorf("other files over those: %+v", got)
	}
	if now, err := os.ReadFile(filepath.Join(folder, "4-final.yaml")); err != nil || !bytes.Equal(now, final) {
		t.Error("a refusal has changed a file")
	}
	if got = command(t, append(manifests, "--bandwidth", "50M", "--overwrite")...); got.code != 0 {
		t.Errorf("with --overwrite: %+v", got)
	}
	if got = command(t, append(manifests, "--host-network", "--overwrite", "--output", "json")...); got.code != 1 || !strings.Contains(got.out, "violates PodSecurity") {
		t.Errorf("what Pod Security refuses: %+v", got)
	}
}

func TestMistakesInTheCommandLineAreRefusedBeforeTheClusterIsAsked(t *testing.T) {
	t.Parallel()
	base := []string{"--dir", "d", "--image", "i", "--kubeconfig", "/nowhere"}
	for says, args := range map[string][]string{
		"--dir is missing":            {"s3://b", "--image", "i"},
		"--image is missing":          {"s3://b", "--dir", "d"},
		"images are moved to a bucke": append([]string{"/folder"}, base...),
		"keys do not belong there":    append([]string{"s3://b?access_key=a&secret_key=s"}, base...),
		"--ca-secret":                 append([]string{"s3://b?ca=/file"}, base...),
		"unknown option":              append([]string{"s3://b?odd=1"}, base...),
		"DST is missing":              base,
		"read the kubeconfig":         append([]string{"s3://b"}, base...),
	} {
		got := command(t, append([]string{"manifests"}, args...)...)
		if got.code != 2 || !strings.Contains(got.errors, says) {
			t.Errorf("%s: %+v", says, got)
		}
		if strings.Contains(got.errors, "secret_key") {
			t.Errorf("a key is shown: %s", got.errors)
		}
	}
	if _, err := os.Stat("d"); err == nil {
		t.Error("a folder was made")
	}
}

func TestFlagsAboutHarborsAPIGoWithAskingIt(t *testing.T) {
	t.Parallel()
	for says, args := range map[string][]string{
		"go with --ask-harbor": {"--harbor-url", "https://harbor.example.com"},
		"--harbor-ca:":         {"--ask-harbor", "--harbor-ca", "/nowhere"},
	} {
		if got := command(t, append([]string{"discover", "--kubeconfig", "/nowhere"}, args...)...); got.code != 2 || !strings.Contains(got.errors, says) {
			t.Errorf("%s: %+v", says, got)
		}
	}
}
