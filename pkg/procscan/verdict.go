package procscan

import (
	"fmt"
	"path"
	"slices"
)

// Verdict says what a process with a marker is to the run that it names.
type Verdict string

// The verdicts.
const (
	Managed Verdict = "managed" // its run lives and knows it
	Orphan  Verdict = "orphan"  // its run has no living supervisor
	Stray   Verdict = "stray"   // its run lives and does not know it
	Foreign Verdict = "foreign" // nothing proves that it may be ended
)

// LockState is what the lock of a run says about its supervisor.
type LockState int

// The states of a lock.
const (
	LockUnknown LockState = iota // there is none, or it cannot be looked at
	LockHeld
	LockFree
)

// Facts are what is known about a run beside what its processes show.
type Facts struct {
	RunID      string
	Lock       LockState
	Supervisor ID   // as it was recorded; zero when nothing was
	Registered []ID // the workers' processes in the registry of the run
	// Owner is the user id that the run's files belong to. Processes of others
	// that name the run are of a run of theirs, unless they are proven to be of
	// this one: a worker can give up its privileges.
	Owner int
	// Key is the run's own random value; empty when it is not known.
	Key string
	// Others are processes that the files of runs name as something else than a
	// worker of this run, and what that is: "the guard of run b".
	Others map[ID]string
}

// knowsSupervisor says that one was recorded, whole or not.
func (f *Facts) knowsSupervisor() bool { return f.Supervisor.PID > 0 }

// keyed says that the process carries the run's own random value, which nobody
// has by accident: it is of the run, whatever user it has become.
func (f *Facts) keyed(p Process) bool { return f.Key != "" && p.Key == f.Key }

// Proves says that the process is of the run whatever its user is: by the run's
// key, or by the registry together with the marker.
func (f *Facts) Proves(p Process) bool {
	return f != nil && p.Condemns && p.RunID == f.RunID && (f.keyed(p) || f.registers(p.ID))
}

func (f *Facts) registers(id ID) bool { return f != nil && slices.Contains(f.Registered, id) }

// Judge says what p is, and by what evidence, in words. f holds the facts about
// the run that p names, or that has registered it; it is nil when there are
// none: a run of another host, or of another state directory. The snapshot
// needs the ancestors of p (Options.Ancestors or Options.Tree).
//
// In doubt a process is Foreign. The proofs of an orphan are a free lock, the
// recorded death of the supervisor, or, where neither is known, a parent that
// only takes what others have left. A free lock proves nothing about a process
// that has another living parent: run ids can be chosen, and two users or two
// state directories can have a run of the same name.
func Judge(p Process, s Snapshot, f *Facts) (Verdict, []string) {
	registered := f.registers(p.ID)
	evidence := slices.Clone(p.Evidence)
	if registered {
		evidence = append(evidence, "in the registry of run "+f.RunID)
	}
	if p.State.IsDead() {
		evidence = append(evidence, "zombie: it is dead, and waits for its parent")
	}
	if !registered && !p.Condemns {
		return Foreign, evidence
	}
	if f != nil {
		if other := f.contradicts(p, registered); other != "" {
			return Foreign, append(evidence, other)
		}
	}
	if f != nil && !registered && p.UID != f.Owner && !f.Proves(p) {
		return Foreign, append(evidence, fmt.Sprintf("it belongs to user id %d, not to the owner of this run %s, user id %d", p.UID, f.RunID, f.Owner))
	}
	j := judge{p: p, s: s, f: f, runID: p.RunID}
	if f != nil {
		j.runID = f.RunID
	}
	verdict, why := j.verdict(registered)
	return verdict, append(evidence, why)
}

