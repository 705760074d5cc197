package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/lighterage/lighterage/internal/testserver"
)

// program prepares a run of the program with a home of its own.
func program(t *testing.T, args ...string) (cmd *exec.Cmd, out, errs *bytes.Buffer) {
	t.Helper()
	path, err := exec.LookPath("lighterage")
	if err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(path, args...)
	cmd.Env = []string{"HOME=" + t.TempDir()}
	out, errs = &bytes.Buffer{}, &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = out, errs
	return cmd, out, errs
}

func TestAnInterruptEndsReplicateInOrder(t *testing.T) {
	t.Parallel()
	source, destination := testserver.Distribution(t), testserver.Distribution(t)
	done, held := testserver.Image(t, 1, 1, 1000), testserver.Image(t, 2, 1, 1000)
	testserver.Push(t, source, "a/done", "1", done)
	testserver.Push(t, source, "b/held", "1", held)
	hold := testserver.NewHold()
	t.Cleanup(hold.Release)
	source.Faults.Add(testserver.Fault{Class: "GET blob", Path: "/b/held/", Do: hold.Before()})

	cmd, _, errs := program(t, "replicate", source.Host+"/", destination.Host)
	cmd.Stdout = nil
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		fmt.Fprintln(&out, lines.Text())
		if strings.HasPrefix(lines.Text(), "copied ") { // it knows itself that one image is there
			testserver.Eventually(t, "the other image is held", func() bool { return hold.Waiting() > 0 })
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	err = cmd.Wait()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 130 {
		t.Errorf("it ended with %v, want exit code 130\n%s%s", err, out.String(), errs)
	}
	if text := out.String(); !strings.Contains(text, "copied     a/done:1") || !strings.Contains(text, "Interrupted: 2 artifacts in 2 repositories: 1 copied") {
		t.Errorf("output %s", text)
	}
	if strings.Contains(out.String(), "failed") || !strings.Contains(errs.String(), "Give the same command again") {
		t.Errorf("output %s\nerrors %s", out.String(), errs)
	}

	hold.Release()
	again, second, errs := program(t, "replicate", source.Host+"/", destination.Host)
	if err := again.Run(); err != nil || !strings.Contains(second.String(), "1 copied, 1 there already") {
		t.Errorf("the same command again: %v\n%s%s", err, second, errs)
	}
	testserver.Pull(t, destination, "b/held", "1")
}

// A demonstration that is interrupted stops what it started and removes it.
func TestAnInterruptEndsTheDemonstration(t *testing.T) {
	t.Parallel()
	cmd, _, errs := program(t, "demo")
	temporary := t.TempDir()
	cmd.Env = append(cmd.Env, "TMPDIR="+temporary)
	cmd.Stdout = nil
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has usually ended
	var text strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		fmt.Fprintln(&text, lines.Text())
		if strings.Contains(lines.Text(), "Ctrl-C stops it.") {
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || !strings.Contains(text.String(), "Everything is stopped and removed") {
		t.Errorf("it ended with %v\n%s%s", err, text.String(), errs)
	}
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v %v", left, err)
	}
}
