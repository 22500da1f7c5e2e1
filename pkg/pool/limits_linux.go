package pool

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// systemLimits are the limits of descriptors, and those of threads: the kernel counts
// each thread as a process.
func systemLimits(d Demand) []limit {
	limits := append(openFiles(), machineThreads()...)
	limits = append(limits, groupThreads()...)
	if os.Geteuid() != 0 { // root may exceed it (setrlimit(2))
		limits = append(limits, userThreads(d)...)
	}
	return limits
}

// threads is a limit of these, of which so many are there.
func threads(what string, used, allowed uint64, raise string) limit {
	return limit{
		what: what, used: used, allowed: allowed, fixed: fixedThreads,
		worker: workerThreads, foreign: 1, raise: raise,
	}
}

// machineThreads is how many the machine may have.
func machineThreads() (limits []limit) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return nil
	}
	used, ok := parseThreads(string(text))
	if !ok {
		return nil
	}
	for _, name := range []string{"threads-max", "pid_max"} {
		if allowed, ok := readNumber("/proc/sys/kernel/" + name); ok {
			limits = append(limits, threads("threads on this machine", used, allowed, "raise it as root: sysctl kernel."+name+"=%d"))
		}
	}
	return limits
}

// parseThreads finds the number of threads in proc_loadavg(5): what is behind the slash.
func parseThreads(text string) (uint64, bool) {
	_, rest, _ := strings.Cut(text, "/")
	number, _, _ := strings.Cut(rest, " ")
	n, err := strconv.ParseUint(number, 10, 64)
	return n, err == nil
}

// groupThreads are the limits of the control groups that this process is in, up to the
// root of what can be seen (pids.max, Documentation/admin-guide/cgroup-v2.rst).
func groupThreads() (limits []limit) {
	point, below := controlGroup("/proc/self/cgroup", "pids")
	for point != "" {
		dir := filepath.Join(point, below)
		used, counted := readNumber(filepath.Join(dir, "pids.current"))
		allowed, limited := readNumber(filepath.Join(dir, "pids.max"))
		if counted && limited {
			limits = append(limits, threads("threads in the control group", used, allowed,
				fmt.Sprintf("raise it: TasksMax=%%d in a systemd unit, --pids-limit %%d of a container, or as root: echo %%d > %s/pids.max", dir)))
		}
		if below == "." {
			break
		}
		below = filepath.Dir(below)
	}
	return limits
}

// userThreads is how many the user may have. They are counted only where it could
// matter: it takes a look at each process.
func userThreads(d Demand) []limit {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NPROC, &now); err != nil || now.Cur >= math.MaxInt64 {
		return nil
	}
	used := uint64(0)
	if need := fixedThreads + workerThreads*uint64(d.all()); need > now.Cur/4 {
		used = threadsOf(os.Getuid())
	}
	return []limit{threads("threads of this user", used, now.Cur,
		"raise it: ulimit -u %d, LimitNPROC=%d in a systemd unit, or nproc in /etc/security/limits.conf")}
}

// threadsOf counts the threads of a user.
func threadsOf(uid int) (sum uint64) {
	paths, _ := filepath.Glob("/proc/[0-9]*/status") // the pattern is right
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		owner, count := -1, uint64(0)
		for line := range strings.Lines(string(text)) {
			name, rest, _ := strings.Cut(line, ":")
			switch words := strings.Fields(rest); {
			case len(words) == 0:
			case name == "Uid":
				owner, _ = strconv.Atoi(words[0])
			case name == "Threads":
				count, _ = strconv.ParseUint(words[0], 10, 64)
			}
		}
		if owner == uid {
			sum += count
		}
	}
	return sum
}

// readNumber reads a file that holds one; false: there is no file, or "max" in it.
func readNumber(path string) (uint64, bool) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}
