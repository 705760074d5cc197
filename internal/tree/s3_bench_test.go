//go:build unix

package tree_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// processor returns the processor time that this process has used.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// direct opens a tree in a store without a front, whose work would be counted.
func direct(b *testing.B) (*tree.S3, *ts.Store) {
	b.Helper()
	store := ts.S3(b)
	c := config(store, "bench")
	c.Endpoint = store.Past()
	return open(b, c), store
}

// perOp reports the client's processor time for each operation.
func perOp(b *testing.B, work func()) {
	b.Helper()
	b.ResetTimer()
	before := processor(b)
	work()
	b.ReportMetric(float64(processor(b)-before)/float64(b.N)/float64(time.Microsecond), "cpu-µs/op")
}

func BenchmarkS3PutSmall(b *testing.B) {
	s, _ := direct(b)
	content := tree.BytesContent(bytes.Repeat([]byte("x"), 71))
	b.SetParallelism(16)
	var n atomic.Int64
	perOp(b, func() {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Put(b.Context(), fmt.Sprintf("small/%d/link", n.Add(1)), content); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

func BenchmarkS3PutFile(b *testing.B) {
	for _, size := range []int64{100 << 10, 50 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			s, _ := direct(b)
			folder := b.TempDir()
			source, err := tree.OpenDirectory(folder, tree.DirectoryOptions{})
			if err != nil {
				b.Fatal(err)
			}
			defer source.Close()
			if err := os.WriteFile(folder+"/file", bytes.Repeat([]byte("x"), int(size)), 0o600); err != nil {
				b.Fatal(err)
			}
			content := tree.ObjectContent(source, tree.Object{Name: "file", Size: size}, tree.BytesContent(bytes.Repeat([]byte("x"), int(size))).Digest)
			b.SetBytes(size)
			n := 0
			perOp(b, func() {
				for b.Loop() {
					n++
					if _, err := s.Put(b.Context(), fmt.Sprintf("file/%d", n%10), content); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func BenchmarkS3List(b *testing.B) {
	s, _ := direct(b)
	const objects = 3000
	for i := range objects {
		if _, err := s.Put(b.Context(), fmt.Sprintf("list/%05d/link", i), tree.BytesContent([]byte("x"))); err != nil {
			b.Fatal(err)
		}
	}
	perOp(b, func() {
		for b.Loop() {
			n := 0
			for _, err := range s.List(b.Context(), tree.ListOptions{Prefix: "list/"}) {
				if err != nil {
					b.Fatal(err)
				}
				n++
			}
			if n != objects {
				b.Fatalf("%d objects", n)
			}
		}
	})
}

func BenchmarkS3Read(b *testing.B) {
	s, store := direct(b)
	const size = 50 << 20
	store.Put("bench/large", bytes.Repeat([]byte("x"), size))
	b.SetBytes(size)
	perOp(b, func() {
		for b.Loop() {
			body, err := s.Read(b.Context(), "large", 0, -1)
			if err != nil {
				b.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, body); n != size || err != nil {
				b.Fatal(n, err)
			}
			_ = body.Close()
		}
	})
}
