package doctor

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// tasks are the processes and threads that this user may have. Who may exceed it,
// as root may, is exempt (setrlimit(2)).
func tasks() (allowed limit, exempt bool, err error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &r); err != nil {
		return limit{}, false, fmt.Errorf("cannot read the limit of processes: %w", err)
	}
	if os.Geteuid() == 0 || r.Cur == unix.RLIM_INFINITY {
		return limit{max: r.Cur}, true, nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return limit{}, false, fmt.Errorf("cannot count this user's processes: %w", err)
	}
	var used uint64
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err == nil {
			used += threadsOf(filepath.Join("/proc", entry.Name(), "task"))
		}
	}
	return limit{max: r.Cur, used: used}, false, nil
}

// threadsOf counts those of a process of this user: its task directory has a
// subdirectory for each. One that has ended has none.
func threadsOf(dir string) uint64 {
	info, err := os.Stat(dir)
	if err != nil {
		return 0
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) == os.Getuid() {
		return uint64(stat.Nlink) - 2
	}
	return 0
}

// isReadOnly says that nothing can be written to the file system.
func isReadOnly(s unix.Statfs_t) bool { return s.Flags&unix.ST_RDONLY != 0 }
