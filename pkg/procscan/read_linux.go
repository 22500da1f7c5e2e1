package procscan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/process"
	"golang.org/x/sys/unix"
)

// This file is the only one that reads the system on Linux. gopsutil lists the
// PIDs. The files of each process are read here: gopsutil rounds start times to
// seconds, which two processes can share, and takes nearly twice as long for a
// command line and an environment, the two that a scan reads of everybody.

// ticksPerSecond is USER_HZ, the unit of times in /proc: 100 on every
// architecture that Go runs on.
const ticksPerSecond = 100

// ownProc makes gopsutil read /proc whatever HOST_PROC says. PIDs found in the
// /proc of another PID namespace are other processes here.
func ownProc(ctx context.Context) context.Context {
	return context.WithValue(ctx, common.EnvKey, common.EnvMap{common.HostProcEnvKey: "/proc"})
}

func listPIDs(ctx context.Context) ([]int32, error) {
	if err := checkProc(); err != nil {
		return nil, err
	}
	return process.PidsWithContext(ctx)
}

func readArgs(_ context.Context, pid int) ([]string, error) {
	var args []string
	err := readProc(pid, "cmdline", func(raw []byte) {
		if len(raw) > 0 {
			args = strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
		}
	})
	if err == nil && args == nil {
		if thread := livingThread(pid); thread != "" {
			err = readProc(pid, thread+"cmdline", func(raw []byte) {
				args = strings.Split(strings.TrimSuffix(string(raw), "\x00"), "\x00")
			})
		}
	}
	return args, err
}

// readEnv returns nil for no environment at all, and leaves out everything when
// the marker's variable is nowhere in it.
func readEnv(_ context.Context, pid int) ([]string, error) {
	var env []string
	read := func(raw []byte) {
		if len(raw) > 0 {
			env = []string{}
		}
		if bytes.Contains(raw, []byte(RunIDEnv+"=")) {
			env = strings.Split(string(raw), "\x00")
		}
	}
	err := readProc(pid, "environ", read)
	if env == nil && (err == nil || errors.Is(err, ErrGone)) {
		if thread := livingThread(pid); thread != "" {
			err = readProc(pid, thread+"environ", read)
		}
	}
	return env, err
}

// livingThread is where the files of another thread are, "task/TID/", if the main
// one has ended (pthread_exit(3)): a process whose main thread is a zombie shows
// neither arguments nor environment itself, and lives.
func livingThread(pid int) string {
	if st, err := readStat(pid); err != nil || !st.headless {
		return ""
	}
	tasks, _ := os.ReadDir(procPath(pid) + "/task")
	for _, task := range tasks {
		thread := "task/" + task.Name() + "/"
		running := false
		_ = readProc(pid, thread+"stat", func(line []byte) {
			st, err := parseStat(line)
			running = err == nil && !st.headless && !st.leaving && !st.state.IsDead()
		})
		if running {
			return thread
		}
	}
	return ""
}

// readEnvState says nothing of a process in the middle of execve(2), which has no
// environment for an instant.
func readEnvState(_ context.Context, pid int) EnvState {
	state := EnvUnknown
	if readProc(pid, livingThread(pid)+"environ", func(raw []byte) { state = parseEnvState(raw) }) != nil {
		return EnvUnknown
	}
	if memory, ok := memoryOf(pid); state == EnvEmpty && (!ok || memory.envEnd == 0 || memory.envStart != memory.envEnd) {
		return EnvUnknown
	}
	return state
}

func readStat(pid int) (stat, error) {
	if !possible(pid) {
		return stat{}, ErrGone
	}
	var st stat
	var parseErr error
	err := readProc(pid, "stat", func(line []byte) { st, parseErr = parseStat(line) })
	return st, errors.Join(err, parseErr)
}

// readUID returns the owner of /proc/PID: the effective user of the process, even
// if the files in there belong to root because it forbids to be traced
// (proc_pid(5)).
func readUID(pid int) (int, error) {
	var st unix.Stat_t
	if err := unix.Stat(procPath(pid), &st); err != nil {
		return 0, orGone(pid, err)
	}
	return int(st.Uid), nil
}

