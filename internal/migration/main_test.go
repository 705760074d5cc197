package migration

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	ts "github.com/lighterage/lighterage/internal/testserver"
	"github.com/lighterage/lighterage/internal/tree"
)

// copyProcess makes this test binary a copy, to be killed.
const copyProcess = "LIGHTERAGE_TEST_COPY"

func TestMain(m *testing.M) {
	if text := os.Getenv(copyProcess); text != "" {
		if err := runCopyProcess(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, ts.IgnoreLeaks()...)
}

// errand is what a process of its own is to copy.
type errand struct {
	From, To, Journal string // Journal: a folder; "": in To
	Final             bool
	Shard             string // I/N, "": everything
}

// outcome is what it has to tell.
type outcome struct {
	Report          CopyReport
	Failed, Damaged []string
	Error           string
}

func runCopyProcess(text string) error {
	var e errand
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	var o outcome
	if err := o.run(context.Background(), e); err != nil {
		o.Error = err.Error()
	}
	return json.NewEncoder(os.Stdout).Encode(o)
}

func (o *outcome) run(ctx context.Context, e errand) error {
	open := func(text string) (tree.Opened, error) {
		l, err := tree.ParseLocation(text, nil)
		if err != nil {
			return nil, err
		}
		return tree.Open(ctx, l)
	}
	src, err := open(e.From)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }()
	dst, err := open(e.To)
	if err != nil {
		return err
	}
	defer func() { _ = dst.Close() }()
	store := dst
	if e.Journal != "" {
		if store, err = open(e.Journal); err != nil {
			return err
		}
		defer func() { _ = store.Close() }()
	}
	journal := func() (*Journal, error) { return OpenJournal(ctx, dst, store, src.String()) }
	var shard Shard
	if e.Shard != "" {
		if shard, err = ParseShard(e.Shard); err != nil {
			return err
		}
		journal = func() (*Journal, error) {
			return OpenShardJournal(ctx, dst, store, src.String(), shard, time.Minute, func() {})
		}
	}
	j, err := journal()
	if err != nil {
		return err
	}
	o.Report, err = Copy(ctx, src, dst, j, CopyOptions{
		Final: e.Final, Shard: shard,
		OnDamage:  func(d Damage) { o.Damaged = append(o.Damaged, d.String()) },
		OnFailure: func(name string, err error) { o.Failed = append(o.Failed, fmt.Sprint(name, ": ", err)) },
	})
	return err
}

// command is the process for an errand.
func (e errand) command(t testing.TB) *exec.Cmd {
	t.Helper()
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), copyProcess+"="+string(text))
	cmd.Stderr = os.Stderr
	return cmd
}

// parseOutcome reads what it has told.
func parseOutcome(t testing.TB, text []byte) outcome {
	t.Helper()
	var o outcome
	if err := json.Unmarshal(text, &o); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return o
}
