package replication

import (
	"context"
	"fmt"
	"time"

	"github.com/lighterage/lighterage/internal/rule"
	"github.com/lighterage/lighterage/internal/store"
)

// Numbers is what is left to be done and how it goes, as the database knows it.
type Numbers struct {
	Rules     []RuleNumbers // by id
	Endpoints []Endpoint    // the remote ones
}

// RuleNumbers are those of one rule.
type RuleNumbers struct {
	ID           int64
	Name         string
	Enabled      bool
	Trigger      rule.TriggerType
	Verified     time.Time // end of the last verification; zero: there was none
	Held         int64     // the execution of it that waits to be released; 0: none does
	Destinations []DestinationNumbers
}

// DestinationNumbers are those of a rule at one of its destinations.
type DestinationNumbers struct {
	ID   int64
	Name string
	// Lag is how long the oldest event has been waiting that the destination does not
	// show yet; 0: none waits.
	Lag        time.Duration
	Unfinished map[Status]int64 // tasks that are not done; Failed ones are tried again
	Failing    bool             // see announce.go
	Reason     string           // why it fails
	Since      time.Time        // when it began to fail, or recovered
	Success    time.Time        // end of the last execution that succeeded there; zero: none did
}

// pair is a rule at a destination.
type pair struct{ policy, registry int64 }

// Numbers reads how it goes with all rules. It looks at what is unfinished only, so
// that it costs no more when the history is long.
func (s *Service) Numbers(ctx context.Context) (Numbers, error) {
	var n Numbers
	var err error
	if n.Endpoints, _, err = s.ListEndpoints(ctx, store.ListQuery{}); err != nil {
		return n, err
	}
	names := map[int64]string{HomeID: HomeName}
	for _, e := range n.Endpoints {
		names[e.ID] = e.Name
	}
	at, err := s.unfinished(ctx)
	if err != nil {
		return n, err
	}
	if err := s.addStates(ctx, at); err != nil {
		return n, err
	}
	verified, err := s.verifiedTimes(ctx)
	if err != nil {
		return n, err
	}
	held, err := s.held(ctx)
	if err != nil {
		return n, err
	}
	policies, err := s.selectPolicies(ctx, s.o.DB, selectPolicy+` ORDER BY id`)
	if err != nil {
		return n, fmt.Errorf("list replication policies: %w", err)
	}
	for _, p := range policies {
		r := RuleNumbers{ID: p.ID, Name: p.Name, Enabled: p.Enabled, Trigger: p.Trigger, Verified: verified[p.ID], Held: held[p.ID]}
		for _, e := range p.Destinations() {
			var d DestinationNumbers
			if known := at[pair{p.ID, e.ID}]; known != nil {
				d = *known
			}
			d.ID, d.Name = e.ID, names[e.ID]
			d.Failing = d.Failing && p.Enabled // what nobody wants to work fails at nothing
			r.Destinations = append(r.Destinations, d)
		}
		n.Rules = append(n.Rules, r)
	}
	return n, nil
}

// held returns, by rule, the executions that wait to be released.
func (s *Service) held(ctx context.Context) (map[int64]int64, error) {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT policy_id, id FROM executions WHERE hold <> '' AND status = 'InProgress' ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("look for executions that wait to be released: %w", err)
	}
	held := map[int64]int64{}
	_, err = collect(rows, func(row scanner) (policy int64, err error) {
		var id int64
		err = row.Scan(&policy, &id)
		held[policy] = id
		return policy, err
	})
	return held, err
}

func (s *Service) unfinished(ctx context.Context) (map[pair]*DestinationNumbers, error) {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT e.policy_id, t.dest_registry_id, e.trigger_type, t.status, count(*), min(t.start_time)
		FROM tasks t JOIN executions e ON e.id = t.execution_id WHERE t.job_id <> 0
		GROUP BY e.policy_id, t.dest_registry_id, e.trigger_type, t.status`)
	if err != nil {
		return nil, fmt.Errorf("count unfinished tasks: %w", err)
	}
	at := map[pair]*DestinationNumbers{}
	_, err = collect(rows, func(row scanner) (none struct{}, err error) {
		var of pair
		var trigger Trigger
		var status Status
		var tasks, oldest int64
		if err := row.Scan(&of.policy, &of.registry, &trigger, &status, &tasks, &oldest); err != nil {
			return none, err
		}
		d := at[of]
		if d == nil {
			d = &DestinationNumbers{Unfinished: map[Status]int64{}}
			at[of] = d
		}
		d.Unfinished[status] += tasks
		if trigger == EventBased {
			d.Lag = max(d.Lag, s.now().Sub(store.Time(oldest)))
		}
		return none, nil
	})
	return at, err
}

func (s *Service) addStates(ctx context.Context, at map[pair]*DestinationNumbers) error {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT policy_id, registry_id, failing, reason, since, success_time FROM replication_states`)
	if err != nil {
		return fmt.Errorf("read states of rules: %w", err)
	}
	_, err = collect(rows, func(row scanner) (none struct{}, err error) {
		var of pair
		var failing bool
		var reason string
		var since, success int64
		if err := row.Scan(&of.policy, &of.registry, &failing, &reason, &since, &success); err != nil {
			return none, err
		}
		if at[of] == nil {
			at[of] = &DestinationNumbers{}
		}
		at[of].Failing, at[of].Reason, at[of].Since, at[of].Success = failing, reason, store.Time(since), store.Time(success)
		return none, nil
	})
	return err
}

// verifiedTimes are when the last verification of each rule ended that had one.
func (s *Service) verifiedTimes(ctx context.Context) (map[int64]time.Time, error) {
	rows, err := s.o.DB.QueryContext(ctx, `SELECT policy_id, end_time FROM drift_checks WHERE done > 0`)
	if err != nil {
		return nil, fmt.Errorf("read verifications of rules: %w", err)
	}
	times := map[int64]time.Time{}
	_, err = collect(rows, func(row scanner) (none struct{}, err error) {
		var policy, end int64
		if err := row.Scan(&policy, &end); err != nil {
			return none, err
		}
		times[policy] = store.Time(end)
		return none, nil
	})
	return times, err
}
