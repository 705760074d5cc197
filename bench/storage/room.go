package main

import (
	"bytes"
	"fmt"
	"os"
	"syscall"

	"github.com/lighterage/lighterage/bench/volume"
)

// spare is left of memory or disk for programs: servers and tools.
const spare = 3 << 30

// room is how many bytes can be put into a folder. For one in memory that is not
// more than there is memory.
func room(folder string) (int64, error) {
	var info syscall.Statfs_t
	if err := syscall.Statfs(folder, &info); err != nil {
		return 0, fmt.Errorf("find out what fits into %s: %w", folder, err)
	}
	free := int64(info.Bavail) * info.Bsize
	const tmpfs = 0x01021994 // statfs(2)
	if info.Type != tmpfs {
		return free, nil
	}
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	_, after, _ := bytes.Cut(text, []byte("MemAvailable:"))
	var kib int64
	if _, err := fmt.Sscan(string(after), &kib); err != nil {
		return 0, fmt.Errorf("find out how much memory there is: %w", err)
	}
	return min(free, kib<<10), nil
}

// fit is a profile at the scale that was asked for, or as much of it as there is room
// for. A volume is there twice: in its folder, and in the server's.
func fit(p volume.Profile, scale float64, room int64) (volume.Profile, float64, error) {
	fits := func(p volume.Profile) bool { return 2*p.Room()+spare <= room }
	if scale > 0 {
		scaled := p.Scaled(scale)
		if !fits(scaled) {
			return scaled, scale, fmt.Errorf("%s at scale %v takes about %.1f GB, and there is room for %.1f: choose a smaller -scale or another -dir",
				p.Name, scale, float64(2*scaled.Room()+spare)/1e9, float64(room)/1e9)
		}
		return scaled, scale, nil
	}
	for _, scale := range []float64{1, 0.75, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0.02, 0.01} {
		if scaled := p.Scaled(scale); fits(scaled) {
			return scaled, scale, nil
		}
	}
	return p, 0, fmt.Errorf("there is room for %.1f GB, too little for any of %s: choose another -dir", float64(room)/1e9, p.Name)
}
