package harness

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Usage is what a program used of the machine.
type Usage struct {
	Wall, CPU time.Duration
	Memory    int64 // bytes, the most that was resident
}

// Add counts a further program that ran after the first.
func (u *Usage) Add(o Usage) {
	u.Wall += o.Wall
	u.CPU += o.CPU
	u.Memory = max(u.Memory, o.Memory)
}

// Run runs a program to its end, which has to be a good one. env is added to the
// environment. The error holds the last lines of what the program said.
func Run(ctx context.Context, env []string, path string, args ...string) (Usage, error) {
	return RunTo(ctx, 0, env, path, args...)
}

// RunTo is Run for a program that has to end with an exit code.
func RunTo(ctx context.Context, code int, env []string, path string, args ...string) (Usage, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), env...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return Usage{}, err
	}
	memory := watchMemory(cmd.Process.Pid)
	err := cmd.Wait()
	wall := time.Since(start)
	peak := memory()
	if err == nil && code != 0 {
		err = fmt.Errorf("exit status 0, want %d", code)
	} else if cmd.ProcessState.ExitCode() == code {
		err = nil
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(output.String()), "\n")
		return Usage{}, fmt.Errorf("%s: %w: %s", filepath.Base(path), err, strings.Join(lines[max(0, len(lines)-5):], "\n"))
	}
	return Usage{Wall: wall, CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), Memory: peak}, nil
}

// watchMemory reads a process's peak of resident memory until it has ended. The
// figure that wait(2) gives is of no use: it counts what this process had when it
// started the other.
func watchMemory(pid int) (peak func() int64) {
	result := make(chan int64, 1)
	go func() {
		var most int64
		for {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
			if err != nil || !bytes.Contains(text, []byte("VmHWM:")) {
				result <- most
				return
			}
			var kib int64
			_, after, _ := strings.Cut(string(text), "VmHWM:")
			if _, err := fmt.Sscan(after, &kib); err == nil {
				most = max(most, kib<<10)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}()
	return func() int64 { return <-result }
}

// OwnCPU is the CPU time that this process has used, without the programs it ran.
func OwnCPU() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
