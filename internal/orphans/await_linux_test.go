package orphans

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/snakepit-dev/snakepit/internal/rundir"
)

// TestAwaitCleanups: the guard of a dead run has its lock until it is done.
func TestAwaitCleanups(t *testing.T) {
	run, living, root := newRun(), newRun(), t.TempDir()
	f := orphan(t, worker("sleep", run))
	guard := makeRun(t, root, run, f.host, f.child)
	makeRun(t, root, living, raise(t, elixir("sleep", newRun())).host)
	report := find(t, root, "", true)
	if !report.CleanedUp(run) || report.CleanedUp(living) || report.CleanedUp("unknown") {
		t.Fatalf("cleaned up: %v, %v", report.CleanedUp(run), report.CleanedUp(living))
	}
	if got := AwaitCleanups(t.Context(), report, KillOptions{Runs: root, KillWait: time.Millisecond}); !slices.Equal(got, []string{run}) {
		t.Errorf("waited for %v", got)
	}
	if now := find(t, root, run, true); !now.CleanedUp(run) {
		t.Error("it has waited for ever")
	}

	type end struct {
		waited []string
		held   bool // still
	}
	returned := make(chan end)
	go func() {
		waited := AwaitCleanups(context.Background(), report, patient.in(root))
		now, err := rundir.Open(root, run)
		returned <- end{waited, err != nil || now.Alive}
	}()
	kill(t, f.child)
	if err := guard.Settle(rundir.End{At: time.Now(), Found: []int{f.child.PID}, Killed: []int{f.child.PID}}); err != nil {
		t.Fatal(err)
	}
	if err := guard.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-returned; got.held || !slices.Equal(got.waited, []string{run}) {
		t.Errorf("%+v", got)
	}
	if now := find(t, root, run, true); now.CleanedUp(run) || !slices.Equal(now.Runs[run].Record.End.Killed, []int{f.child.PID}) {
		t.Errorf("%+v", now.Runs[run])
	}
}

// TestStartsMeanwhile: a new supervisor that has taken the lock of a dead run, and
// then writes its record, is no cleanup to wait for.
func TestStartsMeanwhile(t *testing.T) {
	run, root := newRun(), t.TempDir()
	f := orphan(t, worker("sleep", run))
	deadRun(t, root, run, f.host, f.child)
	before := find(t, root, run, false)
	starting, err := rundir.Adopt(t.Context(), root, run)
	if err != nil {
		t.Fatal(err)
	}
	defer starting.Close()
	held := find(t, root, run, true)
	if !held.CleanedUp(run) {
		t.Fatalf("%+v", held.Runs)
	}

	killed, waited := make(chan Result), make(chan []string)
	go func() { killed <- Kill(context.Background(), before, patient.in(root)) }()
	go func() { waited <- AwaitCleanups(context.Background(), held, patient.in(root)) }()
	began := time.Now()
	host := raise(t, elixir("sleep", newRun())).host
	record := rundir.Record{State: rundir.StateStarting, Supervisor: rundir.Process{PID: host.PID, Start: host.Start, Boot: host.Boot}}
	if err := starting.WriteRecord(record); err != nil {
		t.Fatal(err)
	}
	result := <-killed
	if len(result.Killed) > 0 || len(result.Failed) != 1 || !errors.Is(result.Failed[0].Err, ErrAlive) {
		t.Errorf("%+v", result)
	}
	<-waited
	if took := time.Since(began); took > patient.Grace {
		t.Errorf("it took %v", took)
	}
	mustAlive(t, f.child, true)
}
