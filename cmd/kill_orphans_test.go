package cmd

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/snakepit-dev/snakepit/internal/rundir"
	"github.com/snakepit-dev/snakepit/pkg/procscan"
)

// TestKillOrphansSparesTheRegistered: a registry that names somebody who looks
// like no worker kills nobody, and that is said before it goes.
func TestKillOrphansSparesTheRegistered(t *testing.T) {
	s, id := newSandbox(t), newRunID(t)
	bystander := exec.Command("sleep", "600")
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = bystander.Process.Kill()
		_ = bystander.Wait()
	})
	who, err := procscan.Lookup(bystander.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	makeDeadRun(t, s, id, who)

	command := s.command("kill-orphans", "--run-id", id, "--yes")
	said, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, said)
	}
	for _, want := range []string{
		"warning: PID " + strconv.Itoa(who.PID) + " is in the registry of run " + id + " and is left alone: it carries no marker and leads no session",
		"no orphans of run " + id,
	} {
		if !strings.Contains(string(said), want) {
			t.Errorf("no %q in:\n%s", want, said)
		}
	}
	if alive, err := who.Alive(); err != nil || !alive {
		t.Errorf("it was harmed: %v", err)
	}
}

// makeDeadRun makes a run whose supervisor was a process that has ended, and
// whose registry names one more.
func makeDeadRun(t *testing.T, s *sandbox, id string, worker procscan.ID) {
	t.Helper()
	run, err := rundir.Create(t.Context(), runsIn(s.stateHome()), id)
	if err != nil {
		t.Fatal(err)
	}
	defer run.Close()
	registry, err := run.OpenRegistry()
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	if err := registry.Put(rundir.Entry{Worker: "default-0", Pool: "default", PID: worker.PID, Start: worker.Start, Boot: worker.Boot}); err != nil {
		t.Fatal(err)
	}
	self, err := procscan.Lookup(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	record := rundir.Record{State: rundir.StateRunning, Supervisor: rundir.Process{PID: self.PID, Start: self.Start - 1, Boot: self.Boot}}
	if err := run.WriteRecord(record); err != nil {
		t.Fatal(err)
	}
}

func (s *sandbox) stateHome() string {
	for _, entry := range s.env {
		if home, ok := strings.CutPrefix(entry, "XDG_STATE_HOME="); ok {
			return home
		}
	}
	return ""
}
