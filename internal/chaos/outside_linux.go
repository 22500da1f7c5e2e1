package chaos

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// scan reads the process table. Processes that end meanwhile are left out, and of
// those of other users only what they show.
func scan() ([]process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("cannot read the process table: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("cannot read the process table: %w", err)
	}
	var all []process
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		p, err := lookup(pid)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return nil, err
		}
		p.args, p.env = list(pid, "cmdline"), list(pid, "environ")
		all = append(all, p)
	}
	return all, nil
}

// lookup reads one process without its arguments and environment.
func lookup(pid int) (process, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return process{}, errGone
	}
	if err != nil {
		return process{}, fmt.Errorf("cannot read PID %d: %w", pid, err)
	}
	return parseStat(string(text))
}

// parseStat reads a proc_pid_stat(5). The name of the program stands in
// parentheses and may itself hold anything, parentheses too.
func parseStat(text string) (process, error) {
	first, rest := strings.Index(text, " ("), strings.LastIndex(text, ") ")
	if first < 0 || rest < 0 {
		return process{}, fmt.Errorf("cannot read a process: %q", text)
	}
	fields := strings.Fields(text[rest+2:])
	if len(fields) < 20 || len(fields[0]) != 1 {
		return process{}, fmt.Errorf("cannot read a process: %q", text)
	}
	p := process{state: fields[0][0]}
	var bad error
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		bad = errors.Join(bad, err)
		return n
	}
	p.pid = number(text[:first])
	p.ppid, p.pgid, p.sid = number(fields[1]), number(fields[2]), number(fields[3])
	start, err := strconv.ParseUint(fields[19], 10, 64) // field 22 of the whole, in clock ticks since boot
	p.start = start
	if bad = errors.Join(bad, err); bad != nil {
		return process{}, fmt.Errorf("cannot read a process: %w", bad)
	}
	return p, nil
}

// list reads what is kept with a NUL after each item; nothing of a process that
// has ended, or that hides it from us.
func list(pid int, what string) []string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), what))
	if err != nil || len(text) == 0 {
		return nil
	}
	var items []string
	for item := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte{0}), []byte{0}) {
		items = append(items, string(item))
	}
	return items
}

// newestPID is the number of the process that was started last (proc_loadavg(5)); 0
// where nobody says.
func newestPID() int {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	pid, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		return 0
	}
	return pid
}
