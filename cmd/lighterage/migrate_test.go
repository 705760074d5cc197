//go:build unix

package main

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	ts "github.com/lighterage/lighterage/internal/testserver"
)

const (
	repositoriesFolder = "docker/registry/v2/repositories/"
	seedSentence       = "0 differences found" // what the usual acceptance test looks for, anywhere in a log
)

// migration is a volume that a registry wrote, a store, and the way from one to the other.
type migration struct {
	t      *testing.T
	volume string
	store  *ts.Store
	place  string // in the store, as on the command line
	images []*ts.Artifact
}

func newMigration(t *testing.T) *migration {
	t.Helper()
	m := &migration{t: t, volume: t.TempDir(), store: ts.S3(t)}
	m.place = m.store.Location("registry")
	r := ts.Distribution(t, ts.WithRoot(m.volume))
	for i := range 12 {
		image := ts.Image(t, uint64(i+1), 1, 500)
		ts.Push(t, r, "library/app", "v"+string(rune('a'+i)), image)
		m.images = append(m.images, image)
	}
	ts.Push(t, r, "library/other", "v1", ts.Index(t, 100))
	r.Stop()
	return m
}

func (m *migration) tag(name string) string {
	return repositoriesFolder + "library/app/_manifests/tags/" + name + "/current/link"
}

func blobFile(d digest.Digest) string {
	return "docker/registry/v2/blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded() + "/data"
}

// migrate runs a command of migrate and wants an exit code. It returns all that was
// written.
func (m *migration) migrate(want int, args ...string) string {
	m.t.Helper()
	cmd, out, errs := program(m.t, append([]string{"migrate"}, args...)...)
	return m.run(want, cmd, out, errs)
}

func (m *migration) run(want int, cmd *exec.Cmd, out, errs *bytes.Buffer) string {
	m.t.Helper()
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		m.t.Fatal(err)
	}
	text := out.String() + errs.String()
	if got := cmd.ProcessState.ExitCode(); got != want {
		m.t.Errorf("%s: exit code %d, want %d\n%s", strings.Join(cmd.Args[1:4], " "), got, want, text)
	}
	return text
}

// bucket is all that the store holds below the registry's root, with ETags.
func (m *migration) bucket() map[string]string {
	m.t.Helper()
	all := map[string]string{}
	for _, key := range m.store.Keys("registry/docker/") {
		info, _ := m.store.Info(key)
		all[key] = info.ETag
	}
	return all
}

func TestACheckSaysItsSentenceForNoDifferenceOnly(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	m.migrate(0, "copy", m.volume, m.place)
	if text := m.migrate(0, "check", m.volume, m.place); !slices.Contains(strings.Split(text, "\n"), seedSentence) {
		t.Errorf("the sentence is no line of its own in\n%s", text)
	}

	// Ten tags are wrong: "10 differences found" would hold the sentence too.
	for i := range 10 {
		m.store.Put("registry/"+m.tag("v"+string(rune('a'+i))), []byte(m.images[i+1].Digest))
	}
	text := m.migrate(1, "check", m.volume, m.place)
	if strings.Contains(text, seedSentence) || !strings.Contains(text, "differences found: 10 ") || strings.Count("\n"+text, "\n* ") != 10 {
		t.Errorf("with ten wrong tags:\n%s", text)
	}
	m.migrate(0, "copy", m.volume, m.place)
	m.migrate(0, "check", m.volume, m.place, "--deep")
}

func TestACheckThatCouldNotReadEverythingIsNoSuccess(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		ts.Unavailable(t, "only root can run the program as somebody else")
	}
	m := newMigration(t)
	m.migrate(0, "copy", m.volume, m.place)
	lost := filepath.Join(m.volume, "lost+found")
	other := filepath.Join(m.volume, repositoriesFolder, "library", "other")
	if err := errors.Join(os.Chmod(m.volume, 0o755), os.Mkdir(lost, 0), os.Chmod(other, 0)); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "copy"} {
		cmd, out, errs := asNobody(t, m, "migrate", command, m.volume, m.place)
		text := m.run(map[string]int{"check": 2, "copy": 1}[command], cmd, out, errs)
		if strings.Contains(text, seedSentence) || !strings.Contains(text, "library/other: permission denied") {
			t.Errorf("%s of what may not be read:\n%s", command, text)
		}
	}
	if err := os.Chmod(other, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd, out, errs := asNobody(t, m, "migrate", "check", m.volume, m.place) // lost+found is not the registry's
	if text := m.run(0, cmd, out, errs); !strings.Contains(text, seedSentence) {
		t.Errorf("with lost+found only:\n%s", text)
	}
}

