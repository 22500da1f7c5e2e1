package orphans

import (
	"strings"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// TestForgedRegistry: a file alone condemns nobody. The registry of a dead run
// names processes without a marker, with their true identity.
func TestForgedRegistry(t *testing.T) {
	run, neighbour, root := newRun(), newRun(), t.TempDir()
	old := raise(t, process{mode: "sleep", args: []string{"redis-server"}})
	older := orphan(t, process{mode: "overwrite", args: []string{"nginx"}})
	for time.Since(started(t, older.child)) < 20*time.Millisecond { // start times are counted in 10 ms
		time.Sleep(time.Millisecond)
	}
	dead := raise(t, process{mode: "sleep", args: []string{"host"}})
	guard := orphan(t, process{mode: "sleep", args: []string{"snakepit", "guard"}})
	worker := orphan(t, process{mode: "overwrite", args: []string{"python3"}})
	decoy := orphan(t, process{mode: "sleep", args: []string{"sleep", "555"}})
	employed := raise(t, process{mode: "overwrite", args: []string{"postgres"}})

	// The neighbour lives, has that guard, and that worker, which hides its marker.
	held := makeRun(t, root, neighbour, old.host, worker.child)
	g := guard.child
	if err := held.WriteRecord(rundir.Record{
		State:      rundir.StateRunning,
		Supervisor: rundir.Process{PID: old.host.PID, Start: old.host.Start, Boot: old.host.Boot},
		Guard:      &rundir.Process{PID: g.PID, Start: g.Start, Boot: g.Boot},
	}); err != nil {
		t.Fatal(err)
	}
	kill(t, dead.host)
	want := map[procscan.ID]string{
		older.child:    "was started before its supervisor",
		guard.child:    "it is the guard of run " + neighbour,
		worker.child:   "the lock of run " + neighbour + " is held",
		employed.child: "(beam.smp) is none that takes what others have left",
		old.host:       "it is the supervisor of run " + neighbour,
		decoy.child:    "its environment is whole and holds no marker",
	}
	deadRun(t, root, run, dead.host, older.child, g, worker.child, employed.child, old.host, decoy.child)

	for _, f := range find(t, root, "", true).Processes {
		if why, named := want[f.Process.ID]; named {
			delete(want, f.Process.ID)
			if f.Verdict != procscan.Foreign && f.Verdict != procscan.Managed || !says(f, why) {
				t.Errorf("%v: %s, %q; want %q", f.Process.Args, f.Verdict, f.Evidence, why)
			}
			if f.Spared() != (f.Verdict == procscan.Foreign) {
				t.Errorf("%v is %s, and spared: %v", f.Process.Args, f.Verdict, f.Spared())
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not judged: %v", want)
	}
	o := patient
	o.Strays = true
	if result := mustKill(t, root, run, o); len(result.Killed) > 0 {
		t.Errorf("%+v", result)
	}
	for _, id := range []procscan.ID{older.child, g, worker.child, employed.child, old.host, decoy.child} {
		mustAlive(t, id, true)
	}
}

func started(t *testing.T, id procscan.ID) time.Time {
	t.Helper()
	at, err := procscan.StartedAt(id)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestRegisteredByALivingRun: whom two registries name is the living run's.
func TestRegisteredByALivingRun(t *testing.T) {
	run, living, root := "a"+newRun(), "b"+newRun(), t.TempDir()
	f := orphan(t, process{mode: "sleep", args: []string{"python3"}})
	host := raise(t, elixir("sleep", newRun()))
	deadRun(t, root, run, f.host, f.child)
	makeRun(t, root, living, host.host, f.child)
	for range 20 { // a map's order must not decide
		for _, x := range find(t, root, "", true).Processes {
			if x.Process.ID == f.child && (x.RunID != living || x.Verdict != procscan.Managed) {
				t.Fatalf("%s of run %s, %q", x.Verdict, x.RunID, x.Evidence)
			}
		}
	}
	got := find(t, root, run, true).Processes
	if len(got) != 1 || got[0].Verdict != procscan.Foreign || !says(got[0], "of run "+living) {
		t.Errorf("%+v", got)
	}
}

// TestWithoutMarker: who has cleaned its environment goes with the orphan that
// it belongs to; another run's worker below it does not, nor does a child of that.
func TestWithoutMarker(t *testing.T) {
	run, neighbour, root := newRun(), newRun(), t.TempDir()
	p := worker("clean", run)
	p.env = append(p.env, neighbourEnv+"="+procscan.RunIDEnv+"="+neighbour)
	f := orphan(t, p)
	deadRun(t, root, run, f.host, f.child)

	all := snapshot(t)
	var kin, spared []procscan.ID
	for _, d := range all.Descendants(f.child.PID) {
		if parent, _ := all.Find(d.PPID); d.RunID == neighbour || parent.RunID == neighbour {
			spared = append(spared, d.ID)
		} else {
			kin = append(kin, d.ID)
		}
	}
	if len(kin) != 4 || len(spared) != 2 {
		t.Fatalf("the fixture has %v and %v", kin, spared)
	}
	t.Cleanup(func() {
		for _, id := range spared {
			procscan.End(t.Context(), []procscan.Target{{ID: id, TrustIdentity: true}}, procscan.EndOptions{})
		}
	})

	got := find(t, root, run, false)
	for _, id := range kin {
		found := false
		for _, x := range got.Processes {
			found = found || x.Process.ID == id && x.Verdict == procscan.Orphan && x.RunID == run && says(x, "it carries no marker") && says(x, "the orphan PID ")
		}
		if !found {
			t.Errorf("PID %d is not among %+v", id.PID, got.Processes)
		}
	}
	result := mustKill(t, root, run, KillOptions{Grace: patient.Grace / 20, KillWait: patient.KillWait})
	if len(result.Killed) != 5 {
		t.Errorf("%+v", result)
	}
	for _, id := range append(kin, f.child) {
		mustAlive(t, id, false)
	}
	for _, id := range spared {
		mustAlive(t, id, true)
	}
}

func snapshot(t *testing.T) procscan.Snapshot {
	t.Helper()
	s, err := procscan.Scan(t.Context(), procscan.Options{Tree: true, ReadEnv: true})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestKilledBeforeIsLookedFor: an orphan without a marker that does not go is
// counted among the survivors, though the one that it was known by has gone.
func TestKilledBeforeIsLookedFor(t *testing.T) {
	f := raise(t, process{mode: "sleep", args: []string{"sleep"}})
	k := &killer{runID: "x", seen: map[procscan.ID]procscan.Process{
		f.child: {ID: f.child},
		f.host:  {ID: f.host, Marker: procscan.Marker{RunID: "x", Condemns: true}},
	}}
	got := k.targets(Report{})
	if len(got) != 1 || got[0].ID != f.child || !got[0].TrustIdentity {
		t.Errorf("%+v", got)
	}
	kill(t, f.host)
	gone := f.child
	gone.Start--
	k.seen = map[procscan.ID]procscan.Process{gone: {ID: gone}}
	if got := k.targets(Report{}); len(got) > 0 {
		t.Errorf("who is gone: %+v", got)
	}
}

// TestSettledTwice: who finds nothing after another has settled the run says
// nothing.
func TestSettledTwice(t *testing.T) {
	run, root := newRun(), t.TempDir()
	f := orphan(t, worker("sleep", run))
	deadRun(t, root, run, f.host, f.child)
	before := find(t, root, run, false)
	mustKill(t, root, run, patient)
	events := eventsOf(t, root, run)
	if result := Kill(t.Context(), before, patient.in(root)); len(result.Killed)+len(result.Failed)+len(result.Errors) > 0 {
		t.Errorf("%+v", result)
	}
	if again := eventsOf(t, root, run); again != events || !strings.Contains(events, "emergency_cleanup") {
		t.Errorf("it says\n%s\nafter\n%s", again, events)
	}
}
