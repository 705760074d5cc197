package replication

import (
	"slices"
	"time"

	"github.com/lighterage/lighterage/internal/rule"
)

// Policy is a replication rule with its registries, of which home is one or none. Of
// input only the IDs of registries are looked at.
type Policy struct {
	rule.Rule
	ID               int64
	Source           Endpoint
	Destination      Endpoint
	MoreDestinations []Endpoint // besides Destination
	CreationTime     time.Time
	UpdateTime       time.Time
	// EventsSince is since when the rule follows events, for which it stands; zero: it does
	// not. Not of input.
	EventsSince time.Time
	NextRun     time.Time // when its schedule starts it next; zero: not by itself. Not of input
}

// Push reports whether the rule copies from home to remote registries.
func (p Policy) Push() bool { return p.Source.ID == HomeID }

// Destinations are all registries that the rule copies to, Destination first.
func (p Policy) Destinations() []Endpoint {
	return append([]Endpoint{p.Destination}, p.MoreDestinations...)
}

// goesTo reports whether a registry is one of the rule's destinations.
func (p Policy) goesTo(id int64) bool {
	return slices.ContainsFunc(p.Destinations(), func(e Endpoint) bool { return e.ID == id })
}

// remotes are the ids of the rule's registries that are not home.
func (p Policy) remotes() []int64 {
	var ids []int64
	for _, e := range append(p.Destinations(), p.Source) {
		if e.ID != HomeID {
			ids = append(ids, e.ID)
		}
	}
	slices.Sort(ids) // in one order everywhere, so that transactions do not wait for each other's rows
	return slices.Compact(ids)
}