// contradicts says why a process that names the run, or that its registry names,
// is not of it after all.
func (f *Facts) contradicts(p Process, registered bool) string {
	switch {
	case registered && p.Condemns && p.RunID != f.RunID:
		return "it carries the marker of run " + p.RunID
	case registered && p.UID != f.Owner && !f.Proves(p):
		return fmt.Sprintf("it belongs to user id %d, not to the owner of run %s", p.UID, f.RunID)
	case f.Key != "" && p.Key != f.Key && !(registered && p.Key == ""):
		return "it is of another run of the same name: its " + RunKeyEnv + " is not that of run " + f.RunID
	}
	return ""
}

// judge is one question for a verdict.
type judge struct {
	p     Process
	s     Snapshot
	f     *Facts
	runID string
}

func (j judge) verdict(registered bool) (Verdict, string) {
	if j.f == nil {
		return j.byParent()
	}
	supervisor, lives := j.supervisor()
	switch {
	case j.f.Lock == LockHeld && !lives && j.f.knowsSupervisor():
		return Foreign, fmt.Sprintf("the lock of run %s is held, but not by its supervisor, PID %d: somebody cleans up, or it is in another PID namespace",
			j.f.RunID, j.f.Supervisor.PID)
	case j.f.Lock == LockHeld:
		return j.inLivingRun(fmt.Sprintf("the lock of run %s is held", j.f.RunID), supervisor)
	case lives: // whatever became of the lock's file
		return j.inLivingRun(fmt.Sprintf("the supervisor of run %s, PID %d, lives", j.f.RunID, supervisor.PID), supervisor)
	case j.f.Lock == LockUnknown && !j.f.knowsSupervisor() && !registered:
		return j.byParent()
	case j.f.Lock == LockUnknown && !j.f.knowsSupervisor():
		return Foreign, fmt.Sprintf("run %s has neither a lock nor a recorded supervisor: nothing proves that it is dead", j.f.RunID)
	}
	if !registered || !j.f.knowsSupervisor() {
		if neighbour := j.neighbour(); neighbour != "" {
			return Foreign, neighbour
		}
	}
	if !j.p.Condemns && !j.p.State.IsDead() {
		if missing := RegisteredOnly(j.p, j.s, j.f); missing != "" {
			return Foreign, missing
		}
		return Orphan, fmt.Sprintf("its environment is %s, as a program leaves it that changes its title, so the registry is believed; %s", j.p.Environment, j.death())
	}
	return Orphan, j.death()
}

func (j judge) death() string {
	ended := "its supervisor has ended"
	if j.f.Supervisor.PID != 0 {
		ended = fmt.Sprintf("its supervisor, PID %d, has ended", j.f.Supervisor.PID)
	}
	if j.f.Lock == LockUnknown {
		return fmt.Sprintf("run %s has no lock that can be looked at, and %s", j.f.RunID, ended)
	}
	return fmt.Sprintf("the lock of run %s is free: %s", j.f.RunID, ended)
}

// supervisor finds the recorded supervisor, if it is that very process.
func (j judge) supervisor() (ID, bool) {
	p, found := j.s.Find(j.f.Supervisor.PID)
	return j.f.Supervisor, found && p.ID == j.f.Supervisor && !p.State.IsDead()
}

// inLivingRun tells apart whom the supervisor knows, directly or by descent.
func (j judge) inLivingRun(alive string, supervisor ID) (Verdict, string) {
	if j.f.registers(j.p.ID) {
		return Managed, alive
	}
	for _, id := range j.f.Registered {
		if j.p.PGID == id.PID {
			if leader, found := j.s.Find(id.PID); found && leader.ID == id {
				return Managed, fmt.Sprintf("%s, and it is in the group of a registered worker, PID %d", alive, id.PID)
			}
		}
	}
	for _, a := range j.s.Ancestors(j.p.PID) {
		switch {
		case j.f.registers(a.ID):
			return Managed, fmt.Sprintf("%s, and it descends from a registered worker, PID %d", alive, a.PID)
		case a.ID == supervisor:
			return Managed, fmt.Sprintf("%s, and it descends from the supervisor, PID %d", alive, a.PID)
		}
	}
	if supervisor.PID <= 0 {
		return Foreign, alive + ", and it is not known who its supervisor is"
	}
	if neighbour := j.neighbour(); neighbour != "" {
		return Foreign, neighbour
	}
	return Stray, alive + ", and its supervisor does not know this process"
}

