package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/lighterage/lighterage/bench/harness"
)

// tool is a program that copies all repositories of one registry to another.
type tool struct {
	name string
	run  func(ctx context.Context, source, destination *server, w workload) (sample, error)
}

// sample is one measured run.
type sample struct {
	harness.Usage
	serverCPU                      time.Duration // of both registries and the proxies
	sourceRequests, targetRequests int64
}

// prepareTools builds or finds the tools that are wanted.
func prepareTools(s settings, dir string) ([]tool, error) {
	var tools []tool
	for _, name := range strings.Split(s.tools, ",") {
		var run func(ctx context.Context, source, destination *server, w workload) (sample, error)
		switch name {
		case "lighterage":
			run = func(ctx context.Context, source, destination *server, _ workload) (sample, error) {
				return execute(ctx, s.binary, "replicate", "http://"+source.host, "http://"+destination.host)
			}
		case "skopeo":
			path, err := exec.LookPath("skopeo")
			if err != nil {
				fmt.Fprintln(os.Stderr, "bench: skopeo is not installed and is left out")
				continue
			}
			run = skopeo(path)
		case "crane", "crane-tuned":
			path, err := harness.Build(s.peers, "github.com/google/go-containerregistry/cmd/crane")
			if err != nil {
				return nil, err
			}
			run = crane(path, name == "crane-tuned")
		case "regsync", "regsync-tuned":
			path, err := harness.Build(s.peers, "github.com/regclient/regclient/cmd/regsync")
			if err != nil {
				return nil, err
			}
			run = regsync(path, dir, name == "regsync-tuned")
		default:
			return nil, fmt.Errorf("-tools: unknown tool %q", name)
		}
		tools = append(tools, tool{name, run})
	}
	if len(tools) == 0 {
		return nil, errors.New("-tools: none of them is installed")
	}
	return tools, nil
}

// skopeo copies repository by repository, all tags of one in a call.
func skopeo(path string) func(context.Context, *server, *server, workload) (sample, error) {
	return func(ctx context.Context, source, destination *server, w workload) (sample, error) {
		var all sample
		for r := range w.repositories {
			one, err := execute(ctx, path, "--insecure-policy", "sync", "--all", "--src", "docker", "--dest", "docker",
				"--src-tls-verify=false", "--dest-tls-verify=false", source.host+"/"+w.repository(r), destination.host+"/library")
			if err != nil {
				return all, err
			}
			all.Add(one.Usage)
		}
		return all, nil
	}
}

// crane copies all tags of a repository in a call; tuned with 16 jobs instead of one
// for each processor.
func crane(path string, tuned bool) func(context.Context, *server, *server, workload) (sample, error) {
	return func(ctx context.Context, source, destination *server, w workload) (sample, error) {
		var all sample
		for r := range w.repositories {
			args := []string{"copy", "--insecure", "--all-tags", source.host + "/" + w.repository(r), destination.host + "/" + w.repository(r)}
			if tuned {
				args = append(args, "--jobs", "16")
			}
			one, err := execute(ctx, path, args...)
			if err != nil {
				return all, err
			}
			all.Add(one.Usage)
		}
		return all, nil
	}
}

// regsync copies everything in one call; tuned with eight images at a time and 32
// requests to a host instead of one and three.
func regsync(path, dir string, tuned bool) func(context.Context, *server, *server, workload) (sample, error) {
	return func(ctx context.Context, source, destination *server, w workload) (sample, error) {
		var config bytes.Buffer
		fmt.Fprintf(&config, "version: 1\ncreds:\n")
		for _, s := range []*server{source, destination} {
			fmt.Fprintf(&config, "  - registry: %q\n    tls: disabled\n", s.host)
			if tuned {
				fmt.Fprintf(&config, "    reqConcurrent: 32\n")
			}
		}
		if tuned {
			fmt.Fprintf(&config, "defaults:\n  parallel: 8\n")
		}
		fmt.Fprintf(&config, "sync:\n")
		for r := range w.repositories {
			fmt.Fprintf(&config, "  - source: %s/%s\n    target: %s/%s\n    type: repository\n",
				source.host, w.repository(r), destination.host, w.repository(r))
		}
		file := filepath.Join(dir, "regsync.yaml")
		if err := os.WriteFile(file, config.Bytes(), 0o600); err != nil {
			return sample{}, err
		}
		return execute(ctx, path, "once", "--config", file, "--verbosity", "error")
	}
}

func execute(ctx context.Context, path string, args ...string) (sample, error) {
	used, err := harness.Run(ctx, nil, path, args...)
	return sample{Usage: used}, err
}

// median returns the run with the median time.
func median(samples []sample) sample {
	return harness.Median(samples, func(s sample) time.Duration { return s.Wall })
}