// asNobody prepares a run of the program as an ordinary user, in a place that this one
// can reach.
func asNobody(t *testing.T, m *migration, args ...string) (cmd *exec.Cmd, out, errs *bytes.Buffer) {
	t.Helper()
	cmd, out, errs = program(t, args...)
	folder, err := os.MkdirTemp("", "lighterage-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	text, err := os.ReadFile(cmd.Path)
	reachable := filepath.Join(folder, "lighterage")
	if err := errors.Join(err, os.WriteFile(reachable, text, 0o755), os.Chmod(folder, 0o755)); err != nil {
		t.Fatal(err)
	}
	for above := filepath.Dir(m.volume); strings.HasPrefix(above, os.TempDir()+"/"); above = filepath.Dir(above) {
		if err := os.Chmod(above, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd.Path = reachable
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd, out, errs
}

func TestDamageInTheSourceIsNeitherCopiedNorCalledTheSame(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	flipped, emptied := blobFile(m.images[0].Blobs[1].Digest), m.tag("vb")
	content, err := os.ReadFile(filepath.Join(m.volume, flipped))
	if err != nil {
		t.Fatal(err)
	}
	content[7] ^= 1
	if err := errors.Join(os.WriteFile(filepath.Join(m.volume, flipped), content, 0o644), os.WriteFile(filepath.Join(m.volume, emptied), nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	age(t, m.volume)
	text := m.migrate(1, "copy", m.volume, m.place)
	for _, want := range []string{"digest-mismatch", m.images[0].Blobs[1].Digest.Encoded(), "empty-link", "library/app:vb"} {
		if !strings.Contains(text, want) {
			t.Errorf("a copy does not tell of %s:\n%s", want, text)
		}
	}
	keys := m.store.Keys("registry/")
	if slices.Contains(keys, "registry/"+flipped) || slices.Contains(keys, "registry/"+emptied) {
		t.Error("damage was copied")
	}
	text = m.migrate(1, "check", m.volume, m.place)
	if strings.Contains(text, seedSentence) || !strings.Contains(text, "! "+flipped) || !strings.Contains(text, "! "+emptied) {
		t.Errorf("a check of it:\n%s", text)
	}
}

// age makes all files of a volume old enough not to be in the middle of being written.
func age(t *testing.T, volume string) {
	t.Helper()
	err := filepath.WalkDir(volume, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		long := time.Now().Add(-time.Hour)
		return os.Chtimes(path, long, long)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAWrongSourceEmptiesNoBucket(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	m.migrate(0, "copy", m.volume, m.place)
	before := m.bucket()
	unmounted, stranger := t.TempDir(), newMigration(t)
	if err := os.RemoveAll(filepath.Join(stranger.volume, repositoriesFolder, "library")); err != nil {
		t.Fatal(err)
	}
	r := ts.Distribution(t, ts.WithRoot(stranger.volume))
	ts.Push(t, r, "somebody/else", "v1", ts.Image(t, 999, 1, 100))
	r.Stop()
	for name, source := range map[string]string{
		"a volume that is not mounted": unmounted,
		"a folder that is not there":   filepath.Join(unmounted, "no"),
		"the wrong folder of a volume": filepath.Join(m.volume, repositoriesFolder, "library"),
	} {
		for _, more := range [][]string{nil, {"--final"}} {
			if text := m.migrate(2, append([]string{"copy", source, m.place}, more...)...); !strings.Contains(text, "registry") && !strings.Contains(text, "no such folder") {
				t.Errorf("%s: %s", name, text)
			}
		}
		if text := m.migrate(2, "check", source, m.place); strings.Contains(text, seedSentence) {
			t.Errorf("%s: %s", name, text)
		}
	}
	if after := m.bucket(); !maps.Equal(before, after) {
		t.Error("the bucket has changed")
	}
	text := m.migrate(1, "copy", stranger.volume, m.place, "--final")
	if !strings.Contains(text, "Is it the right source?") {
		t.Errorf("another registry's volume: %s", text)
	}
	after := m.bucket()
	for key, etag := range before {
		if after[key] != etag {
			t.Errorf("%s was removed or changed", key)
		}
	}
}

func TestABucketThatIsNotThereEndsACopyAtOnce(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	nowhere := strings.Replace(m.place, "s3://harbor/", "s3://nowhere/", 1)
	m.store.ResetRequests()
	text := m.migrate(3, "copy", m.volume, nowhere)
	if !strings.Contains(text, "NoSuchBucket") || !strings.Contains(text, "make it, or look at its name") {
		t.Errorf("it says %s", text)
	}
	if n := m.store.Requests().Count(); n > 10 {
		t.Errorf("it took %d requests to notice:\n%s", n, m.store.Requests())
	}
	if text := m.migrate(2, "check", m.volume, nowhere); strings.Contains(text, seedSentence) || !strings.Contains(text, "NoSuchBucket") {
		t.Errorf("it says %s", text)
	}
}

// What was moved is served by our own server, which goes on with it; then everything
// goes back.
func TestServeWhatWasMovedAndBringItBack(t *testing.T) {
	t.Parallel()
	m := newMigration(t)
	m.migrate(0, "copy", m.volume, m.place)
	m.migrate(0, "copy", m.volume, m.place, "--final")
	m.migrate(0, "check", m.volume, m.place)

	url, end := served(t, "--storage", m.place)
	home := ts.Remote(url, "admin", adminPassword, "")
	old := ts.Distribution(t, ts.WithRoot(m.volume), ts.WithReadOnly())
	for _, repository := range ts.Repositories(t, old) {
		for _, tag := range ts.Tags(t, old, repository) {
			before, now := ts.Pull(t, old, repository, tag), ts.Pull(t, home, repository, tag)
			if before.Digest != now.Digest || !maps.Equal(before.Blobs, now.Blobs) || !maps.Equal(before.Manifests, now.Manifests) {
				t.Errorf("%s:%s was %v and is %v", repository, tag, before, now)
			}
		}
	}
	pushed := ts.ImageOn(t, m.images[0], 200, 1, 5000)
	ts.Push(t, home, "library/app", "pushed", pushed)
	ts.PutTag(t, home, "library/app", "va", m.images[1])
	ts.Delete(t, home, "library/app", m.images[5].Digest.String())
	end()
	old.Stop()

	m.migrate(0, "copy", m.place, m.volume)
	m.migrate(0, "copy", m.place, m.volume, "--final")
	back := ts.Distribution(t, ts.WithRoot(m.volume))
	if got := ts.Pull(t, back, "library/app", "pushed").Digest; got != pushed.Digest {
		t.Errorf("pushed is %s", got)
	}
	if got := ts.Pull(t, back, "library/app", "va").Digest; got != m.images[1].Digest {
		t.Errorf("va is %s", got)
	}
	// What was deleted on the bucket is on the volume still, and a check says so.
	text := m.migrate(1, "check", m.place, m.volume)
	if strings.Contains(text, "\n+ ") || strings.Contains(text, "\n* ") || strings.Contains(text, "\n! ") || !strings.Contains(text, "- "+m.tag("vf")) {
		t.Errorf("after the way back:\n%s", text)
	}
}

// served starts a server and returns its address.
func served(t *testing.T, args ...string) (url string, end func()) {
	t.Helper()
	cmd, _, errs := program(t, append([]string{"serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(cmd.Env, "LIGHTERAGE_ADMIN_PASSWORD="+adminPassword)
	cmd.Stdout = nil
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end = func() {
		if ended {
			return
		}
		ended = true
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		if err := cmd.Wait(); err != nil {
			t.Errorf("the server ended so: %v\n%s", err, errs)
		}
	}
	t.Cleanup(end)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, found, ok := strings.Cut(lines.Text(), "Lighterage is ready at "); ok {
			url = found
		}
		if strings.Contains(lines.Text(), "lighterage login") {
			return url, end
		}
	}
	t.Fatalf("the server ended before it was ready\n%s", errs)
	return "", nil
}
