package main

import (
	"strings"
	"testing"
)

func TestNothingToMeasureIsRefused(t *testing.T) {
	t.Parallel()
	good := settings{work: workload{repositories: 1, tags: 1, layers: 2, own: 1, layerSize: 1}, repeat: 1, destinations: 1}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*settings){
		"-repositories": func(s *settings) { s.work.repositories = 0 },
		"-own 3":        func(s *settings) { s.work.own = 3 },
		"-own -1":       func(s *settings) { s.work.own = -1 },
		"-repeat 0":     func(s *settings) { s.repeat = 0 },

		"-destinations 0": func(s *settings) { s.destinations = 0 },
	} {
		s := good
		change(&s)
		if err := s.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestNoToolIsLeft(t *testing.T) {
	t.Setenv("PATH", "")
	if tools, err := prepareTools(settings{tools: "skopeo"}, t.TempDir()); err == nil {
		t.Errorf("%v", tools)
	}
}
