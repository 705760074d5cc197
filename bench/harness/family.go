package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU time in /proc: USER_HZ is 100 wherever Linux runs.
const tick = 10 * time.Millisecond

// FamilyCPU is the CPU time that a running process and those that it started, and
// that still run, have used.
func FamilyCPU(pid int) (time.Duration, error) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	used, children := map[int]time.Duration{}, map[int][]int{}
	for _, name := range all {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		id, parent, cpu, err := parseStat(string(text))
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		used[id] = cpu
		children[parent] = append(children[parent], id)
	}
	if _, runs := used[pid]; !runs {
		return 0, fmt.Errorf("process %d does not run any more", pid)
	}
	var sum time.Duration
	for family := []int{pid}; len(family) > 0; {
		member := family[0]
		sum += used[member]
		family = append(family[1:], children[member]...)
	}
	return sum, nil
}

// parseStat reads a line of /proc/<pid>/stat, see proc_pid_stat(5).
func parseStat(line string) (pid, parent int, cpu time.Duration, err error) {
	before, _, opened := strings.Cut(line, " (")
	end := strings.LastIndex(line, ") ") // the program's name may hold anything
	if !opened || end < 0 {
		return 0, 0, 0, fmt.Errorf("unexpected: %q", line)
	}
	fields := strings.Fields(line[end+2:]) // from state on, which is the third
	if len(fields) < 13 {
		return 0, 0, 0, fmt.Errorf("unexpected: %q", line)
	}
	numbers := make([]int64, 4)
	for i, text := range []string{before, fields[1], fields[11], fields[12]} {
		if numbers[i], err = strconv.ParseInt(text, 10, 64); err != nil {
			return 0, 0, 0, err
		}
	}
	return int(numbers[0]), int(numbers[1]), time.Duration(numbers[2]+numbers[3]) * tick, nil
}
