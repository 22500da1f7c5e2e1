package pool

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// CgroupLimit is the strictest limit of a controller on this process.
type CgroupLimit struct {
	Max     uint64 // bytes of memory, or processes and threads
	Current uint64 // how much of it is taken
	File    string // where it is set
}

// unlimited is what version 1 writes for no limit, rounded down to a page.
const unlimited = 1 << 62

// ReadCgroupLimit finds what the cgroups of this process allow, its own and those
// above it, as far as they are to be seen. The controller is memory or pids. False:
// there is no limit, or no cgroup. The root of the file system is a parameter for
// tests.
func ReadCgroupLimit(root, controller string) (CgroupLimit, bool) {
	membership, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return CgroupLimit{}, false
	}
	mounts, err := os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return CgroupLimit{}, false
	}
	path, version := parseMembership(membership, controller)
	point, below := parseMounts(mounts, version, controller, path)
	if point == "" {
		return CgroupLimit{}, false
	}
	name, current := controller+".max", controller+".current"
	if version == 1 && controller == "memory" {
		name, current = "memory.limit_in_bytes", "memory.usage_in_bytes"
	}
	var strictest CgroupLimit
	for dir := below; ; dir = filepath.Dir(dir) {
		at := filepath.Join(point, dir)
		limit := CgroupLimit{File: filepath.Join(at, name)}
		var ok bool
		if limit.Max, ok = readNumber(filepath.Join(root, limit.File)); ok && limit.Max < unlimited {
			limit.Current, _ = readNumber(filepath.Join(root, at, current))
			if strictest.File == "" || limit.Max < strictest.Max {
				strictest = limit
			}
		}
		if dir == "." {
			return strictest, strictest.File != ""
		}
	}
}

// readNumber is false for a file that is not there, and for "max".
func readNumber(file string) (uint64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil
}
