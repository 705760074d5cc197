// Package cli is Lighterage's command line: one file per command, text for
// people, JSON for programs, and exit codes that tell the truth.
//
// The commands registry, policy and execution speak to a running server through
// its public API and can do nothing that another client could not. The commands
// replicate and demo do their work in this process. What the user asked for goes
// to standard output; progress, warnings and failures go to standard error.
//
// The package knows no server: the command that starts one is given to Main.
package cli
