//go:build !unix

package tree

func openDirectoryForTrials(path string, o DirectoryOptions) (Opened, error) {
	return OpenDirectory(path, o)
}
