package kube_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/lighterage/lighterage/internal/cli"
	"github.com/lighterage/lighterage/internal/kube"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// site is a Harbor in a cluster, the volume of its registry and a bucket. Its Jobs' pods
// are played by the program itself.
type site struct {
	t                     testing.TB
	kubeconfig, namespace string
	volume                string
	store                 *ts.Store

	mu     sync.Mutex
	ran    []string                           // the commands of the pods
	before func(kube.Container) (int, string) // what happens instead, -1: nothing does
}

func newSite(t testing.TB) *site {
	t.Helper()
	return siteIn(t, kube.HarborInCluster)
}

func siteIn(t testing.TB, install func(t testing.TB) (kubeconfig, namespace string)) *site {
	t.Helper()
	s := &site{t: t, volume: t.TempDir()}
	s.kubeconfig, s.namespace = install(t)
	s.store = ts.S3(t)
	s.push("v1", 1)
	kube.PlayPods(t, s.kubeconfig, s.namespace, s.run)
	return s
}

func (s *site) push(tag string, seed uint64) {
	registry := ts.Distribution(s.t, ts.WithRoot(s.volume))
	ts.Push(s.t, registry, "library/app", tag, ts.Image(s.t, seed, 2, 500))
	registry.Stop()
}

// run is the program in a pod, with the volume and its last words where they are here.
func (s *site) run(c kube.Container) (int, string) {
	s.mu.Lock()
	s.ran = append(s.ran, c.Args[1])
	before := s.before
	s.mu.Unlock()
	if before != nil {
		if code, message := before(c); code >= 0 {
			return code, message
		}
	}
	message := filepath.Join(s.t.TempDir(), "termination-log")
	var args []string
	for _, arg := range c.Args {
		if strings.HasPrefix(arg, "/storage") {
			arg = s.volume + strings.TrimPrefix(arg, "/storage")
		}
		if content, mounted := c.Files[arg]; mounted {
			arg = filepath.Join(s.t.TempDir(), "mounted")
			if err := os.WriteFile(arg, content, 0o600); err != nil {
				s.t.Error(err)
			}
		}
		args = append(args, strings.Replace(strings.Replace(arg, "/dev/termination-log", message, 1), "&ca=%2Fetc%2Flighterage%2Fca%2Fca.crt", "", 1))
	}
	for i := range args {
		args[i] = strings.Replace(args[i], "ca=%2Fetc%2Flighterage%2Fca%2Fca.crt&", "", 1)
	}
	var out bytes.Buffer
	code := cli.Main(context.Background(), cli.Options{
		Args: args, Program: "lighterage", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out,
		Getenv: func(name string) string { return c.Env[name] },
	})
	text, _ := os.ReadFile(message)
	return code, string(text)
}

func (s *site) instead(f func(kube.Container) (int, string)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = f
}

func (s *site) commands() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.ran
	s.ran = nil
	return strings.Join(list, " ")
}

// stage runs the command with the bucket's keys, or with others.
func (s *site) stage(ctx context.Context, env map[string]string, more ...string) ended {
	s.t.Helper()
	if env == nil {
		env = map[string]string{"AWS_ACCESS_KEY_ID": s.store.AccessKey, "AWS_SECRET_ACCESS_KEY": s.store.SecretKey}
	}
	place := "s3://" + s.store.Bucket + "/images?region=" + s.store.Region + "&endpoint=" + s.store.Endpoint
	args := append([]string{"migrate", "stage", place, "--kubeconfig", s.kubeconfig, "--namespace", s.namespace, "--image", "lighterage:test"}, more...)
	var out, errs bytes.Buffer
	code := cli.Main(ctx, cli.Options{
		Args: args, Program: "lighterage", Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs,
		Getenv: func(name string) string { return env[name] },
	})
	return ended{code, out.String(), errs.String()}
}

