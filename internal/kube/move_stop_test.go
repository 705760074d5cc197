package kube_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/lighterage/lighterage/internal/kube"
	ts "github.com/lighterage/lighterage/internal/testserver"
)

// as reports how Harbor is: "open" or "read-only", what is paused, where its images are.
func (f *fleet) as() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	parts := []string{map[bool]string{true: "read-only", false: "open"}[f.readOnly]}
	for _, kind := range []string{"GARBAGE_COLLECTION", "RETENTION", "REPLICATION"} {
		if f.paused[kind] {
			parts = append(parts, kind)
		}
	}
	return strings.Join(append(parts, map[bool]string{true: "bucket", false: "volume"}[storageOf(f.operator.Harbor())["type"] == "s3"]), " ")
}

func (f *fleet) hooked(hook func(*http.Request) bool) { f.set(func() { f.hook = hook }) }

// container has the pods' containers of a name end as they are told.
func (f *fleet) container(step, command string, end func() (int, string)) {
	f.instead(func(c kube.Container) (int, string) {
		if c.Args[1] == command && (step == "" || strings.Contains(strings.Join(c.Args, " "), step)) {
			if code, message := end(); code >= 0 {
				return code, message
			}
		}
		return f.nothing(c)
	})
}

func TestAMoveThatStopsBeforeTheSwitchLeavesHarborAsItWas(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.set(func() { f.paused["RETENTION"] = true })
	const untouched = "open RETENTION volume"
	for name, c := range map[string]struct {
		prepare func() (undo func())
		args    []string
		says    string
	}{
		"the cache is not reached": {
			func() func() {
				f.container("--dry-run", "flush", func() (int, string) { return 1, `{"error": "refused"}` })
				return nil
			}, nil, "is not reached from a pod",
		},
		"the bucket is refused": {
			func() func() {
				f.container("", "preflight", func() (int, string) { return 1, `{"report": {"verdict": "fail"}}` })
				return nil
			}, nil, `the step "preflight"`,
		},
		"copies take too long": {
			func() func() {
				f.container("", "copy", func() (int, string) { return 0, `{"report": {"seconds": 100}}` })
				return nil
			}, []string{"--max-copies", "1"}, "more than the 30s that the window may take",
		},
		"a job does not end": {
			func() func() {
				f.set(func() { f.workers = []string{"GARBAGE_COLLECTION"} })
				return func() { f.set(func() { f.workers = nil }) }
			}, []string{"--patience", "0s"}, "have not ended within 0s: GARBAGE_COLLECTION",
		},
		"the last check finds damage": {
			func() func() {
				f.container("--recent", "check", func() (int, string) { return 1, `{"report": {"missing": 1, "unreadable": 1}}` })
				return nil
			}, nil, `the step "final"`,
		},
		"read-only mode does not hold": {
			func() func() {
				f.hooked(func(r *http.Request) bool {
					if r.Method == http.MethodPut && r.URL.Path == "/api/v2.0/configurations" {
						_ = r.Body.Close()
						return true // and an empty answer, as of success
					}
					return false
				})
				return func() { f.hooked(nil) }
			}, nil, "something else sets it",
		},
	} {
		undo := c.prepare()
		got := f.run(t.Context(), c.args...)
		if got.code == 0 || !strings.Contains(got.errors, c.says) {
			t.Errorf("%s: %+v", name, got)
		}
		if undo != nil {
			undo()
		}
		f.instead(f.nothing)
		if as := f.as(); as != untouched {
			t.Errorf("%s: Harbor is left %s", name, as)
		}
		if strings.Contains(got.errors, "IS READ-ONLY") {
			t.Errorf("%s: it is said to be read-only, and is not: %s", name, got.errors)
		}
	}

	// Somebody ends it with Ctrl-C in the middle of the window.
	ctx, interrupt := context.WithCancelCause(t.Context())
	f.container("--recent", "check", func() (int, string) { interrupt(context.Canceled); return -1, "" })
	if got := f.run(ctx); got.code == 0 {
		t.Errorf("interrupted: %+v", got)
	}
	f.instead(f.nothing)
	if as := f.as(); as != untouched {
		t.Errorf("after an interrupt Harbor is left %s", as)
	}
	if got := f.migrate(t.Context(), "status"); got.code != 0 || !strings.Contains(got.out, "on its way to the bucket: stage") || !strings.Contains(got.out, "It stopped: ") {
		t.Errorf("status: %+v", got)
	}
	if got := f.migrate(t.Context(), "finish"); got.code == 0 || !strings.Contains(got.errors, "has not ended") {
		t.Errorf("finish: %+v", got)
	}
	if got := f.rollback(t.Context()); got.code != 0 || f.as() != untouched {
		t.Errorf("rollback of what never began: %+v", got)
	}
	if got := f.migrate(t.Context(), "finish"); got.code != 0 || f.migrate(t.Context(), "status").code == 0 {
		t.Errorf("finish: %+v", got)
	}
}

