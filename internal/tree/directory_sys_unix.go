//go:build unix && !linux

package tree

import "golang.org/x/sys/unix"

// searchFolder opens a folder to look things up in it.
const searchFolder = unix.O_RDONLY | unix.O_DIRECTORY

func hasOpenat2(int) bool { return false }

func openat2(int, string, int) (int, error) { return -1, unix.ENOSYS }
