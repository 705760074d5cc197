package tree

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	s3Attempts     = 8
	s3BusyAttempts = 14 // a store that asks for less is alive: more patience
	s3MostBackoff  = 20 * time.Second
	s3MostAfter    = 5 * time.Minute // longer silence is not waited for
)

// try does something until it works, fails for good, or has failed often enough. what
// and name say what is done to what. do is given the context of one attempt.
func (s *S3) try(ctx context.Context, what, name string, do func(ctx context.Context, call *s3Call) error) error {
	for failures, busy := 0, 0; ; {
		if ctx.Err() != nil {
			return s.failed(what, name, context.Cause(ctx))
		}
		call := &s3Call{}
		err := do(context.WithValue(ctx, s3CallKey{}, call), call)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return s.failed(what, name, context.Cause(ctx))
		}
		v := s.judge(call, err)
		if !v.again || v.after > s3MostAfter {
			return s.failed(what, name, v.err)
		}
		if v.busy {
			busy++
		} else {
			failures++
		}
		if failures >= s3Attempts || busy >= s3BusyAttempts {
			if isUnreachable(v.err) {
				v.err = &fatalError{v.err}
			}
			return s.failed(what, name, fmt.Errorf("tried %d times: %w", failures+busy, v.err))
		}
		if err := s.wait(ctx, max(v.after, s.backoff(failures+busy))); err != nil {
			return s.failed(what, name, err)
		}
	}
}

func (s *S3) failed(what, name string, err error) error {
	if name == "" {
		return fmt.Errorf("%s of %s: %w", what, s, err)
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}

// backoff is a random time, at most doubled with each failure, so that many requests
// that failed together do not come back together.
func (s *S3) backoff(failures int) time.Duration {
	most := s3MostBackoff
	if shift := failures - 1; shift < 16 {
		most = min(most, s.config.Backoff<<max(shift, 0))
	}
	return rand.N(most + 1)
}

func (s *S3) wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// afterwards returns a context for what has to be done although ctx may have ended.
func afterwards(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
}
