// Package rundir is what a run leaves on disk. Every run has a directory of its
// own under the root of all runs:
//
//	<root>/<run-id>/lock          held with flock(2) for as long as the supervisor lives
//	<root>/<run-id>/run.json      who the supervisor is, the configuration, how it ended
//	<root>/<run-id>/workers.json  the registry: which process is in which slot
//	<root>/<run-id>/events.jsonl  written by others
//	<root>/<run-id>/logs/         the workers' output
//
// Directories have mode 0700 and files 0600. The lock alone says whether a
// supervisor lives; a socket or a recorded PID never does. List, Open,
// ReadRegistry and ReadLog create and change nothing, and a broken file is a
// Problem in their answers, never the end of them.
//
// The package knows files and locks. It does not start, judge or signal
// processes, and it does not decide where the root is.
package rundir
