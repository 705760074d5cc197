package cli

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/lighterage/lighterage/internal/cli/term"
	"github.com/lighterage/lighterage/internal/replication"
)

// replicationProgress adds up how far a run is.
type replicationProgress struct {
	planOnly bool

	mu           sync.Mutex
	now          progressState
	meter        term.Meter
	repositories map[*followed]struct{} // under way
}

// progressState is how far a run is at one moment.
type progressState struct {
	Planning     bool  `json:"planning"` // the numbers of what there is still grow
	Repositories int   `json:"repositories"`
	Artifacts    int   `json:"artifacts"`
	Done         int   `json:"done"` // artifacts
	BytesTotal   int64 `json:"bytes_total"`
	BytesSent    int64 `json:"bytes_sent"`
}

func newReplicationProgress(planOnly bool) *replicationProgress {
	return &replicationProgress{planOnly: planOnly, now: progressState{Planning: true}, repositories: map[*followed]struct{}{}}
}

// planned counts what a repository needs; what it has already is done.
func (p *replicationProgress) planned(plan replication.RepositoryPlan) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Repositories++
	p.now.Artifacts += len(plan.Items)
	if plan.Err != nil || p.planOnly {
		p.now.Done += len(plan.Items)
	}
}

func (p *replicationProgress) allPlanned() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Planning = false
}

// followed is a repository under way.
type followed struct {
	p           *replicationProgress
	artifacts   int
	waiting     map[string]struct{} // references that are not placed yet
	total, sent int64
}

func (p *replicationProgress) follow(plan *replication.RepositoryPlan) *followed {
	f := &followed{p: p, artifacts: len(plan.Items), waiting: map[string]struct{}{}}
	for _, item := range plan.Items {
		if item.Action == replication.ActionCopy || item.Action == replication.ActionOverwrite {
			f.waiting[item.Reference] = struct{}{}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.repositories[f] = struct{}{}
	return f
}

func (f *followed) bytes(total, sent int64) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	f.total, f.sent = total, sent
}

func (f *followed) placed(reference string) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	delete(f.waiting, reference)
}

// end moves a repository from those under way to those that are done.
func (f *followed) end() {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	delete(f.p.repositories, f)
	f.p.now.Done += f.artifacts
	f.p.now.BytesTotal += f.total
	f.p.now.BytesSent += f.sent
}

// state returns how far the run is now.
func (p *replicationProgress) state() progressState {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.now
	for f := range p.repositories {
		s.Done += f.artifacts - len(f.waiting)
		s.BytesTotal += f.total
		s.BytesSent += f.sent
	}
	return s
}

// line writes the state for people. It is called by one goroutine.
func (p *replicationProgress) line() string {
	s := p.state()
	if p.planOnly {
		return fmt.Sprintf("planning: %s in %s", term.Count(s.Artifacts, "artifact"), repositoryCount(s.Repositories))
	}
	p.meter.Observe(time.Now(), s.BytesSent)
	more := ""
	if s.Planning {
		more = "+" // there may be more to come
	}
	parts := []string{fmt.Sprintf("%d/%d%s artifacts", s.Done, s.Artifacts, more)}
	if s.BytesTotal > 0 {
		parts = append(parts, fmt.Sprintf("%s of %s%s", term.Bytes(s.BytesSent), term.Bytes(s.BytesTotal), more))
	}
	if rate := p.meter.Rate(); rate >= 1 {
		parts = append(parts, term.Bytes(int64(rate))+"/s")
		if left, ok := p.meter.Left(s.BytesTotal - s.BytesSent); ok && !s.Planning && left > time.Second {
			parts = append(parts, term.Duration(left)+" left")
		}
	}
	return strings.Join(parts, ", ")
}
