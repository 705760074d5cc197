package tree

import "golang.org/x/sys/unix"

// searchFolder opens a folder to look things up in it, for which permission to search
// it is enough.
const searchFolder = unix.O_PATH | unix.O_DIRECTORY

// hasOpenat2 reports whether the kernel and what stands before it know openat2.
func hasOpenat2(root int) bool {
	fd, err := openat2(root, ".", searchFolder)
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

// openat2 opens a path below folder in one call.
func openat2(folder int, path string, flags int) (int, error) {
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_NOFOLLOW | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for {
		fd, err := unix.Openat2(folder, path, &how)
		if err != unix.EINTR && err != unix.EAGAIN {
			return fd, err
		}
	}
}
