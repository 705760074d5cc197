package kube

import "fmt"

// Severity says what an obstacle does to a migration.
type Severity string

// The severities.
const (
	Stops Severity = "stops" // nothing is moved before it is out of the way
	Warns Severity = "warns" // it can be moved, and somebody should know
)

// Obstacle is something that stands in the way of a migration, and the way out.
type Obstacle struct {
	Code     string   `json:"code"` // stable, for programs
	Severity Severity `json:"severity"`
	Found    string   `json:"found"`
	WayOut   string   `json:"way_out"`
}

func (r *Release) obstacle(severity Severity, code, wayOut, found string, args ...any) {
	r.Obstacles = append(r.Obstacles, Obstacle{Code: code, Severity: severity, Found: fmt.Sprintf(found, args...), WayOut: wayOut})
}