func TestImagesAreStagedWhileHarborIsInUse(t *testing.T) {
	t.Parallel()
	s := newSite(t)

	got := s.stage(t.Context(), map[string]string{})
	if got.code != 2 || !strings.Contains(got.errors, "there is no Secret s3-secret") || s.commands() != "" {
		t.Errorf("without keys: %+v", got)
	}

	// The first copy is as long as it is; one after it has nothing to do.
	var copies atomic.Int64
	s.instead(func(c kube.Container) (int, string) {
		if c.Args[1] == "copy" && copies.Add(1) == 1 {
			return 0, `{"report": {"seconds": 1000, "copied": 0}}`
		}
		return -1, ""
	})
	got = s.stage(t.Context(), nil)
	if got.code != 0 || !strings.Contains(got.out, "The images are in the bucket.") || !strings.Contains(got.errors, "made the Secret s3-secret") {
		t.Fatalf("%+v", got)
	}
	if commands := s.commands(); commands != "preflight copy copy check" {
		t.Errorf("the pods ran %s", commands)
	}
	if keys := s.store.Keys("images/docker/registry/v2/repositories/library/app/_manifests/tags/v1/current/"); len(keys) != 1 {
		t.Errorf("the tag is not in the bucket: %v", keys)
	}

	// Something is pushed between copy and check: that is no fault.
	s.instead(func(c kube.Container) (int, string) {
		if c.Args[1] == "check" {
			s.push("v2", 2)
		}
		return -1, ""
	})
	got = s.stage(t.Context(), map[string]string{}, "--output", "json")
	var staged kube.Staged
	if err := json.Unmarshal([]byte(got.out), &staged); err != nil || got.code != 0 || !staged.Short || len(staged.Copies) != 1 || staged.Check["missing"] == 0.0 {
		t.Errorf("with a push meanwhile: %v, %+v", err, got)
	}
	s.commands()

	other := map[string]string{"AWS_ACCESS_KEY_ID": s.store.AccessKey, "AWS_SECRET_ACCESS_KEY": "other"}
	if got = s.stage(t.Context(), other); got.code != 1 || !strings.Contains(got.errors, "holds another REGISTRY_STORAGE_S3_SECRETKEY") || s.commands() != "" {
		t.Errorf("with other keys than the Secret's: %+v", got)
	}

	// The registry would look for the bucket where it is not.
	s.instead(func(c kube.Container) (int, string) {
		if c.Args[1] == "preflight" {
			return 0, `{"report": {"verdict": "ok", "settings": [{"name": "persistence.imageChartStorage.s3.region", "value": "cn-north"}]}}`
		}
		return 0, `{"report": {"seconds": 1}}`
	})
	if got = s.stage(t.Context(), map[string]string{}); got.code != 0 || !strings.Contains(got.errors, "give region=cn-north in DST") {
		t.Errorf("another region: %+v", got)
	}

	// A registry that is busier than the copy is fast.
	s.instead(func(c kube.Container) (int, string) {
		if c.Args[1] == "copy" {
			return 0, `{"report": {"seconds": 1000}}`
		}
		return -1, ""
	})
	if got = s.stage(t.Context(), map[string]string{}, "--max-copies", "2"); got.code != 0 || !strings.Contains(got.out, "the last of 2 copies still took") {
		t.Errorf("a busy registry: %+v", got)
	}
}

func TestAStageThatFailsSaysWhichStepAndWhy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for step, c := range map[string]struct {
		message string
		ran     string
	}{
		"preflight": {`{"report": {"unreachable": true}}`, "preflight"},
		"copy":      {`{"report": {"failed": 3}}`, "preflight copy"},
		"check":     {`{"report": {"missing": 1, "unreadable": 1}}`, "preflight copy check"},
	} {
		s.instead(func(container kube.Container) (int, string) {
			if container.Args[1] == step {
				return 1, c.message
			}
			return 0, `{"report": {"seconds": 1}}`
		})
		got := s.stage(t.Context(), nil)
		if got.code != 1 || !strings.Contains(got.errors, `the step "`+step+`" ended with exit code 1`) {
			t.Errorf("%s: %+v", step, got)
		}
		if ran := s.commands(); ran != c.ran {
			t.Errorf("%s failed, and the pods ran %s", step, ran)
		}
	}
}