// readPlace says where the process is: its control group, and whether it is in
// another PID namespace. What cannot be read is left empty.
func readPlace(pid int) (cgroup string, contained bool) {
	_ = readProc(pid, "cgroup", func(raw []byte) { cgroup = parseCgroup(string(raw)) })
	_ = readProc(pid, "status", func(raw []byte) { contained = parseContained(string(raw)) })
	return cgroup, contained
}

func readUsage(pid int) (usage, error) {
	st, err := readStat(pid)
	return usage{
		stat:       st,
		rssBytes:   st.rssPages * uint64(os.Getpagesize()),
		cpuSeconds: float64(st.cpuTicks) / ticksPerSecond,
	}, err
}

// checkProc refuses the /proc of another PID namespace, whose PIDs are other
// processes here: /proc/self does not lead to this process there, or says that
// it is in a namespace below that of the mount (proc_pid_status(5), NSpid).
func checkProc() error {
	self, err := os.Readlink("/proc/self")
	if errors.Is(err, fs.ErrNotExist) {
		if _, missing := os.Lstat("/proc/self"); missing != nil {
			return fmt.Errorf("there is no /proc: %w", missing)
		}
	}
	if err != nil || self != strconv.Itoa(os.Getpid()) {
		return ErrOtherNamespace
	}
	status, err := os.ReadFile("/proc/self/status")
	if err == nil && parseContained(string(status)) {
		return ErrOtherNamespace
	}
	return err
}

func readBoot() (string, error) {
	if err := checkProc(); err != nil {
		return "", err
	}
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("cannot read the boot id: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}

// startTime counts back from now, with the clock that start times are on.
func startTime(ticks uint64) (time.Time, error) {
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		return time.Time{}, err
	}
	started := time.Duration(ticks) * (time.Second / ticksPerSecond)
	return time.Now().Add(started - time.Duration(up.Nano())), nil
}

func procPath(pid int) string { return "/proc/" + strconv.Itoa(pid) }

// buffers are for the files of one process each; most fit at once.
var buffers = sync.Pool{New: func() any { return bytes.NewBuffer(make([]byte, 0, 16<<10)) }}

// readProc passes on a file of a process. It makes a third of the system calls
// of os.ReadFile, which asks for the size and for the poller first.
func readProc(pid int, name string, use func([]byte)) error {
	fd, err := unix.Open(procPath(pid)+"/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return orGone(pid, err)
	}
	defer unix.Close(fd)
	buffer := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buffer)
	buffer.Reset()
	for {
		buffer.Grow(8 << 10)
		free := buffer.AvailableBuffer()
		n, err := unix.Read(fd, free[:cap(free)])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return orGone(pid, err)
		case n == 0:
			use(buffer.Bytes())
			return nil
		default:
			buffer.Write(free[:n])
		}
	}
}

// orGone turns "there is nothing in /proc" into ErrGone; a process that ends
// while it is read gives ESRCH. With hidepid, another user's process has no
// directory either, but takes (or refuses) a null signal: it is not gone.
func orGone(pid int, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ESRCH):
		return ErrGone
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if null := unix.Kill(pid, 0); null == unix.ESRCH {
		return ErrGone
	}
	// Gone after all if it appears now or was about to vanish; ask once more.
	if _, err := os.Stat(procPath(pid)); err == nil || unix.Kill(pid, 0) == unix.ESRCH {
		return ErrGone
	}
	return fmt.Errorf("/proc does not show it: %w", fs.ErrPermission)
}

// readChildren returns the children of all threads of a process, dead ones
// included (proc_pid_task(5); a kernel may be built without CONFIG_PROC_CHILDREN,
// and then it is false).
func readChildren(pid int) ([]int32, bool) {
	tasks, err := os.ReadDir(procPath(pid) + "/task")
	if err != nil {
		return nil, false
	}
	var children []int32
	told := false
	for _, task := range tasks {
		// A thread that has ended has given its children to another one.
		if readProc(pid, "task/"+task.Name()+"/children", func(list []byte) {
			for _, field := range bytes.Fields(list) {
				if child, err := strconv.ParseInt(string(field), 10, 32); err == nil {
					children = append(children, int32(child))
				}
			}
		}) == nil {
			told = true
		}
	}
	return children, told
}
