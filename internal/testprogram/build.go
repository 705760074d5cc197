// Package testprogram builds the programs below test/, which are modules of their
// own, and runs them beside tests and benchmarks. Each is built once for a machine
// and kept in the user's cache folder, and ends with the process that started it.
//
// It is for tests and benchmarks only, and never part of what Lighterage ships.
package testprogram

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Build returns the path of the program whose source is in test/<name>. The file's
// name has a hash of what it was built from, so it is built again after a change
// only. log is told when that takes place, because it takes a while.
func Build(name string, log func(format string, args ...any)) (string, error) {
	return build("test/"+name, ours, log)
}

// BuildOther is Build for a program that is not ours: the package of a module which
// test/<name> requires.
func BuildOther(name, pkg string, log func(format string, args ...any)) (string, error) {
	return build("test/"+name, pkg, log)
}

// BuildFrom is BuildOther for a module in any folder of the project's source, such
// as bench/peers.
func BuildFrom(folder, pkg string, log func(format string, args ...any)) (string, error) {
	return build(folder, pkg, log)
}

const ours = "."

func build(module, pkg string, log func(format string, args ...any)) (string, error) {
	source, program, err := place(module, pkg)
	if err != nil {
		return "", err
	}
	name := filepath.Base(source)
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(program + ".lock") // the tests of several packages may start at once
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	if pkg == ours {
		log("building %s, once", name)
	} else {
		log("building %s as %s has it, once", pkg, module)
	}
	unfinished := program + ".new"
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", unfinished, pkg)
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=readonly -buildvcs=false", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return program, os.Rename(unfinished, program)
}

// Built returns the path of a program of ours, and whether Build has built it before.
func Built(name string) (program string, built bool, err error) {
	if _, program, err = place("test/"+name, ours); err != nil {
		return "", false, err
	}
	_, err = os.Stat(program)
	return program, err == nil, nil
}

// place says where the source of a module is, and where a program made from it is kept.
func place(module, pkg string) (source, program string, err error) {
	if source, err = Source(module); err != nil {
		return "", "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", "", err
	}
	hash, err := hashSource(source, pkg)
	if err != nil {
		return "", "", err
	}
	return source, filepath.Join(cache, "lighterage", filepath.Base(source)+"-"+hash), nil
}

func hashSource(folder, pkg string) (string, error) {
	files := []string{filepath.Join(folder, "go.mod"), filepath.Join(folder, "go.sum")}
	if pkg == ours {
		code, err := filepath.Glob(filepath.Join(folder, "*.go"))
		if err != nil {
			return "", err
		}
		slices.Sort(code)
		files = append(files, code...)
	}
	h := sha256.New()
	fmt.Fprintln(h, runtime.Version(), runtime.GOOS, runtime.GOARCH, pkg)
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, filepath.Base(path))
		_, err = io.Copy(h, file)
		if err := errors.Join(err, file.Close()); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// Source returns the path of something in the project's source, for a test or a
// benchmark in any of its packages.
func Source(elements ...string) (string, error) {
	const module = "module github.com/lighterage/lighterage\n"
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(folder, "go.mod"))
		if err == nil && strings.HasPrefix(string(text), module) {
			return filepath.Join(append([]string{folder}, elements...)...), nil
		}
		if filepath.Dir(folder) == folder {
			return "", errors.New("this does not run in the project's source")
		}
		folder = filepath.Dir(folder)
	}
}
