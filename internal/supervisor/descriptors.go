package supervisor

import (
	"os"
	"strconv"
	"syscall"
)

// keepDescriptors has nothing but the standard streams go on to the processes
// that we start. What this program opens itself does not anyway; but what it
// was given, the lock of a script's flock(1) or the pipe of a CI system, would
// be held by guard and workers for as long as they live.
func keepDescriptors() {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return // a system without it: then they go on
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
}
