package portcheck

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strconv"

	"github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/unix"
)

// identify finds for each socket a process that has it, or says why there is
// none. It stops when all are found, and begins with the youngest processes
// (as a rule): what gets into the way of a restart has come lately.
func identify(ctx context.Context, found []socket) error {
	left := map[uint64]int32{} // by inode: who has it
	for _, s := range found {
		if s.inode != 0 {
			left[s.inode] = 0
		}
	}
	denied, err := search(ctx, left)
	if err != nil {
		return err
	}
	for i := range found {
		s := &found[i]
		if s.pid = left[s.inode]; s.pid != 0 {
			s.pid = eldest(ctx, s.pid, s.inode)
		} else {
			s.unseen = why(*s, os.Geteuid(), denied)
		}
	}
	return nil
}

// why is the reason for which this user found nobody, denied or not to look
// into some process. With hidepid (proc(5)), those of others are not even there
// to be denied.
func why(s socket, uid int, denied bool) Unseen {
	switch {
	case s.inode == 0:
		return Closed
	case int(s.uid) != uid && (denied || uid != 0):
		return Denied
	default:
		return Elsewhere
	}
}

// search fills in who has the sockets, and says whether there was a process
// that it was not allowed to look into.
func search(ctx context.Context, owners map[uint64]int32) (denied bool, err error) {
	missing := len(owners)
	if missing == 0 {
		return false, nil
	}
	pids, err := process.PidsWithContext(ctx)
	if err != nil {
		return false, err
	}
	slices.Sort(pids)
	for _, pid := range slices.Backward(pids) {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		err := eachSocket(pid, func(inode uint64) bool {
			if owner, wanted := owners[inode]; wanted && owner == 0 {
				owners[inode] = pid
				missing--
			}
			return missing > 0
		})
		if missing == 0 {
			return denied, nil
		}
		denied = denied || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)
	}
	return denied, nil
}

// eldest goes from a process to the first of its line who has the same socket:
// the server that forked it, without whose end the port never comes free.
func eldest(ctx context.Context, pid int32, inode uint64) int32 {
	for {
		parent, err := (&process.Process{Pid: pid}).PpidWithContext(ctx)
		if err != nil {
			return pid
		}
		has := false
		_ = eachSocket(parent, func(n uint64) bool { // who is not to be seen is not named
			has = n == inode
			return !has
		})
		if !has {
			return pid
		}
		pid = parent
	}
}

// eachSocket passes on the inodes of a process's open sockets (proc_pid_fd(5))
// until it is told to stop. The error is the kernel's.
func eachSocket(pid int32, use func(inode uint64) (more bool)) error {
	dir, err := unix.Open("/proc/"+strconv.Itoa(int(pid))+"/fd", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	entries, target := make([]byte, 8<<10), make([]byte, 64)
	for {
		n, err := unix.ReadDirent(dir, entries)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return err
		}
		_, _, names := unix.ParseDirent(entries[:n], -1, nil)
		for _, name := range names {
			n, err := unix.Readlinkat(dir, name, target)
			if err != nil {
				continue // closed since
			}
			if inode, ok := socketInode(target[:n]); ok && !use(inode) {
				return nil
			}
		}
	}
}

// socketInode reads what the link of a descriptor says: socket:[12345].
func socketInode(target []byte) (uint64, bool) {
	text, ok := bytes.CutPrefix(target, []byte("socket:["))
	if !ok || !bytes.HasSuffix(text, []byte("]")) {
		return 0, false
	}
	inode, err := strconv.ParseUint(string(text[:len(text)-1]), 10, 64)
	return inode, err == nil
}
