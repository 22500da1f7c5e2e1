package orphans

import (
	"testing"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// TestLivingRunWithin: a supervisor that was started from within a worker carries
// its marker, and is none of the dead run's.
func TestLivingRunWithin(t *testing.T) {
	run, inner, root := newRun(), newRun(), t.TempDir()
	f := orphan(t, worker("sleep", run))
	p := worker("sleep", run)
	p.args = []string{"snakepit", "start"}
	supervisor := orphan(t, p)
	deadRun(t, root, run, f.host, f.child)
	makeRun(t, root, inner, supervisor.child)

	for _, x := range find(t, root, run, true).Processes {
		if x.Process.ID == supervisor.child && (x.Verdict != procscan.Foreign || !says(x, "it is the supervisor of run "+inner)) {
			t.Errorf("%s, %q", x.Verdict, x.Evidence)
		}
	}
	if result := mustKill(t, root, run, patient); len(result.Killed) != 1 {
		t.Errorf("%+v", result)
	}
	mustAlive(t, f.child, false)
	mustAlive(t, supervisor.child, true)
}

// TestWithoutRecord: a worker whose supervisor was recorded nowhere is no orphan
// as long as its parent lives.
func TestWithoutRecord(t *testing.T) {
	run, root := newRun(), t.TempDir()
	f := raise(t, worker("sleep", run))
	deadRun(t, root, run, procscan.ID{}, f.child)
	got := find(t, root, run, true).Processes
	if len(got) != 1 || got[0].Verdict != procscan.Foreign || !says(got[0], "(beam.smp) lives") {
		t.Errorf("%+v", got)
	}
	mustKill(t, root, run, patient)
	mustAlive(t, f.child, true)
}

// TestRunStartsMeanwhile: a run was started under a dead one's id after the first
// look at the files. Its worker is no orphan.
func TestRunStartsMeanwhile(t *testing.T) {
	run, root := newRun(), t.TempDir()
	f := raise(t, worker("sleep", run))
	gone := f.host
	gone.Start--
	deadRun(t, root, run, gone)
	l := &lookout{opts: Options{Runs: root}, facts: map[string]*procscan.Facts{}, report: Report{Runs: map[string]rundir.Found{}}}
	l.readRuns()
	makeRun(t, root, run, f.host, f.child)
	if err := l.scan(t.Context(), procscan.Options{ReadEnv: true, Ancestors: true, Also: l.registered()}); err != nil {
		t.Fatal(err)
	}
	for _, x := range l.judged {
		if x.Process.ID == f.child && x.Verdict != procscan.Managed {
			t.Errorf("%s, %q", x.Verdict, x.Evidence)
		}
	}
	if !l.report.Runs[run].Alive {
		t.Error("the report has the run as dead")
	}
}
