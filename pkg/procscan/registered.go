package procscan

import (
	"fmt"
	"slices"
)

// RegisteredOnly says why a process that the registry of a dead run names, and
// that shows no condemning marker, may not be ended with that run; it is empty
// when it may. A worker can hide its marker (setproctitle(3) overwrites both
// arguments and environment), but a file alone must not condemn: it can be
// damaged or edited. So the process has to look like a worker whose supervisor
// has died:
//
//   - its environment is overwritten or empty: one that is whole and holds no
//     marker shows that it never was a worker;
//   - it is of the user that the run's files belong to, and names no other run;
//   - nothing else is said of it by the files of any run (Facts.Others);
//   - it leads a session, as every worker is launched;
//   - it was not started before its supervisor;
//   - its parent is one that takes what others have left.
//
// That the supervisor has died is for the caller to know. The snapshot needs the
// ancestors of p, and who is registered as Options.Also.
func RegisteredOnly(p Process, s Snapshot, f *Facts) (missing string) {
	other, isOther := f.Others[p.ID]
	switch {
	case !f.registers(p.ID):
		return "it is not in the registry of run " + f.RunID
	case p.UID != f.Owner && !f.keyed(p):
		return fmt.Sprintf("it belongs to user id %d, not to the owner of run %s", p.UID, f.RunID)
	case p.RunID != "" && p.RunID != f.RunID:
		return "it names run " + p.RunID
	case isOther:
		return "it is " + other
	case p.SID != p.PID:
		return "it carries no marker and leads no session, as a worker does"
	case p.Environment == EnvWhole:
		return "its environment is whole and holds no marker, so that it never was a worker"
	case p.Environment == EnvUnknown:
		return "it carries no marker, and its environment could not be read"
	case !f.knowsSupervisor():
		return "it carries no marker, and it is not known when its supervisor was started"
	case p.Boot != f.Supervisor.Boot || p.Start < f.Supervisor.Start:
		return fmt.Sprintf("it carries no marker and was started before its supervisor, PID %d", f.Supervisor.PID)
	}
	return judge{p: p, s: s, f: f, runID: f.RunID}.notAdopted()
}

// notAdopted says of a process without a marker why its parent may be the one
// that has started it.
func (j judge) notAdopted() string {
	parent, found := j.s.Find(j.p.PPID)
	switch {
	case j.p.PPID == 0:
		return "it carries no marker, and its parent is in another PID namespace"
	case !found:
		return fmt.Sprintf("it carries no marker, and its parent PID %d cannot be seen", j.p.PPID)
	case parent.PID == 1, isReaper(parent), j.hasAdoptedMarked(parent):
		return ""
	}
	return fmt.Sprintf("it carries no marker, and its parent PID %d (%s) is none that takes what others have left", parent.PID, nameOf(parent))
}

// hasAdoptedMarked says that the process is the parent of a registered worker
// whose own marker tells that it is of this run.
func (j judge) hasAdoptedMarked(parent Process) bool {
	return slices.ContainsFunc(j.f.Registered, func(id ID) bool {
		p, found := j.s.Find(id.PID)
		return found && p.ID == id && p.PPID == parent.PID && !p.State.IsDead() &&
			p.Condemns && p.RunID == j.f.RunID && (j.f.Key == "" || p.Key == j.f.Key)
	})
}
