package supervisor

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/config"
	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// PID 1 is given everybody's orphans, and who has children already would take them
// for a worker's.
func TestAdoptsOnlyDescendants(t *testing.T) {
	if yes, err := adoptsOnlyDescendants(t.Context(), procscan.ID{PID: 1}); yes || err != nil {
		t.Errorf("PID 1: %v, %v", yes, err)
	}
	parent, child := shell(t, "sh", "parent", "sh -c 'echo $$; exec sleep 600' & read x; kill $!")
	if yes, err := adoptsOnlyDescendants(t.Context(), lookup(t, parent)); yes || err != nil {
		t.Errorf("with a child: %v, %v", yes, err)
	}
	if yes, err := adoptsOnlyDescendants(t.Context(), lookup(t, child)); !yes || err != nil {
		t.Errorf("without children: %v, %v", yes, err)
	}
}

// A detached supervisor is not of the run that its caller is in.
func TestDetachedCarriesNoMarker(t *testing.T) {
	for _, name := range []string{procscan.RunIDEnv, procscan.WorkerIDEnv, procscan.RunKeyEnv} {
		t.Setenv(name, "outer")
	}
	t.Setenv("OTHERS_STAY", "1")
	cmd := detached("/bin/snakepit", "inner")
	if at := slices.IndexFunc(cmd.Env, func(e string) bool { return strings.HasSuffix(e, "=outer") }); at >= 0 {
		t.Errorf("it inherits %s", cmd.Env[at])
	}
	if !slices.Contains(cmd.Env, "OTHERS_STAY=1") {
		t.Error("it does not inherit the rest")
	}
}

// A living run that a worker has started is no descendant to be ended with it: its
// supervisor, whether it carries the marker or was adopted, and what is below it.
func TestStopSparesALivingRunWithin(t *testing.T) {
	runs, outer, inner := t.TempDir(), newRunID(t), newRunID(t)
	pid, _ := shell(t, "snakepit", "start", "echo 1; read x", append(markersOf(outer), procscan.RunKeyEnv+"=k")...)
	_, left := shell(t, "sh", "left", "echo $$; read x", append(markersOf(outer), procscan.RunKeyEnv+"=k")...)
	dir, err := rundir.Create(t.Context(), runs, inner)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	id := lookup(t, pid)
	if err := dir.WriteRecord(rundir.Record{State: rundir.StateRunning, Supervisor: rundir.Process{PID: id.PID, Start: id.Start, Boot: id.Boot}}); err != nil {
		t.Fatal(err)
	}
	s := &supervisor{key: "k", opts: Options{Runs: runs, Config: config.Config{RunID: outer}}}
	got, err := s.marked(t.Context())
	if err != nil || len(got) != 1 || got[0].PID != left {
		t.Errorf("marked: %+v, %v; want PID %d alone", got, err, left)
	}

	self := procscan.Process{ID: procscan.ID{PID: os.Getpid()}}
	of := func(pid, ppid int) procscan.Process { return procscan.Process{ID: procscan.ID{PID: pid}, PPID: ppid} }
	all := []procscan.Process{of(10, self.PID), of(11, 10), of(12, 11), of(20, self.PID), of(21, 20), of(30, 31), of(31, 30)}
	var pids []int
	for _, p := range withoutFamilies(all, map[procscan.ID]string{{PID: 10}: "the supervisor of run inner"}) {
		pids = append(pids, p.PID)
	}
	if !slices.Equal(pids, []int{20, 21, 30, 31}) {
		t.Errorf("adopted: %v", pids)
	}
}
