package cmd

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// statusField is a line of /proc/PID/status.
func statusField(t *testing.T, pid int, name string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no %s in the status of PID %d", name, pid)
	return ""
}

// openKinds are the kinds of what a process has open, without sockets, whose number
// changes with who connects.
func openKinds(t *testing.T, pid int) string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, e := range entries {
		target, _ := os.Readlink(dir + "/" + e.Name()) // closed since: of no kind
		kind, _, _ := strings.Cut(target, ":[")
		if kind != "socket" {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return strings.Join(kinds, " ")
}
