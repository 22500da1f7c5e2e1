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
}

// String is "exit 0" or the name of the signal, "SIGKILL".
func (e Exit) String() string {
	if e.Signal == 0 {
		return "exit " + strconv.Itoa(e.Code)
	}
	if name := unix.SignalName(e.Signal); name != "" {
		return name
	}
	return "signal " + strconv.Itoa(int(e.Signal))
}
