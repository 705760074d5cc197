package main

import (
	"os/exec"
	"syscall"
)

// endWithParent has the program killed when this one ends, however it ends.
func endWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
