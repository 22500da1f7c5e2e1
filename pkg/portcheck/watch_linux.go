package portcheck

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

func holderEnds(ctx context.Context, addrs []netip.Addr, port int) bool {
	found, err := holders(ownProc(ctx), addrs, port)
	if err != nil {
		return false // it is only for speed: the probes go on
	}
	if len(found) == 0 {
		return true // it has ended while it was looked for
	}
	i := slices.IndexFunc(found, func(s socket) bool { return s.pid != 0 })
	return i >= 0 && processEnds(ctx, int(found[i].pid))
}

// processEnds waits for the end of any process through a pidfd
// (pidfd_open(2), Linux 5.3). If the number has come to mean another process in
// the instant since it was read, the wait is in vain and harms nobody.
func processEnds(ctx context.Context, pid int) bool {
	fd, err := unix.PidfdOpen(pid, 0) // always close-on-exec
	if err != nil {
		return err == unix.ESRCH
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return false
	}
	// The runtime's poller waits for it, which takes no thread.
	file := os.NewFile(uintptr(fd), "pidfd")
	defer file.Close()
	conn, err := file.SyscallConn()
	if err != nil {
		return false
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Now()) })
	defer stop()
	ended := false
	err = conn.Read(func(fd uintptr) bool {
		ended = readable(fd)
		return ended
	})
	return ended && err == nil
}

// readable says whether a pidfd is: then every thread of the process has ended,
// and its descriptors are closed.
func readable(fd uintptr) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return n > 0 && err == nil
}