// top climbs from p over those of the same run and returns the last of them, and
// its parent if that is to be seen.
func (j judge) top() (top, parent Process, found bool) {
	top = j.p
	for _, a := range j.s.Ancestors(j.p.PID) {
		ours := a.Condemns && a.RunID == j.runID || j.f.registers(a.ID)
		if !ours {
			return top, a, true
		}
		top = a
	}
	return top, Process{}, false
}

// neighbour says why a process may belong to another, living run of the same
// name, or to a supervisor that lost its record; it is empty when nothing speaks
// for that. Where no supervisor was recorded, only a known init or reaper has
// adopted for sure: any other parent may be the host itself. That is taken back
// for a process under PID 1 which carries the run's marker, is in its registry,
// and whose run's lock is free: a host that writes all these is no unknown program.
func (j judge) neighbour() string {
	top, parent, found := j.top()
	switch {
	case !found && top.PPID == 0:
		return "its parent is in another PID namespace: nothing proves that its host is dead"
	case !found || parent.PID == 1 && isInit(parent) || isReaper(parent):
		return ""
	case j.f.knowsSupervisor() && (parent.PID == 1 || j.hasAdopted(parent)):
		return ""
	case parent.PID == 1 && j.p.Condemns && j.f.registers(j.p.ID) && j.f.Lock == LockFree:
		return ""
	case parent.PID == 1:
		return fmt.Sprintf("its parent is PID 1 (%s), which is no init that is known and may be the host itself: no supervisor of run %s was recorded",
			nameOf(parent), j.f.RunID)
	}
	return fmt.Sprintf("its parent PID %d (%s) lives and is not of this run %s: it may belong to another run of that name",
		parent.PID, nameOf(parent), j.f.RunID)
}

// hasAdopted says that the process is the parent of a registered worker of the
// run, and so takes what its supervisor has left.
func (j judge) hasAdopted(parent Process) bool {
	return slices.ContainsFunc(j.f.Registered, func(id ID) bool {
		p, found := j.s.Find(id.PID)
		return found && p.ID == id && p.PPID == parent.PID
	})
}

// byParent judges where no file says anything.
func (j judge) byParent() (Verdict, string) {
	const unproven = ": nothing proves that its host is dead"
	top, parent, found := j.top()
	who := "its"
	if top.PID != j.p.PID {
		who = fmt.Sprintf("it descends from PID %d of the same run, whose", top.PID)
	}
	switch {
	case !found && top.PPID == 0:
		return Foreign, who + " parent is in another PID namespace" + unproven
	case !found:
		return Foreign, fmt.Sprintf("%s parent PID %d cannot be seen%s", who, top.PPID, unproven)
	case top.Contained:
		return Foreign, who + " PID namespace is another one, a container's" + unproven
	case parent.PID == 1 && isInit(parent), isReaper(parent):
		if started := j.s.mayHaveStarted(parent, top); started != "" {
			return Foreign, fmt.Sprintf("%s parent PID %d (%s) may have started it itself: %s", who, parent.PID, nameOf(parent), started)
		}
		return Orphan, fmt.Sprintf("%s parent is PID %d (%s), which takes the processes whose parents have ended", who, parent.PID, nameOf(parent))
	case parent.PID == 1:
		return Foreign, fmt.Sprintf("%s parent is PID 1 (%s), which is no init that is known and may be the host itself%s", who, nameOf(parent), unproven)
	}
	return Foreign, fmt.Sprintf("%s parent PID %d (%s) lives", who, parent.PID, nameOf(parent))
}

// nameOf is the name of a process's program as it was called.
func nameOf(p Process) string {
	if len(p.Args) == 0 || p.Args[0] == "" {
		return "?"
	}
	return path.Base(p.Args[0])
}
