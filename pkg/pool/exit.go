package pool

import (
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Exit is how a process ended: by an exit code, or by a signal.
type Exit struct {
	Code   int            // 0 to 255, -1 when it is not known; meaningless when a signal ended the process
	Signal syscall.Signal // 0 when the process exited by itself
	// OutOfMemory says that the kernel's out-of-memory killer sent the KILL.
	// Where that cannot be known, it is false.
	OutOfMemory bool
	// Expected says that the process had been asked to end.
	Expected bool
}

// ExitKind says what an exit means, in a word.
type ExitKind string

// The kinds of exits.
const (
	ExitExpected    ExitKind = "expected"      // it was asked to end, however it did
	ExitClean       ExitKind = "clean"         // exit 0, unasked
	ExitError       ExitKind = "error"         // another exit code, unasked
	ExitSignal      ExitKind = "signal"        // somebody else's signal, or its own
	ExitOutOfMemory ExitKind = "out_of_memory" // asked to end or not
	ExitUnknown     ExitKind = "unknown"       // somebody else waited for it
)

// Kind says what the exit means.
func (e Exit) Kind() ExitKind {
	switch {
	case e.OutOfMemory:
		return ExitOutOfMemory
	case e.Expected:
		return ExitExpected
	case e.Signal != 0:
		return ExitSignal
	case e.Code < 0:
		return ExitUnknown
	case e.Code == 0:
		return ExitClean
	}
	return ExitError
}

// String is "exit 0" or the name of the signal: "SIGTERM", "SIGKILL (out of
// memory)".
func (e Exit) String() string {
	if e.Signal == 0 {
		return "exit " + strconv.Itoa(e.Code)
	}
	name := unix.SignalName(e.Signal)
	switch {
	case name == "":
		return "signal " + strconv.Itoa(int(e.Signal))
	case e.OutOfMemory:
		return name + " (out of memory)"
	}
	return name
}
