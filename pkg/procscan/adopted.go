package procscan

import (
	"path"
	"slices"
	"strings"
)

// isInit knows the programs that are PID 1 to reap what others leave.
func isInit(p Process) bool {
	switch nameOf(p) {
	case "systemd", "init", "launchd", "s6-svscan", "runit":
		return true
	}
	return runsOneProgram(p)
}

// runsOneProgram knows the small inits of containers: each starts one program
// and ends with it, and takes what that leaves.
func runsOneProgram(p Process) bool {
	switch nameOf(p) {
	case "tini", "tini-static", "dumb-init", "docker-init", "catatonit":
		return p.PID == 1
	}
	return false
}

// isReaper knows the child subreapers (PR_SET_CHILD_SUBREAPER, prctl(2)) that
// adopt what they have not started: the user's service manager, and the
// monitors of containers.
func isReaper(p Process) bool {
	name := nameOf(p)
	return name == "systemd" || name == "conmon" || strings.HasPrefix(name, "containerd-shim")
}

// isSystemd also knows it by the unit that only its PID 1 is in, since that is
// often called as /sbin/init.
func isSystemd(p Process) bool {
	return nameOf(p) == "systemd" || p.PID == 1 && unitOf(p.Cgroup) == "init.scope"
}

// NeedsTree says that a verdict may depend on processes that show no sign of a
// run: the children of a container's init.
func (s Snapshot) NeedsTree() bool {
	first, found := s.Find(1)
	return found && runsOneProgram(first)
}

// mayHaveStarted says why a process may be one that its parent, which adopts
// others, has started itself: the main process of a container or of a unit, whose
// host lives. It is empty where it must have been adopted.
//
//   - systemd puts what it starts into a unit of its own, and starts nothing in
//     a scope: "externally created processes" (systemd.scope(5)).
//   - A container's small init starts one program, which it names in its own
//     arguments, and ends with it. Who is not that program was adopted; where none
//     of its children is seen to be, anybody may be. Age tells nothing: what became
//     the init may have had children before.
//   - The others give what they start a session of its own. So do workers, so
//     only who leads none was adopted for sure.
func (s Snapshot) mayHaveStarted(parent, p Process) string {
	switch {
	case isSystemd(parent):
		unit := unitOf(p.Cgroup)
		if p.Cgroup == "" || unit == "" && p.Cgroup != parent.Cgroup {
			return "it is not known of which unit it is"
		}
		if p.Cgroup != parent.Cgroup && !strings.HasSuffix(unit, ".scope") {
			return "it is in the unit " + unit
		}
	case runsOneProgram(parent):
		if !s.hasMainBeside(parent, p) {
			return "none of its other children is seen to be the program that it runs"
		}
	case p.SID == p.PID:
		return "it leads a session of its own"
	}
	return ""
}

// hasMainBeside finds the program that a container's init runs among the siblings
// of p. A script's arguments begin with its interpreter.
func (s Snapshot) hasMainBeside(init, p Process) bool {
	return !endsLike(init.Args, p.Args) && slices.ContainsFunc(s.Processes, func(o Process) bool {
		return o.PPID == p.PPID && o.PID != p.PID && !o.State.IsDead() && endsLike(init.Args, o.Args)
	})
}

// endsLike says that a program, given as its arguments or behind an interpreter's,
// is what an init's command line names behind its options.
func endsLike(init, program []string) bool {
	for _, args := range [][]string{program, program[min(1, len(program)):]} {
		at := len(init) - len(args)
		if len(args) > 0 && at > 0 && slices.Equal(init[at:], args) && onlyOptions(init[1:at]) {
			return true
		}
	}
	return false
}

func onlyOptions(before []string) bool {
	if n := len(before); n > 0 && before[n-1] == "--" {
		return true
	}
	return !slices.ContainsFunc(before, func(arg string) bool { return !strings.HasPrefix(arg, "-") })
}

// unitOf is the innermost unit of systemd that a control group is of; empty when
// it is of none. A unit may have groups of its own below it, a slice has no
// processes (systemd.slice(5)).
func unitOf(cgroup string) string {
	for dir := cgroup; len(dir) > 1; dir = path.Dir(dir) {
		switch name := path.Base(dir); path.Ext(name) {
		case ".service", ".scope", ".socket", ".mount", ".swap":
			return name
		}
	}
	return ""
}

// parseCgroup reads the path that systemd has put a process at out of
// /proc/PID/cgroup: of its own hierarchy, where there are several, otherwise of
// the only one (cgroups(7)).
func parseCgroup(raw string) string {
	var unified string
	for line := range strings.Lines(raw) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controllers, at, _ := strings.Cut(rest, ":")
		switch {
		case !strings.HasPrefix(at, "/"):
		case controllers == "name=systemd":
			return at
		case controllers == "":
			unified = at
		}
	}
	return unified
}

// parseContained reads /proc/PID/status (proc_pid_status(5)): NSpid holds the
// process's number in each PID namespace, from ours to its own.
func parseContained(status string) bool {
	for line := range strings.Lines(status) {
		if numbers, ok := strings.CutPrefix(line, "NSpid:"); ok {
			return len(strings.Fields(numbers)) > 1
		}
	}
	return false
}
