package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lighterage/lighterage/internal/testprogram"
)

// RoundTrips reads a list of milliseconds, such as "0,10".
func RoundTrips(list string) ([]time.Duration, error) {
	var all []time.Duration
	for text := range strings.SplitSeq(list, ",") {
		ms, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || ms < 0 {
			return nil, fmt.Errorf("%q is no number of milliseconds", text)
		}
		all = append(all, time.Duration(ms)*time.Millisecond)
	}
	return all, nil
}

// MemoryFolder is a folder in memory, or the usual one for temporary files.
func MemoryFolder() string {
	const shared = "/dev/shm"
	if info, err := os.Stat(shared); err == nil && info.IsDir() {
		return shared
	}
	return os.TempDir()
}

// Build builds a program of a module that a folder of the project's source
// requires, or finds it in the user's cache folder where an earlier run left it.
func Build(folder, pkg string) (string, error) {
	return testprogram.BuildFrom(filepath.ToSlash(folder), pkg, Log)
}

// Log tells the one who waits what the benchmark is doing.
func Log(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// Median returns the sample in the middle of those that are ordered by their time.
func Median[S any](samples []S, wall func(S) time.Duration) S {
	sorted := slices.SortedFunc(slices.Values(samples), func(a, b S) int { return int(wall(a) - wall(b)) })
	return sorted[len(sorted)/2]
}
