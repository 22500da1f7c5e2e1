package supervisor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/orphans"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// The lock's file of a living run was removed, or another was put in its place:
// a start takes the run's workers for no orphans.
func TestSweepSparesARunWithoutItsLock(t *testing.T) {
	for name, lose := range map[string]func(path string) error{
		"removed":  os.Remove,
		"replaced": func(path string) error { return os.WriteFile(path+".new", nil, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			runs, run := t.TempDir(), newRunID(t)
			dir, err := rundir.Create(t.Context(), runs, run)
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			boss, pid := shell(t, "snakepit", "supervise", "SNAKEPIT_RUN_ID="+run+" SNAKEPIT_WORKER_ID=w SNAKEPIT_RUN_KEY=k sh -c 'echo $$; exec sleep 600' & read x; kill $!")
			supervisorID, worker := lookup(t, boss), lookup(t, pid)
			registry, err := dir.OpenRegistry()
			if err != nil {
				t.Fatal(err)
			}
			defer registry.Close()
			if err := registry.Put(rundir.Entry{Worker: "w", PID: pid, Start: worker.Start, Boot: worker.Boot}); err != nil {
				t.Fatal(err)
			}
			record := rundir.Record{Key: "k", State: rundir.StateRunning, Supervisor: rundir.Process{PID: boss, Start: supervisorID.Start, Boot: supervisorID.Boot}}
			if err := dir.WriteRecord(record); err != nil {
				t.Fatal(err)
			}
			lock := filepath.Join(dir.Path(), "lock")
			if err := lose(lock); err != nil {
				t.Fatal(err)
			}
			_ = os.Rename(lock+".new", lock)
			if found, err := rundir.Open(runs, run); err != nil || found.Alive {
				t.Fatalf("its lock is still held: %+v, %v", found, err)
			}
			s := &supervisor{opts: Options{Runs: runs, Config: config.Config{Orphans: config.OrphansKill}}}
			if result := s.sweep(t.Context()); len(result.found)+len(result.killed)+len(result.failures) > 0 {
				t.Errorf("the sweep has found %+v", result)
			}
			if alive, err := worker.Alive(); !alive || err != nil {
				t.Errorf("its worker was killed: %v", err)
			}
			if found, err := rundir.Open(runs, run); err != nil || found.Record == nil || found.Record.End != nil {
				t.Errorf("an end was written: %+v, %v", found.Record, err)
			}
		})
	}
}

// The orphans of another host, or of another state directory, are not a start's to
// end: nobody has asked for it.
func TestSweepSparesWhatIsNotOfItsStateDirectory(t *testing.T) {
	run := newRunID(t)
	// Below a process of that name they are orphans by all that is to be seen.
	_, pid := shell(t, "systemd", "reaper", strings.Join(markersOf(run), " ")+" sh -c 'echo $$; exec sleep 600' & read x; kill $!")
	id := lookup(t, pid)
	report, err := orphans.Find(t.Context(), orphans.Options{Runs: t.TempDir(), RunID: run})
	if err != nil || len(report.Processes) != 1 || !report.Processes[0].Condemned() {
		t.Fatalf("it is no orphan: %+v, %v", report.Processes, err)
	}
	s := &supervisor{opts: Options{Runs: t.TempDir(), Config: config.Config{Orphans: config.OrphansKill}}}
	if result := s.sweep(t.Context()); len(result.found)+len(result.killed)+len(result.failures) > 0 {
		t.Errorf("the sweep has found %+v", result)
	}
	if alive, err := id.Alive(); !alive || err != nil {
		t.Errorf("it was killed: %v", err)
	}
}

func lookup(t *testing.T, pid int) procscan.ID {
	t.Helper()
	id, err := procscan.Lookup(pid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
