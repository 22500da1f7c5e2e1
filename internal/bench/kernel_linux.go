package bench

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// proportionalMemory is what a process takes of the machine, in bytes: its own pages,
// and its part of those that it shares (PSS, proc_pid_smaps(5)).
func proportionalMemory(pid int) (float64, error) { return sumOf(pid, "Pss:") }

// ownMemory is what would be free if the process ended, in bytes.
func ownMemory(pid int) (float64, error) { return sumOf(pid, "Private_Clean:", "Private_Dirty:") }

func sumOf(pid int, fields ...string) (sum float64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, fmt.Errorf("cannot see the memory of PID %d: %w", pid, err)
	}
	for line := range bytes.Lines(text) {
		words := strings.Fields(string(line))
		for _, field := range fields {
			if len(words) > 1 && words[0] == field {
				kilobytes, err := strconv.ParseFloat(words[1], 64)
				if err != nil {
					return 0, fmt.Errorf("cannot see the memory of PID %d: %w", pid, err)
				}
				sum += 1024 * kilobytes
			}
		}
	}
	return sum, nil
}

// processorTime is what the threads of a process have run, in nanoseconds where the
// kernel counts them (/proc/PID/task/TID/schedstat, the first number): utime and stime
// count hundredths of a second.
func processorTime(id procscan.ID) (time.Duration, error) {
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", id.PID)) // the pattern is right
	var sum time.Duration
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that has ended
		}
		number, _, _ := strings.Cut(string(text), " ")
		ran, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("cannot read %s: %w", path, err)
		}
		sum += time.Duration(ran)
	}
	if now, err := procscan.Lookup(id.PID); err != nil || now != id {
		return 0, fmt.Errorf("PID %d has ended", id.PID)
	}
	if len(paths) == 0 {
		_, seconds, err := procscan.Usage(id)
		return time.Duration(seconds * float64(time.Second)), err
	}
	return sum, nil
}
