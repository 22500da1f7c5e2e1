package pool

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// A process that the kernel's out-of-memory killer ends looks like one that
// somebody ended with kill -9. What tells them apart is the counter oom_kill of
// the cgroup that it was in: "The number of processes belonging to this cgroup
// killed by any kind of OOM killer" (Documentation/admin-guide/cgroup-v2.rst,
// memory.events, which includes the cgroups below; since Linux 4.13 also in
// memory.oom_control of version 1, for the cgroup alone). It has risen before the
// process gets its signal.
//
// A cgroup can hold many workers, and programs of others. So each kill explains
// one death and no more, but whose it was is not told: of two workers that are
// ended in the same moment, by the kernel and by hand, either may get the name.

// oomKills are the kills that have explained a death.
type oomKills struct {
	mu        sync.Mutex // guards explained
	explained map[string]int
}

// oomCounter is the counter of one process, as it was at its launch.
type oomCounter struct {
	file   string // "": there is none
	before int    // kills that had explained nobody's death
}

// open finds the counter of a process that lives. Without one, nothing is known
// of its end: the root of version 2 has none, nor has a machine without cgroups.
func (k *oomKills) open(pid int) oomCounter {
	file := counterFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	total, ok := readKills(file)
	if !ok {
		return oomCounter{}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return oomCounter{file: file, before: total - k.explained[file]}
}

// explain says whether a kill has been counted since the launch that explains no
// other death; it explains this one then.
func (k *oomKills) explain(c oomCounter) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	total, ok := readKills(c.file)
	if !ok || total-k.explained[c.file] <= c.before {
		return false
	}
	if k.explained == nil {
		k.explained = map[string]int{}
	}
	k.explained[c.file]++
	return true
}

// readKills reads a counter; false: there is none, or not any more.
func readKills(file string) (int, bool) {
	if file == "" {
		return 0, false
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	return parseKills(text)
}

// parseKills finds oom_kill in the lines "NAME NUMBER" of memory.events or
// memory.oom_control.
func parseKills(text []byte) (int, bool) {
	for line := range bytes.Lines(text) {
		name, number, _ := strings.Cut(strings.TrimSpace(string(line)), " ")
		if name == "oom_kill" {
			total, err := strconv.Atoi(number)
			return total, err == nil
		}
	}
	return 0, false
}

// counterFile is the file with the counter for a process: in its own cgroup, or in
// the next one above that has the memory controller.
func counterFile(membership string) string {
	point, below := controlGroup(membership, "memory")
	if point == "" {
		return ""
	}
	for dir := below; ; dir = filepath.Dir(dir) {
		for _, name := range []string{"memory.events", "memory.oom_control"} { // of version 2, of version 1
			file := filepath.Join(point, dir, name)
			if _, ok := readKills(file); ok {
				return file
			}
		}
		if dir == "." {
			return ""
		}
	}
}

// controlGroup is where the files of a process's control group are that has to do with
// a controller: a mount point, and the way from there.
func controlGroup(membership, controller string) (point, below string) {
	text, err := os.ReadFile(membership)
	if err != nil {
		return "", ""
	}
	path, version := parseMembership(text, controller)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || version == 0 {
		return "", ""
	}
	return parseMounts(mounts, version, controller, path)
}

// parseMembership finds the cgroup of a controller, such as memory, in a process's
// /proc/PID/cgroup, whose lines are ID:CONTROLLERS:PATH (cgroups(7)): that of the
// controller of version 1 if there is one, else that of version 2.
func parseMembership(text []byte, controller string) (path string, version int) {
	for line := range bytes.Lines(text) {
		fields := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		switch {
		case len(fields) != 3:
		case has(fields[1], controller):
			return fields[2], 1
		case fields[0] == "0" && fields[1] == "":
			path, version = fields[2], 2
		}
	}
	return path, version
}

// parseMounts finds in a proc_pid_mountinfo(5) where the cgroup of that path is to
// be seen: a mount point, and the way from there. The mount may show a part of the
// hierarchy only, as in a container.
func parseMounts(text []byte, version int, controller, path string) (point, below string) {
	for line := range bytes.Lines(text) {
		front, back, _ := strings.Cut(string(line), " - ")
		mount, system := strings.Fields(front), strings.Fields(back)
		if len(mount) < 5 || len(system) < 3 {
			continue
		}
		if version == 1 && (system[0] != "cgroup" || !has(system[2], controller)) || version == 2 && system[0] != "cgroup2" {
			continue
		}
		below, err := filepath.Rel(unescape(mount[3]), path)
		if err == nil && filepath.IsLocal(below) {
			return unescape(mount[4]), below
		}
	}
	return "", ""
}

// has says whether a comma list has the item.
func has(list, item string) bool { return strings.Contains(","+list+",", ","+item+",") }

// unescape undoes what mountinfo does to space, tab, newline and backslash.
func unescape(path string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(path)
}
