package orphans

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// look is Find without measurements. The lock of the adopted run is ours, and
// counts as free.
func look(ctx context.Context, o Options, adopted string) (Report, error) {
	l := &lookout{opts: o, adopted: adopted, facts: map[string]*procscan.Facts{}, report: Report{Runs: map[string]rundir.Found{}}}
	l.readRuns()
	narrow := procscan.Options{ReadEnv: true, Ancestors: true, Also: l.registered()}
	if err := l.scan(ctx, narrow); err != nil {
		return l.report, err
	}
	if l.mustLookWider() {
		if err := l.scan(ctx, procscan.Options{ReadEnv: true, Tree: true, Also: l.registered()}); err != nil {
			return l.report, err
		}
		l.addKin()
	}
	if l.incomplete != nil {
		l.problem(strings.ReplaceAll(l.incomplete.Error(), "\n", "; "))
	}
	l.addClosed()
	l.report.Processes = l.chosen()
	return l.report, nil
}

// lookout collects a report.
type lookout struct {
	opts       Options
	adopted    string
	facts      map[string]*procscan.Facts // by run id
	runs       []rundir.Found             // all there are
	living     []named                    // of these, those that live
	snapshot   procscan.Snapshot
	incomplete error     // what the snapshot lacks
	judged     []Finding // all of them
	report     Report
}

func (l *lookout) problem(text string) { l.report.Problems = append(l.report.Problems, text) }

// scan looks at the machine and judges everybody. The error is that nothing
// could be seen.
func (l *lookout) scan(ctx context.Context, how procscan.Options) error {
	snapshot, err := procscan.Scan(ctx, how)
	if err != nil && snapshot.Scanned == 0 {
		return err
	}
	l.snapshot, l.incomplete, l.judged = snapshot, err, nil
	l.report.Scanned, l.report.Unreadable = snapshot.Scanned, snapshot.Unreadable
	l.refresh(snapshot)
	for _, p := range snapshot.Processes {
		l.judge(p, snapshot)
	}
	return nil
}

// mustLookWider says that processes matter which show no sign of a run: those
// that belong to an orphan, and the children of a container's init. It costs a
// second scan, and most often there is no orphan.
func (l *lookout) mustLookWider() bool {
	byInit := l.snapshot.NeedsTree()
	return slices.ContainsFunc(l.judged, func(f Finding) bool {
		return f.Condemned() || byInit && f.Verdict == procscan.Foreign && f.Process.Condemns
	})
}

// addKin finds who belongs to the orphans without a marker.
func (l *lookout) addKin() {
	orphans := map[string][]procscan.Process{}
	for _, f := range l.judged {
		if f.Condemned() {
			orphans[f.RunID] = append(orphans[f.RunID], f.Process)
		}
	}
	for runID, of := range orphans {
		for _, kin := range l.snapshot.KinOf(of, l.others(runID)) {
			l.condemn(runID, kin)
		}
	}
}

// condemn adds a process, or changes the verdict on it.
func (l *lookout) condemn(runID string, kin procscan.Kin) {
	found := Finding{Process: kin.Process, RunID: runID}
	at := slices.IndexFunc(l.judged, func(f Finding) bool { return f.Process.ID == kin.ID })
	if at < 0 {
		at = len(l.judged)
		l.judged = append(l.judged, found)
	}
	f := &l.judged[at]
	f.RunID, f.Verdict = runID, procscan.Orphan
	if len(kin.Signs) == 0 {
		f.Evidence = append(f.Evidence, "it carries no marker")
	}
	f.Evidence = append(f.Evidence, kin.Evidence)
}

// addClosed tells of those who may be of a dead run that was asked for, or that
// nobody has settled, and that cannot be read: "none" would be too much to say.
func (l *lookout) addClosed() {
	told := map[int]bool{}
	for id, run := range l.report.Runs {
		if run.Record == nil || l.facts[id].Lock == procscan.LockHeld || l.opts.RunID == "" && run.Settled() {
			continue
		}
		for _, closed := range l.snapshot.CouldBeOf(run.Record.Supervisor.ID()) {
			told[closed.PID] = true
		}
	}
	for _, pid := range slices.Sorted(maps.Keys(told)) {
		l.problem(fmt.Sprintf("could not look at PID %d: it is yours, and forbids to be read", pid))
	}
}

// chosen are those that were asked for, in the order of runs and PIDs.
func (l *lookout) chosen() []Finding {
	var list []Finding
	for _, f := range l.judged {
		if l.opts.All || f.Condemned() || f.Stray() {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.RunID, b.RunID), cmp.Compare(a.Process.PID, b.Process.PID))
	})
	return list
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
	facts := l.facts[runID]
	verdict, evidence := procscan.Judge(p, s, facts)
	if of := s.OfLiving(p, l.livingBut(runID)); of != "" && (verdict == procscan.Orphan || verdict == procscan.Stray) {
		verdict, evidence = procscan.Foreign, append(evidence, of)
	}
	if p.UID != os.Geteuid() {
		may := l.opts.Theirs || os.Geteuid() == 0 && facts.Proves(p)
		verdict, evidence = ofAnother(p, may, verdict, evidence)
	}
	l.judged = append(l.judged, Finding{
		Process: p, RunID: runID, Verdict: verdict, Evidence: evidence,
		Registered: facts != nil && slices.Contains(facts.Registered, p.ID),
	})
}

// ofAnother names the user whom the process belongs to. The last word of the
// evidence stays the one that decides.
func ofAnother(p procscan.Process, mayEnd bool, v procscan.Verdict, evidence []string) (procscan.Verdict, []string) {
	whose := "it belongs to user " + UserName(p.UID)
	if mayEnd || v != procscan.Orphan && v != procscan.Stray {
		return v, slices.Insert(evidence, max(0, len(evidence)-1), whose)
	}
	return procscan.Foreign, append(evidence, whose+": it is ended only where its run is named")
}

// runOf is the run that a condemning marker names; otherwise the one that has
// registered the process, a living one first; otherwise the one that it mentions.
func (l *lookout) runOf(p procscan.Process) string {
	if p.Condemns {
		return p.RunID
	}
	by := ""
	for id, f := range l.facts {
		if !slices.Contains(f.Registered, p.ID) {
			continue
		}
		if f.Lock == procscan.LockHeld {
			return id
		}
		if by == "" || id < by {
			by = id
		}
	}
	return cmp.Or(by, p.RunID)
}
