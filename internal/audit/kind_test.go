package audit_test

import (
	"slices"
	"testing"

	"github.com/lighterage/lighterage/internal/audit"
)

func TestAKindSaysWhatIsDoneToWhat(t *testing.T) {
	t.Parallel()
	k, err := audit.KindOf("cutover", "storage_migration")
	if err != nil || k != "cutover_storage_migration" || k.Operation() != "cutover" || k.Type() != "storage_migration" {
		t.Errorf("%q %q %q %v", k, k.Operation(), k.Type(), err)
	}
	if k, err := audit.KindOf("sink", "ship"); err == nil {
		t.Errorf("%q is a kind", k)
	}
}

func TestEachKindIsListedOnce(t *testing.T) {
	t.Parallel()
	kinds := audit.Kinds()
	slices.Sort(kinds)
	if n := len(kinds); len(slices.Compact(kinds)) != n {
		t.Errorf("some kinds are listed twice: %v", audit.Kinds())
	}
	for _, kind := range []audit.Kind{
		audit.CreateArtifact, audit.DeleteArtifact, audit.PullArtifact, audit.CreateTag, audit.DeleteTag, audit.LoginUser, audit.LogoutUser,
	} {
		if !slices.Contains(audit.Kinds(), kind) {
			t.Errorf("%s is not listed", kind)
		}
	}
}
