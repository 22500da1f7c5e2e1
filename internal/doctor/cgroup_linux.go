package doctor

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// cgroupLimit is the strictest limit of a controller on this process.
type cgroupLimit struct {
	max     uint64 // bytes of memory, or processes and threads
	current uint64 // how much of it is taken
	file    string // where it is set
}

// unlimited is what version 1 writes for no limit, rounded down to a page.
const unlimited = 1 << 62

// readCgroup finds what the cgroups of this process allow, its own and those
// above it, as far as they are to be seen. The controller is memory or pids. False:
// there is no limit, or no cgroup. The root of the file system is a parameter for
// tests.
func readCgroup(root, controller string) (cgroupLimit, bool) {
	membership, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return cgroupLimit{}, false
	}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return cgroupLimit{}, false
	}
	path, version := cgroupOf(string(membership), controller)
	point, below := mountOf(string(mounts), version, controller, path)
	if point == "" {
		return cgroupLimit{}, false
	}
	name, current := controller+".max", controller+".current"
	if version == 1 && controller == "memory" {
		name, current = "memory.limit_in_bytes", "memory.usage_in_bytes"
	}
	var strictest cgroupLimit
	for dir := below; ; dir = filepath.Dir(dir) {
		at := filepath.Join(point, dir)
		limit := cgroupLimit{file: filepath.Join(at, name)}
		var ok bool
		if limit.max, ok = countIn(filepath.Join(root, limit.file)); ok && limit.max < unlimited {
			limit.current, _ = countIn(filepath.Join(root, at, current))
			if strictest.file == "" || limit.max < strictest.max {
				strictest = limit
			}
		}
		if dir == "." {
			return strictest, strictest.file != ""
		}
	}
}

// countIn is false for a file that is not there, and for "max".
func countIn(file string) (uint64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}

// cgroupOf finds in proc_pid_cgroup(5), whose lines are ID:CONTROLLERS:PATH, the cgroup
// by which the controller counts: that of version 1 if it has one, else that of 2.
func cgroupOf(membership, controller string) (path string, version int) {
	for line := range strings.Lines(membership) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(fields) != 3:
		case slices.Contains(strings.Split(fields[1], ","), controller):
			return fields[2], 1
		case fields[0] == "0" && fields[1] == "":
			path, version = fields[2], 2
		}
	}
	return path, version
}

// mountOf finds in proc_pid_mountinfo(5) where that cgroup is to be seen: a mount
// point, and the way from there. A container sees a part of the hierarchy only.
func mountOf(mounts string, version int, controller, path string) (point, below string) {
	blanks := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(mounts) {
		front, back, _ := strings.Cut(line, " - ")
		mount, system := strings.Fields(front), strings.Fields(back)
		if len(mount) < 5 || len(system) < 3 || version == 0 {
			continue
		}
		one := version == 1 && system[0] == "cgroup" && slices.Contains(strings.Split(system[2], ","), controller)
		if !one && (version != 2 || system[0] != "cgroup2") {
			continue
		}
		below, err := filepath.Rel(blanks.Replace(mount[3]), path)
		if err == nil && filepath.IsLocal(below) {
			return blanks.Replace(mount[4]), below
		}
	}
	return "", ""
}
