// Package telemetry holds the names of the events of a run, and takes them where
// people and programs read them: a file of JSON lines, structured logs, and
// Prometheus metrics. It is told of events; it causes none, and touches no
// process. Nothing in it is global: every run has its own log and its own
// registry of metrics.
package telemetry
