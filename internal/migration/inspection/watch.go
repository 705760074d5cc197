package inspection

import (
	"context"
	"iter"
	"reflect"
	"time"
)

// watchEvery is how often the database is asked for those who watch: any server may
// carry the work out.
const watchEvery = 500 * time.Millisecond

// Watch yields the newest look, nil if there was none: first as it is, and then each
// time it has changed, until ctx ends. An error ends it.
func (s *Service) Watch(ctx context.Context) iter.Seq2[*Inspection, error] {
	return func(yield func(*Inspection, error) bool) {
		ticker := time.NewTicker(watchEvery)
		defer ticker.Stop()
		var before *Inspection
		for first := true; ; first = false {
			now, err := s.newest(ctx)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				s.o.Log.Warn("changes of looks at the storage cannot be seen", "error", err)
				yield(nil, err)
				return
			}
			if (first || !reflect.DeepEqual(now, before)) && !yield(now, nil) {
				return
			}
			before = now
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
		}
	}
}

func (s *Service) newest(ctx context.Context) (*Inspection, error) {
	list, err := s.List(ctx)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	return &list[0], nil
}
