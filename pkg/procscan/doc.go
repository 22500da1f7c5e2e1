// Package procscan answers three questions about the processes of a machine:
// which of them carry the marker of a run, is this still the same process, and
// how is it ended without ever touching another one.
//
// Scan takes one Snapshot; what is asked of it afterwards are pure functions.
// A process is named by an ID (PID, start time, boot), never by a PID, and is
// signalled through a Handle that cannot come to mean its successor. End,
// EndRun and EndGroup are the only ways to end processes here.
//
// One file for each platform reads the system (read_linux.go, read_darwin.go).
// The package keeps nothing between calls, knows no registry, no run directory
// and no configuration, and judges nobody beyond what a process itself shows:
// who owns a run, and whether its owner lives, is for the caller to know.
//
// Processes that /proc does not list (hidepid, another PID namespace) do not
// exist for it. A /proc that belongs to another PID namespace is refused.
package procscan
