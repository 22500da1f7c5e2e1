package pool

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// guardAgainstParentDeath has the kernel send SIGTERM to the child when the
// thread that started it ends (prctl(2), PR_SET_PDEATHSIG). TERM and not KILL:
// a worker that reads its lifeline takes its children with it.
func guardAgainstParentDeath(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGTERM }

// awaitUnreaped returns when the child has ended, and leaves it for wait. The
// pidfd is polled by the runtime, so that no thread is blocked for each worker.
func awaitUnreaped(id procscan.ID) {
	fd, err := unix.PidfdOpen(id.PID, unix.PIDFD_NONBLOCK)
	if err != nil {
		awaitBlocking(id)
		return
	}
	file := os.NewFile(uintptr(fd), "pidfd")
	defer file.Close()
	conn, err := file.SyscallConn()
	if err != nil {
		awaitBlocking(id)
		return
	}
	err = conn.Read(func(uintptr) bool { return hasEnded(unix.P_PID, id.PID, unix.WNOHANG) })
	if err != nil {
		awaitBlocking(id)
	}
}

func awaitBlocking(id procscan.ID) { hasEnded(unix.P_PID, id.PID, 0) }

// hasEnded asks for an ended child without reaping it.
func hasEnded(kind, pid, flags int) bool {
	_, ended := peek(kind, pid, flags)
	return ended
}

// peek returns the PID of an ended child (waitid(2), WNOWAIT leaves it).
func peek(kind, pid, flags int) (int, bool) {
	var info unix.Siginfo
	for {
		err := unix.Waitid(kind, pid, &info, unix.WEXITED|unix.WNOWAIT|flags, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, true // no such child: there is nothing to wait for
		}
		break
	}
	found := int(*(*int32)(unsafe.Add(unsafe.Pointer(&info), siginfoPID)))
	return found, found != 0
}

// siginfoPID is where si_pid lies in a siginfo_t: behind three ints, aligned
// as a pointer is (sigaction(2)); x/sys/unix has no name for it.
const siginfoPID = (12 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)

// ReapStrangers waits for ended children that this launcher did not start:
// processes whose parents died and that the kernel gave to us, as subreaper or
// as PID 1. One that we started and nobody has waited for yet stands in the
// way; whoever waits for it calls this again.
func (l *ExecLauncher) ReapStrangers() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		pid, ended := peek(unix.P_ALL, 0, unix.WNOHANG)
		if !ended || pid == 0 {
			return
		}
		if _, ours := l.children[pid]; ours {
			return
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); err != nil && err != unix.EINTR {
			return
		}
	}
}
