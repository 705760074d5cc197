//go:build unix

package tree

import "os"

func (r *fileReader) from() *os.File { return r.file }

func (r *fileReader) took(n int64) { r.left -= n }

var _ inFile = (*fileReader)(nil)
