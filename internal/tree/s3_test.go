package tree_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
	"github.com/lighterage/lighterage/internal/tree/treetest"
)

// config leads to a store through its front. Failures come fast enough for tests.
func config(s *ts.Store, root string) tree.S3Config {
	return tree.S3Config{
		Bucket: s.Bucket, RootDirectory: root, Endpoint: s.Endpoint, Region: s.Region,
		AccessKey: s.AccessKey, SecretKey: s.SecretKey, Backoff: time.Millisecond, StallTimeout: 20 * time.Second,
	}
}

func open(t testing.TB, c tree.S3Config) *tree.S3 {
	t.Helper()
	s, err := tree.OpenS3(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestS3KeepsThePromises(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		start  func(testing.TB, ...ts.Option) *ts.Store
		faults func(*ts.Store) []ts.Fault
		change func(*tree.S3Config)
	}{
		"versitygw":                         {start: ts.S3},
		"MinIO":                             {start: ts.MinIO},
		"versitygw, large objects in parts": {start: ts.S3, change: inParts},
		"MinIO, large objects in parts":     {start: ts.MinIO, change: inParts},
		"a store that verifies nothing": {start: ts.S3, faults: func(s *ts.Store) []ts.Fault {
			return []ts.Fault{{Class: "PUT object", Do: s.IgnorePayload()}, {Class: "PUT part", Do: s.IgnorePayload()}}
		}},
		"a store that verifies nothing, in parts": {start: ts.S3, change: inParts, faults: func(s *ts.Store) []ts.Fault {
			return []ts.Fault{{Class: "PUT object", Do: s.IgnorePayload()}, {Class: "PUT part", Do: s.IgnorePayload()}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := tc.start(t)
			if tc.faults != nil {
				for _, fault := range tc.faults(store) {
					store.Faults.Add(fault)
				}
			}
			var n atomic.Int64
			treetest.Run(t, func(t *testing.T) tree.Tree {
				c := config(store, fmt.Sprintf("root-%d", n.Add(1)))
				if tc.change != nil {
					tc.change(&c)
				}
				return open(t, c)
			})
		})
	}
}

func inParts(c *tree.S3Config) { c.SingleLimit, c.PartSize = 5<<20, 5<<20 }
