package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/lighterage/lighterage/bench/harness"
)

// phase is a kind of work that is compared.
type phase string

const (
	cold       phase = "cold copy"
	idle       phase = "nothing to do"
	idleTags   phase = "nothing to do, changed tags seen"
	check      phase = "check with digests"
	checkSizes phase = "check of sizes"
	checkDeep  phase = "check that reads everything back"
	final      phase = "final copy of what changed"
	recent     phase = "check of what changed"
)

var phases = []phase{cold, idle, idleTags, check, checkSizes, checkDeep, final, recent}

// tool does some phases, in their order, on the same bucket.
type tool struct {
	name  string
	steps []step
}

type step struct {
	phase phase
	run   func(ctx context.Context, w *world, o *store) (harness.Usage, error)
}

// prepareTools builds or finds the tools that are wanted.
func prepareTools(s settings) ([]tool, error) {
	var tools []tool
	for _, name := range s.tools {
		t, err := prepareTool(name, s)
		if err != nil {
			return nil, err
		}
		tools = append(tools, t)
	}
	if len(tools) == 0 {
		return nil, errors.New("-tools: none")
	}
	return tools, nil
}

func prepareTool(name string, s settings) (tool, error) {
	switch name {
	case "lighterage":
		path, err := filepath.Abs(s.binary)
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return tool{}, fmt.Errorf("-binary: %w (make build makes it)", err)
		}
		return lighterage(path), nil
	case "raw":
		return rawTool(name, false), nil
	case "raw-signed":
		return rawTool(name, true), nil
	case "mc":
		path, err := harness.Build("bench/peers-mc", "github.com/minio/mc")
		return mc(path), err
	case "rclone-1.71", "rclone-1.71-tuned", "rclone-1.76", "rclone-1.76-tuned":
		version, tuned := name[:len("rclone-1.71")], len(name) > len("rclone-1.71")
		path, err := harness.Build("bench/peers-"+version, "github.com/rclone/rclone")
		if tuned {
			return rcloneTuned(name, path), err
		}
		return rcloneSeed(name, path), err
	default:
		return tool{}, fmt.Errorf("-tools: unknown tool %q", name)
	}
}

func rawTool(name string, signed bool) tool {
	return tool{name, []step{{cold, func(ctx context.Context, w *world, o *store) (harness.Usage, error) {
		return w.raw(ctx, o, w.list, w.tuning.parallel, signed)
	}}}}
}

// lighterage keeps its journal where it does by default, in the bucket.
func lighterage(path string) tool {
	migrate := func(command string, options ...string) func(context.Context, *world, *store) (harness.Usage, error) {
		return func(ctx context.Context, w *world, o *store) (harness.Usage, error) {
			env := []string{"AWS_ACCESS_KEY_ID=" + accessKey, "AWS_SECRET_ACCESS_KEY=" + secretKey}
			return harness.Run(ctx, env, path, append([]string{"migrate", command, w.volume.Root, o.location(), "--quiet"}, options...)...)
		}
	}
	return tool{"lighterage", []step{
		{cold, migrate("copy")},
		{idle, migrate("copy")},
		{check, migrate("check")},
		{checkDeep, migrate("check", "--deep")},
		{final, migrate("copy", "--final")},
		{recent, migrate("check", "--recent")},
	}}
}

// mc compares names and sizes only.
func mc(path string) tool {
	run := func(command string) func(context.Context, *world, *store) (harness.Usage, error) {
		return func(ctx context.Context, w *world, o *store) (harness.Usage, error) {
			env := []string{fmt.Sprintf("MC_HOST_bench=http://%s:%s@%s", accessKey, secretKey, o.address)}
			return harness.Run(ctx, env, path, "--config-dir", filepath.Join(w.dir, "mc"), "--quiet", command, w.volume.Root, "bench/"+bucket)
		}
	}
	return tool{"mc", []step{{cold, run("mirror")}, {idle, run("mirror")}, {checkSizes, run("diff")}}}
}
