package procscan

import (
	"cmp"
	"slices"
)

// Process is one process as it was seen.
type Process struct {
	ID
	PPID int
	PGID int
	SID  int
	UID  int // effective user id
	// State Z or X is dead. A zombie has neither arguments nor environment any
	// more, and so no marker.
	State State
	Args  []string
	// Cgroup is the control group that systemd has put it in, and Contained says
	// that it is in a PID namespace below ours. Both are read on Linux only, and
	// only of who shows a sign of a run or adopts others.
	Cgroup    string
	Contained bool
	// Environment is looked at only of those whom Options.Also names and who show
	// no sign of a run.
	Environment EnvState
	Marker
}

// Snapshot is one pass over the machine.
type Snapshot struct {
	// Processes are in the order of their PIDs: all with Options.Tree,
	// otherwise those which show a sign of a run, condemned or not, the Closed,
	// and whom Options.Also and Options.Ancestors add.
	Processes []Process
	Scanned   int // how many processes were looked at
	// Unreadable counts the processes of which nothing decided and something
	// could not be read: other users' processes, usually. They may belong to a
	// run or not.
	Unreadable int
	// Closed are those of them that are the caller's own and let nobody read
	// their memory all the same (prctl(2), PR_SET_DUMPABLE): unlike other users'
	// processes, these can be of a run of the caller. They are kept in Processes.
	Closed []ID
	Boot   string
	Self   int // PID of the process that scanned; never part of a run
}

// Run returns the living processes that carry a condemning marker of exactly
// this run.
func (s Snapshot) Run(runID string) []Process {
	return s.filter(func(p Process) bool {
		return p.Condemns && p.RunID == runID && !p.State.IsDead() && p.PID != s.Self
	})
}

// CouldBeOf returns those of the Closed that may be of the run of this supervisor:
// they are not older, and not in a session that is, since who is of a run is in the
// session of a worker or in one of its own. Of an unknown supervisor, anybody may
// be. The snapshot needs the ancestors of the closed.
func (s Snapshot) CouldBeOf(supervisor ID) []ID {
	if supervisor.PID <= 0 {
		return s.Closed
	}
	var suspects []ID
	for _, id := range s.Closed {
		p, found := s.Find(id.PID)
		if !found || id.Boot != supervisor.Boot || id.Start < supervisor.Start {
			continue
		}
		if !slices.ContainsFunc(s.Ancestors(id.PID), func(a Process) bool {
			return p.SID != 0 && a.SID == p.SID && a.Start < supervisor.Start
		}) {
			suspects = append(suspects, id)
		}
	}
	return suspects
}

// Group returns the living members of a process group. It needs Options.Tree.
func (s Snapshot) Group(pgid int) []Process {
	return s.filter(func(p Process) bool { return p.PGID == pgid && !p.State.IsDead() })
}

// Descendants returns the children of the process with this PID, their
// children, and so on, parents first; zombies too, since they have parents. A
// descendant whose parent has died belongs to somebody else by then, and is
// not found. It needs Options.Tree.
func (s Snapshot) Descendants(pid int) []Process {
	children := map[int][]Process{}
	for _, p := range s.Processes {
		children[p.PPID] = append(children[p.PPID], p)
	}
	// PIDs in one snapshot need not be from one instant: never go in circles.
	met := map[int]bool{pid: true}
	var found []Process
	for queue := []int{pid}; len(queue) > 0; queue = queue[1:] {
		for _, child := range children[queue[0]] {
			if !met[child.PID] {
				met[child.PID] = true
				found = append(found, child)
				queue = append(queue, child.PID)
			}
		}
	}
	return found
}

// Ancestors returns the parent of the process with this PID, its parent, and so
// on, as far as they were seen. It needs Options.Ancestors or Options.Tree.
func (s Snapshot) Ancestors(pid int) []Process {
	met := map[int]bool{}
	var found []Process
	for p, ok := s.Find(pid); ok && !met[p.PID]; {
		met[p.PID] = true
		if p, ok = s.Find(p.PPID); ok && !met[p.PID] {
			found = append(found, p)
		}
	}
	return found
}

// Find returns the process that had the PID.
func (s Snapshot) Find(pid int) (Process, bool) {
	i, found := slices.BinarySearchFunc(s.Processes, pid, func(p Process, pid int) int {
		return cmp.Compare(p.PID, pid)
	})
	if !found {
		return Process{}, false
	}
	return s.Processes[i], true
}

func (s Snapshot) filter(keep func(Process) bool) []Process {
	var kept []Process
	for _, p := range s.Processes {
		if keep(p) {
			kept = append(kept, p)
		}
	}
	return kept
}
