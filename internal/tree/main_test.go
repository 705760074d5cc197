//go:build unix

package tree_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/lighterage/lighterage/internal/testserver"
)

func TestMain(m *testing.M) {
	if root := os.Getenv(putsUntilKilledVariable); root != "" {
		putUntilKilled(root)
		return
	}
	goleak.VerifyTestMain(m, testserver.IgnoreLeaks()...)
}