// A laptop that is closed stops nothing, and the same command goes on.
func TestAnInterruptedStageIsGoneOnWith(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	started, release := make(chan struct{}), make(chan struct{})
	var copies atomic.Int64
	s.instead(func(c kube.Container) (int, string) {
		if c.Args[1] == "copy" && copies.Add(1) == 1 {
			close(started)
			<-release
		}
		return -1, ""
	})
	ctx, interrupt := context.WithCancel(t.Context())
	first := make(chan ended, 1)
	go func() { first <- s.stage(ctx, nil) }()
	<-started
	interrupt()
	if got := <-first; got.code != 130 {
		t.Errorf("the interrupted one: %+v", got)
	}
	close(release)
	if got := s.stage(t.Context(), nil); got.code != 0 || !strings.Contains(got.out, "The images are in the bucket.") {
		t.Errorf("the second one: %+v", got)
	}
}

// Pods of an Indexed Job copy the blobs of a volume that they share; the first of one of
// them cannot reach the bucket. Only then come the links.
func TestImagesOnASharedVolumeAreStagedBySeveralPods(t *testing.T) {
	t.Parallel()
	s := siteIn(t, kube.HarborOnSharedVolume)
	var once atomic.Bool
	s.instead(func(c kube.Container) (int, string) {
		if c.Env["JOB_COMPLETION_INDEX"] == "2" && once.CompareAndSwap(false, true) {
			return 3, "no route to the bucket"
		}
		return -1, ""
	})
	got := s.stage(t.Context(), nil)
	ran := s.commands()
	if got.code != 0 || ran != "preflight copy copy copy copy copy copy check" { // 4 shards, one twice, and the links
		t.Errorf("ran %q: %+v", ran, got)
	}
	for _, says := range []string{"blobs      copied ", "copy       copied ", "The images are in the bucket."} {
		if !strings.Contains(got.out, says) {
			t.Errorf("it does not say %q: %s", says, got.out)
		}
	}
	registry := ts.Distribution(t, ts.WithStore(s.store, "images"))
	ts.Pull(t, registry, "library/app", "v1")
	registry.Stop()

	// Another number while a set of four is not followed by a copy of everything cannot
	// happen here: a stage ends with one.
	if got := s.stage(t.Context(), nil, "--shards", "2"); got.code != 0 || s.commands() != "preflight copy copy copy check" {
		t.Errorf("with another number of shards: %+v", got)
	}
	if got := s.stage(t.Context(), nil, "--shards", "1", "--output", "json"); got.code != 0 || s.commands() != "preflight copy check" {
		t.Errorf("with one pod: %+v", got)
	}
}

func TestShardsOfAVolumeOfOneNodeAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if got := s.stage(t.Context(), nil, "--shards", "2"); got.code != 2 || !strings.Contains(got.errors, "--shards: 2 shards: the PVC harbor-registry (folder harbor/registry) is reached on one node only (ReadWriteOnce)") {
		t.Errorf("got %+v", got)
	}
	for says, flags := range map[string][]string{
		"no amount":                {"--limits", "memory=lots"},
		"more memory is requested": {"--requests", "memory=8Gi"},
		"the effect is":            {"--toleration", "a:Sometimes"},
		"node selector":            {"--node-selector", "a=b c"},
	} {
		if got := s.stage(t.Context(), nil, flags...); got.code != 2 || !strings.Contains(got.errors, says) {
			t.Errorf("%q: %+v", flags, got)
		}
	}
	if ran := s.commands(); ran != "" {
		t.Errorf("it ran %q", ran)
	}
}
