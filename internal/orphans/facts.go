package orphans

import (
	"maps"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// readRuns reads before the scan: a process of a run whose lock is found free
// afterwards may just have been stopped in good order.
func (l *lookout) readRuns() {
	runs, problems, err := rundir.List(l.opts.Runs)
	if err != nil {
		l.problem(err.Error())
	}
	for _, p := range problems {
		if l.concerns(p.RunID) {
			l.problem(p.String())
		}
	}
	l.runs = runs
	l.living = livingOf(runs)
	for _, run := range runs {
		if l.concerns(run.RunID) {
			l.report.Runs[run.RunID] = run
			l.facts[run.RunID] = l.factsOf(run)
		}
	}
}

// named are the processes that the files of one living run name.
type named struct {
	runID     string
	processes map[procscan.ID]string
}

func livingOf(runs []rundir.Found) []named {
	var all []named
	for _, run := range rundir.Living(runs) {
		processes, _ := rundir.Others([]rundir.Found{run}, "") // a broken registry is told of with its run
		all = append(all, named{run.RunID, processes})
	}
	return all
}

// livingBut are the processes of the other living runs.
func (l *lookout) livingBut(runID string) map[procscan.ID]string {
	all := map[procscan.ID]string{}
	for _, run := range l.living {
		if run.runID != runID {
			maps.Copy(all, run.processes)
		}
	}
	return all
}

func (l *lookout) concerns(runID string) bool { return l.opts.RunID == "" || l.opts.RunID == runID }

func (l *lookout) factsOf(run rundir.Found) *procscan.Facts {
	f := &procscan.Facts{RunID: run.RunID, Lock: l.lockOf(run), Owner: ownerOf(run.Dir)}
	if run.Record != nil {
		f.Supervisor, f.Key = run.Record.Supervisor.ID(), run.Record.Key
	}
	entries, err := rundir.ReadRegistry(run.Dir)
	if err != nil {
		l.problem(err.Error())
	}
	for _, e := range entries {
		if e.PID != 0 {
			f.Registered = append(f.Registered, e.ID())
		}
	}
	if len(f.Registered) > 0 {
		f.Others = l.others(run.RunID)
	}
	return f
}

// others are named by the files of all runs. A registry that cannot be read
// names nobody, and is told of with its own run.
func (l *lookout) others(runID string) map[procscan.ID]string {
	named, _ := rundir.Others(l.runs, runID)
	return named
}

func (l *lookout) lockOf(run rundir.Found) procscan.LockState {
	switch {
	case run.RunID == l.adopted:
		return procscan.LockFree
	case run.LockUnknown:
		return procscan.LockUnknown
	case run.Alive:
		return procscan.LockHeld
	}
	return procscan.LockFree
}

// registered are those whom the scan has to keep whatever they show: a marker
// may be hidden, and the supervisors tell who lives.
func (l *lookout) registered() []procscan.ID {
	var ids []procscan.ID
	for _, f := range l.facts {
		ids = append(ids, f.Registered...)
		if f.Lock != procscan.LockFree && !f.Supervisor.IsZero() {
			ids = append(ids, f.Supervisor)
		}
	}
	return ids
}
