package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// logLine is a line and who printed it.
type logLine struct {
	worker string
	at     time.Time // its place in the order
	rundir.LogLine
}

// logFolder is the logs of one run: those of the workers chosen, or of all.
type logFolder struct {
	dir    string // of the run
	chosen []string
}

// names lists who has a log, workers in the order of their numbers. The
// supervisor is among them only when it was chosen.
func (f logFolder) names() ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(rundir.LogPath(f.dir, "any")))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("cannot list the logs: %w", err)
	}
	var names []string
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry.Name(), ".log"); ok && (name != supervisorLog || slices.Contains(f.chosen, name)) {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, byNumber)
	return names, nil
}

// wants says whether a log of this name is to be shown.
func (f logFolder) wants(name string) bool {
	if len(f.chosen) == 0 {
		return name != supervisorLog
	}
	return slices.Contains(f.chosen, name)
}

// last reads the last n lines of each log, in the order of time.
func (f logFolder) last(names []string, n int) ([]logLine, error) {
	var all []logLine
	for _, name := range names {
		if !f.wants(name) {
			continue
		}
		lines, err := rundir.ReadLog(rundir.LogPath(f.dir, name), n)
		if err != nil {
			return nil, err
		}
		all = append(all, named(name, lines)...)
	}
	return inTime(all), nil
}

// named puts a name to lines. One without a time belongs to the one before.
func named(worker string, lines []rundir.LogLine) []logLine {
	var out []logLine
	var last time.Time
	for _, line := range lines {
		if !line.Time.IsZero() {
			last = line.Time
		}
		out = append(out, logLine{worker, last, line})
	}
	return out
}

// inTime merges the lines of several workers; those of one stay in their order.
func inTime(lines []logLine) []logLine {
	slices.SortStableFunc(lines, func(a, b logLine) int { return a.at.Compare(b.at) })
	return lines
}

// byNumber orders the ids of workers: default-2 before default-10.
func byNumber(a, b string) int {
	poolA, numberA := splitWorker(a)
	poolB, numberB := splitWorker(b)
	return cmp.Or(strings.Compare(poolA, poolB), cmp.Compare(numberA, numberB))
}

func splitWorker(id string) (pool string, number int) {
	at := strings.LastIndexByte(id, '-')
	number, err := strconv.Atoi(id[at+1:])
	if at < 0 || err != nil {
		return id, 0
	}
	return id[:at], number
}
