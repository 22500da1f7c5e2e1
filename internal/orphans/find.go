package orphans

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/portcheck"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// Options say what Find looks for.
type Options struct {
	Runs  string // the directory of all runs; it need not exist
	RunID string // processes that name this run only; empty for all
	// All also returns what is managed, foreign or dead.
	All bool
}

// Finding is a process, and the verdict on it.
type Finding struct {
	Process  procscan.Process
	RunID    string
	Verdict  procscan.Verdict
	Evidence []string

	Ports     []int     // TCP ports that it listens on, as far as they are to be seen
	RSSBytes  uint64    // 0 when it has ended
	StartedAt time.Time // zero when that is not known
}

// Condemned says that a cleanup may end the process: an orphan that is not dead.
func (f Finding) Condemned() bool {
	return f.Verdict == procscan.Orphan && !f.Process.State.IsDead()
}

// Stray says that the process lives and is not known to its living run.
func (f Finding) Stray() bool {
	return f.Verdict == procscan.Stray && !f.Process.State.IsDead()
}

// Report is what Find has found, in the order of runs and PIDs.
type Report struct {
	Scanned    int // processes
	Unreadable int // of these, those that could not be read; they may be anything
	Processes  []Finding
	// Runs are the runs on disk that match, by id.
	Runs map[string]rundir.Found
	// Problems are files that cannot be used and processes that could not be
	// read. The rest of the report stands.
	Problems []string
}

// Find looks at every process of the machine. It changes nothing. The error is
// that there is nothing to report at all.
func Find(ctx context.Context, o Options) (Report, error) {
	r, err := look(ctx, o, "")
	if err != nil {
		return r, err
	}
	measure(ctx, r.Processes)
	return r, nil
}

// look is Find without measurements. The lock of the adopted run is ours, and
// counts as free.
func look(ctx context.Context, o Options, adopted string) (Report, error) {
	l := &lookout{opts: o, adopted: adopted, facts: map[string]*procscan.Facts{}, report: Report{Runs: map[string]rundir.Found{}}}
	l.readRuns()
	snapshot, err := procscan.Scan(ctx, procscan.Options{ReadEnv: true, Ancestors: true, Also: l.registered()})
	if err != nil && snapshot.Scanned == 0 {
		return l.report, err
	}
	if err != nil {
		l.problem(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	l.report.Scanned, l.report.Unreadable = snapshot.Scanned, snapshot.Unreadable
	l.refresh(snapshot)
	for _, p := range snapshot.Processes {
		l.judge(p, snapshot)
	}
	slices.SortStableFunc(l.report.Processes, func(a, b Finding) int { return strings.Compare(a.RunID, b.RunID) })
	return l.report, nil
}

// lookout collects a report.
type lookout struct {
	opts    Options
	adopted string
	facts   map[string]*procscan.Facts // by run id
	report  Report
}

func (l *lookout) problem(text string) { l.report.Problems = append(l.report.Problems, text) }

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
	for _, run := range runs {
		if l.concerns(run.RunID) {
			l.report.Runs[run.RunID] = run
			l.facts[run.RunID] = l.factsOf(run)
		}
	}
}

func (l *lookout) concerns(runID string) bool { return l.opts.RunID == "" || l.opts.RunID == runID }

func (l *lookout) factsOf(run rundir.Found) *procscan.Facts {
	f := &procscan.Facts{RunID: run.RunID, Lock: l.lockOf(run), Owner: ownerOf(run.Dir)}
	if run.Record != nil {
		f.Supervisor, f.Key = idOf(run.Record.Supervisor), run.Record.Key
	}
	entries, err := rundir.ReadRegistry(run.Dir)
	if err != nil {
		l.problem(err.Error())
	}
	for _, e := range entries {
		if e.PID != 0 {
			f.Registered = append(f.Registered, procscan.ID{PID: e.PID, Start: e.Start, Boot: e.Boot})
		}
	}
	return f
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

func idOf(p rundir.Process) procscan.ID {
	return procscan.ID{PID: p.PID, Start: p.Start, Boot: p.Boot}
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

// refresh looks once more at the locks of runs that have processes: a run may
// have been started under a dead one's id since the first look.
func (l *lookout) refresh(snapshot procscan.Snapshot) {
	again := map[string]bool{}
	for _, p := range snapshot.Processes {
		f := l.facts[p.RunID]
		if f == nil || f.Lock == procscan.LockHeld || p.RunID == l.adopted || again[p.RunID] {
			continue
		}
		again[p.RunID] = true
		run, err := rundir.Open(l.opts.Runs, p.RunID)
		if err == nil && run.Alive {
			l.report.Runs[p.RunID] = run
			l.facts[p.RunID] = l.factsOf(run)
		}
	}
}

func (l *lookout) judge(p procscan.Process, s procscan.Snapshot) {
	runID := l.runOf(p)
	if runID == "" || !l.concerns(runID) || p.PID == s.Self {
		return
	}
	verdict, evidence := procscan.Judge(p, s, l.facts[runID])
	found := Finding{Process: p, RunID: runID, Verdict: verdict, Evidence: evidence}
	if l.opts.All || found.Condemned() || found.Stray() {
		l.report.Processes = append(l.report.Processes, found)
	}
}

// runOf is the run that a condemning marker names; otherwise the one that has
// registered the process; otherwise the one that it mentions.
func (l *lookout) runOf(p procscan.Process) string {
	if p.Condemns {
		return p.RunID
	}
	for id, f := range l.facts {
		if slices.Contains(f.Registered, p.ID) {
			return id
		}
	}
	return p.RunID
}

// measure fills in what people want to know and no verdict depends on.
func measure(ctx context.Context, list []Finding) {
	var pids []int
	for i := range list {
		f := &list[i]
		f.RSSBytes, _, _ = procscan.Usage(f.Process.ID)          // it may have ended since
		f.StartedAt, _ = procscan.StartedAt(f.Process.ID)        // the time is not known then
		if f.Verdict != procscan.Foreign || f.Process.Condemns { // who only mentions a run holds no port of it
			pids = append(pids, f.Process.PID)
		}
	}
	ports := portcheck.Listening(ctx, pids)
	for i := range list {
		list[i].Ports = ports[list[i].Process.PID]
	}
}