const paused = "GARBAGE_COLLECTION RETENTION REPLICATION "

// stopped looks at a move that ended early: what it says, and how Harbor is.
func (f *fleet) stopped(got ended, says, as string) {
	f.t.Helper()
	if got.code != 1 || !strings.Contains(got.errors, says) {
		f.t.Errorf("%+v", got)
	}
	if is := f.as(); is != as {
		f.t.Errorf("Harbor is %s", is)
	}
	status := f.migrate(f.t.Context(), "status")
	if said := strings.Contains(status.out, "READ-ONLY"); said != strings.HasPrefix(as, "read-only") || said != strings.Contains(got.errors, "IS READ-ONLY") {
		f.t.Errorf("is it said that Harbor is read-only?\n%s\n%s", status.out, got.errors)
	}
}

// does looks at a command that went well.
func (f *fleet) does(got ended, as string) {
	f.t.Helper()
	if is := f.as(); got.code != 0 || is != as {
		f.t.Errorf("%+v, Harbor is %s", got, is)
	}
}

// New pods of the registry do not start: an image cannot be pulled, say.
func TestARolloutThatFailedIsGoneOnWith(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.operator.Hold(func(name string) bool { return !strings.HasPrefix(name, "harbor-registry") })
	f.stopped(f.run(t.Context(), "--rollout-timeout", "2s"), "has not ended within 2s", "read-only "+paused+"bucket")
	f.operator.Hold(nil)
	f.does(f.run(t.Context()), "open bucket")
	got := f.run(t.Context())
	if f.does(got, "open bucket"); !strings.Contains(got.out, "has its images in the bucket") {
		t.Errorf("once more, with nothing left to be done: %+v", got)
	}
}

// What the registry gives is not what was there.
func TestAMoveAfterWhichImagesCannotBePulledIsBroughtBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.hooked(func(r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/blobs/sha256:") && r.Method == http.MethodGet
	})
	f.stopped(f.run(t.Context()), "which was in Harbor before", "read-only "+paused+"bucket")
	f.hooked(nil)
	f.does(f.rollback(t.Context()), "open volume")
}

// Pushes fail when Harbor is open again: what others pushed all the same is kept.
func TestAMoveAfterWhichNothingCanBePushedIsBroughtBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.refuse(func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/trial/blobs/uploads") },
		func(w http.ResponseWriter) { http.Error(w, "no", http.StatusInsufficientStorage) })
	f.stopped(f.run(t.Context()), "push an image for trial", "open "+paused+"bucket")
	f.refuse(nil, nil)
	f.pushed("late", 31)
	f.does(f.rollback(t.Context()), "open volume")
	f.set(func() {
		if tags := ts.Tags(t, f.registry, "library/app"); !slices.Equal(tags, []string{"late", "v1"}) {
			t.Errorf("tags in the volume: %q", tags)
		}
		if n := len(f.projects); n != 1 {
			t.Errorf("%d projects are left", n)
		}
	})
}

// The way back fails while pushes go into the bucket: they go on there.
func TestAWayBackThatFailsLeavesHarborOpen(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.does(f.run(t.Context()), "open bucket")
	f.container("", "copy", func() (int, string) { return 1, `{"report": {"failed": 1}}` })
	f.stopped(f.rollback(t.Context()), `the step "back"`, "open bucket")
	f.instead(f.nothing)
	f.does(f.run(t.Context()), "open bucket")
}

