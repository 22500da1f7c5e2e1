package procscan

import "fmt"

// Kin is a process without a marker that belongs to an orphan all the same.
type Kin struct {
	Process
	Of       ID // the orphan
	Evidence string
}

// KinOf finds those who have cleaned their environment (env -i) and so carry no
// marker, but are in a process group that one of these orphans leads, or descend
// from one. They are known only while the orphan lives: collect them before it
// is signalled, and end them by their identity. The snapshot needs
// Options.Tree and Options.ReadEnv.
//
// It leaves alone who is another user's, who carries a marker (its own is judged)
// or mentions another run, whom the files of runs name as something else
// (others, as Facts.Others), and whoever descends from such a one.
func (s Snapshot) KinOf(orphans []Process, others map[ID]string) []Kin {
	roots := map[int]Process{}
	for _, o := range orphans {
		if now, found := s.Find(o.PID); found && now.ID == o.ID && !now.State.IsDead() {
			roots[o.PID] = o
		}
	}
	var found []Kin
	for _, p := range s.Processes {
		if _, isRoot := roots[p.PID]; isRoot || p.PID == s.Self || p.State.IsDead() {
			continue
		}
		if kin, ok := s.kinOf(p, roots, others); ok {
			found = append(found, kin)
		}
	}
	return found
}

// kinOf climbs from p to the first orphan. Without one above it, a member of an
// orphan's group is taken, with what it has started. Another user's process
// between the two breaks the line; somebody else's anywhere above p spares it.
func (s Snapshot) kinOf(p Process, roots map[int]Process, others map[ID]string) (Kin, bool) {
	var inGroup Kin
	below, unbroken := p, true
	for _, a := range append([]Process{p}, s.Ancestors(p.PID)...) {
		if a.Start > below.Start {
			break // a parent is older: this PID was another process's
		}
		unbroken = unbroken && a.UID == p.UID
		if root, isRoot := roots[a.PID]; isRoot {
			return Kin{p, root.ID, fmt.Sprintf("it descends from the orphan PID %d", root.PID)}, unbroken && mayBeKin(p, root)
		}
		if _, isOther := others[a.ID]; isOther || a.Condemns {
			return Kin{}, false
		}
		if leader, led := roots[a.PGID]; led && unbroken && inGroup.Of.IsZero() && leads(leader, a) && mayBeKin(p, leader) {
			inGroup = Kin{p, leader.ID, groupEvidence(p, a, leader)}
		}
		below = a
	}
	return inGroup, !inGroup.Of.IsZero()
}

// leads says that the group is the leader's own: nobody in it is older.
func leads(leader, member Process) bool {
	return leader.PGID == leader.PID && leader.UID == member.UID && leader.Start <= member.Start
}

func groupEvidence(p, member, leader Process) string {
	if p.PID == member.PID {
		return fmt.Sprintf("it is in the group of the orphan PID %d", leader.PID)
	}
	return fmt.Sprintf("it descends from PID %d, which is in the group of the orphan PID %d", member.PID, leader.PID)
}

// mayBeKin refuses who mentions another run.
func mayBeKin(p, root Process) bool { return p.RunID == "" || p.RunID == root.RunID }
