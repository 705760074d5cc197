// Package harness has what the benchmarks share: it builds the programs they
// measure, runs them and says what they used, and puts a round trip of a network
// between them and the servers that run beside.
//
// It knows nothing of registries and stores, and judges no figures.
package harness
