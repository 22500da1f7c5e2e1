package pool

import (
	"errors"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// canFork says why workers cannot be forked here. A fork of a fork becomes our
// child only if we take the orphans among our descendants.
func canFork() error {
	var reaper int32
	if err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&reaper)), 0, 0, 0); err != nil {
		return err
	}
	if reaper == 0 && os.Getpid() != 1 {
		return errors.New("this process is no child subreaper (prctl(2)), so that forks would not become its children")
	}
	return nil
}

// isChild says whether the process is our child, living or not waited for.
func isChild(pid int) bool {
	var info unix.Siginfo
	for {
		err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if err != unix.EINTR {
			return err == nil
		}
	}
}

func seqpacket() ([2]int, error) {
	return unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
}