// CONFIG_OVERWRITE_JSON forbids the API to change anything: the value behind it is
// changed instead, and is in the end what it was.
func TestAHarborWhoseSettingsAreFixedIsMoved(t *testing.T) {
	t.Parallel()
	var f *fleet
	operator := &kube.Operator{Settings: func(text string) {
		f.set(func() {
			f.readOnly = strings.Contains(text, `"read_only":true`)
			f.calls = append(f.calls, fmt.Sprintf("settings %t", f.readOnly))
		})
	}}
	s := siteIn(t, kube.LockedHarborInCluster)
	fleetBefore(t, s, operator, func(made *fleet) { f, made.locked = made, true })
	before := f.operator.Harbor()
	f.does(f.run(t.Context()), "open bucket")
	if status := f.migrate(t.Context(), "status", "--output", "json"); status.code != 0 || strings.Contains(status.out, "ldap.example.com") {
		t.Errorf("settings may hold passwords, and are in the state: %+v", status)
	}
	if made := f.made(); !strings.Contains(made, "settings true, bucket true, settings false, project") {
		t.Errorf("what was done to Harbor: %s", made)
	}
	if diff := foreign(before, f.operator.Harbor()); diff != "" {
		t.Errorf("the settings are not what they were: %s", diff)
	}
	f.container("", "copy", func() (int, string) { return 1, `{"report": {"failed": 1}}` })
	f.stopped(f.rollback(t.Context()), `the step "back"`, "open bucket")
	f.instead(f.nothing)
	f.does(f.rollback(t.Context()), "open volume")
	if diff := foreign(before, f.operator.Harbor()); diff != "" {
		t.Errorf("the settings are not what they were: %s", diff)
	}
}

func TestAHarborThatWasReadOnlyStaysSo(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.set(func() { f.readOnly = true })
	got := f.run(t.Context())
	if got.code != 0 || f.as() != "read-only bucket" || !strings.Contains(got.errors, "read-only before, and stays so") {
		t.Errorf("%+v, %s", got, f.as())
	}
	if made := f.made(); made != "bucket true" {
		t.Errorf("what was done to Harbor: %s", made)
	}
}

func TestOneAtATimeMovesAHarbor(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	hold, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	f.container("", "preflight", func() (int, string) {
		once.Do(func() { close(hold); <-release })
		return -1, ""
	})
	first := make(chan ended, 1)
	go func() { first <- f.run(t.Context()) }()
	<-hold
	if got := f.run(t.Context()); got.code != 1 || !strings.Contains(got.errors, "is being moved by") {
		t.Errorf("a second one: %+v", got)
	}
	if got := f.migrate(t.Context(), "status"); !strings.Contains(got.out, "at this moment") || strings.Contains(got.out, "nobody") {
		t.Errorf("status: %+v", got)
	}
	close(release)
	if got := <-first; got.code != 0 {
		t.Errorf("the first one: %+v", got)
	}
	place := "s3://other/images?endpoint=" + f.store.Endpoint
	if got := f.migrate(t.Context(), "run", place, "--image", "lighterage:test", "--harbor-url", f.server.URL); got.code != 1 || !strings.Contains(got.errors, "to another bucket") {
		t.Errorf("to another bucket: %+v", got)
	}
}

// program is the program itself, which can be killed.
var program = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "lighterage-kube-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(folder, "lighterage")
	out, err := exec.Command("go", "build", "-o", path, "github.com/lighterage/lighterage/cmd/lighterage").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return path, nil
})

