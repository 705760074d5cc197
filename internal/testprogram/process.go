package testprogram

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// Process is a program that runs.
type Process struct {
	Address string // what it printed first: host:port

	cmd   *exec.Cmd
	stdin io.Closer
	stop  sync.Once
}

// Start runs a program and waits until it says where it listens. The program reads
// its standard input to the end, which comes when this process is gone, and ends
// then.
func Start(program string, args ...string) (*Process, error) {
	cmd := exec.Command(program, args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, stdin: stdin}
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.Stop()
		return nil, fmt.Errorf("it ended at once: %s", strings.TrimSpace(complaint.String()))
	}
	p.Address = strings.TrimSpace(address)
	return p, nil
}

// Stop kills the program. What it has used of the machine is in the state that is
// returned. Stopping twice is the same as once.
func (p *Process) Stop() *os.ProcessState {
	p.stop.Do(func() {
		_ = p.cmd.Process.Kill()
		_ = p.stdin.Close()
		_ = p.cmd.Wait()
	})
	return p.cmd.ProcessState
}

// PID is the number of the running process.
func (p *Process) PID() int { return p.cmd.Process.Pid }