// killed runs a command of migrate as a process and kills it at a moment: when at is
// called. It returns when the process is gone.
func (f *fleet) killed(at func(now func()), args ...string) {
	f.t.Helper()
	path, err := program()
	if err != nil {
		f.t.Fatal(err)
	}
	cmd := exec.Command(path, append(append([]string{"migrate"}, args...), "--kubernetes", "--kubeconfig", f.kubeconfig, "--context", "limited", "--namespace", f.namespace, "--harbor-url", f.server.URL, "--drain", "0s")...)
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+f.store.AccessKey, "AWS_SECRET_ACCESS_KEY="+f.store.SecretKey, "HARBOR_PASSWORD=Harbor12345")
	gone := make(chan struct{})
	var once sync.Once
	at(func() {
		once.Do(func() { _ = cmd.Process.Kill() })
		<-gone
	})
	out, err := cmd.CombinedOutput()
	close(gone)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		f.t.Fatalf("it was not killed: %v\n%s", err, out)
	}
	f.hooked(nil)
	f.instead(f.nothing)
	f.operator.Hold(nil)
	f.operator.Unlock() // as it is after some seconds
}

// moments are those of a move at which it is killed.
func (f *fleet) moments() map[string]func(now func()) {
	request := func(method, part string) func(func()) {
		return func(now func()) {
			f.hooked(func(r *http.Request) bool {
				if r.Method == method && strings.Contains(r.URL.Path, part) {
					now()
				}
				return false // what the server was asked for it does all the same
			})
		}
	}
	pod := func(step, command string) func(func()) {
		return func(now func()) { f.container(step, command, func() (int, string) { now(); return -1, "" }) }
	}
	return map[string]func(now func()){
		"stage": pod("", "copy"), "pause": request(http.MethodPut, "/queues/REPLICATION"), "freeze": request(http.MethodPut, "/configurations"),
		"final": pod("--final", "copy"), "flush": pod("/2 --output", "flush"), "pull": request(http.MethodGet, "/blobs/sha256:"),
		"rollout": func(now func()) {
			f.operator.Hold(func(name string) bool {
				if strings.HasPrefix(name, "harbor-core") {
					now()
				}
				return true
			})
		},
		"push":   request(http.MethodPut, "/trial/manifests/"),
		"resume": request(http.MethodDelete, "/projects/lighterage-"),
	}
}

func (f *fleet) place() string {
	return "s3://" + f.store.Bucket + "/images?region=" + f.store.Region + "&endpoint=" + f.store.Endpoint
}

// someOf are some of all moments, and all of them in "make test-kube".
func someOf(some []string, all ...string) []string {
	if os.Getenv("LIGHTERAGE_REQUIRE_KUBE") == "1" {
		return all
	}
	return some
}

func TestAKilledMoveIsGoneOnWith(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.set(func() { f.paused["RETENTION"] = true })
	moments := f.moments()
	for _, name := range someOf([]string{"freeze", "rollout", "push"}, "stage", "pause", "freeze", "final", "rollout", "flush", "pull", "push", "resume") {
		f.killed(moments[name], "run", f.place(), "--image", "lighterage:test")
	}
	if got := f.run(t.Context()); got.code != 0 || f.as() != "open RETENTION bucket" {
		t.Errorf("gone on with: %+v, %s", got, f.as())
	}
	f.pushed("after", 77)
	for _, name := range someOf([]string{"final", "rollout"}, "pause", "freeze", "final", "rollout", "flush", "pull") {
		f.killed(moments[name], "rollback")
	}
	if got := f.rollback(t.Context()); got.code != 0 || f.as() != "open RETENTION volume" {
		t.Errorf("brought back: %+v, %s", got, f.as())
	}
	f.set(func() {
		if tags := ts.Tags(t, f.registry, "library/app"); !slices.Equal(tags, []string{"after", "v1"}) {
			t.Errorf("tags in the volume: %q", tags)
		}
	})
}

func TestAKilledMoveIsBroughtBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	moments := f.moments()
	for _, name := range someOf([]string{"rollout"}, "stage", "pause", "freeze", "final", "rollout", "flush", "pull", "push", "resume") {
		f.killed(moments[name], "run", f.place(), "--image", "lighterage:test")
		if got := f.rollback(t.Context()); got.code != 0 || f.as() != "open volume" {
			t.Errorf("killed in %s: %+v, %s", name, got, f.as())
		}
	}
	f.set(func() { ts.Pull(t, f.registry, "library/app", "v1") })
}
